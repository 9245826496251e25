#!/bin/sh
# Runs tests/cloud against three stacks, one for each kind of users. Arguments are options of cargo test.
set -eu

cloud() {
    kind=$1
    shift
    echo "End-to-end tests with users in $kind:"
    USERS=$kind target/tools/desk/bin/python infra/desk/desk.py test cargo test --locked --test cloud "$@"
}

# Every test runs with a table. With the other kinds, only those run that depend on the directory.
depend="forgot:: reset:: silence:: directory:: directory_check::this"
cloud table "$@" -- --skip postgresql:: --skip cognito::
# shellcheck disable=SC2086 # several filters
cloud cognito "$@" -- $depend cognito::
if sh infra/desk/postgresql.sh; then
    # shellcheck disable=SC2086
    cloud postgresql "$@" -- $depend postgresql::
elif [ $? = 3 ]; then
    echo "SKIPPED: the end-to-end tests with users in PostgreSQL, because it is not installed." >&2
else
    exit 1
fi
