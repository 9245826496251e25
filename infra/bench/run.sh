#!/bin/sh
# Builds the functions as they are deployed, builds the benchmark, and runs it. The Makefile calls this.
#
#     run.sh measure|check|keep FILE
set -eu

action=$1
file=$2
binaries=target/bench

target/tools/desk/bin/python infra/desk/desk.py build
PATH="$PWD/target/tools/desk/bin:$PATH" \
    cargo lambda build --quiet --release --locked --package hello --lambda-dir "$binaries"
mkdir -p "$binaries/forgot" "$binaries/reset"
cp target/sam/ForgotRequest/bootstrap "$binaries/forgot/"
cp target/sam/ResetChange/bootstrap "$binaries/reset/"

cargo build --quiet --locked --profile bench --package bench

if [ "$action" != measure ]; then
    target/release/bench client-hello "$binaries" "$file"
    if ! command -v valgrind >/dev/null; then
        echo "valgrind is not installed: instructions and sizes are NOT checked."
        exit 0
    elif [ "$(uname -m)" != x86_64 ]; then
        echo "The expected counts are for x86-64 only: instructions and sizes are NOT checked."
        exit 0
    fi
fi
exec target/release/bench "$action" "$binaries" "$file"
