"""A stack of the last release on a local AWS, for the test of an update (tests/cloud/update.rs).

    release.py test COMMAND...      deploys the last release, and runs a command with the stack's addresses
    release.py deploy release       updates that stack to the last release, for such a command
    release.py deploy current       updates that stack to the current sources
    release.py describe             prints the stack's resources as JSON, as `deploy` does at its end
    release.py archive COMMIT FILE  writes the sources of a release, as tests/cloud/releases has them

The sources of the last release are in the repository, because a clone may lack its history.
"""

import contextlib
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from building import architecture, build
from desk import HALVES, PORTS
from helpers import TARGET, ending, environment, free_ports, interrupt, run, say
from local_aws import STACK, client, deploy, operator, outputs, prepare_account, start_aws
from parameters import parameters_for
from stop import ROOT, Stop

RELEASES, HOME = ROOT / "tests/cloud/releases", TARGET / "last-release"
BINARIES = ("forgot", "reset")
# The largest file of the sources, and data: the release is built with the current one.
PASSWORDS = "functions/reset/src/common_passwords.bin"
# cargo requires a manifest of each member of the workspace, and one of its targets.
SOURCES = ("Cargo.lock", "template.yaml", "shared", "functions", f":(exclude){PASSWORDS}", ":(glob)**/Cargo.toml",
           ":(glob)tests/*/main.rs", ":(glob)tests/*/src/lib.rs", ":(glob)*/*/src/main.rs", ":(glob)*/*/*/src/main.rs")


def main(command="", *arguments):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    if command == "test" and arguments:
        return test(arguments)
    if command == "deploy" and arguments in (("release",), ("current",)):
        return update(build_release() if arguments == ("release",) else build())
    if command == "describe" and not arguments:
        return describe()
    if command == "archive" and len(arguments) == 2:
        return archive(*arguments)
    raise Stop(__doc__.strip())


# ---- The stack -----------------------------------------------------------------------------------

def test(command):
    """Runs a command with a stack of the last release. Returns the command's status."""
    TARGET.mkdir(exist_ok=True)
    build()  # before the release, so that the command does not wait for it
    built, ports = build_release(), free_ports(PORTS)
    parameters = stack_parameters()
    with contextlib.ExitStack() as running:
        state = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="desk-", dir=TARGET)))
        endpoint, check_running = start_aws(ports["DESK_PORT"], ports["DESK_API_PORT"], state, running)
        prepare_account(endpoint, parameters)
        deploy(endpoint, built, parameters, state, check_running)
        output = outputs(endpoint)
        address = {
            **operator(endpoint), "STACK_NAME": STACK, "USERS_KIND": "table",
            "API_URL": f"http://127.0.0.1:{ports['DESK_API_PORT']}",
            "MAILBOX_URL": f"{endpoint}/_ministack/ses/messages",
            "REKEY_TABLE": output["RekeyTableName"], "USERS_TABLE": output["UsersTableName"],
            **{f"{half}_FUNCTION": output[f"{name}Function"] for half, name in HALVES.items()},
            **{f"{half}_LOG": output[f"{name}LogGroup"] for half, name in HALVES.items()},
        }
        child = subprocess.Popen(command, cwd=ROOT, env={**environment(), **address}, start_new_session=True)
        with ending(child):
            while child.poll() is None:
                check_running()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.2)
        if child.returncode:
            shutil.copy(state / "aws.log", TARGET / "update.log")
            say("The local AWS's log of this run is in target/update.log.")
        return child.returncode if child.returncode >= 0 else 128 - child.returncode


def update(built):
    """Updates the stack as an operator does, by another deployment with the same parameters."""
    with tempfile.TemporaryDirectory(prefix="desk-", dir=TARGET) as state:
        deploy(os.environ["AWS_ENDPOINT_URL"], built, stack_parameters(), state, lambda: None)
    return describe()


def stack_parameters():
    return parameters_for("http://localhost:4601/", architecture())


def describe():
    """Prints the physical IDs of the stack's resources, and the digests of its functions' code."""
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    pages = client(endpoint, "cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
    resources = {each["LogicalResourceId"]: each for page in pages for each in page["StackResourceSummaries"]}
    functions = {name: client(endpoint, "lambda").get_function_configuration(FunctionName=each["PhysicalResourceId"])
                 for name, each in resources.items() if each["ResourceType"] == "AWS::Lambda::Function"}
    print(json.dumps({
        "resources": {name: each["PhysicalResourceId"] for name, each in resources.items()},
        "code": {name: function["CodeSha256"] for name, function in functions.items()},
    }), flush=True)
    return 0


# ---- The release ---------------------------------------------------------------------------------

def build_release():
    """Builds the last release if its archive has changed. Returns a folder that `sam deploy` can deploy.

    cargo builds it, and not sam: in the profile of tests, and in their folder, so that it compiles the release's own
    three crates only. The dependencies are compiled already, if their versions and features are the same.
    """
    tar, passwords = lzma.decompress(only_archive().read_bytes()), (ROOT / PASSWORDS).read_bytes()
    built, sources = HOME / "built", HOME / "sources"
    built_from, digest = built / "built-from", hashlib.sha256(tar + passwords).hexdigest()
    compare_with_history(tar)
    if built_from.is_file() and built_from.read_text() == digest:
        return built
    shutil.rmtree(HOME, ignore_errors=True)
    for name, content in files_of(tar).items():
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (sources / name).write_bytes(content)
    (sources / PASSWORDS).write_bytes(passwords)
    variables = {**environment(), "CARGO_BUILD_BUILD_DIR": str(TARGET), "CARGO_TARGET_DIR": str(HOME / "target")}
    # cargo does not distinguish crates by the place of their workspace. With another profile, those of the release do
    # not replace the current ones in the folder.
    distinct = [f"--config=profile.dev.package.{name}.debug=false" for name in ("rekey", *BINARIES)]
    for binary in BINARIES:
        run(f"compiling {binary} of the last release", [
            "cargo", "rustc", "--locked", "--manifest-path", sources / "Cargo.toml", "--package", binary,
            "--bin", binary, *distinct, "--", "-C", "strip=symbols"], variables)
        (built / binary).mkdir(parents=True)
        shutil.copy(HOME / "target/debug" / binary, built / binary / "bootstrap")
    (built / "template.yaml").write_text(with_code((sources / "template.yaml").read_text()))
    built_from.write_text(digest)
    return built


def only_archive():
    found = sorted(RELEASES.glob("*.tar.xz"))
    if len(found) != 1:
        raise Stop(f"{RELEASES}: expected one archive, of the last release, got {[each.name for each in found]}.")
    return found[0]


def with_code(template):
    """Returns the template with each function's folder, as `sam build` writes it."""
    properties = re.compile(r"(\n    Type: AWS::Serverless::Function\n    Metadata: [&*](\w+)\n(?:      .*\n)*"
                            r"    Properties:\n)")
    changed, count = properties.subn(r"\1      CodeUri: \2\n", template)
    if count != len(HALVES):
        raise Stop(f"The template of the last release: expected {len(HALVES)} functions, got {count}.")
    return changed


def archive(commit, file):
    """Writes the sources of a commit, as far as `build_release` needs them."""
    Path(file).write_bytes(lzma.compress(git("archive", commit, "--", *SOURCES), preset=9 | lzma.PRESET_EXTREME))
    return 0


def compare_with_history(tar):
    """Raises Stop if the archive differs from its commit. Says so if this clone lacks the commit."""
    commit, files = git("get-tar-commit-id", input=tar).decode().strip(), files_of(tar)
    try:
        git("cat-file", "-e", commit)
    except Stop:
        say(f"The archive of the last release is NOT compared with its commit {commit[:7]}, which this clone lacks.")
        return
    if files_of(git("archive", commit, "--", *files)) != files:
        raise Stop(f"The archive of the last release differs from its commit {commit[:7]}.")


def files_of(tar):
    with tarfile.open(fileobj=io.BytesIO(tar)) as files:
        return {each.name: files.extractfile(each).read() for each in files if each.isfile()}


def git(*arguments, **options):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, **options)
    if done.returncode:
        raise Stop(f"git {arguments[0]} failed (status {done.returncode}). {done.stderr.decode(errors='replace')}")
    return done.stdout


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Stop as stop:
        sys.exit(str(stop))
