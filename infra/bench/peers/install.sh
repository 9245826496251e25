#!/bin/sh
# Installs the benchmark's peers, pinned, into target/tools/peers. Run it from the repository's root. It skips the peers
# that are up to date.
set -eu

from=infra/bench/peers
to=target/tools/peers
mkdir -p "$to"

# stale NAME FILE...: succeeds if NAME must be built from these files again.
stale() {
    name=$1
    shift
    sum=$(cat "$from/install.sh" "$@" | cksum)
    if [ "$(cat "$to/$name.stamp" 2>/dev/null)" = "$sum" ]; then
        echo "peers: $name is up to date"
        return 1
    fi
    rm -f "$to/$name.stamp"
    echo "peers: $name"
}

made() {
    echo "$sum" >"$to/$name.stamp"
}

if stale python "$from/requirements.txt"; then
    rm -rf "$to/venv"
    python3 -m venv "$to/venv"
    "$to/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes \
        -r "$from/requirements.txt"
    "$to/venv/bin/python" -m compileall -q "$to/venv/lib"
    made
fi

if stale python-peers "$from/mail.py" "$from"/*/*.py "$from"/*/templates/*; then
    for peer in fastapi_peer django_peer flask_peer; do
        rm -rf "${to:?}/$peer"
        cp -R "$from/$peer" "$to/$peer"
        cp "$from/mail.py" "$to/$peer/"
        "$to/venv/bin/python" -m compileall -q "$to/$peer"
    done
    made
fi

if stale node "$from/better_auth/package.json" "$from/better_auth/package-lock.json"; then
    rm -rf "$to/better_auth"
    mkdir "$to/better_auth"
    cp "$from/better_auth/package.json" "$from/better_auth/package-lock.json" "$to/better_auth/"
    (cd "$to/better_auth" && npm ci --ignore-scripts --no-audit --no-fund --silent)
    made
fi

if stale node-runtime "$from/better_auth/build_runtime.sh" "$from/better_auth/package-lock.json"; then
    (
        script=$PWD/$from/better_auth/build_runtime.sh
        PATH="$PWD/$to/venv/bin:$PATH"
        cd "$to/better_auth/node_modules/aws-lambda-ric"
        sh "$script" >build.log 2>&1 || {
            tail -n 40 build.log
            exit 1
        }
    )
    made
fi

# As SAM does for Node: bundled, minified, CommonJS, and ES2020. ES modules are preferred, for a smaller bundle.
if stale node-peers "$from/better_auth/app.mjs" "$from/better_auth/package-lock.json"; then
    cp "$from/better_auth/app.mjs" "$to/better_auth/"
    rm -rf "$to/better_auth_bundled"
    "$to/better_auth/node_modules/.bin/esbuild" "$to/better_auth/app.mjs" --bundle --minify --platform=node \
        --format=cjs --target=es2020 --main-fields=module,main --log-level=warning \
        --outfile="$to/better_auth_bundled/app.js"
    made
fi
