"""Checks the four functions' roles in an IAM simulator.

    check.py [TEMPLATE]

It reads requests.txt and resolves the template for each parameter set below. simulate.mjs then compares the two.
"""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

from roles import FUNCTIONS, arn, load, policies

HERE = Path(__file__).parent
KEY = arn("kms", "key/0f")
FIND, REPLACE = arn("lambda", "function:find"), arn("lambda", "function:replace:live")
REQUIRED = {
    "ResetUrls": "https://app.example.com/reset",
    "ResetUrlOrigins": "https://app.example.com",
    "ProductName": "Example",
    "MailFromAddress": "no-reply@mail.example.com",
}
# Each condition of the template on which a role depends is true in one set and false in another.
SETS = {
    "a new users table": {},
    "an existing users table, a parent domain": {"UsersTableName": "people", "MailIdentity": "example.com"},
    "a new users table, the address as the key": {"UsersKeyAttribute": "email"},
    "an existing users table, the address as the key, other names": {
        "UsersTableName": "people",
        "UsersKeyAttribute": "mail",
        "UsersEmailAttribute": "mail",
        "UsersEmailIndex": "by-mail",
        "UsersPasswordAttribute": "pw",
        "MailIdentity": "example.com",
    },
    "a single table": {
        "UsersTableName": "app",
        "UsersKeyAttribute": "PK",
        "UsersKeyPrefix": "USER#",
        "UsersSortKeyAttribute": "SK",
        "UsersSortKeyPrefix": "PROFILE",
        "UsersEmailAttribute": "GSI1PK",
        "UsersEmailFormat": "EMAIL#{email}",
        "UsersEmailIndex": "GSI1",
        "UsersChangedAttribute": "changedAt",
        "UsersStatusAttribute": "status",
        "UsersStatusActive": "ACTIVE",
        "UsersTableKeyArn": KEY,
    },
    "a single table, the address as the key, a language": {
        "UsersTableName": "app",
        "UsersKeyAttribute": "pk",
        "UsersKeyPrefix": "$app#user_",
        "UsersSortKeyAttribute": "sk",
        "UsersEmailAttribute": "pk",
        "UsersEmailFormat": "$app#user_{email}",
        "UsersLocaleAttribute": "lang",
    },
    "an existing users table, a name": {"UsersTableName": "people", "UsersNameAttribute": "first_name"},
    "directory functions": {"UsersFindFunctionArn": FIND, "UsersReplaceFunctionArn": REPLACE},
    # The parameters of a table that the deployment had before must grant nothing.
    "directory functions, with the parameters of a table": {
        "UsersFindFunctionArn": FIND,
        "UsersReplaceFunctionArn": REPLACE,
        "UsersTableName": "app",
        "UsersKeyPrefix": "USER#",
        "UsersStatusAttribute": "status",
        "UsersStatusActive": "ACTIVE",
        "UsersTableKeyArn": KEY,
    },
}


def main(template):
    node = shutil.which("node")
    if not node:
        sys.exit("Node.js 20 or later is required, but node is not in PATH.")
    template, table = load(template), list(rows((HERE / "requests.txt").read_text(encoding="utf-8")))
    try:
        sets = [{"name": name, **deployment(template, table, {**REQUIRED, **parameters})}
                for name, parameters in SETS.items()]
    except ValueError as error:
        sys.exit(str(error))
    simulator = subprocess.run([node, HERE / "simulate.mjs"], input=json.dumps(sets), text=True, check=False)
    sys.exit(simulator.returncode)


def rows(text):
    """Yields the rows of requests.txt as dicts, each with its line number."""
    names, columns = {}, []
    for number, line in enumerate(text.splitlines(), start=1):
        cells = line.split()
        if not cells or line.startswith("#"):
            continue
        if cells[1] == "=":
            names[cells[0]] = cells[2]
        elif cells[0] == "request":
            columns = cells
        elif len(cells) != len(columns):
            sys.exit(f"requests.txt:{number}: expected {len(columns)} cells, got {len(cells)}")
        else:
            cells = ["|".join(names.get(part, part) for part in cell.split("|")) for cell in cells]
            yield {"line": number, **dict(zip(columns, cells))}


def deployment(template, table, parameters):
    """Returns the policies of a parameter set, and the requests that a deployment with these parameters would send."""
    defaults = {name: each.get("Default") for name, each in template["Parameters"].items()}
    values = {**defaults, **parameters}
    arns = resources(values)
    words = {
        "key": named(values, "UsersKeyAttribute", "UsersSortKeyAttribute"),
        "email": values["UsersEmailAttribute"],
        "password": values["UsersPasswordAttribute"],
        "changed": values["UsersChangedAttribute"],
        "checked": named(values, "UsersChangedAttribute", "UsersStatusAttribute"),
        "details": named(values, "UsersEmailAttribute", "UsersChangedAttribute", "UsersStatusAttribute",
                         "UsersLocaleAttribute", "UsersNameAttribute"),
        "user": values["UsersKeyPrefix"] + "1",
        "sender": values["MailFromAddress"],
        "domain": values["MailFromAddress"].partition("@")[2],
    }
    return {"roles": policies(template, parameters),
            "requests": [request for row in table for request in requests(row, arns, words)]}


def named(values, *parameters):
    """Returns the attributes that some parameters name, without those that are not set."""
    return ",".join(values[each] for each in parameters if values[each])


def requests(row, arns, words):
    """Yields a request for each combination of a row's alternatives."""
    keys = [column for column in row if column not in ("line", "resource", *FUNCTIONS)]
    names = row["resource"].split("|")
    if unknown := [name for name in names if name not in arns and name != "*" and not name.startswith("arn:")]:
        raise ValueError(f"requests.txt:{row['line']}: {', '.join(unknown)} is not defined in check.py")
    targets = [target for name in names for target in arns.get(name, [name])]
    for values in itertools.product(*(row[key].split("|") for key in keys)):
        context = dict(zip(keys, values))
        action = context.pop("action")
        service = action.partition(":")[0]
        present = {f"{service}:{key}": list(dict.fromkeys(value.format(**words).split(",")))
                   for key, value in context.items() if value != "-"}
        for target in targets:
            yield {"line": row["line"], "action": action, "resource": target, "context": present,
                   "columns": [f"{service}:{key}" for key in context],
                   "verdicts": {half: row[half] for half in FUNCTIONS}}


def resources(values):
    """Returns the ARNs behind the names in requests.txt, from the parameters and logical IDs, not from the policies."""
    def table(rest):
        return arn("dynamodb", f"table/{rest}")

    users = values["UsersTableName"] or "UsersTable"
    index = f"{users}/index/{values['UsersEmailIndex']}"
    email_is_key = values["UsersEmailAttribute"] == values["UsersKeyAttribute"]
    has_details = any(values[f"Users{each}Attribute"] for each in ("Status", "Locale", "Name"))
    has_functions = values["UsersFindFunctionArn"] != ""
    has_prefix = values["UsersKeyPrefix"] != ""
    has_key = values["UsersTableKeyArn"] != "" and not has_functions
    every_table = [table(users), table(index)]
    address, domain = values["MailFromAddress"], values["MailFromAddress"].partition("@")[2]
    identities = {address, domain, values["MailIdentity"] or domain}
    return {
        "rekey": [table("RekeyTable")],
        "claims": [table("RekeyTable")] if has_functions else [],
        "no-claims": [] if has_functions else [table("RekeyTable")],
        "find": [values["UsersFindFunctionArn"]] if has_functions else [],
        "replace": [values["UsersReplaceFunctionArn"]] if has_functions else [],
        "other-function": [arn("lambda", "function:other"), arn("lambda", "function:replace")]
                          + ([] if has_functions else [FIND, REPLACE]),
        "stream": [table("RekeyTable/stream/2026-01-01T00:00:00.000")],
        "users": [] if has_functions else [table(users)],
        "unused-users": every_table if has_functions else [],
        # A parameter set without such a table has no requests for it.
        "detailed-users": [table(users)] if has_details and not has_functions else [],
        "shared-users": [table(users)] if has_prefix and not has_functions else [],
        "own-users": [] if has_prefix or has_functions else [table(users)],
        "plain-users": [] if has_details or email_is_key or has_functions else [table(users)],
        "table-key": [values["UsersTableKeyArn"]] if has_key else [],
        "other-key": [arn("kms", "key/1f")] + ([] if has_key else [KEY]),
        "users-stream": [table(f"{users}/stream/2026-01-01T00:00:00.000"),
                         table("RekeyTable/stream/2025-01-01T00:00:00.000")],
        "not-users": [table("other"), table(f"{users}2"), table("RekeyTable/index/x"), table(f"{users}/index/other")],
        "lookup": [] if has_functions else [table(users if email_is_key else index)],
        "not-lookup": [table("other"), table(f"{users}/index/other"), table("RekeyTable/index/x"),
                       *([table(index)] if email_is_key else [])],
        "identity": [arn("ses", f"identity/{each}") for each in sorted(identities)],
        "other-identity": [arn("ses", "identity/example.net"), arn("ses", f"identity/eve@{domain}"),
                           arn("ses", f"identity/x{domain}")],
        "configuration-set": [arn("ses", "configuration-set/MailConfigurationSet")],
        "other-configuration-set": [arn("ses", "configuration-set/other")],
        "template": [arn("ses", "template/other")],
        "queue": [arn("sqs", "FailureQueue")],
        "other-queue": [arn("sqs", "other")],
        **{f"{half}-log": [arn("logs", f"log-group:{function}Log:log-stream:x")]
           for half, function in FUNCTIONS.items()},
        "other-log": [arn("logs", "log-group:AccessLog:log-stream:x"), arn("logs", "log-group:other:log-stream:x")],
        "log-group": [arn("logs", "log-group:ForgotRequestLog"), arn("logs", "log-group:AccessLog")],
        "function": [arn("lambda", "function:rekey-ForgotDeliver-1f")],
    }


main(sys.argv[1] if len(sys.argv) > 1 else HERE / "../../template.yaml")
