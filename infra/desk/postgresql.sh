#!/bin/sh
# Checks for PostgreSQL, which the tests with users in PostgreSQL need. If it is missing, this installs it as root on
# Debian. Elsewhere, it prints what to install, and exits with status 3: `make test` then skips those tests.
set -eu

installed() {
    for folder in /usr/lib/postgresql/*/bin; do
        [ -x "$folder/initdb" ] && return
    done
    command -v initdb >/dev/null && command -v postgres >/dev/null && command -v psql >/dev/null
}

if installed; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's postgresql for the tests with users in PostgreSQL."
    # The package would create a cluster and start it. The tests start a server of their own.
    config=/etc/postgresql-common/createcluster.d/rekey.conf
    mkdir -p "${config%/*}"
    echo "create_main_cluster = false" >"$config"
    log=$(mktemp)
    if ! { apt-get update && apt-get install --yes --no-install-recommends postgresql; } >"$log" 2>&1
    then
        cat "$log"
        rm "$log" "$config"
        exit 1
    fi
    rm "$log" "$config"
else
    echo "PostgreSQL is not installed. Install it:" >&2
    echo "    Debian: apt-get install postgresql" >&2
    echo "    macOS:  brew install postgresql@17" >&2
    exit 3
fi
