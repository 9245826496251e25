#!/bin/sh
# Fuzzes what reads requests, events, rows, the allow list's setting and links: the targets of tests/fuzz, in turn.
#
#     fuzz.sh run SECONDS [TARGET]    fuzzes each target, or this one, for so many seconds
#     fuzz.sh try SECONDS             does the same, but succeeds if there is no C++ compiler
#     fuzz.sh keep                    renews tests/fuzz/corpus from what the runs found
#
# No sanitizer: there is no unsafe code of ours to watch, and so the pinned, stable Rust does. Overflow is still told.
set -eu
cd "$(dirname "$0")/../.."

version=0.13.2
found=target/fuzz/corpus
kept=tests/fuzz/corpus
mode=$1
seconds=${2:-}

if ! command -v "${CXX:-c++}" >/dev/null; then
    echo "Not fuzzed: libFuzzer is built with a C++ compiler, and there is none here." >&2
    [ "$mode" = try ] && exit
    exit 1
fi

PATH="$PWD/target/tools/fuzz/bin:$PATH"
if [ "$(cargo fuzz --version 2>/dev/null)" != "cargo-fuzz $version" ]; then
    echo "Installing cargo-fuzz $version into target/tools/fuzz; this happens once."
    cargo install cargo-fuzz --version "$version" --locked --quiet --root target/tools/fuzz
fi

# What cargo-fuzz cannot be asked for: the locked versions.
cargo fetch --locked --quiet --manifest-path tests/fuzz/Cargo.toml

mkdir -p target/fuzz
log=target/fuzz/build.log
echo "Building the fuzz targets; the first time, this takes minutes."
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
        allow_list | link) words=tests/fuzz/url.dict ;;
        *) words=tests/fuzz/json.dict ;;
    esac
    if ! run "$1" "$found/$1" -- -max_total_time="$seconds" -timeout=10 -dict="$words" -print_final_stats=1; then
        grep -A 1 'panicked at' "$log" >&2 || true
        tail -n 40 "$log" >&2
        echo "A finding in $1; all of the log is in $log. \`cargo test corpus\` fails too, once the failing input" >&2
        echo "is copied to $kept/$1/hand-…, which is where it belongs when it is mended." >&2
        exit 1
    fi
    tried=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "fuzzing $1: $tried inputs in $seconds seconds, no finding"
    if [ -n "${REKEY_TORTURE:-}" ]; then
        mkdir -p "$REKEY_TORTURE"
        printf '{"what": "fuzzing %s", "tried": %s, "shown": "no finding"}' "$1" "$tried" \
            >"$REKEY_TORTURE/fuzzing-$(echo "$1" | tr _ -).json"
    fi
}

# Inputs by hand stay. Of the others, libFuzzer takes those first that reach most code beyond: these are kept, small ones.
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
