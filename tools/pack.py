#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pack.py IN OUT: compresses a wasm module for src/host/wasm/unpack.c, and prints what unpack.c must know.

The grids of the IQ formats (src/quant/iq_grids_tables.c) lie side by side in the module. They are packed as
numbers of 16 bits, each the difference from the one before, with zeros in the rest of their place."""
import lzma
import re
import struct
import sys
from pathlib import Path

data = open(sys.argv[1], "rb").read()
tables = (Path(__file__).parent.parent / "src/quant/iq_grids_tables.c").read_text()
VALUES = {"IQ2": lambda c: 8 + 17 * c + (c == 2), "IQ3_XXS": lambda c: 2 + 4 * c + (c == 7),
          "IQ3_S": lambda c: 1 + 2 * c, "IQ1": lambda c: c}
entries, values = [], bytearray()
for row, kind, numbers in re.findall(r"ROW\((\w+), (\w+), (0x.*?)\)", tables):
    for entry in (int(number, 16) for number in numbers.split(", ")):
        entries.append(entry)
        codes = ([entry >> 4 * k & 7 for k in range(4)] if row == "FOUR" else
                 [entry >> (k % 4 * 4 + k // 4 * 2) & 3 for k in range(8)])
        values += bytes(map(VALUES[kind], codes))
grids = data.find(values)
if "template" in sys.argv[1]:
    grids, entries, values = 0, [], b""
elif grids < 0:
    sys.exit("pack.py: the module doesn't hold the grids in the order of iq_grids_tables.c")
steps = struct.pack(f"<{len(entries)}H", *((b - a) & 0xFFFF for a, b in zip([0, *entries], entries)))
stepped = data[:grids] + steps.ljust(len(values), b"\0") + data[grids + len(values):]
FILTER = {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24, "lc": 3, "lp": 0, "pb": 0}
with open(sys.argv[2], "wb") as out:
    out.write(lzma.compress(stepped, lzma.FORMAT_RAW, filters=[FILTER])[1:])
digest = 2166136261
for byte in data:
    digest = (digest ^ byte) * 16777619 & 0xFFFFFFFF
print(f"-DSIZE={len(data)}u -DHASH={digest}u -DGRIDS={grids}u -DENTRIES={len(entries)}u")
