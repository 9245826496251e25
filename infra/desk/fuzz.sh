#!/bin/sh
# Fuzzes the parsers of requests, events, rows, the allow list, and links: the targets of tests/fuzz, in turn.
#
#     fuzz.sh run SECONDS [TARGET]    fuzzes each target, or only TARGET, for SECONDS seconds
#     fuzz.sh try SECONDS             does the same, but succeeds if there is no C++ compiler
#     fuzz.sh keep                    renews tests/fuzz/corpus from the inputs of the last runs
#
# No sanitizer: Rekey has no unsafe code to watch, so the pinned stable Rust is enough. Fuzzing still reports overflows.
set -eu
cd "$(dirname "$0")/../.."

version=0.13.2
found=target/fuzz/corpus
kept=tests/fuzz/corpus
mode=$1
seconds=${2:-}

if ! command -v "${CXX:-c++}" >/dev/null; then
    echo "Not fuzzed: libFuzzer needs a C++ compiler. Install one, or set CXX." >&2
    [ "$mode" = try ] && exit
    exit 1
fi

PATH="$PWD/target/tools/fuzz/bin:$PATH"
if [ "$(cargo fuzz --version 2>/dev/null)" != "cargo-fuzz $version" ]; then
    echo "Installing cargo-fuzz $version into target/tools/fuzz. This happens once."
    cargo install cargo-fuzz --version "$version" --locked --quiet --root target/tools/fuzz
fi

# cargo-fuzz has no --locked, so check the lock file first.
cargo fetch --locked --quiet --manifest-path tests/fuzz/Cargo.toml

mkdir -p target/fuzz
log=target/fuzz/build.log
echo "Building the fuzz targets. The first build takes minutes."
if ! cargo fuzz build --sanitizer none --fuzz-dir tests/fuzz --target-dir target/fuzz >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    exit 1
fi

run() {
    target=$1 output=$2
    shift 2
    mkdir -p "$output"
    cargo fuzz run --sanitizer none --fuzz-dir tests/fuzz --target-dir target/fuzz "$target" \
        "$output" "$kept/$target" "$@" >"$log" 2>&1
}

fuzz() {
    case $1 in
        allow_list | link) dictionary=tests/fuzz/url.dict ;;
        *) dictionary=tests/fuzz/json.dict ;;
    esac
    if ! run "$1" "$found/$1" -- -max_total_time="$seconds" -timeout=10 -dict="$dictionary" -print_final_stats=1; then
        grep -A 1 'panicked at' "$log" >&2 || true
        tail -n 40 "$log" >&2
        echo "$1 failed. The whole log is in $log. Copy the failing input to $kept/$1/hand-…, and keep it" >&2
        echo "there: \`cargo test corpus\` then fails, too, until it is fixed." >&2
        exit 1
    fi
    tried=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "fuzzing $1: $tried inputs in $seconds seconds, no findings"
    if [ -n "${REKEY_TORTURE:-}" ]; then
        mkdir -p "$REKEY_TORTURE"
        printf '{"what": "fuzzing %s", "tried": %s, "shown": "no findings"}' "$1" "$tried" \
            >"$REKEY_TORTURE/fuzzing-$(echo "$1" | tr _ -).json"
    fi
}

# Keeps all inputs that were written by hand, and at most 60 others. libFuzzer's merge first picks the inputs that reach
# the most additional code. -max_len keeps them small.
keep() {
    rm -rf target/fuzz/best
    mkdir -p target/fuzz/best "$found/$1"
    cp "$kept/$1"/hand-* target/fuzz/best
    run "$1" target/fuzz/best "$found/$1" -- -set_cover_merge=1 -use_counters=0 -max_len=1000
    find "$kept/$1" -type f ! -name 'hand-*' -delete
    ls -tr target/fuzz/best | grep -v '^hand-' | head -n 60 | while read -r input; do
        mv "target/fuzz/best/$input" "$kept/$1/"
    done
}

for target in ${3:-$(cargo fuzz list --fuzz-dir tests/fuzz)}; do
    log=target/fuzz/$target.log
    case $mode in
        run | try) fuzz "$target" ;;
        keep) keep "$target" ;;
    esac
done
