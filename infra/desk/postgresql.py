"""Users in PostgreSQL: a local server, and the functions of infra/directories/postgresql."""

import glob
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from building import build_directory
from helpers import free_ports, wait_until
from local_aws import client, deploy, outputs
from stop import ROOT, Stop
from users_table import password_hash, verifies

FOLDER = ROOT / "infra/directories/postgresql"
STACK = "rekey-postgresql"
ROLES = {"Find": "rekey_find", "Replace": "rekey_replace"}


class Users:
    def start(self, endpoint, state, running, check_running, _profile):
        self.log = state / "postgresql.log"
        self.server, self.process = start_server(self.log, running)
        for file in ("users.sql", "roles.sql"):
            psql(self.server, f"--file={FOLDER / file}")
        self.secrets = {name: self.set_password(endpoint, role) for name, role in ROLES.items()}
        runtime = f"python3.{sys.version_info.minor}"
        self.built = build_directory("postgresql", Runtime=runtime)
        deploy(endpoint, self.built, {
            "DatabaseHost": self.server["PGHOST"], "DatabasePort": self.server["PGPORT"],
            "DatabaseName": self.server["PGDATABASE"], "Tls": "disable", "Runtime": runtime,
            **{f"{name}SecretArn": arn for name, arn in self.secrets.items()}}, state, check_running, STACK)
        self.outputs = outputs(endpoint, STACK)
        return {"UsersFindFunctionArn": self.outputs["FindFunctionArn"],
                "UsersReplaceFunctionArn": self.outputs["ReplaceFunctionArn"], "UsersPasswordSentAs": "hash"}

    def set_password(self, endpoint, role):
        """Gives a role a password, and returns the ARN of its secret. The server logs the role's statements."""
        password = secrets.token_hex(16)
        psql(self.server, command=f"ALTER ROLE {role} PASSWORD '{password}';"
                                  f"ALTER ROLE {role} SET log_statement = 'all'")
        secret = {"username": role, "password": password}
        return client(endpoint, "secretsmanager").create_secret(
            Name=f"{STACK}/{role}", SecretString=json.dumps(secret))["ARN"]

    def seed(self, email, password):
        psql(self.server, f"--set=email={email}", f"--set=hash={password_hash(password)}",
             command="INSERT INTO users (email, password_hash) VALUES (:'email', :'hash')")

    def address(self):
        return {
            "USERS_KIND": "postgresql", **self.server, "PSQL": binary("psql"), "DATABASE_LOG": str(self.log),
            **{f"{name.upper()}_SECRET_ARN": arn for name, arn in self.secrets.items()},
            **{f"{name.upper()}_FUNCTION": self.outputs[f"{name}FunctionArn"] for name in ROLES},
            **{f"{name.upper()}_LOG": self.outputs[f"{name}LogGroup"] for name in ROLES},
            "DIRECTORY_CODE": str(self.built / "Replace"),
        }

    def check_running(self):
        if self.process.poll() is not None:
            raise Stop(f"{self.log.read_text(errors='replace')[-3000:]}\nPostgreSQL stopped. The end of its log is above.")

    @staticmethod
    def note(address):
        return "\n  database  postgresql://{PGUSER}:{PGPASSWORD}@{PGHOST}:{PGPORT}/{PGDATABASE}".format_map(address)

    @staticmethod
    def accepts(address, email, password):
        stored = psql(address, f"--set=email={email}",
                      command="SELECT password_hash FROM users WHERE email = :'email'")
        return verifies(stored.strip(), password)


def start_server(log, running):
    """Starts a server on a free port of loopback. Returns its variables and its process."""
    account = None if os.getuid() else unprivileged_account()
    # Not in the desk's folder: the server's account may be unable to enter that.
    folder = running.enter_context(tempfile.TemporaryDirectory(prefix="rekey-postgresql-", ignore_cleanup_errors=True))
    data, password = f"{folder}/data", secrets.token_hex(16)
    password_file = Path(folder, "password")
    password_file.touch(0o600)
    password_file.write_text(password)
    server = {"PGHOST": "127.0.0.1", "PGPORT": str(free_ports(["PGPORT"])["PGPORT"]), "PGUSER": "postgres",
              "PGDATABASE": "postgres", "PGPASSWORD": password}
    identity = {}
    if account:
        for path in (folder, password_file):
            os.chown(path, account.pw_uid, account.pw_gid)
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    with open(log, "ab") as output:
        created = subprocess.run(
            [binary("initdb"), "--pgdata", data, "--username=postgres", f"--pwfile={password_file}", "--no-sync",
             "--no-locale", "--encoding=UTF8", "--auth-host=scram-sha-256", "--auth-local=reject"],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **identity)
        if created.returncode:
            raise Stop(f"{log.read_text(errors='replace')[-3000:]}\ninitdb failed (status {created.returncode}).")
        process = subprocess.Popen(
            ["sh", "-c", SERVE, "sh", binary("postgres"), "-D", data, "-p", server["PGPORT"],
             *(f"--{name}={value}" for name, value in SETTINGS.items())],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
            **identity)
    running.callback(stop_server, process)

    def answers():
        if process.poll() is not None:
            raise Stop(f"{log.read_text(errors='replace')[-3000:]}\nPostgreSQL did not start. Its log is above.")
        return subprocess.run([binary("psql"), "--no-psqlrc", "--command=SELECT 1"], env={**environment, **server},
                              stdin=subprocess.DEVNULL, capture_output=True).returncode == 0

    wait_until("PostgreSQL to answer", 30, lambda: None, answers)
    return server, process


# Stops the server when stdin closes: at the end of the desk, even after kill -9. Ends when the server ends.
SERVE = '''
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
(read -r _ <&3; kill -INT "$server") 2>/dev/null &
exec 3<&-
wait "$server"
'''
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    # As the directory's README says. Otherwise, the log has the values of statements and rows, and so password hashes.
    "log_error_verbosity": "terse",
}


def stop_server(process):
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def unprivileged_account():
    """Returns the account that runs the server for root, because PostgreSQL refuses to run as root."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Stop("PostgreSQL cannot run as root. Create the user postgres, or run the desk as another user.")


def binary(name):
    """Returns the path of one of PostgreSQL's programs. Debian keeps most of them out of PATH."""
    newest_first = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: float(path.split("/")[4]))[::-1]
    found = shutil.which(name, path=os.pathsep.join([*newest_first, os.environ["PATH"]]))
    if not found:
        raise Stop(f"PostgreSQL's {name} is not installed. Run `sh infra/desk/postgresql.sh`.")
    return found


def psql(server, *arguments, command=None):
    """Runs a file or a command as the superuser, and returns its output."""
    environment = {"PATH": os.environ["PATH"], **{name: value for name, value in server.items() if name.startswith("PG")}}
    done = subprocess.run(
        [binary("psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", *arguments],
        env=environment, input=command or "", text=True, capture_output=True)
    if done.returncode:
        raise Stop(f"{done.stderr}\npsql failed (status {done.returncode}).")
    return done.stdout
