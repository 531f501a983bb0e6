#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pack.py IN OUT: compresses a wasm module for src/host/wasm/unpack.c, and prints what unpack.c must know.

The grids of the IQ formats (src/quant/iq_grids_tables.c) lie side by side in the module. As differences of
one entry from the one before, they take 4 kB less."""
import lzma
import re
import struct
import sys
from pathlib import Path

data = open(sys.argv[1], "rb").read()
tables = (Path(__file__).parent.parent / "src/quant/iq_grids_tables.c").read_text()
entries = [int(number, 16) for body in re.findall(r"\[\d+\] = \{(.*?)\};", tables, re.S)
           for number in re.findall(r"0x[0-9a-f]+", body)]
grids = data.find(struct.pack(f"<{len(entries)}H", *entries))
if "template" in sys.argv[1]:
    grids, entries = 0, []
elif grids < 0:
    sys.exit("pack.py: the module doesn't hold the grids in the order of iq_grids_tables.c")
steps = struct.pack(f"<{len(entries)}H", *((b - a) & 0xFFFF for a, b in zip([0, *entries], entries)))
stepped = data[:grids] + steps + data[grids + len(steps):]
FILTER = {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24, "lc": 3, "lp": 0, "pb": 0}
with open(sys.argv[2], "wb") as out:
    out.write(lzma.compress(stepped, lzma.FORMAT_RAW, filters=[FILTER])[1:])
digest = 2166136261
for byte in data:
    digest = (digest ^ byte) * 16777619 & 0xFFFFFFFF
print(f"-DSIZE={len(data)}u -DHASH={digest}u -DGRIDS={grids}u -DENTRIES={len(entries)}u")
