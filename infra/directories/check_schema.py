"""Checks the schema of directory functions with good and bad examples, and with the examples of docs/directories.md.

A block of that page that begins with ```json NAME must be valid under the definition NAME. Its table of responses must
name every outcome and every reason of the schema, and no other. Prints one line for each finding, and fails if there is
one. `make check` runs this with the Python of target/tools/sam.
"""

import json
import re
import sys
from pathlib import Path

import jsonschema

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads(Path(__file__).with_name("directory.schema.json").read_text())
PAGE = (ROOT / "docs/directories.md").read_text()
EXAMPLES = {"find", "found", "replace", "replaced"}  # the definitions of whole requests and responses

FIND = {"rekey": 1, "action": "find", "request_id": "JKJaXmPLvHcESHA=", "email": "ada@example.com"}
USER = {"id": "42", "email": "ada@example.com"}
REPLACE = {"rekey": 1, "action": "replace", "request_id": "JKJaXmPLvHcESHA=", "user": "42", "email": "ada@example.com",
           "issued_at": 1763899000.12, "changed_at": 1763900000.123, "deadline": 1763900010.123,
           "password": {"hash": "$2b$12$…"}}
OUTCOMES = ["replaced", "gone", "overtaken", "later"]
REASONS = ["too_short", "too_long", "too_weak", "used_before"]

GOOD = {
    "find": [FIND],
    "found": [
        {"users": []}, {"users": [USER, {**USER, "id": "x" * 1024}]},
        {"users": [{**USER, "locale": None, "name": None}]},
        {"users": [{**USER, "locale": "de-AT", "name": "Ada", "created": 2020}], "took": 3},
    ],
    "replace": [REPLACE, {**REPLACE, "password": {"plain": ""}}, {**REPLACE, "issued_at": 1763899000}],
    "replaced": [
        *({"outcome": outcome} for outcome in OUTCOMES), {"outcome": "gone", "reason": None},
        *({"outcome": "unacceptable", "reason": reason} for reason in REASONS),
    ],
}
BAD = {
    "find": [
        {}, None, {**FIND, "rekey": 2}, {**FIND, "rekey": "1"}, {**FIND, "action": "replace"}, {**FIND, "email": None},
        {**FIND, "user": "42"}, {name: FIND[name] for name in ("rekey", "action", "email")},
    ],
    "found": [
        {}, [], None, "", {"users": None}, {"users": USER}, {"users": ["42"]}, {"users": [{"id": "42"}]},
        {"users": [{"email": "ada@example.com"}]}, {"users": [{**USER, "id": 42}]}, {"users": [{**USER, "id": ""}]},
        {"users": [{**USER, "id": "x" * 1025}]}, {"users": [{**USER, "email": None}]},
        {"users": [{**USER, "name": 7}]}, {"users": [{**USER, "locale": ["de"]}]},
    ],
    "replace": [
        {}, None, {**REPLACE, "rekey": 2}, {**REPLACE, "action": "find"}, {**REPLACE, "more": 1},
        {**REPLACE, "user": 42}, {**REPLACE, "issued_at": "2026-11-25T09:00:00Z"}, {**REPLACE, "deadline": -1},
        {**REPLACE, "password": "secret"}, {**REPLACE, "password": {}}, {**REPLACE, "password": {"hash": None}},
        {**REPLACE, "password": {"hash": "a", "plain": "b"}},
        *({other: REPLACE[other] for other in REPLACE if other != name} for name in REPLACE),
    ],
    "replaced": [
        {}, None, "replaced", {"outcome": None}, {"outcome": "Replaced"}, {"outcome": "done"}, {"outcome": ["gone"]},
        {"outcome": "unacceptable"}, {"outcome": "unacceptable", "reason": "ugly"},
        {"outcome": "unacceptable", "reason": None}, {"reason": "too_short"},
    ],
}


def main():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    findings = [*own_examples(), *documented_examples()]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def errors(name, example):
    """Returns the reasons why an example is not valid under a definition."""
    schema = {"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]}
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(example)]


def own_examples():
    for name, examples in GOOD.items():
        yield from (f"{name}: {error}: {example!r:.200}" for example in examples for error in errors(name, example))
    for name, examples in BAD.items():
        accepted = [example for example in examples if not errors(name, example)]
        yield from (f"{name}: accepts a bad example: {example!r:.200}" for example in accepted)


def documented_examples():
    blocks = re.findall(r"^```json (\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    responses = [("replaced", text) for text in re.findall(r'`(\{"outcome": [^`]*\})`', PAGE)]
    if {name for name, _ in [*blocks, *responses]} != EXAMPLES:
        yield f"docs/directories.md: expected an example of each of {sorted(EXAMPLES)}"
    for name, text in [*blocks, *responses]:
        yield from (f"docs/directories.md: {name}: {error}" for error in errors(name, json.loads(text)))
    if {json.loads(text)["outcome"] for _, text in responses} != {*OUTCOMES, "unacceptable"}:
        yield "docs/directories.md: the table of responses does not have exactly the outcomes of the schema"
    for reason in REASONS:
        if f"`{reason}`" not in PAGE:
            yield f"docs/directories.md: does not name the reason {reason}"


if __name__ == "__main__":
    sys.exit(main())
