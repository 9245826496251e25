"""Runs the long versions of the tests, in parts: `torture.py "PART PART…"`. The default is every part.

Each part replaces its section of infra/TORTURE.md: the date, the commit, and a table of the tests, their attempts, and
their results. The tests write the table's rows into the folder that REKEY_TORTURE names (tests/support/src/torture.rs). A
failed part is recorded as failed.
"""

import datetime
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
RECORD = ROOT / "infra/TORTURE.md"
FUZZ_TARGETS = sorted(file.stem for file in (ROOT / "tests/fuzz/fuzz_targets").glob("*.rs"))
TEST = ["cargo", "test", "--profile", "long", "--locked", "--no-fail-fast"]
# Each part takes at most about an hour.
PARTS = {
    "units": [*TEST, "--workspace", "--lib", "--bins"],
    "journeys": [*TEST, "--test", "journeys"],
    "model": [*TEST, "--test", "model"],
    "wiping": [*TEST, "--test", "wiping"],
    "timing-batch": [*TEST, "--test", "timing", "batch::"],
    "timing-forgot": [*TEST, "--test", "timing", "forgot::"],
    "timing-reset": [*TEST, "--test", "timing", "reset::"],
    "cloud": ["sh", "infra/desk/cloud.sh", "--profile", "long", "--no-fail-fast"],
    **{f"fuzz-{target.replace('_', '-')}": ["sh", "infra/desk/fuzz.sh", "run", "600", target]
       for target in FUZZ_TARGETS},
}
HEADER = """\
# The last long runs

`make torture` writes this file. Each section records the last run of a part. `make torture PART="journeys model"` runs
two parts again. A section names the commit that was checked out. "With changes" means that the tree also had
uncommitted changes.
"""


def main(names):
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        sys.exit(f"PART: expected some of {', '.join(PARTS)}, got {', '.join(unknown)}")
    results = [run(name, PARTS[name]) for name in names or PARTS]
    return 0 if all(results) else 1


def run(name, command):
    """Runs a part, prints its output, and records its result. Returns whether it passed."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    commit = current_commit()
    print(f"==== {name} ====", flush=True)
    started, failed = time.monotonic(), []
    child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "REKEY_TORTURE": str(FOLDER)}, text=True,
                             errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    passed = 0
    for line in child.stdout:
        print(line, end="", flush=True)
        if found := re.match(r"test (\S+).* \.\.\. FAILED", line):
            failed.append(found[1])
        if found := re.match(r"test result: .* (\d+) passed", line):
            passed += int(found[1])
    status = child.wait()
    minutes = (time.monotonic() - started) / 60
    if status and not failed:
        failed = [f"exit status {status}"]
    outcome = f"failed: {', '.join(failed)}" if failed else f"{passed} tests passed" if passed else "passed"
    rows = [json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]
    record(name, f"{datetime.date.today()}, commit {commit}, {minutes:.0f} min: {outcome}.", rows)
    print(f"==== {name}: {outcome} in {minutes:.0f} min ====", flush=True)
    return not failed


def current_commit():
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, text=True, capture_output=True, check=True).stdout.strip()
    changes = git("status", "--porcelain", "--", ".", f":!{RECORD.relative_to(ROOT)}")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changes else "")


def record(name, summary, rows):
    """Replaces the section of a part."""
    sections = {}
    if RECORD.exists():
        _, *parts = re.split(r"^## ", RECORD.read_text(), flags=re.MULTILINE)
        sections = {title: text for title, _, text in (part.partition("\n") for part in parts)}
    lines = ["", summary, ""]
    if rows:
        lines += ["| test | attempts | result |", "|---|---:|---|"]
        lines += [f"| {row['what']} | {row['tried']:,} | {row['shown']} |".replace("\n", " ") for row in rows]
        lines.append("")
    sections[name] = "\n".join(lines)
    ordered = [part for part in PARTS if part in sections]
    text = HEADER + "".join(f"\n## {part}\n{sections[part].rstrip()}\n" for part in ordered)
    RECORD.write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].split()))
