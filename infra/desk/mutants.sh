#!/bin/sh
# Runs cargo-mutants against the unit tests and the journeys: `sh infra/desk/mutants.sh [k/n]`, with k from 0 to n-1.
# Prints a summary, and fails if a viable mutant is missed.
#
# Run it on an idle machine. Some journeys check deadlines by the clock: if the machine is busy, they fail without a
# mutant's help, and the mutant counts as caught. Each log under mutants.out/log/ names the check that failed.
set -u
shard=${1:-0/1}
case $shard in
    [0-9]*/[1-9]*) ;;
    *)
        echo "SHARD: expected k/n with k from 0 to n-1, got \"$shard\"" >&2
        exit 2
        ;;
esac
output=target/mutants/shard-$(echo "$shard" | tr / -)
mkdir -p "$output"

# The first skipped test measures the machine, which may be busy. The harness's tests panic on purpose, and a panic ends
# the process.
skipped="--skip hashing_is_as_fast_as_the_deadlines_assume --skip harness::"

# The tests must pass without a mutant. cargo-mutants' own baseline tests only the packages of a shard's mutants, and a
# shard without a mutant of `journeys` has no target of that name. This uses the usual target directory. In the mutants'
# directory, Cargo would treat the last mutant's libraries as current.
cargo test --quiet --profile long --package rekey --package forgot --package reset --package journeys --locked \
    --lib --test journeys -- $skipped || exit

# One target directory for all shards keeps the dependencies compiled.
export CARGO_TARGET_DIR="${MUTANTS_TARGET:-$PWD/target/mutants/target}"
# One failed test is enough to catch a mutant, so the journeys end there.
export REKEY_FAIL_FAST=1
# The journeys wait more than they compute.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-6}"

target/tools/cargo/bin/cargo-mutants mutants --workspace --output "$output" --shard "$shard" --colors never \
    --profile long --baseline skip --timeout 180 ${MUTANTS_ARGS:-} -- -- $skipped
status=$?

python3 - "$output/mutants.out" "$status" <<'SUMMARY'
import json, pathlib, sys

folder, status = pathlib.Path(sys.argv[1]), int(sys.argv[2])
outcomes = folder / "outcomes.json"
if not outcomes.exists():
    sys.exit(f"cargo-mutants ended with status {status} before it tried a mutant")
outcomes = json.loads(outcomes.read_text())["outcomes"]
mutants = [each for each in outcomes if isinstance(each["scenario"], dict)]
kinds = {"caught": "CaughtMutant", "missed": "MissedMutant", "timeout": "Timeout", "unviable": "Unviable"}
names = {kind: [] for kind in kinds}
for each in mutants:
    for kind, summary in kinds.items():
        if each["summary"] == summary:
            names[kind].append(each["scenario"]["Mutant"]["name"])
seconds = sum(phase["duration"] for each in mutants for phase in each["phase_results"])
print(", ".join(f"{len(found)} {kind}" for kind, found in names.items()), end="")
print(f"; {seconds / max(1, len(mutants)):.0f} s for each mutant")
for kind in ("missed", "timeout"):
    for name in names[kind]:
        print(f"{kind}: {name}")
# A mutant that exceeds the time limit counts as caught. Any other status is an error of cargo-mutants.
sys.exit(1 if names["missed"] else 0 if status in (0, 3) else status)
SUMMARY
