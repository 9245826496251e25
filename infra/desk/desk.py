"""The desk: Rekey's template on a local AWS, with one user, a page, and a mailbox.

    desk.py build            runs sam build if a source has changed
    desk.py dev              starts a desk that runs until Ctrl-C, and writes its addresses to target/dev.env
    desk.py test COMMAND...  starts a desk on free ports, and runs a command with the addresses in its environment
    desk.py watch            runs cargo lambda watch with the tables and the email of the running desk

The Makefile starts it with the Python of target/tools/desk. The local AWS loses its data when the desk stops.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

import page_server
import users
from building import architecture, build
from helpers import (TARGET, TOOLS, Interrupted, ending, environment, fetch, free_ports, interrupt, require_free, run,
                     say, write_atomically)
from local_aws import STACK, client, deploy, operator, outputs, prepare_account, settings_of, start_aws
from logs import Logs
from parameters import parameters_for
from stop import ROOT, Stop

PORTS = {"DESK_PORT": 4600, "DESK_PAGE_PORT": 4601, "DESK_API_PORT": 4602}
HALVES = {"FORGOT_REQUEST": "ForgotRequest", "FORGOT_DELIVER": "ForgotDeliver",
          "RESET_CHANGE": "ResetChange", "RESET_NOTIFY": "ResetNotify"}
EMAIL, PASSWORD = "ada@example.com", "the first password of Ada"


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
  user      {EMAIL}, whose password is "{PASSWORD}"{users.kind(address["USERS_KIND"]).note(address)}
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
    with desk(free_ports(PORTS), TARGET / "test.env", "release") as (address, check_running, _logs):
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
    directory = users.chosen()()
    parameters_for(page_url, architecture())  # Stops before the build if a parameter is wrong.
    built = build(profile)
    with contextlib.ExitStack() as running:
        state = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="desk-", dir=TARGET)))
        endpoint, check_aws = start_aws(ports["DESK_PORT"], ports["DESK_API_PORT"], state, running)

        parameters = parameters_for(page_url, architecture(), directory.start(
            endpoint, state, running, check_aws, profile))

        def check_running():
            check_aws()
            directory.check_running()

        prepare_account(endpoint, parameters)
        deploy(endpoint, built, parameters, state, check_running)
        transformed = client(endpoint, "cloudformation").get_template(StackName=STACK, TemplateStage="Processed")
        (state / "transformed.json").write_text(json.dumps(transformed["TemplateBody"]))
        output = outputs(endpoint)
        settings = settings_of(endpoint, output["ForgotRequestFunction"])
        directory.seed(EMAIL, PASSWORD)
        address = {
            "API_URL": f"http://127.0.0.1:{ports['DESK_API_PORT']}",
            "PAGE_URL": page_url,
            "MAILBOX_URL": f"{page_url}mailbox",
            **operator(endpoint),
            "REKEY_TABLE": output["RekeyTableName"],
            **directory.address(),
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


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Stop as stop:
        sys.exit(str(stop))
