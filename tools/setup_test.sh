#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# setup_test.sh: looks for the programs that `make test` needs besides
# make, python3 and Node: a compiler with sanitizers and libFuzzer, and a Chromium. As root on Debian and
# Ubuntu it installs the missing ones. Elsewhere it names them, and their tests are skipped. With CI=true a
# missing program is an error.
browser() {
    for b in "$CHROMIUM" /usr/bin/chromium /usr/bin/google-chrome /usr/bin/google-chrome-stable \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" /Applications/Chromium.app/Contents/MacOS/Chromium; do
        [ -n "$b" ] && [ -x "$b" ] && return 0
    done
    return 1
}
compiler() { tools/sancc asan >/dev/null 2>&1 && tools/sancc fuzz >/dev/null 2>&1; }

install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
    [ -n "$updated" ] || apt-get update -qq && updated=1
    echo "installing $*" >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
compiler || install clang libc6-dev || true
compiler || install libclang-rt-dev || true
# Ubuntu's `chromium` is a snap, which containers and headless machines can't run.
browser || [ -e /etc/lsb-release ] || install chromium || true

missing=
compiler || missing="$missing a clang with sanitizers and libFuzzer (Debian: apt-get install clang libclang-rt-dev);"
browser || missing="$missing Chromium (Debian: apt-get install chromium; elsewhere set CHROMIUM=path);"
[ -z "$missing" ] && exit 0
echo "*** missing:$missing its tests will be SKIPPED ***" >&2
[ "$CI" = true ] && exit 1
exit 0
