"""The long versions of the tests, one after another; then a table of what was tried, how often, and what it showed.

The tests write the lines (tests/journeys/torture.rs) into the folder that REKEY_TORTURE names.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target/torture"
RUNS = {
    "in one process": ["cargo", "test", "--workspace", "--locked", "--no-fail-fast"],
    "on the deployed stack": [sys.executable, "infra/desk/desk.py", "test",
                              "cargo", "test", "--locked", "--test", "cloud", "--no-fail-fast"],
    "fuzzing": ["sh", "infra/desk/fuzz.sh", "run"],
}


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    gave_way = [fallen for title, command in RUNS.items() for fallen in run(title, command)]
    lines = [json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]
    rows = [("what was tried", "how often", "what it showed")]
    rows += [(line["what"], f"{line['tried']:,}", line["shown"]) for line in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    print()
    for what, tried, shown in rows:
        print(f"{what:<{widths[0]}}  {tried:>{widths[1]}}  {shown}")
    print("\nWhat gave way: " + ("; ".join(gave_way) or "nothing") + ".")
    return 1 if gave_way else 0


def run(title, command):
    """Shows what a run says, and returns what failed in it."""
    print(f"==== {title} ====", flush=True)
    started, failed = time.monotonic(), []
    child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "REKEY_TORTURE": str(FOLDER)}, text=True,
                             errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in child.stdout:
        print(line, end="", flush=True)
        if found := re.match(r"test (\S+).* \.\.\. FAILED", line):
            failed.append(f"{title}: {found[1]}")
    status = child.wait()
    print(f"==== {title}: {time.monotonic() - started:.0f} s, status {status} ====", flush=True)
    return failed or ([f"{title} ended with status {status}"] if status else [])


if __name__ == "__main__":
    sys.exit(main())
