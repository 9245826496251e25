"""Walks the flow once for ada@example.com, on a running `make dev`, and prints each step as it happens.

Ends with status 0 only if all of it held.
"""

import contextlib
import json
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import argon2
import boto3

from desk import EMAIL, PASSWORD, address_of_running_desk
from stop import Stop

def main():
    desk = address_of_running_desk()
    password = f"a new one: {secrets.token_hex(6)}"
    before = password_hash(desk)

    cool_down(desk)
    mails = len(mails_to_ada(desk))
    status, body = post(desk, "/password/forgot", {"email": EMAIL, "reset_url": desk["PAGE_URL"]})
    step(status == 202, f"asked for a link: {status} {body['message']}")

    mail = next_mail(desk, mails)
    step(mail["Subject"].startswith("Set a new password"), f"the mail came: {mail['Subject']!r}")
    link = next(line for line in mail["BodyText"].splitlines() if line.startswith(desk["PAGE_URL"]))
    step(True, f"it holds the link: {link}")

    carried = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(link).query))
    form = {**carried, "password": password, "password_confirmation": password}
    status, _ = post(desk, "/password/reset", form)
    step(status == 204, f"set a new password by it: {status}")

    after = password_hash(desk)
    step(verifies(after, password), f"the stored hash verifies the new password: {after[:31]}…")
    step(after != before and not verifies(after, PASSWORD), "and refuses the old one")

    status, body = post(desk, "/password/reset", form)
    step(status == 422 and list(body["errors"]) == ["token"], f"the same link again: {status} {body['errors']['token'][0]}")

    mail = next_mail(desk, mails + 1)
    step(mail["Subject"].startswith("Your password for"), f"the owner received a notice: {mail['Subject']!r}")
    print("All of it held.")


def cool_down(desk):
    """Takes Ada's last request away, as an operator can, so that the demo need not wait for the cooldown."""
    table = client(desk, "dynamodb").get_paginator("scan").paginate(TableName=desk["REKEY_TABLE"])
    for row in (row for page in table for row in page["Items"]):
        if row["pk"]["S"].startswith("request#") and row["email"]["S"] == EMAIL:
            client(desk, "dynamodb").delete_item(TableName=desk["REKEY_TABLE"], Key={"pk": row["pk"]})
            print("  (there was a request a moment ago: its row is deleted, to end the cooldown)")


def post(desk, path, body):
    call = urllib.request.Request(desk["API_URL"] + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        answer = direct().open(call, timeout=30)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        text = answer.read()
        return answer.status, json.loads(text) if text else None


def mails_to_ada(desk):
    with direct().open(desk["MAILBOX_URL"], timeout=10) as answer:
        accounts = json.load(answer)["messages"]
    mails = [mail for account in accounts.values() for mail in account if mail["To"] == [EMAIL]]
    return sorted(mails, key=lambda mail: mail["Timestamp"])


def next_mail(desk, count):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        mails = mails_to_ada(desk)
        if len(mails) > count:
            return mails[count]
        time.sleep(0.1)
    step(False, "no mail came within 30 seconds")


def password_hash(desk):
    users = client(desk, "dynamodb").scan(TableName=desk["USERS_TABLE"])["Items"]
    return next(user["password_hash"]["S"] for user in users if user["email"]["S"] == EMAIL)


def verifies(phc, password):
    """By another implementation of argon2 than Rekey's."""
    with contextlib.suppress(argon2.exceptions.VerifyMismatchError):
        return argon2.PasswordHasher().verify(phc, password)
    return False


def client(desk, service):
    return boto3.client(service, endpoint_url=desk["AWS_ENDPOINT_URL"], region_name=desk["AWS_REGION"],
                        aws_access_key_id=desk["AWS_ACCESS_KEY_ID"], aws_secret_access_key=desk["AWS_SECRET_ACCESS_KEY"])


def direct():
    """Past any proxy of this machine: the desk is here."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def step(held, told):
    print(f"{'✓' if held else '✗'} {told}", flush=True)
    if not held:
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except Stop as stop:
        sys.exit(str(stop))
