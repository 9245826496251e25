#!/bin/sh
# Checks for the browsers that the tests need: Chromium with chromedriver, and Firefox. If one is missing, this installs
# them as root on Debian, and prints what to install elsewhere.
set -eu

chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

firefox() {
    command -v firefox-esr || command -v firefox
}

if chromium >/dev/null && command -v chromedriver >/dev/null && firefox >/dev/null; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's chromium, chromium-driver, and firefox-esr for the browser tests."
    log=$(mktemp)
    if ! { apt-get update && apt-get install --yes --no-install-recommends chromium chromium-driver firefox-esr; } \
        >"$log" 2>&1
    then
        cat "$log"
        rm "$log"
        exit 1
    fi
    rm "$log"
else
    echo "The browser tests need Chromium, chromedriver, and Firefox. Install them:" >&2
    echo "    Debian: apt-get install chromium chromium-driver firefox-esr" >&2
    echo "    macOS:  brew install --cask chromium chromedriver firefox" >&2
    exit 1
fi
