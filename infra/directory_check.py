"""Checks two directory functions against the protocol of docs/directories.md. It changes the password of a test user.

    directory_check.py FIND_ARN REPLACE_ARN ADDRESS [hash|plain] [FORMAT]

It invokes the functions as Rekey does, with your AWS credentials. It then reads the functions' configured timeouts, and
searches their logs for what it sent. The exit status is 0 if no check failed, 1 if a check failed, and 2 if it could
not run.
"""

import json
import re
import secrets
import string
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import boto3
import jsonschema
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

SCHEMA = json.loads(Path(__file__).with_name("directories").joinpath("directory.schema.json").read_text())
ARN = re.compile(r"arn:aws[a-z-]*:lambda:([a-z0-9-]+):[0-9]{12}:function:[A-Za-z0-9_-]+(?::[A-Za-z0-9_$-]+)?")
ADDRESS = re.compile(r"[!-?A-~]+@[!-?A-~]+")  # ASCII without spaces, and one @
WAIT = 10  # seconds that Rekey waits for a response to replace
MAX_TIMEOUT = 30  # seconds that a function may run: Rekey holds its claim for no longer
MAX_RESPONSE = 64 * 1024  # bytes
MAX_ID = 1024  # bytes
# Addresses that Rekey accepts, with the characters that statements and filters quote, and of the maximum length. If a
# function fails for one address, Rekey tries it again, and later requests wait.
UNUSUAL = ["o'hara+%_--@example.com", "!#$%&*/=?^`{|}~@example.com", f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.com"]
AT_ONCE = 20  # replacements in the race
RACE_WAIT = MAX_TIMEOUT + 5  # seconds for a response in the race, where many cold starts may be slow
LOG_WAIT = 60  # seconds in which CloudWatch should have the logs
OK, WARNING, FAILED = "ok", "warning", "FAILED"
COLORS = {OK: 32, WARNING: 33, FAILED: 31}
ONLY_SETS = "this directory only sets: links older than a change by your application keep working"

# The shapes of the six hashes. `*` stands for a random letter or digit, and the other characters are fixed. So each is
# a well-formed hash of no known password, and the test user cannot sign in with it.
FORMATS = {
    "argon2id": f"$argon2id$v=19$m=19456,t=2,p=1${'*' * 21}A${'*' * 42}A",
    "argon2id-django": f"argon2$argon2id$v=19$m=19456,t=2,p=1${'*' * 21}A${'*' * 42}A",
    "bcrypt-2b": f"$2b$12${'*' * 21}u{'*' * 30}u",
    "bcrypt-2y": f"$2y$12${'*' * 21}u{'*' * 30}u",
    "pbkdf2-django": f"pbkdf2_sha256$1000000${'*' * 22}${'*' * 42}A=",
    # The version 01, then four bytes each: HMAC-SHA512 (2), 1,000,000 iterations, and 16 bytes of salt.
    "pbkdf2-aspnet": f"AQAAAAIAD0JAAAAAEA{'*' * 63}A==",
}


class CannotRun(Exception):
    """A reason why the check cannot run or continue."""


@dataclass(frozen=True)
class Response:
    """The outcome of one invocation."""

    value: object = None  # the JSON, if the function returned one
    problem: str = ""  # otherwise the reason
    failed: bool = False  # the function raised an error, as it must for an unknown version
    throttled: bool = False  # the function did not run

    @property
    def outcome(self):
        """The outcome of a replacement, or None if Rekey would treat it as unknown."""
        return None if self.problem or schema_errors("replaced", self.value) else self.value["outcome"]

    def __str__(self):
        return self.problem or json.dumps(self.value)


class Function:
    """One of the two functions."""

    def __init__(self, name, arn):
        region = ARN.fullmatch(arn)[1]
        self.name, self.arn, self.request_ids = name, arn, set()
        # One attempt, as Rekey makes. The pool lets all of the race's requests leave at the same time.
        self.clients = {wait: boto3.client("lambda", region, config=Config(
            read_timeout=wait, retries={"total_max_attempts": 1}, max_pool_connections=AT_ONCE))
            for wait in (WAIT, RACE_WAIT)}
        self.logs = boto3.client("logs", region)

    def invoke(self, request, wait=WAIT):
        try:
            answer = self.clients[wait].invoke(FunctionName=self.arn, Payload=json.dumps(request))
            payload = answer["Payload"].read()
        except ReadTimeoutError:
            return Response(problem=f"no response within {wait} seconds")
        except ClientError as error:
            if error.response["Error"]["Code"] != "TooManyRequestsException":
                raise
            return Response(problem="Lambda throttled the function", throttled=True)
        self.request_ids.add(answer["ResponseMetadata"]["RequestId"])
        if "FunctionError" in answer:
            return Response(problem=f"a function error: {payload[:500].decode(errors='replace')}", failed=True)
        if len(payload) > MAX_RESPONSE:
            return Response(problem=f"{len(payload)} bytes, more than {MAX_RESPONSE}")
        try:
            return Response(json.loads(payload))
        except ValueError:
            return Response(problem="a response that is not JSON")

    def configuration(self):
        """Returns the configured timeout in seconds, and the log group."""
        found = self.clients[WAIT].get_function_configuration(FunctionName=self.arn)
        return found["Timeout"], found.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{found['FunctionName']}")


class Report:
    """The printed table."""

    def __init__(self, hide):
        self.counts, self.hide = Counter(), hide
        print(f"{'function':<9} {'result':<8} check")

    def row(self, function, result, check, detail=""):
        """Prints a row. The detail is shown unless the result is ok, without what the check sent."""
        self.counts[result] += 1
        shown = f"{result:<8}"
        if sys.stdout.isatty():
            shown = f"\x1b[{COLORS[result]}m{shown}\x1b[0m"
        detail = "" if result == OK else f": {self.hide(str(detail))[:300]}"
        print(f"{function:<9} {shown} {check}{printable(detail)}", flush=True)
        return result == OK

    def expect(self, function, condition, check, detail=""):
        return self.row(function, OK if condition else FAILED, check, detail)


class Check:
    """A run against one test user."""

    def __init__(self, find, replace, address, sent_as, password_format):
        self.find, self.replace = Function("find", find), Function("replace", replace)
        self.address, self.sent_as, self.format = address.lower(), sent_as, password_format
        self.sent, self.started = [], now()
        self.report = Report(self.hide)

    def run(self):
        user = self.check_find()
        conditional = self.check_replace(user)
        self.check_race(user, conditional)
        self.report.expect("find", self.only_id(self.address) == user, "The ID is the same after the changes")
        for function in (self.find, self.replace):
            timeout, group = function.configuration()
            self.report.expect(function.name, timeout <= MAX_TIMEOUT,
                               f"The configured timeout is at most {MAX_TIMEOUT} seconds", f"it is {timeout}")
            self.check_log(function, group)

    # ---- find ----

    def check_find(self):
        """Returns the ID of the test user."""
        expect, nobody = self.report.expect, f"nobody-{secrets.token_hex(8)}@example.com"
        response = self.find_by(nobody)
        expect("find", users_of(response) == [], "An unknown address finds no user", response)
        failed = [address for address in UNUSUAL if users_of(self.find_by(address)) != []]
        expect("find", not failed, "Unusual addresses find no user, without an error", ", ".join(failed))
        response = self.find_by(self.address)
        users = users_of(response) or []
        if not expect("find", len(users) == 1, "The test user's address finds one user", response):
            raise CannotRun(f"The other checks need an address that exactly one user has, got {self.address}.")
        user, email = users[0]["id"], users[0]["email"]
        length = len(user.encode())
        expect("find", length <= MAX_ID, f"The ID is text of 1 to {MAX_ID} bytes", f"{length} bytes")
        expect("find", normalize(email) == self.address, "The returned address is the requested one", response)
        expect("find", self.only_id(self.address) == user, "The ID is the same in the next response")
        response = self.find_by(self.address.upper())
        others = users_of(response)
        expect("find", others is not None and all(other["id"] == user for other in others),
               "The address in upper case finds no other user", response)
        self.check_versions(self.find, self.find_request(self.address))
        return user

    def find_request(self, address):
        return {"rekey": 1, "action": "find", "request_id": request_id(), "email": address}

    def find_by(self, address):
        return self.find.invoke(self.find_request(address))

    def only_id(self, address):
        """Returns the ID of the only user with an address, or None."""
        users = users_of(self.find_by(address)) or []
        return users[0]["id"] if len(users) == 1 else None

    # ---- replace ----

    def check_replace(self, user):
        """Returns whether the function rejects a change that is older than the user's last one."""
        expect, issued_at = self.report.expect, self.started
        # The next four must not store anything. Otherwise the first replacement after them is overtaken.
        response = self.replace_password(user, issued_at, email=f"nobody-{secrets.token_hex(8)}@example.com")
        expect("replace", response.outcome == "gone", "Another address is gone", response)
        response = self.replace_password(unknown_id(user), issued_at)
        expect("replace", response.outcome == "gone", "An unknown ID is gone", response)
        response = self.replace_password(user, issued_at, deadline=round(now() - 1, 3))
        expect("replace", response.failed or response.outcome == "later",
               "After the deadline, the function answers later or fails", response)
        self.check_versions(self.replace, self.replace_request(user, issued_at))
        response = self.replace_password(user, issued_at)
        if not expect("replace", response.outcome == "replaced", "The password is replaced", response):
            if response.outcome == "overtaken":
                raise CannotRun("A request above was stored, or the user's last change is later than this clock.")
            raise CannotRun("The other checks need a password that can be replaced.")
        response = self.replace_password(user, issued_at)
        conditional = response.outcome == "overtaken"
        if response.outcome == "replaced":
            self.report.row("replace", WARNING, "An older link is overtaken", ONLY_SETS)
        else:
            expect("replace", conditional, "An older link is overtaken", response)
        return conditional

    def check_race(self, user, conditional):
        """Replaces the password many times at once, with links of the same age."""
        issued_at, check = now(), f"Of {AT_ONCE} at a time, one is replaced"
        with ThreadPoolExecutor(AT_ONCE) as pool:
            requests = [self.replace_request(user, issued_at, deadline=round(now() + RACE_WAIT, 3))
                        for _ in range(AT_ONCE)]
            responses = list(pool.map(lambda request: self.replace.invoke(request, RACE_WAIT), requests))
        outcomes = Counter("throttled" if each.throttled else each.outcome or "unknown" for each in responses)
        detail = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        if outcomes.keys() - {"replaced", "overtaken", "later", "throttled"} or not outcomes["replaced"]:
            unknown = [each for each in responses if not each.throttled and not each.outcome]
            self.report.row("replace", FAILED, check, "; ".join([detail, *map(str, unknown[:1])]))
        elif outcomes["replaced"] > 1:
            reason = "the condition and the write are not one statement" if conditional else ONLY_SETS
            self.report.row("replace", WARNING, check, f"{detail}; {reason}")
        else:
            self.report.row("replace", OK, check)

    def replace_request(self, user, issued_at, **changes):
        changed_at = now()
        return {"rekey": 1, "action": "replace", "request_id": request_id(), "user": user, "email": self.address,
                "issued_at": issued_at, "changed_at": changed_at, "deadline": round(changed_at + WAIT, 3),
                "password": self.new_password(), **changes}

    def replace_password(self, user, issued_at, **changes):
        return self.replace.invoke(self.replace_request(user, issued_at, **changes))

    def new_password(self):
        """Returns a new password, as Rekey sends it. It has letters and digits only, so that no escape hides it."""
        if self.sent_as == "plain":
            password = f"Aa1-{random_text(40)}"
            self.sent.append(password)
            return {"plain": password}
        password_hash = re.sub(r"\*", lambda _: random_text(1), FORMATS[self.format])
        self.sent.append(password_hash)
        return {"hash": password_hash}

    def hide(self, text):
        """Returns a text without the passwords and hashes that the check sent."""
        for sent in self.sent:
            text = text.replace(sent, "…").replace(longest_word(sent), "…")
        return text

    # ---- Both ----

    def check_versions(self, function, request):
        for what, change in (("Version 2", {"rekey": 2}), ("An unknown action", {"action": "unknown"})):
            response = function.invoke({**request, **change})
            self.report.expect(function.name, response.failed, f"{what} is a function error", response)

    def check_log(self, function, group):
        """Searches a log group, once it has every invocation."""
        check = "The log contains neither a password nor its hash"
        deadline = time.monotonic() + LOG_WAIT
        while True:
            text = self.read_log(function, group)
            missing = sum(each not in text for each in function.request_ids)
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(1)
        leaked = [each for each in self.sent if longest_word(each) in text]
        if leaked or not missing:
            self.report.expect(function.name, not leaked, check, f"{group} contains {len(leaked)} of those sent")
        else:
            self.report.row(function.name, WARNING, check,
                            f"{group} lacks {missing} of {len(function.request_ids)} invocations after {LOG_WAIT} s")

    def read_log(self, function, group):
        """Returns the events of a log group since the start."""
        pages = function.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=int(self.started * 1000) - MAX_TIMEOUT * 1000)
        try:
            return "\n".join(event["message"] for page in pages for event in page["events"])
        except function.logs.exceptions.ResourceNotFoundException:
            return ""  # Lambda creates the group with the first event.


# ---- Helpers ----

def schema_errors(definition, value):
    """Returns the reasons why a response is not valid under a definition of the schema."""
    schema = {"$ref": f"#/$defs/{definition}", "$defs": SCHEMA["$defs"]}
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(value)]


def users_of(response):
    """Returns the users in a valid response of find, or None."""
    return None if response.problem or schema_errors("found", response.value) else response.value["users"]


def normalize(address):
    return address.strip().lower()


def now():
    return round(time.time(), 3)


def request_id():
    return f"check-{secrets.token_hex(6)}"


def random_text(length):
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def longest_word(text):
    """Returns the longest run of letters and digits, which is the same in every encoding of a text."""
    return max(re.findall(r"[A-Za-z0-9]+", text), key=len)


def unknown_id(user):
    """Returns an ID of the same kind that no user has. A database may require a number or a UUID."""
    if user.isascii() and user.isdigit():
        return "2147483646" if user != "2147483646" else "2147483645"
    if len(user) < 16:
        return f"{user}-{secrets.token_hex(8)}"
    other = "".join(secrets.choice(string.digits) if character in string.digits else character for character in user)
    return other if other != user else f"{user}-{secrets.token_hex(8)}"


def printable(text):
    """Returns a text without control characters: a function chooses some of what is printed."""
    return "".join(character if character.isprintable() else " " for character in text)


def parse(find="", replace="", address="", sent_as="", password_format=""):
    """Returns the arguments, or raises CannotRun for each that is invalid."""
    sent_as, password_format = sent_as or "hash", password_format or "argon2id"
    problems = [
        *(f'{name}: expected the ARN of a Lambda function, got "{arn}"'
          for name, arn in (("FIND", find), ("REPLACE", replace)) if not ARN.fullmatch(arn)),
        *([] if ADDRESS.fullmatch(address) else [f'ADDRESS: expected the address of a test user, got "{address}"']),
        *([] if sent_as in ("hash", "plain") else [f'SENT_AS: expected hash or plain, got "{sent_as}"']),
        *([] if password_format in FORMATS
          else [f'FORMAT: expected one of {", ".join(FORMATS)}, got "{password_format}"']),
    ]
    if problems:
        raise CannotRun("\n".join(problems))
    return find, replace, address, sent_as, password_format


def main(*arguments):
    try:
        check = Check(*parse(*arguments))
    except CannotRun as reason:
        print(reason, file=sys.stderr)
        return 2
    try:
        check.run()
    except CannotRun as reason:
        print(reason)
    except (BotoCoreError, ClientError) as error:
        print(check.hide(str(error)), file=sys.stderr)
        return 2
    counts = check.report.counts
    print(f"{counts.total()} checks: {counts[OK]} ok, {counts[WARNING]} warnings, {counts[FAILED]} failed.")
    if check.sent:
        print(f"The check changed the password of {check.address}.")
    return 1 if counts[FAILED] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:6]))
