"""Tests of infra/directories/postgresql against a real PostgreSQL, under the roles of roles.sql.

`make test` runs them in the environment of a desk whose users are in PostgreSQL, with the packages of the built function.
"""

import contextlib
import io
import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

import directory
import jsonschema
from pg8000.native import Connection, DatabaseError

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA"
SCHEMA = json.loads(Path("infra/directories/directory.schema.json").read_text())
SERVER = {"host": os.environ["PGHOST"], "port": int(os.environ["PGPORT"]), "database": os.environ["PGDATABASE"]}
SECRETS = {"find": os.environ["FIND_SECRET_ARN"], "replace": os.environ["REPLACE_SECRET_ARN"]}
ADMIN = Connection(os.environ["PGUSER"], password=os.environ["PGPASSWORD"], ssl_context=False, **SERVER)


def setUpModule():
    ADMIN.run("DELETE FROM users WHERE lower(email) LIKE '%@directory.example.com'")


def act_as(action):
    """Gives the module the environment of one of the two functions, and no connection."""
    os.environ.update(SECRET_ARN=SECRETS[action], PGSSLMODE="disable", PGSSLROOTCERT="")
    if directory.connection:
        directory.connection.close()
    directory.connection = None


def add_user(email, **columns):
    columns = {"email": email, "password_hash": "old", **columns}
    names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    return str(ADMIN.run(f"INSERT INTO users ({names}) VALUES ({values}) RETURNING id", **columns)[0][0])


def hash_of(user):
    return ADMIN.run("SELECT password_hash FROM users WHERE id = CAST(:id AS bigint)", id=user)[0][0]


def find(email, members=None):
    event = {"rekey": 1, "action": "find", "request_id": "r", "email": email, **(members or {})}
    return valid("found", directory.find(event, None))


def request(user, email, **members):
    now = time.time()
    return {"rekey": 1, "action": "replace", "request_id": "r", "user": user, "email": email, "issued_at": now - 60,
            "changed_at": now, "deadline": now + 10, "password": {"hash": HASH}, **members}


def replace(user, email, **members):
    return valid("replaced", directory.replace(request(user, email, **members), None))


def valid(kind, message):
    """Returns a response, if it conforms to the protocol's schema."""
    jsonschema.validate(message, {**SCHEMA, "$ref": f"#/$defs/{kind}"})
    return message


class Finding(unittest.TestCase):
    def setUp(self):
        act_as("find")

    def test_a_user_is_found_by_address_in_any_case(self):
        user = add_user("Find.Ada@Directory.Example.com", locale="de-AT")
        found = {"users": [{"id": user, "email": "Find.Ada@Directory.Example.com", "locale": "de-AT"}]}
        self.assertEqual(find("find.ada@directory.example.com"), found)

    def test_unknown_and_disabled_users_are_not_found(self):
        add_user("find-disabled@directory.example.com", disabled_at="2026-01-01T00:00:00Z")
        for email in ("find-disabled@directory.example.com", "find-unknown@directory.example.com", "' OR true --", "%"):
            self.assertEqual(find(email), {"users": []}, email)

    def test_another_version_action_or_type_is_an_error(self):
        for wrong in ({"rekey": 2}, {"rekey": None}, {"action": "replace"}, {"email": None}, {"email": ["a"]}):
            with self.assertRaises(directory.DirectoryError):
                find("find-version@directory.example.com", wrong)

    def test_a_closed_connection_is_replaced(self):
        user = add_user("find-again@directory.example.com")
        for _ in range(2):
            self.assertEqual(find("find-again@directory.example.com")["users"][0]["id"], user)
            self.assertEqual(close_connections_of("rekey_find"), 1)

    def test_an_error_contains_no_value(self):
        with self.assertRaises(directory.DirectoryError) as raised:
            find("find\0secret@directory.example.com")
        self.assertEqual(str(raised.exception), "find: SQLSTATE 22021")


class Replacing(unittest.TestCase):
    def setUp(self):
        act_as("replace")

    def test_a_password_is_replaced_once(self):
        user = add_user("Replace@Directory.Example.com")
        self.assertEqual(replace(user, "replace@directory.example.com"), {"outcome": "replaced"})
        self.assertEqual(hash_of(user), HASH)
        self.assertEqual(replace(user, "replace@directory.example.com", password={"hash": "later"}), {"outcome": "overtaken"})
        self.assertEqual(hash_of(user), HASH)

    def test_the_time_of_the_change_is_stored_to_the_millisecond(self):
        user = add_user("replace-time@directory.example.com")
        times = {"issued_at": 1763899000.12, "changed_at": 1763900000.123}
        self.assertEqual(replace(user, "replace-time@directory.example.com", **times), {"outcome": "replaced"})
        stored = ADMIN.run("SELECT extract(epoch FROM password_changed_at)::text FROM users "
                           "WHERE id = CAST(:id AS bigint)", id=user)
        self.assertEqual(stored, [["1763900000.123000"]])

    def test_a_link_survives_only_older_changes(self):
        for changed_at, outcome in ((99, "replaced"), (100, "overtaken"), (101, "overtaken")):
            email = f"replace-{changed_at}@directory.example.com"
            user = add_user(email, password_changed_at=f"1970-01-01T00:01:{changed_at - 60}Z")
            self.assertEqual(replace(user, email, issued_at=100), {"outcome": outcome}, changed_at)

    def test_users_without_the_address_are_gone(self):
        moved = add_user("replace-moved@directory.example.com")
        disabled = add_user("replace-disabled@directory.example.com", disabled_at="2026-01-01T00:00:00Z")
        for user, email in ((moved, "replace-other@directory.example.com"), (disabled, "replace-disabled@directory.example.com"),
                            ("999999999", "replace-moved@directory.example.com"), ("9" * 30, "replace-moved@directory.example.com"),
                            ("no number", "replace-moved@directory.example.com"), ("", "replace-moved@directory.example.com")):
            self.assertEqual(replace(user, email), {"outcome": "gone"}, user)
        self.assertEqual((hash_of(moved), hash_of(disabled)), ("old", "old"))

    def test_one_of_twenty_changes_at_a_time_succeeds(self):
        with contextlib.ExitStack() as stack:
            role, password = directory.credentials()
            connections = [stack.enter_context(Connection(role, password=password, ssl_context=False, **SERVER))
                           for _ in range(20)]
            for race in range(40):
                email = f"replace-race-{race}@directory.example.com"
                user, outcomes = add_user(email), []
                threads = [threading.Thread(target=race_once, args=(each, number, request(user, email), outcomes))
                           for number, each in enumerate(connections)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertEqual(len(outcomes), 20)
                winners = [password for done, password in outcomes if done]
                self.assertEqual(winners, [hash_of(user)], race)

    def test_nothing_is_written_after_the_deadline(self):
        user, email = add_user("replace-late@directory.example.com"), "replace-late@directory.example.com"
        self.assertEqual(replace(user, email, deadline=time.time() - 0.001), {"outcome": "later"})
        # The lock is released after the deadline.
        with locked(user) as release:
            timer = threading.Timer(1, release)
            timer.start()
            self.assertEqual(replace(user, email, deadline=time.time() + 0.5), {"outcome": "later"})
            timer.join()
        self.assertEqual(hash_of(user), "old")
        self.assertEqual(replace(user, email), {"outcome": "replaced"})

    def test_a_locked_row_makes_the_link_usable_later(self):
        user = add_user("replace-locked@directory.example.com")
        with locked(user):
            started = time.monotonic()
            outcome, log = logged(replace, user, "replace-locked@directory.example.com")
        self.assertEqual(outcome, {"outcome": "later"})
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual(log, "replace: SQLSTATE 55P03\n")
        self.assertEqual(hash_of(user), "old")

    def test_a_closed_connection_is_replaced_before_the_change(self):
        for number in range(2):
            user = add_user(f"replace-again-{number}@directory.example.com")
            self.assertEqual(replace(user, f"replace-again-{number}@directory.example.com"), {"outcome": "replaced"})
            self.assertEqual(close_connections_of("rekey_replace"), 1)

    def test_a_connection_lost_during_the_change_is_an_error(self):
        user = add_user("replace-lost@directory.example.com")
        with locked(user):
            closing = threading.Thread(target=close_waiting_connection)
            closing.start()
            with self.assertRaises(directory.DirectoryError):
                replace(user, "replace-lost@directory.example.com")
            closing.join()
        self.assertEqual(hash_of(user), "old")

    def test_an_unreachable_database_makes_the_link_usable_later(self):
        with mock.patch.dict(os.environ, PGPORT="1"):
            outcome, log = logged(replace, "1", "replace-unreachable@directory.example.com")
        self.assertEqual((outcome, log), ({"outcome": "later"}, "replace: cannot connect: InterfaceError\n"))

    def test_an_error_contains_no_value(self):
        """A constraint's message quotes the row, and so the hash."""
        user = add_user("replace-error@directory.example.com")
        ADMIN.run("ALTER TABLE users ADD CONSTRAINT not_this CHECK (password_hash NOT LIKE '%rejected%')")
        try:
            with self.assertRaises(directory.DirectoryError) as raised:
                replace(user, "replace-error@directory.example.com", password={"hash": "$argon2id$rejected"})
        finally:
            ADMIN.run("ALTER TABLE users DROP CONSTRAINT not_this")
        self.assertEqual(str(raised.exception), "replace: SQLSTATE 23514")
        self.assertTrue(raised.exception.__suppress_context__)

    def test_a_plain_password_is_an_error(self):
        user = add_user("replace-plain@directory.example.com")
        for password in ({"plain": "a secret"}, {"hash": None}, {}):
            with self.assertRaises(directory.DirectoryError) as raised:
                replace(user, "replace-plain@directory.example.com", password=password)
            self.assertNotIn("a secret", str(raised.exception))
        self.assertEqual(hash_of(user), "old")


class Roles(unittest.TestCase):
    def test_neither_role_can_do_more_than_its_statement(self):
        denied = {
            "find": ["SELECT password_hash FROM users", "SELECT * FROM users", "SELECT password_changed_at FROM users",
                     "UPDATE users SET password_hash = 'x'", "UPDATE users SET password_changed_at = now()",
                     "SELECT id FROM users FOR UPDATE"],
            "replace": ["SELECT password_hash FROM users", "SELECT * FROM users", "SELECT locale FROM users",
                        "UPDATE users SET email = 'x'", "UPDATE users SET disabled_at = NULL",
                        "UPDATE users SET password_hash = 'x' RETURNING password_hash"],
        }
        for action, statements in denied.items():
            act_as(action)
            for statement in [*statements, "DELETE FROM users", "TRUNCATE users", "ALTER TABLE users ADD x text",
                              "INSERT INTO users (email, password_hash) VALUES ('x', 'x')"]:
                with self.assertRaises(DatabaseError, msg=f"{action}: {statement}") as raised:
                    directory.connect().run(statement)
                self.assertEqual(raised.exception.args[0]["C"], "42501", f"{action}: {statement}")

    def test_both_roles_have_timeouts(self):
        for action, timeout, lock in (("find", "5s", "0"), ("replace", "5s", "3s")):
            act_as(action)
            self.assertEqual(directory.connect().run("SHOW statement_timeout"), [[timeout]])
            self.assertEqual(directory.connect().run("SHOW lock_timeout"), [[lock]])


class Connecting(unittest.TestCase):
    def setUp(self):
        act_as("replace")

    def test_tls_is_required_unless_it_is_disabled(self):
        os.environ["PGSSLMODE"] = "verify-full"
        _, log = logged(replace, "1", "tls@directory.example.com")
        self.assertEqual(log, "replace: cannot connect: InterfaceError\n")  # the server refuses TLS
        for mode in ("require", "prefer", ""):
            os.environ["PGSSLMODE"] = mode
            _, log = logged(replace, "1", "tls@directory.example.com")
            self.assertIn("PGSSLMODE: expected verify-full or disable", log)

    def test_tls_accepts_only_a_trusted_certificate_of_the_host(self):
        with tempfile.TemporaryDirectory() as folder, tls_server(Path(folder)) as (host, port):
            root = f"{folder}/root.pem"
            for name, roots, expected in ((host, root, "reached"), (host, "", "SSLCertVerificationError"),
                                          ("127.0.0.1", root, "SSLCertVerificationError")):
                environment = {"PGHOST": name, "PGPORT": str(port), "PGSSLMODE": "verify-full", "PGSSLROOTCERT": roots}
                with mock.patch.dict(os.environ, environment):
                    _, log = logged(replace, "1", "tls@directory.example.com")
                # The server ends the connection after the handshake.
                expected = "InterfaceError" if expected == "reached" else expected
                self.assertEqual(log, f"replace: cannot connect: {expected}\n", (name, roots))

    def test_without_a_secret_the_password_is_a_token_of_iam(self):
        del os.environ["SECRET_ARN"]
        with mock.patch.dict(os.environ, PGUSER="rekey_find", AWS_DEFAULT_REGION="eu-central-1"):
            user, token = directory.credentials()
        self.assertEqual(user, "rekey_find")
        self.assertTrue(token.startswith(f"{SERVER['host']}:{SERVER['port']}/?Action=connect&DBUser=rekey_find&"), token)


# ---- Helpers -------------------------------------------------------------------------------------

def race_once(connection, number, event, outcomes):
    names = ("user", "email", "issued_at", "changed_at", "deadline")
    row = connection.run(directory.REPLACE, hash=f"hash {number}", **{name: event[name] for name in names})[0]
    outcomes.append((row[2], f"hash {number}"))


@contextlib.contextmanager
def locked(user):
    """Locks a user's row. Yields a function that releases it early."""
    other = Connection(os.environ["PGUSER"], password=os.environ["PGPASSWORD"], ssl_context=False, **SERVER)
    other.run("BEGIN")
    other.run("SELECT 1 FROM users WHERE id = CAST(:id AS bigint) FOR UPDATE", id=user)
    try:
        yield lambda: other.run("ROLLBACK")
    finally:
        other.close()


def close_connections_of(role):
    """Closes the connection of this process, and not those of deployed functions."""
    mine = directory.connection.run("SELECT pg_backend_pid()")[0][0]
    return sum(row[0] for row in ADMIN.run(
        "SELECT pg_terminate_backend(pid, 5000)::int FROM pg_stat_activity WHERE usename = :role AND pid = :mine",
        role=role, mine=mine))


def close_waiting_connection():
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if ADMIN.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                     "WHERE usename = 'rekey_replace' AND wait_event_type = 'Lock'"):
            return
        time.sleep(0.01)


def logged(function, *arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        result = function(*arguments)
    return result, output.getvalue()


@contextlib.contextmanager
def tls_server(folder):
    """Answers PostgreSQL's request for TLS on localhost with a certificate of its own, and then ends the connection."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem",
                    "-out", folder / "root.pem", "-days", "1", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "root.pem", folder / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), client:
                client.recv(8)
                client.sendall(b"S")
                context.wrap_socket(client, server_side=True).close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield "localhost", listener.getsockname()[1]
    finally:
        listener.close()


if __name__ == "__main__":
    unittest.main()
