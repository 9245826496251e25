#!/bin/sh
# Checks for PHP, which verifies hashes in `make peers`. If it is missing, this installs it as root on Debian, and prints
# what to install elsewhere.
set -eu

if command -v php >/dev/null; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's php-cli, which verifies hashes."
    log=$(mktemp)
    if ! { apt-get update && apt-get install --yes --no-install-recommends php-cli; } >"$log" 2>&1; then
        cat "$log"
        rm "$log"
        exit 1
    fi
    rm "$log"
else
    echo "Verifying hashes needs PHP. Install it:" >&2
    echo "    Debian: apt-get install php-cli" >&2
    echo "    macOS:  brew install php" >&2
    exit 1
fi
