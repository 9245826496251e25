"""Finds the users that Rekey cannot serve, in the users table of a deployed stack. It changes nothing.

    users_check.py STACK

DynamoDB compares text exactly, so Rekey finds a user only if the stored address has Rekey's own form. This script reads
the key, the address, and `password_changed_at` of every user. It prints the key and the problems of each user that has
any, and then exits with status 1.
"""

import json
import sys
import time
from collections import Counter

import boto3

CHANGED_AT = "password_changed_at"
CLOCK_SKEW = 300  # seconds that a time of change may be ahead: shared/src/directory.rs


def main(stack):
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    output = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    parameter = {each["ParameterKey"]: each["ParameterValue"] for each in described["Parameters"]}
    key, email = parameter["UsersKeyAttribute"], parameter["UsersEmailAttribute"]
    users = list(users_of(output["UsersTableName"], key, email))
    owners = Counter(normalize(address) for _, address, _ in users if isinstance(address, str))
    count = 0
    for name, address, changed_at in users:
        problems = [*address_problems(address), *time_problems(changed_at)]
        if isinstance(address, str) and owners[normalize(address)] > 1:
            problems.append("shares its address with another user, so neither gets a link")
        if problems:
            count += 1
            print(f"{json.dumps(name, default=repr)}: {'; '.join(problems)}")
    print(f"{len(users)} users checked, {count} with problems.")
    return 1 if count else 0


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
    """Returns the text of a string attribute, or None for any other value."""
    return value.get("S") if value else None


def normalize(address):
    """Returns an address as Rekey looks it up. Leaves out international domains, which are a problem in any case."""
    return address.strip().lower()


def address_problems(address):
    """Yields the reasons why Rekey cannot find a user by an address (shared/src/email.rs)."""
    if address is None:
        yield "has no address, or an address that is not text"
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


def time_problems(changed_at):
    """Yields the reasons why Rekey ignores a time of change (docs/decisions, number 25)."""
    if changed_at is None:
        return
    if "N" not in changed_at:
        yield f"has a {CHANGED_AT} that is not a number, which Rekey ignores"
    elif float(changed_at["N"]) > time.time() + CLOCK_SKEW:
        yield f"has a {CHANGED_AT} in the future, which Rekey ignores: it counts seconds, not milliseconds"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
