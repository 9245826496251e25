"""Finds the users that Rekey cannot serve, in the users table of a deployed stack. It changes nothing.

    users_check.py STACK

DynamoDB compares text exactly, so Rekey finds a user only if the stored address has Rekey's own form. This script reads
the key, the address, and the time of change of every user. It prints the key and the problems of each user that has
any, and then exits with status 1.
"""

import json
import re
import sys
import time
from collections import Counter

import boto3

CLOCK_SKEW = 300  # seconds that a time of change may be ahead: shared/src/directory/change_time.rs
EARLIEST = 94694400  # 1973: an earlier number has another unit
ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", re.ASCII)


def main(stack):
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    output = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    if "UsersTableName" not in output:
        sys.exit(f"{stack} has directory functions and no users table. Try them with `make directory-check`.")
    layout = Layout({each["ParameterKey"]: each["ParameterValue"] for each in described["Parameters"]})
    users = [user for item in items_of(output["UsersTableName"], layout) if (user := layout.user(item))]
    owners = Counter(normalize(address) for _, address, _ in users if isinstance(address, str))
    count = 0
    for name, address, changed_at in users:
        problems = [*address_problems(address, layout), *time_problems(changed_at, layout)]
        if isinstance(address, str) and owners[normalize(address)] > 1:
            problems.append("shares its address with another user, so neither gets a link")
        if problems:
            count += 1
            print(f"{json.dumps(name, default=repr)}: {'; '.join(problems)}")
    print(f"{len(users)} users checked, {count} with problems.")
    return 1 if count else 0


class Layout:
    """The layout of a users table, from the stack's parameters."""

    def __init__(self, parameters):
        def value(name, default=""):
            return parameters.get(name) or default

        self.key, self.key_prefix = value("UsersKeyAttribute"), value("UsersKeyPrefix")
        self.sort_key, self.sort_prefix = value("UsersSortKeyAttribute"), value("UsersSortKeyPrefix")
        self.email = value("UsersEmailAttribute")
        self.before, placeholder, self.after = re.split(r"(\{email\}|\{EMAIL\})", value("UsersEmailFormat", "{email}"))
        self.is_upper_case = placeholder == "{EMAIL}"
        self.changed = value("UsersChangedAttribute", "password_changed_at")
        self.changed_format = value("UsersChangedFormat", "seconds")

    def user(self, item):
        """Returns the key, the address, and the time of change of a user, or None if the item is not a user.

        The address is None if the attribute is not text in the layout's format.
        """
        key = [only_value(item[name]) for name in (self.key, self.sort_key) if name]
        prefixes = [self.key_prefix, self.sort_prefix]
        if not all(starts_with(part, prefix) for part, prefix in zip(key, prefixes)):
            return None
        stored = item.get(self.email, {}).get("S")
        has_format = stored is not None and stored.startswith(self.before) and stored.endswith(self.after)
        address = stored[len(self.before):len(stored) - len(self.after)] if has_format else None
        return key if self.sort_key else key[0], address, item.get(self.changed)


def only_value(attribute):
    return next(iter(attribute.values()))


def starts_with(part, prefix):
    return part.startswith(prefix) if isinstance(part, str) else not prefix


def items_of(table, layout):
    """Yields the key, the address, and the time of change of every item of a table."""
    attributes = dict.fromkeys(filter(None, [layout.key, layout.sort_key, layout.email, layout.changed]))
    names = {f"#a{n}": name for n, name in enumerate(attributes)}
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(
        TableName=table, ProjectionExpression=", ".join(names), ExpressionAttributeNames=names)
    for page in pages:
        yield from page["Items"]


def normalize(address):
    """Returns an address as Rekey looks it up. Leaves out international domains, which are a problem in any case."""
    return address.strip().lower()


def address_problems(address, layout):
    """Yields the reasons why Rekey cannot find a user by an address (shared/src/email.rs)."""
    if address is None:
        yield "has no address, or one that is not text in the format of UsersEmailFormat"
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
    elif layout.is_upper_case and address != address.upper():
        yield "has lower-case letters in its address"
    elif not layout.is_upper_case and address != address.lower():
        yield "has upper-case letters in its address"


def time_problems(changed_at, layout):
    """Yields the reason why Rekey ignores a time of change (docs/decisions, numbers 25 and 53)."""
    if changed_at is None or "NULL" in changed_at:
        return
    expected, horizon = layout.changed_format, time.time() + CLOCK_SKEW
    if expected == "iso8601":
        text = changed_at.get("S", "")
        latest = time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime(horizon))
        if not ISO_8601.fullmatch(text):
            yield f"has a {layout.changed} that is not a text in UTC like 2026-11-25T09:00:00Z, which Rekey cannot read"
        elif text > latest:
            yield f"has a {layout.changed} in the future, which Rekey ignores"
        return
    unit, other = (1000, "seconds") if expected == "milliseconds" else (1, "milliseconds")
    if "N" not in changed_at:
        yield f"has a {layout.changed} that is not a number, which Rekey ignores"
    elif float(changed_at["N"]) > horizon * unit:
        yield f"has a {layout.changed} in the future, which Rekey ignores: it counts {expected}, not {other}"
    elif 0 != float(changed_at["N"]) < EARLIEST * unit:
        yield f"has a {layout.changed} before 1973, which ends no link: it counts {expected}, not {other}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
