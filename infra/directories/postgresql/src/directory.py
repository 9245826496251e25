"""A PostgreSQL directory for Rekey: the functions *find* and *replace*. Adapt the two statements to your table.

Each function has its own database role, with the grants of roles.sql. `../directory.schema.json` describes the requests
and the responses. Neither function logs its event, because *replace* receives a password hash.
"""

import json
import os
import ssl

import boto3
from botocore.config import Config
from pg8000.native import Connection, DatabaseError

# Two users are enough to show that an address is ambiguous.
FIND = """
    SELECT CAST(id AS text), email, locale
      FROM users
     WHERE lower(email) = :email AND disabled_at IS NULL
     LIMIT 2"""

# One statement, so that it is one transaction. A second change waits for the lock on the row, and then sees the first
# one. `deadline` is compared after that wait, because the comparison needs a row of `u`.
REPLACE = """
    WITH u AS (
        SELECT id,
               lower(email) = :email AND disabled_at IS NULL AS is_there,
               password_changed_at IS NULL OR password_changed_at < to_timestamp(:issued_at) AS is_older,
               to_timestamp(:deadline) AS deadline
          FROM users
         WHERE id = CAST(:user AS bigint)
           FOR UPDATE),
    done AS (
        UPDATE users
           SET password_hash = :hash, password_changed_at = to_timestamp(:changed_at)
          FROM u
         WHERE users.id = u.id AND u.is_there AND u.is_older AND clock_timestamp() < u.deadline
        RETURNING users.id)
    SELECT (SELECT is_there FROM u), (SELECT is_older FROM u), (SELECT count(*) FROM done)"""

# The text is not an ID of this table: it is not a number, or too large a number.
NOT_AN_ID = {"22P02", "22003"}
# PostgreSQL reports these before it commits: a serialization failure, a deadlock, lock_timeout, and a read-only server
# during a failover. Every other error leaves the outcome unknown. A statement timeout, for example, may be reported
# after the commit.
NOTHING_DONE = {"40001", "40P01", "55P03", "25006"}

connection = None


class DirectoryError(Exception):
    """A failure without values. PostgreSQL's own message may quote the row, and Lambda logs what a function raises."""


def find(event, _context):
    check(event, "find", "email")
    try:
        rows = run(FIND, email=event["email"])
    except Exception as error:
        raise DirectoryError(f"find: {describe(error)}") from None
    return {"users": [{"id": id, "email": email, "locale": locale} for id, email, locale in rows]}


def replace(event, _context):
    check(event, "replace", "user", "email")
    password = event["password"].get("hash")
    if not isinstance(password, str):
        raise DirectoryError("expected a hash: deploy Rekey with UsersPasswordSentAs=hash")
    try:
        connect()
    except Exception as error:
        print(f"replace: cannot connect: {describe(error)}")
        return {"outcome": "later"}
    try:
        times = {name: event[name] for name in ("issued_at", "changed_at", "deadline")}
        is_there, is_older, done = run(REPLACE, user=event["user"], email=event["email"], hash=password, **times)[0]
    except Exception as error:
        if sqlstate(error) in NOT_AN_ID:
            return {"outcome": "gone"}
        if sqlstate(error) in NOTHING_DONE:
            print(f"replace: {describe(error)}")
            return {"outcome": "later"}
        raise DirectoryError(f"replace: {describe(error)}") from None
    if done:
        return {"outcome": "replaced"}
    if not is_there:
        return {"outcome": "gone"}
    # With neither reason, the deadline has passed.
    return {"outcome": "later" if is_older else "overtaken"}


def check(event, action, *texts):
    if (event.get("rekey"), event.get("action")) != (1, action):
        raise DirectoryError(f"expected version 1 and action {action!r}, "
                             f"got {event.get('rekey')!r} and {event.get('action')!r}")
    for name in texts:
        if not isinstance(event.get(name), str):
            raise DirectoryError(f"{name}: expected text")


def run(statement, **values):
    """Runs a statement once. After a failure, the next invocation connects again."""
    global connection
    try:
        return connect().run(statement, **values)
    except Exception:
        connection = None
        raise


def connect():
    """Returns a connection that has just answered.

    A database closes idle connections, and restarts. A change sent on a dead connection would have an unknown outcome,
    and use up its link.
    """
    global connection
    if connection:
        try:
            connection.run("SELECT 1")
            return connection
        except Exception:
            connection = None
    user, password = credentials()
    # The timeout is longer than the roles' statement_timeout, so that PostgreSQL answers first.
    connection = Connection(user, host=os.environ["PGHOST"], port=int(os.environ["PGPORT"]), timeout=6, password=password,
                            database=os.environ["PGDATABASE"], ssl_context=tls(), application_name="rekey")
    return connection


def credentials():
    """Returns the role and its password, from a secret if there is one, and otherwise from IAM."""
    if os.environ.get("SECRET_ARN"):
        # The SDK would wait for a minute if the VPC has no route to Secrets Manager.
        short = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1})
        manager = boto3.client("secretsmanager", config=short)
        secret = json.loads(manager.get_secret_value(SecretId=os.environ["SECRET_ARN"])["SecretString"])
        return secret["username"], secret["password"]
    host, port, user = (os.environ[name] for name in ("PGHOST", "PGPORT", "PGUSER"))
    return user, boto3.client("rds").generate_db_auth_token(host, int(port), user)


def tls():
    """Returns the TLS settings. pg8000 would accept any certificate by default, and a server without TLS."""
    mode = os.environ["PGSSLMODE"]
    if mode == "verify-full":
        # The file has the roots of RDS. RDS Proxy and most other servers use roots that Python trusts.
        return ssl.create_default_context(cafile=os.environ.get("PGSSLROOTCERT") or None)
    if mode == "disable":
        return False
    raise DirectoryError(f"PGSSLMODE: expected verify-full or disable, got {mode!r}")


def sqlstate(error):
    return error.args[0].get("C") if isinstance(error, DatabaseError) and isinstance(error.args[0], dict) else None


def describe(error):
    """Describes an error by its kind alone, unless it is ours."""
    if isinstance(error, DirectoryError):
        return str(error)
    return f"SQLSTATE {sqlstate(error)}" if sqlstate(error) else type(error).__name__
