#!/bin/sh
# Builds what is measured, as it is deployed, and the benchmark; runs it. For the Makefile.
#
#     run.sh measure|check|keep FILE
set -eu

act=$1
file=$2
binaries=target/bench

target/tools/desk/bin/python infra/desk/desk.py build
PATH="$PWD/target/tools/desk/bin:$PATH" cargo lambda build --quiet --release --locked --package hello --lambda-dir "$binaries"
mkdir -p "$binaries/forgot" "$binaries/reset"
cp target/sam/ForgotRequest/bootstrap "$binaries/forgot/"
cp target/sam/ResetChange/bootstrap "$binaries/reset/"

cargo build --quiet --locked --profile bench --package bench

if [ "$act" != measure ]; then
    target/release/bench client-hello "$binaries" "$file"
    if ! command -v valgrind >/dev/null; then
        echo "There is no valgrind here: instructions and sizes are NOT checked."
        exit 0
    elif [ "$(uname -m)" != x86_64 ]; then
        echo "The counts are of x86-64: instructions and sizes are NOT checked here."
        exit 0
    fi
fi
exec target/release/bench "$act" "$binaries" "$file"
