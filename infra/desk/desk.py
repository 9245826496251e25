"""The desk: Rekey's template on a local AWS, with one user, a page, and a mailbox.

    desk.py build            runs sam build if a source has changed
    desk.py dev              starts a desk that runs until Ctrl-C, and writes its addresses to target/dev.env
    desk.py test COMMAND...  starts a desk on free ports, and runs a command with the addresses in its environment
    desk.py watch            runs cargo lambda watch with the tables and the email of the running desk

The Makefile starts it with the Python of target/tools/desk. The local AWS loses its data when the desk stops.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import argon2
import boto3

import page_server
from logs import Logs
from parameters import parameters_for
from stop import ROOT, Stop

TARGET = ROOT / "target"
TOOLS, SAM = TARGET / "tools/desk/bin", TARGET / "tools/sam/bin/sam"
PORTS = {"DESK_PORT": 4600, "DESK_PAGE_PORT": 4601, "DESK_API_PORT": 4602}
REGION, STACK = "us-east-1", "rekey"
HALVES = {"FORGOT_REQUEST": "ForgotRequest", "FORGOT_DELIVER": "ForgotDeliver",
          "RESET_CHANGE": "ResetChange", "RESET_NOTIFY": "ResetNotify"}
EMAIL, PASSWORD = "ada@example.com", "the first password of Ada"


class Interrupted(SystemExit):
    """Stopped by a signal."""


def main(command="", *arguments):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    TARGET.mkdir(exist_ok=True)
    if command == "build":
        build()
        return 0
    if command == "dev":
        return dev()
    if command == "test" and arguments:
        return test(arguments)
    if command == "watch":
        return watch()
    raise Stop(__doc__.strip())


def dev():
    started = time.monotonic()
    ports = {name: int(os.environ.get(name) or usual) for name, usual in PORTS.items()}
    with desk(ports, env_file(ports["DESK_PAGE_PORT"]), "dev") as (address, check_running, logs):
        say(f"""
Rekey is on your desk, after {time.monotonic() - started:.0f} seconds.
  page      {address["PAGE_URL"]}
  API       {address["API_URL"]}/password/forgot and {address["API_URL"]}/password/reset
  mailbox   {address["MAILBOX_URL"]}
  user      {EMAIL}, whose password is "{PASSWORD}"
  log       {Path(address["DESK_LOG"]).relative_to(ROOT)}
  env file  {env_file(ports["DESK_PAGE_PORT"]).relative_to(ROOT)}
`make demo` walks through the flow once. Ctrl-C stops everything.""")
        printed = 0
        with contextlib.suppress(Interrupted):
            while True:
                check_running()
                for line in logs.take()[printed:]:
                    printed += 1
                    say(line)
                time.sleep(0.3)
    say("Stopped everything.")


def test(command):
    with desk(free_ports(), TARGET / "test.env", "release") as (address, check_running, _logs):
        child = subprocess.Popen(command, cwd=ROOT, env={**environment(), **address}, start_new_session=True)
        with ending(child):
            while child.poll() is None:
                check_running()
                time.sleep(0.1)
        if child.returncode:
            shutil.copy(address["AWS_LOG"], TARGET / "test.log")
            say("The local AWS's log of this run is in target/test.log.")
        return child.returncode if child.returncode >= 0 else 128 - child.returncode


@contextlib.contextmanager
def desk(ports, env_file, profile):
    """Starts the local AWS and the page, and stops both in any case."""
    for variable, port in ports.items():
        require_free(port, variable)
    page_url = f"http://localhost:{ports['DESK_PAGE_PORT']}/"
    parameters = parameters_for(page_url, architecture())
    built = build(profile)
    with contextlib.ExitStack() as running:
        state = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="desk-", dir=TARGET)))
        endpoint, check_running = start_aws(ports["DESK_PORT"], ports["DESK_API_PORT"], state, running)
        prepare_account(endpoint, parameters)
        deploy(endpoint, built, parameters, state, check_running)
        cloudformation = client(endpoint, "cloudformation")
        stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        transformed = cloudformation.get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
        (state / "transformed.json").write_text(json.dumps(transformed))
        output = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        settings = settings_of(endpoint, output["ForgotRequestFunction"])
        seed(endpoint, settings)
        address = {
            "API_URL": f"http://127.0.0.1:{ports['DESK_API_PORT']}",
            "PAGE_URL": page_url,
            "MAILBOX_URL": f"{page_url}mailbox",
            **operator(endpoint),
            "REKEY_TABLE": output["RekeyTableName"],
            "USERS_TABLE": output["UsersTableName"],
            "STACK_NAME": STACK,
            **{f"{half}_FUNCTION": output[f"{name}Function"] for half, name in HALVES.items()},
            **{f"{half}_LOG": output[f"{name}LogGroup"] for half, name in HALVES.items()},
            "ACCESS_LOG": output["AccessLogGroup"],
            "FAILURE_QUEUE_URL": endpoint + urllib.parse.urlsplit(output["FailureQueueUrl"]).path,
            "TRANSFORMED_TEMPLATE": str(state / "transformed.json"),
            "DESK_LOG": str(state / "log"),
            "AWS_LOG": str(state / "aws.log"),
            "DESK_PID": str(os.getpid()),
        }
        groups = {name: address[f"{half}_LOG"] for half, name in HALVES.items()}
        logs = Logs(client(endpoint, "logs"), client(endpoint, "dynamodb"), groups, address["REKEY_TABLE"],
                    int(settings["COOLDOWN_SECONDS"]), state / "log")
        (state / "log").touch()
        logs.follow(running)
        page = {"product": settings["PRODUCT_NAME"], "logo": None, "resetUrl": page_url, "signIn": "/sign-in",
                "minLength": int(settings["PASSWORD_MIN_LENGTH"]),
                "linkMinutes": int(settings["TOKEN_LIFETIME_MINUTES"])}
        page_server.serve(ports["DESK_PAGE_PORT"], page, address["API_URL"],
                          lambda: json.loads(fetch(f"{endpoint}/_ministack/ses/messages")), logs.take, running)
        write_atomically(env_file, "".join(f"{key}={value}\n" for key, value in address.items()))
        running.callback(env_file.unlink, missing_ok=True)
        yield address, check_running, logs


def env_file(page_port):
    """Returns the file with a desk's addresses. Each desk has a separate file."""
    return TARGET / ("dev.env" if page_port == PORTS["DESK_PAGE_PORT"] else f"dev-{page_port}.env")


# ---- Building ------------------------------------------------------------------------------------

def build(profile="release"):
    """Builds the template if a source has changed. Returns the folder.

    "release" is the profile to deploy and to measure. `make dev` uses "dev", which compiles in a third of the time but
    makes slower code.
    """
    built = TARGET / ("sam" if profile == "release" else "sam-dev")
    with open(TARGET / "sam.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another build to finish.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        built_from, digest = built / "built-from", digest_of_sources()
        if built_from.is_file() and built_from.read_text() == digest:
            return built
        with tempfile.TemporaryDirectory(prefix="desk-", dir=TARGET) as home:
            debug = {"SAM_BUILD_MODE": "debug", "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_PROFILE_DEV_STRIP": "true"}
            run("sam build (the first build compiles for minutes)", [
                SAM, "build", "--template-file", ROOT / "template.yaml", "--build-dir", built,
                "--config-file", no_config(home), "--parameter-overrides", f"Architecture={architecture()}"],
                {**environment(home), **(debug if profile == "dev" else {})})
            if profile == "release":
                run("bill of materials", [sys.executable, Path(__file__).with_name("sbom.py"),
                                          f"{'aarch64' if architecture() == 'arm64' else 'x86_64'}-unknown-linux-gnu"],
                    environment(home))
        built_from.write_text(digest)
        return built


def digest_of_sources():
    """Returns a digest of the sources' content, not their times: a checkout touches files that it does not change."""
    digest = hashlib.sha256(architecture().encode())
    for name in ("Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "template.yaml", ".cargo", "shared", "functions",
                 "infra/desk/requirements-desk.txt", "infra/desk/requirements-sam.txt", "infra/desk/sbom.py"):
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{file.relative_to(ROOT)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def architecture():
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


# ---- The local AWS -------------------------------------------------------------------------------

def start_aws(port, api_port, state, running):
    """Starts the launcher. It gets none of this machine's environment, because its functions would inherit that."""
    endpoint = f"http://127.0.0.1:{port}"
    log = state / "aws.log"
    launcher = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("launcher.py")], cwd=state,
        stdin=subprocess.PIPE, stdout=log.open("wb"), stderr=subprocess.STDOUT, start_new_session=True,
        env={
            "PATH": os.environ["PATH"], "HOME": str(state), "TMPDIR": str(state),
            "AWS_ENDPOINT_URL": endpoint, "GATEWAY_PORT": str(port), "DESK_API_PORT": str(api_port),
            "MINISTACK_REGION": REGION, "AUTH": "true",
            # No other listeners, and no access to this machine's Docker.
            "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "DOCKER_HOST": "unix:///nonexistent",
        })
    running.enter_context(ending(launcher))

    def check_running():
        if launcher.poll() is not None:
            last = log.read_text(errors="replace")[-3000:]
            raise Stop(f"{last}\nThe local AWS stopped with status {launcher.returncode}. The end of its log is above.")

    def answers():
        socket.create_connection(("127.0.0.1", api_port), 1).close()
        return fetch(f"{endpoint}/_ministack/health")

    wait_until("the local AWS to answer", 30, check_running, answers)
    return endpoint, check_running


def operator(endpoint):
    """Returns the credentials of the account's root user. The functions run under the template's four roles."""
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test"}


def client(endpoint, service):
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id="test",
                        aws_secret_access_key="test")


def prepare_account(endpoint, parameters):
    """Creates what a team has before it deploys: a verified sender and, if a parameter names one, a users table."""
    client(endpoint, "sesv2").create_email_identity(
        EmailIdentity=parameters.get("MailIdentity") or parameters["MailFromAddress"].partition("@")[2])
    if parameters.get("UsersTableName"):
        key, email = parameters.get("UsersKeyAttribute", "id"), parameters.get("UsersEmailAttribute", "email")
        sort_key = parameters.get("UsersSortKeyAttribute")
        index = {"GlobalSecondaryIndexes": [{
            "IndexName": parameters.get("UsersEmailIndex", "email-index"), "Projection": {"ProjectionType": "ALL"},
            "KeySchema": [{"AttributeName": email, "KeyType": "HASH"}]}]} if email != key else {}
        names = {key, email, sort_key} - {None, ""}
        client(endpoint, "dynamodb").create_table(
            TableName=parameters["UsersTableName"], BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"},
                       *([{"AttributeName": sort_key, "KeyType": "RANGE"}] if sort_key else [])],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in sorted(names)],
            **index)


def deploy(endpoint, built, parameters, state, check_running):
    quoted = ['{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"'))
              for name, value in parameters.items()]
    run("sam deploy", [
        SAM, "deploy", "--template-file", built / "template.yaml", "--stack-name", STACK, "--resolve-s3",
        "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar",
        "--config-file", no_config(state), "--parameter-overrides", *quoted],
        {**environment(state), **operator(endpoint)}, check_running)


def settings_of(endpoint, function):
    """Returns the environment of a deployed function."""
    return client(endpoint, "lambda").get_function_configuration(FunctionName=function)["Environment"]["Variables"]


def seed(endpoint, settings):
    """Stores one user, in the layout of the deployed functions."""
    password_hash = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(PASSWORD)
    address = settings["USERS_EMAIL_FORMAT"].replace("{email}", EMAIL).replace("{EMAIL}", EMAIL.upper())
    user = {settings["USERS_KEY_ATTRIBUTE"]: settings["USERS_KEY_PREFIX"] + "ada",
            settings["USERS_PASSWORD_ATTRIBUTE"]: password_hash}
    if settings["USERS_SORT_KEY_ATTRIBUTE"]:
        user[settings["USERS_SORT_KEY_ATTRIBUTE"]] = settings["USERS_SORT_KEY_PREFIX"] or "ada"
    if settings["USERS_STATUS_ATTRIBUTE"] and "absent" not in settings["USERS_STATUS_ACTIVE"].split(","):
        user[settings["USERS_STATUS_ATTRIBUTE"]] = settings["USERS_STATUS_ACTIVE"].split(",")[0]
    user[settings["USERS_EMAIL_ATTRIBUTE"]] = address  # last, because it may be the key
    client(endpoint, "dynamodb").put_item(
        TableName=settings["USERS_TABLE"], Item={name: {"S": value} for name, value in user.items()})


# ---- Hot reload ----------------------------------------------------------------------------------

def watch():
    """Runs both public halves in `cargo lambda watch`. The deployed private halves process the rows that they write."""
    address = address_of_running_desk()
    # The settings of the other functions, and those of hashing.
    settings = settings_of(address["AWS_ENDPOINT_URL"], address["RESET_CHANGE_FUNCTION"])
    settings.update(operator(address["AWS_ENDPOINT_URL"]))
    port = int(os.environ.get("WATCH_PORT") or 9000)
    require_free(port, "WATCH_PORT")
    run("compiling both functions", ["cargo", "build", "--locked", "--package", "forgot", "--package", "reset"],
        environment())
    say(f"Serving http://127.0.0.1:{port}/password/forgot and /password/reset. A changed source reloads. Ctrl-C stops.")
    child = subprocess.Popen(
        [TOOLS / "cargo-lambda", "lambda", "watch", "--invoke-address", "127.0.0.1", "--invoke-port", str(port)],
        cwd=ROOT, env={**environment(), **settings}, start_new_session=True)
    with contextlib.suppress(Interrupted), ending(child):
        return child.wait()
    return say("Stopped everything.")


def address_of_running_desk():
    """Returns the addresses in the file of `make dev`. Checks its PID, because a killed desk leaves the file behind."""
    try:
        page_port = int(os.environ.get("DESK_PAGE_PORT") or PORTS["DESK_PAGE_PORT"])
        address = dict(line.split("=", 1) for line in env_file(page_port).read_text().splitlines())
        os.kill(int(address["DESK_PID"]), 0)
        return address
    except (OSError, KeyError, ValueError):
        raise Stop("No desk is running. Start `make dev` in another terminal, "
                   "and wait until it prints its addresses.") from None


# ---- Helpers -------------------------------------------------------------------------------------

def run(title, command, env, check_running=lambda: None):
    """Runs a long step and prints its duration. Raises Stop with the step's output if it fails."""
    started, next_line, tty = time.monotonic(), 0, sys.stdout.isatty()
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        with ending(child):
            while child.poll() is None:
                check_running()
                seconds = int(time.monotonic() - started)
                if tty:
                    print(f"\r{title} … {seconds} s", end="", flush=True)
                elif seconds >= next_line:
                    say(f"{title} … {seconds} s")
                    next_line = seconds + 15
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.2)
        say(f"{chr(13) if tty else ''}{title}: {time.monotonic() - started:.0f} s")
        if child.returncode:
            output.seek(0)
            raise Stop(f"{output.read().decode(errors='replace')}\n{title} failed (status {child.returncode}).")


def environment(home=None):
    """Returns this machine's environment, with the tools first in PATH and without the developer's AWS account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
    kept.update(PATH=f"{TOOLS}{os.pathsep}{os.environ['PATH']}", AWS_CONFIG_FILE=os.devnull,
                AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_DEFAULT_REGION=REGION, AWS_EC2_METADATA_DISABLED="true",
                SAM_CLI_TELEMETRY="0", NO_PROXY="127.0.0.1,localhost", no_proxy="127.0.0.1,localhost")
    if home:
        kept["__SAM_CLI_APP_DIR"] = str(home)  # otherwise sam writes to the developer's home folder
    return kept


def no_config(folder):
    """Writes an empty configuration for sam, because samconfig.toml is for the real AWS. Returns its path."""
    config = Path(folder) / "samconfig.toml"
    config.write_text("version = 0.1\n")
    return config


@contextlib.contextmanager
def ending(process):
    """Ends a process group, which is the process and everything that it started."""
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)


def wait_until(what, seconds, check_running, condition):
    deadline = time.monotonic() + seconds
    while True:
        check_running()
        with contextlib.suppress(OSError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise Stop(f"Timed out after {seconds} s waiting for {what}.")
        time.sleep(0.05)


def fetch(url):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=10) as response:
        return response.read()


def require_free(port, variable):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Stop(f"Port {port} is in use. Stop its program, or set {variable} to another port.") from None


def free_ports():
    with contextlib.ExitStack() as held:
        probes = {name: held.enter_context(socket.socket()) for name in PORTS}
        for probe in probes.values():
            probe.bind(("127.0.0.1", 0))
        return {name: probe.getsockname()[1] for name, probe in probes.items()}


def write_atomically(path, text):
    """Writes a file so that no reader sees a part of it."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    draft.replace(path)


def interrupt(number, _frame):
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    raise Interrupted(128 + number)


def say(text):
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Stop as stop:
        sys.exit(str(stop))
