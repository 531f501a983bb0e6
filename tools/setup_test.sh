#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# setup_test.sh: looks for the programs that `make test` needs besides
# make, python3 and Node: a compiler with sanitizers and libFuzzer, and the browsers Chromium, Firefox and
# WebKitGTK (tools/browsers.mjs knows their places). As root on Debian and Ubuntu it installs what is missing.
# Elsewhere it names them, and their tests are skipped. With CI=true a missing program is an error, except a
# browser that this distribution doesn't carry: build/not-carried names it for the tests.
here() {
    case $1 in
    compiler) tools/sancc asan >/dev/null 2>&1 && tools/sancc fuzz >/dev/null 2>&1 ;;
    *) node tools/browsers.mjs missing "$1" >/dev/null ;;
    esac
}
root_of_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
update() { [ -n "$updated" ] || { apt-get update -qq && updated=1; }; }
install() {
    root_of_debian || return
    update
    echo "installing $*" >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
# Ubuntu's `chromium` and `firefox` are snaps, which containers and headless machines can't run.
carried() {
    case $1 in chromium | firefox-esr) [ ! -e /etc/lsb-release ] || return 1 ;; esac
    apt-cache show "$1" >/dev/null 2>&1
}
browser() {
    here "$1" && return
    if root_of_debian; then
        update
        if carried "$2"; then install "$2" $3 || true; else echo "$1" >>build/not-carried; fi
    fi
}
mkdir -p build && rm -f build/not-carried
here compiler || install clang libc6-dev || true
here compiler || install libclang-rt-dev || true
browser chromium chromium
browser firefox firefox-esr
browser webkit webkit2gtk-driver xvfb
# WebGPU without a GPU: Node's Dawn loads Chromium's SwiftShader through libvulkan, Firefox Mesa's lavapipe.
vulkan() {
    ldconfig -p 2>/dev/null | grep -q libvulkan.so.1 && ls /usr/share/vulkan/icd.d/lvp_icd* >/dev/null 2>&1
}
[ "$(uname)" != Linux ] || vulkan || install libvulkan1 mesa-vulkan-drivers || true

missing=
[ "$(uname)" != Linux ] || vulkan || missing=" the Vulkan loader and lavapipe (Debian: libvulkan1 mesa-vulkan-drivers);"
here compiler || missing="$missing a clang with sanitizers and libFuzzer (Debian: clang libclang-rt-dev);"
for name in chromium firefox webkit; do
    reason=$(node tools/browsers.mjs missing $name) && continue
    if grep -qx $name build/not-carried 2>/dev/null; then
        echo "*** $reason, and this distribution carries no package of it: its tests will be SKIPPED ***" >&2
    else
        missing="$missing $reason;"
    fi
done
[ -z "$missing" ] && exit 0
echo "*** missing:$missing its tests will be SKIPPED ***" >&2
[ "$CI" = true ] && exit 1
exit 0
