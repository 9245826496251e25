#!/bin/sh
# The browser test drives a Chromium by its chromedriver. Says what is missing, and installs it where it may.
set -eu

browser() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

if browser >/dev/null && command -v chromedriver >/dev/null; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's chromium and chromium-driver for the browser test."
    log=$(mktemp)
    if ! { apt-get update && apt-get install --yes --no-install-recommends chromium chromium-driver; } >"$log" 2>&1; then
        cat "$log"
        rm "$log"
        exit 1
    fi
    rm "$log"
else
    echo "The browser test needs Chromium and chromedriver: apt-get install chromium chromium-driver, or your system's" >&2
    echo "like (macOS: brew install --cask chromium chromedriver)." >&2
    exit 1
fi
