"""Processes, ports, and files of the desk."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from stop import ROOT, Stop

TARGET = ROOT / "target"
TOOLS, SAM = TARGET / "tools/desk/bin", TARGET / "tools/sam/bin/sam"
REGION = "us-east-1"


class Interrupted(SystemExit):
    """Stopped by a signal."""


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


def free_ports(names):
    with contextlib.ExitStack() as held:
        probes = {name: held.enter_context(socket.socket()) for name in names}
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
