"""Finds users whom Rekey cannot serve, in the users table of a deployed stack. It changes nothing.

    users_check.py STACK

DynamoDB compares text exactly, so Rekey finds a user only if the stored address is written as Rekey writes it. This reads
the key, the address, and `password_changed_at` of every user, and prints each key with what is wrong. It fails if it
found anything.
"""

import json
import sys
import time
from collections import Counter

import boto3

CHANGED_AT = "password_changed_at"
CLOCK_SKEW = 300  # seconds that a time of change may be ahead: shared/src/users.rs


def main(stack):
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    output = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    parameter = {each["ParameterKey"]: each["ParameterValue"] for each in described["Parameters"]}
    key, email = parameter["UsersKeyAttribute"], parameter["UsersEmailAttribute"]
    users = list(users_of(output["UsersTableName"], key, email))
    owners = Counter(written(address) for _, address, _ in users if isinstance(address, str))
    found = 0
    for name, address, changed_at in users:
        wrong = [*faults_of(address), *faults_of_time(changed_at)]
        if isinstance(address, str) and owners[written(address)] > 1:
            wrong.append("shares its address with another user, so neither gets a link")
        if wrong:
            found += 1
            print(f"{json.dumps(name, default=repr)}: {'; '.join(wrong)}")
    print(f"{len(users)} users, {found} of them with something to correct.")
    return 1 if found else 0


def users_of(table, key, email):
    """Yields the key, the address, and the time of change of every item of a table."""
    names = {"#key": key, "#email": email, "#changed_at": CHANGED_AT}
    projection = ", ".join(["#key", *(["#email"] if email != key else []), "#changed_at"])
    if email == key:
        del names["#email"]
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(
        TableName=table, ProjectionExpression=projection, ExpressionAttributeNames=names)
    for page in pages:
        for item in page["Items"]:
            yield next(iter(item[key].values())), text_of(item.get(email)), item.get(CHANGED_AT)


def text_of(value):
    """Returns a text, or None for a value of another type."""
    return value.get("S") if value else None


def written(address):
    """Returns an address as Rekey would look it up, but for international domains, which are a fault in any case."""
    return address.strip().lower()


def faults_of(address):
    """Yields why Rekey does not find a user by an address (shared/src/email.rs)."""
    if address is None:
        yield "has no address that is text"
        return
    local, at, domain = address.strip().rpartition("@")
    if address != address.strip():
        yield "has whitespace around its address"
    if not at:
        yield "has an address without @"
    elif not local.isascii():
        yield "has a local part that is not ASCII"
    elif not domain.isascii():
        yield "has a domain that is not in its xn-- form"
    elif address != address.lower():
        yield "has upper-case letters in its address"


def faults_of_time(changed_at):
    """Yields why a time of change ends no links (DECISIONS.md)."""
    if changed_at is None:
        return
    if "N" not in changed_at:
        yield f"has a {CHANGED_AT} that is not a number, which Rekey ignores"
    elif float(changed_at["N"]) > time.time() + CLOCK_SKEW:
        yield f"has a {CHANGED_AT} in the future, which Rekey ignores: it counts seconds, not milliseconds"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
