"""Directory functions that keep the protocol of docs/directories.md, or break it in one way or another.

They share one user in the file that STATE names, because the local AWS runs them as processes of this machine.
"""

import contextlib
import fcntl
import json
import os
import time


@contextlib.contextmanager
def locked_user():
    """Locks the user, and stores its changes."""
    with open(os.environ["STATE"], "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        user = json.load(file)
        yield user
        file.seek(0)
        file.truncate()
        json.dump(user, file)


def require_version(event, action):
    if (event["rekey"], event["action"]) != (1, action):
        raise ValueError(f"expected version 1 and action {action}, got {event['rekey']} and {event['action']}")


def find(event, _context):
    require_version(event, "find")
    with locked_user() as user:
        is_there = user["email"].lower() == event["email"]
        return {"users": [{"id": user["id"], "email": user["email"], "locale": None}] if is_there else []}


def find_in_any_case(event, context):
    return find({**event, "email": event["email"].lower()}, context)


def find_with_quotes(event, context):
    """Breaks the protocol: an address with a quotation mark is an error."""
    if "'" in event["email"]:
        raise ValueError("unterminated string")
    return find(event, context)


def find_with_number(event, context):
    """Breaks the protocol: an ID must be text."""
    return {"users": [{**user, "id": 42} for user in find(event, context)["users"]]}


def replace(event, _context):
    require_version(event, "replace")
    with locked_user() as user:
        if time.time() > event["deadline"]:
            return {"outcome": "later"}
        if (user["id"], user["email"].lower()) != (event["user"], event["email"]):
            return {"outcome": "gone"}
        if user["changed_at"] >= event["issued_at"]:
            return {"outcome": "overtaken"}
        user.update(password=event["password"], changed_at=event["changed_at"])
        return {"outcome": "replaced"}


def replace_always(event, context):
    """Ignores the time of the user's last change."""
    return replace({**event, "issued_at": time.time() + 60}, context)


def replace_twice_in_a_race(event, context):
    """Lets two links of the same age win the race, as a comparison outside the writing statement would."""
    with locked_user() as user:
        if event["issued_at"] != user.setdefault("first", event["issued_at"]):
            user["in_race"] = user.get("in_race", 0) + 1
        is_second = user.get("in_race") == 2
    return replace_always(event, context) if is_second else replace(event, context)


def replace_and_reveal_errors(event, context):
    """Breaks the protocol: its errors, which Lambda logs, contain the event."""
    try:
        return replace(event, context)
    except ValueError as error:
        raise ValueError(f"{error} in {event}") from None


def replace_anything(event, _context):
    """Breaks the protocol: it logs the event, checks nothing, and returns what it received."""
    print(event)
    with locked_user() as user:
        user.update(password=event["password"], changed_at=event["changed_at"])
    return {"outcome": "replaced", "received": event["password"]}
