"""Walks through the flow once for ada@example.com, on a running `make dev`, and prints each step.

It exits with status 0 only if every step succeeds.
"""

import json
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3

import users
from desk import EMAIL, PASSWORD, address_of_running_desk
from stop import Stop

def main():
    desk = address_of_running_desk()
    password = f"a new password: {secrets.token_hex(6)}"
    accepts = users.kind(desk["USERS_KIND"]).accepts

    end_cooldown(desk)
    count = len(emails_to_ada(desk))
    status, body = post(desk, "/password/forgot", {"email": EMAIL, "reset_url": desk["PAGE_URL"]})
    step(status == 202, f"requested a link: {status} {body['message']}")

    email = wait_for_email(desk, count)
    step(email["Subject"].startswith("Set a new password"), f"received the email: {email['Subject']!r}")
    link = next(line for line in email["BodyText"].splitlines() if line.startswith(desk["PAGE_URL"]))
    step(True, f"the email has the link: {link}")

    fields = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(link).query))
    form = {**fields, "password": password, "password_confirmation": password}
    status, _ = post(desk, "/password/reset", form)
    step(status == 204, f"set a new password with the link: {status}")

    accepted = accepts(desk, EMAIL, password)
    if accepted is None:  # in a format that only other libraries verify
        step(True, "`make peers` has this format of PasswordHash verified")
    else:
        step(accepted, "the new password verifies")
        step(not accepts(desk, EMAIL, PASSWORD), "the old password does not verify")

    status, body = post(desk, "/password/reset", form)
    step(status == 422 and list(body["errors"]) == ["token"],
         f"the link does not work again: {status} {body['errors']['token'][0]}")

    email = wait_for_email(desk, count + 1)
    step(email["Subject"].startswith("Your password for"), f"received the notice: {email['Subject']!r}")
    print("Every step succeeded.")


def end_cooldown(desk):
    """Deletes Ada's last request, as an operator can, so that the demo need not wait for the cooldown."""
    table = client(desk, "dynamodb").get_paginator("scan").paginate(TableName=desk["REKEY_TABLE"])
    for row in (row for page in table for row in page["Items"]):
        if row["pk"]["S"].startswith("request#") and row["email"]["S"] == EMAIL:
            client(desk, "dynamodb").delete_item(TableName=desk["REKEY_TABLE"], Key={"pk": row["pk"]})
            print("  (deleted the row of an earlier request, to end its cooldown)")


def post(desk, path, body):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(desk["API_URL"] + path, json.dumps(body).encode(), headers)
    try:
        response = direct().open(request, timeout=30)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        text = response.read()
        return response.status, json.loads(text) if text else None


def emails_to_ada(desk):
    with direct().open(desk["MAILBOX_URL"], timeout=10) as response:
        accounts = json.load(response)["messages"]
    emails = [email for account in accounts.values() for email in account if email["To"] == [EMAIL]]
    return sorted(emails, key=lambda email: email["Timestamp"])


def wait_for_email(desk, count):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        emails = emails_to_ada(desk)
        if len(emails) > count:
            return emails[count]
        time.sleep(0.1)
    step(False, "timed out after 30 s waiting for an email")


def client(desk, service):
    return boto3.client(service, endpoint_url=desk["AWS_ENDPOINT_URL"], region_name=desk["AWS_REGION"],
                        aws_access_key_id=desk["AWS_ACCESS_KEY_ID"],
                        aws_secret_access_key=desk["AWS_SECRET_ACCESS_KEY"])


def direct():
    """Returns an opener that bypasses this machine's proxy, because the desk is local."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def step(succeeded, text):
    print(f"{'✓' if succeeded else '✗'} {text}", flush=True)
    if not succeeded:
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except Stop as stop:
        sys.exit(str(stop))
