#!/bin/sh
# Builds AWS's runtime interface client for Node, a native addon. Run it in the client's folder. The client's own install
# script needs autotools for the bundled curl. curl's CMakeLists.txt builds the same library: static, HTTP only.
set -eu

cd deps
# shellcheck source=/dev/null
. ./versions
curl=curl-curl-$CURL_VERSION
runtime=aws-lambda-cpp-$AWS_LAMBDA_CPP_RELEASE

build() {
    folder=$1
    shift
    tar xzf "$(echo "$folder" | sed 's/^curl-curl/curl/').tar.gz" --no-same-owner
    cmake -S "$folder" -B "$folder/build" -Wno-dev -DCMAKE_POLICY_VERSION_MINIMUM=3.5 -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_PREFIX_PATH="$PWD/artifacts" -DBUILD_SHARED_LIBS=OFF \
        -DCMAKE_INSTALL_PREFIX="$PWD/artifacts" -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_TESTING=OFF "$@"
    make -C "$folder/build" -j2 install
}

build "$curl" -DBUILD_CURL_EXE=OFF -DENABLE_MANUAL=OFF -DHTTP_ONLY=ON -DENABLE_IPV6=OFF -DENABLE_THREADED_RESOLVER=OFF \
    -DCURL_ENABLE_SSL=OFF -DCURL_ZLIB=OFF -DCURL_USE_LIBSSH2=OFF -DCURL_USE_LIBPSL=OFF -DUSE_LIBIDN2=OFF
build "$runtime"
cd ..

# The headers of this Node installation.
npm_config_nodedir=$(node -p 'require("path").resolve(process.execPath, "../..")')
export npm_config_nodedir
../.bin/node-gyp rebuild
cp build/Release/rapid-client.node dist/
rm -rf build deps/artifacts "deps/$curl" "deps/$runtime"
