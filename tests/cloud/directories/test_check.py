"""Tests `make directory-check` with directory functions that keep the protocol, and with some that break it.

`tests/cloud/directory_check.rs` runs it, with the local AWS in AWS_ENDPOINT_URL.
"""

import base64
import importlib.util
import io
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

import argon2
import boto3

ROOT = Path(__file__).resolve().parents[3]
FAKES = Path(__file__).with_name("fakes.py")
ADDRESS = "directory-check@example.com"
LOG = "The log contains neither a password nor its hash"
OLDER, RACE = "An older link is overtaken", "Of 20 at a time, one is replaced"
TIMEOUT = "The configured timeout is at most 30 seconds"


TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


class DirectoryCheck(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        iam = boto3.client("iam", region_name=os.environ["AWS_REGION"])
        role = iam.create_role(
            RoleName=f"directory-check-{secrets.token_hex(4)}", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
        cls.role = role["Arn"]
        cls.addClassCleanup(iam.delete_role, RoleName=role["RoleName"])

    def setUp(self):
        self.lambda_ = boto3.client("lambda", region_name=os.environ["AWS_REGION"])
        self.state = Path(self.enterContext(tempfile.TemporaryDirectory())) / "user.json"
        self.state.write_text(json.dumps({"id": "42", "email": "Directory-Check@example.com", "changed_at": 0}))

    def deploy(self, handler, timeout=10):
        """Deploys a function of fakes.py, and returns its ARN."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.write(FAKES, "fakes.py")
        name = f"directory-{handler.replace('_', '-')}-{secrets.token_hex(4)}"
        arn = self.lambda_.create_function(
            FunctionName=name, Runtime="python3.13", Handler=f"fakes.{handler}", Timeout=timeout,
            Role=self.role, Code={"ZipFile": archive.getvalue()},
            Environment={"Variables": {"STATE": str(self.state)}})["FunctionArn"]
        self.addCleanup(self.lambda_.delete_function, FunctionName=name)
        # Lambda throttles most of the race, as it does for a database with few connections. A cold start is slow here.
        self.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=4)
        return arn

    def check(self, *arguments):
        """Runs the check. Returns its exit status, the results other than ok, and what it printed."""
        run = subprocess.run([sys.executable, ROOT / "infra/directory_check.py", *arguments],
                             text=True, capture_output=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        self.printed = run.stdout + run.stderr
        self.assertNotIn("Traceback", self.printed)
        self.assertNotIn("\x1b", self.printed, "colors are for terminals")
        self.assertNotRegex(self.printed, "[A-Za-z0-9]{40}", "the check printed a password or a hash")
        rows = [line.split(maxsplit=2) for line in self.printed.splitlines() if line.startswith(("find ", "replace "))]
        results = {(function, check.partition(":")[0]): result for function, result, check in rows}
        return run.returncode, {check: result for check, result in results.items() if result != "ok"}

    def assert_result(self, found, status, results):
        self.assertEqual(found, (status, results), self.printed)

    def test_a_conditional_directory_passes_with_hashes_and_passwords(self):
        replace = self.deploy("replace")
        for find, sent_as in (("find", "hash"), ("find_in_any_case", "plain")):
            self.assert_result(self.check(self.deploy(find), replace, ADDRESS, sent_as), 0, {})
            self.assertIn("22 checks: 22 ok, 0 warnings, 0 failed.", self.printed)
            self.assertIn(f"The check changed the password of {ADDRESS}.", self.printed)
            self.assertEqual(list(json.loads(self.state.read_text())["password"]), [sent_as])

    def test_a_directory_that_only_sets_passes_with_warnings(self):
        found = self.check(self.deploy("find"), self.deploy("replace_always"), ADDRESS)
        self.assert_result(found, 0, {("replace", OLDER): "warning", ("replace", RACE): "warning"})
        self.assertIn("only sets: links older than a change by your application keep working", self.printed)

    def test_a_directory_with_two_winners_of_a_race_gets_a_warning(self):
        found = self.check(self.deploy("find"), self.deploy("replace_twice_in_a_race"), ADDRESS)
        self.assert_result(found, 0, {("replace", RACE): "warning"})
        self.assertIn("the condition and the write are not one statement", self.printed)

    def test_a_directory_whose_errors_contain_the_event_fails(self):
        found = self.check(self.deploy("find"), self.deploy("replace_and_reveal_errors"), ADDRESS, "plain")
        self.assert_result(found, 1, {("replace", LOG): "FAILED"})

    def test_a_directory_that_checks_nothing_fails(self):
        found = self.check(self.deploy("find"), self.deploy("replace_anything", timeout=31), ADDRESS)
        self.assert_result(found, 1, {
            ("replace", "Another address is gone"): "FAILED",
            ("replace", "An unknown ID is gone"): "FAILED",
            ("replace", "After the deadline, the function answers later or fails"): "FAILED",
            ("replace", "Version 2 is a function error"): "FAILED",
            ("replace", "An unknown action is a function error"): "FAILED",
            ("replace", OLDER): "warning",
            ("replace", RACE): "warning",
            ("replace", TIMEOUT): "FAILED",
            ("replace", LOG): "FAILED",
        })
        self.assertIn("it is 31", self.printed)

    def test_a_directory_that_fails_for_one_address_fails(self):
        found = self.check(self.deploy("find_with_quotes"), self.deploy("replace"), ADDRESS)
        self.assert_result(found, 1, {("find", "Unusual addresses find no user, without an error"): "FAILED"})

    def test_an_id_that_is_not_text_ends_the_check(self):
        found = self.check(self.deploy("find_with_number"), self.deploy("replace"), ADDRESS)
        self.assert_result(found, 1, {("find", "The test user's address finds one user"): "FAILED"})
        self.assertEqual(json.loads(self.state.read_text())["changed_at"], 0, "the password must be unchanged")

    def test_an_address_without_a_user_ends_the_check(self):
        found = self.check(self.deploy("find"), self.deploy("replace"), "someone-else@example.com")
        self.assert_result(found, 1, {("find", "The test user's address finds one user"): "FAILED"})
        self.assertNotIn("changed the password", self.printed)

    def test_every_format_is_well_formed(self):
        spec = importlib.util.spec_from_file_location("directory_check", ROOT / "infra/directory_check.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        check = module.Check.__new__(module.Check)
        check.sent_as, check.sent = "hash", []
        for check.format in module.FORMATS:
            check.new_password()
        found = dict(zip(module.FORMATS, check.sent))
        for sent in (found["argon2id"], found["argon2id-django"].removeprefix("argon2")):
            parameters = argon2.extract_parameters(sent)
            self.assertEqual((parameters.salt_len, parameters.hash_len), (16, 32))
        for name, prefix in (("bcrypt-2b", "$2b$12$"), ("bcrypt-2y", "$2y$12$")):
            self.assertRegex(found[name], f"^{re.escape(prefix)}[A-Za-z0-9]{{53}}$")
        algorithm, iterations, salt, key = found["pbkdf2-django"].split("$")
        self.assertEqual((algorithm, iterations, len(salt)), ("pbkdf2_sha256", "1000000", 22))
        self.assertEqual(len(base64.b64decode(key, validate=True)), 32)
        stored = base64.b64decode(found["pbkdf2-aspnet"], validate=True)
        self.assertEqual((stored[:13].hex(), len(stored)), ("0100000002000f424000000010", 13 + 16 + 32))

    def test_a_check_that_cannot_run_exits_with_status_2(self):
        find = self.deploy("find")
        missing = f"{find}-missing"
        for arguments, reason in [
            ((), "FIND: expected the ARN of a Lambda function, got"),
            (("rekey", find, ADDRESS), 'FIND: expected the ARN of a Lambda function, got "rekey"'),
            ((find, "", ADDRESS), "REPLACE: expected the ARN"),
            ((find, find, "Ada"), 'ADDRESS: expected the address of a test user, got "Ada"'),
            ((find, find, ADDRESS, "text"), 'SENT_AS: expected hash or plain, got "text"'),
            ((find, find, ADDRESS, "hash", "md5"), 'FORMAT: expected one of argon2id, argon2id-django, bcrypt-2b'),
            ((missing, find, ADDRESS), "Function not found"),
        ]:
            self.assertEqual(self.check(*arguments), (2, {}), self.printed)
            self.assertIn(reason, self.printed)


if __name__ == "__main__":
    unittest.main()
