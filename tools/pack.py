#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pack.py IN OUT: compresses a wasm module for src/host/wasm/unpack.c, and prints what unpack.c must know.

Bytes of one kind side by side compress better than the code's order: instructions, indices of locals,
constants, offsets and indices of functions become a stream each (6 kB less of a module). unpack.c walks the
instructions as it does. The grids of the IQ formats (src/quant/iq_grids_tables.c) lie side by side in the
module. They are packed as numbers of 16 bits, each the difference from the one before, with zeros in the rest
of their place."""
import lzma
import re
import struct
import sys
from pathlib import Path

data = open(sys.argv[1], "rb").read()
tables = (Path(__file__).parent.parent / "src/quant/iq_grids_tables.c").read_text()
VALUES = {"IQ2": lambda s, c: 8 + 17 * c + (c == 2), "IQ3_XXS": lambda s, c: 2 + 4 * c + (c == 7),
          "IQ3_S": lambda s, c: 1 + 2 * c, "IQ1": lambda s, c: 8 * c + 2 * (not s)}
entries, values = [], bytearray()
for grid in tables.split("_GRID(s)")[1:]:
    rows = re.findall(r"ROW\(s, (\w+), (\w+), (0x.*?)\)", grid)
    row, kind, _ = rows[0]
    numbers = [int(number, 16) for _, _, part in rows for number in part.split(", ")]
    entries += numbers
    for s in range(2 if kind == "IQ1" else 1):
        for entry in numbers:
            codes = ([entry >> 4 * k & 7 for k in range(4)] if row == "FOUR" else
                     [entry >> (k % 4 * 4 + k // 4 * 2) & 3 for k in range(8)])
            values += bytes(VALUES[kind](s, c) for c in codes)
grids = data.find(values)
if "template" in sys.argv[1]:
    grids, entries, values = 0, [], b""
elif grids < 0:
    sys.exit("pack.py: the module doesn't hold the grids in the order of iq_grids_tables.c")
steps = struct.pack(f"<{len(entries)}H", *((b - a) & 0xFFFF for a, b in zip([0, *entries], entries)))
stepped = data[:grids] + steps.ljust(len(values), b"\0") + data[grids + len(values):]


class Split:
    """The module as the bytes outside function bodies, from begin to end, and the streams of the bodies."""
    OP, LOCAL, I32, I64, OFFSET, CALL, BYTES, BODY = range(8)

    def __init__(self, module):
        self.module, self.at = module, 8
        self.streams = [bytearray() for _ in range(8)]
        while True:
            kind = module[self.at]
            self.at += 1
            size = self.leb()
            if kind == 10:
                break
            self.at += size
        self.end = self.at + size
        count = self.leb()
        self.begin = self.at
        for _ in range(count):
            self.function()
        if self.at != self.end:
            sys.exit("pack.py: the code section doesn't end with its last function")

    def take(self, stream, n):
        self.streams[stream] += self.module[self.at:self.at + n]
        self.at += n

    def leb(self, stream=None):
        """The next number, which goes into the stream."""
        n, value = 0, 0
        while True:
            byte = self.module[self.at + n]
            value |= (byte & 127) << 7 * n
            n += 1
            if byte < 128:
                break
        if stream is None:
            self.at += n
        else:
            self.take(stream, n)
        return value

    def function(self):
        size = self.leb(self.BODY)
        end = self.at + size
        for _ in range(self.leb(self.BODY)):  # groups of locals
            self.leb(self.BODY)
            self.take(self.BODY, 1)
        while self.at < end:
            self.instruction()

    def place(self):
        self.leb(self.OP)
        self.leb(self.OFFSET)

    def instruction(self):
        op = self.module[self.at]
        self.take(self.OP, 1)
        if op in (0x02, 0x03, 0x04, 0x0c, 0x0d, 0x23, 0x24, 0x3f, 0x40):
            self.leb(self.OP)
        elif op == 0x0e:
            for _ in range(self.leb(self.OP) + 1):
                self.leb(self.OP)
        elif op == 0x10:
            self.leb(self.CALL)
        elif op == 0x11:
            self.leb(self.OP)
            self.leb(self.OP)
        elif 0x20 <= op <= 0x22:
            self.leb(self.LOCAL)
        elif 0x28 <= op <= 0x3e:
            self.place()
        elif op in (0x41, 0x42):
            self.leb(self.I32 if op == 0x41 else self.I64)
        elif op in (0x43, 0x44):
            self.take(self.BYTES, 4 if op == 0x43 else 8)
        elif op == 0xfc:
            kind = self.leb(self.OP)
            if kind > 11:
                sys.exit(f"pack.py: instruction fc {kind:x}: unpack.c doesn't know it")
            if kind > 7:  # memory.init, data.drop, memory.copy, memory.fill
                self.leb(self.OP)
            if kind in (8, 10):
                self.leb(self.OP)
        elif op == 0xfd:
            kind = self.leb(self.OP)
            if kind <= 11 or 84 <= kind <= 93:
                self.place()
            elif kind <= 13:
                self.take(self.BYTES, 16)
            if 21 <= kind <= 34 or 84 <= kind <= 91:
                self.take(self.OP, 1)  # a lane
        elif op == 0xfe:
            if self.leb(self.OP) == 3:
                self.take(self.OP, 1)  # atomic.fence
            else:
                self.place()
        elif any(low <= op <= high for low, high in ((6, 10), (18, 25), (28, 31), (37, 39), (197, 255))):
            sys.exit(f"pack.py: instruction {op:x}: unpack.c doesn't know it")


split = Split(stepped)
parts = [*split.streams, stepped[:split.begin] + stepped[split.end:]]
# The best of 300 orders of the parts, 0.4 kB less than their own; 0.6 kB less with lc 1 than with 3.
ORDER = [Split.LOCAL, Split.BODY, len(parts) - 1, Split.BYTES, Split.CALL, Split.OP, Split.I64, Split.I32,
         Split.OFFSET]
starts = [sum(len(parts[k]) for k in ORDER[:ORDER.index(i)]) for i in range(len(parts))]
FILTER = {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24, "lc": 1, "lp": 0,
          "pb": 0}
with open(sys.argv[2], "wb") as out:
    out.write(lzma.compress(b"".join(parts[i] for i in ORDER), lzma.FORMAT_RAW, filters=[FILTER])[1:])
digest = 2166136261
for byte in data:
    digest = (digest ^ byte) * 16777619 & 0xFFFFFFFF
print(f"-DSIZE={len(data)}u -DHASH={digest}u -DGRIDS={grids}u -DENTRIES={len(entries)}u "
      f"-DCODE={split.begin}u -DCODE_END={split.end}u -DSTARTS={','.join(map(str, starts))}")
