#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pack.py IN OUT: compresses a wasm module for src/host/wasm/unpack.c, and prints what unpack.c must know."""
import lzma
import sys

data = open(sys.argv[1], "rb").read()
FILTER = {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24, "lc": 3, "lp": 0, "pb": 0}
with open(sys.argv[2], "wb") as out:
    out.write(lzma.compress(data, lzma.FORMAT_RAW, filters=[FILTER])[1:])
digest = 2166136261
for byte in data:
    digest = (digest ^ byte) * 16777619 & 0xFFFFFFFF
print(f"-DSIZE={len(data)}u -DHASH={digest}u")
