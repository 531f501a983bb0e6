#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/quant.bin and grids.bin.

quant.bin: random blocks of each block format that tests/quant/goldens.h lacks, and the
elements that gguf's own dequantizer gives, or ggml's where gguf has none. With a NAME of SCALES it keeps the
file's records and appends that format's: make_quant_goldens.py [NAME]

grids.bin: blocks of the formats of src/quant/own.h, of TQ2_0 and of MXFP4. Each entry of a grid is in one
of them, and some have the largest, the smallest and negative scales. Of their elements, which ggml computes,
it has hashes.
make_quant_goldens.py grids

Needs PyPI gguf and numpy, and llama-cpp-python for the formats that gguf can't dequantise. Format of the
file, and versions of the packages: tests/golden/README.md."""
import os
import sys

import gguf
import numpy as np

from ggml_types import by_ggml, dequantize

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATH = os.path.join(ROOT, 'tests', 'golden', 'quant.bin')
# Offsets of the f16 scales in a block; the scales are made finite. A new format comes last: all formats share
# one random generator. MXFP4's scale is a byte, IQ1_M's f16 is cut into four nibbles: FINITE makes these
# finite by one byte: its place, and its value in each block.
SCALES = {'Q5_0': [0], 'Q5_1': [0, 2], 'Q2_K': [80, 82], 'Q3_K': [108], 'Q4_K': [0, 2], 'Q5_K': [0, 2],
          'Q6_K': [208], 'IQ4_NL': [0], 'IQ4_XS': [0], 'Q1_0': [0], 'Q2_0': [0], 'MXFP4': [], 'TQ2_0': [64],
          'TQ1_0': [52], 'IQ2_XXS': [0], 'IQ2_XS': [0], 'IQ2_S': [0], 'IQ3_XXS': [0], 'IQ3_S': [0], 'IQ1_S': [0],
          'IQ1_M': [], 'NVFP4': []}
FINITE = {'MXFP4': (0, [0, 1, 120, 251]), 'IQ1_M': (55, [0x2a, 0xb5])}


def put(block, at, bits, shift, value):
    """Writes `bits` bits of a field of two bytes."""
    field = int(block[at]) | int(block[at + 1]) << 8
    field = field & ~((1 << bits) - 1 << shift) | value << shift
    block[at], block[at + 1] = field & 255, field >> 8


# How entry `e` of the grid becomes number l of a block.
def iq2_xs(b, l, e):
    put(b, 2 + 2 * l, 9, 0, e)


def iq2_s(b, l, e):
    b[2 + l] = e & 255
    put(b, 66 + l // 4, 2, l % 4 * 2, e >> 8)


def iq3_s(b, l, e):
    b[2 + l] = e & 255
    put(b, 66 + l // 8, 1, l % 8, e >> 8)


def iq1_s(b, l, e):
    b[2 + l] = e & 255
    put(b, 34 + l // 4 * 2, 3, l % 4 * 3, e >> 8)


def iq1_m(b, l, e):
    b[l] = e & 255
    put(b, 32 + l // 2, 3, l % 2 * 4, e >> 8)


def at_two(b, l, e):
    b[2 + l] = e


def iq2_xxs(b, l, e):
    b[2 + l // 4 * 8 + l % 4] = e


# Formats with their numbers of entries (0: no grid) and of entries in a block.
GRIDS = {'IQ2_XXS': (256, 32, iq2_xxs), 'IQ2_XS': (512, 32, iq2_xs), 'IQ2_S': (1024, 32, iq2_s),
         'IQ3_XXS': (256, 64, at_two), 'IQ3_S': (512, 64, iq3_s), 'IQ1_S': (2048, 32, iq1_s),
         'IQ1_M': (2048, 32, iq1_m), 'TQ1_0': (0, 32, None), 'TQ2_0': (0, 32, None), 'MXFP4': (0, 1, None),
         'NVFP4': (0, 1, None)}
D = [0x2e66, 0xb123, 0x7bff, 0xfbff, 0x0001, 0x83ff, 0x0000, 0x8000, 0x0400]


def set_scale(name, block, i):
    """The first blocks have extreme scales, the others one of a common size."""
    d = D[i] if i < len(D) else 0x2a00 | i % 256
    if name == 'MXFP4':
        block[0] = [0, 1, 2, 127, 250, 251, 3, 100, 128][i] if i < len(D) else 100 + i % 50
    elif name == 'NVFP4':
        if i < 3:
            block[:4] = [[0, 1, 0x7f, 0xff], [0x7e, 8, 7, 0x80], [0x3f, 0x40, 0x78, 0x77]][i]
    elif name == 'IQ1_M':
        for k in range(4):
            put(block, 48 + 2 * k, 4, 12, d >> 4 * k & 15)
    else:
        put(block, SCALES[name][0], 16, 0, d)


def fnv(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return h


def write_grids():
    random = np.random.Generator(np.random.PCG64(6))
    out = b''
    for name, (n_entries, per_block, write) in GRIDS.items():
        kind = gguf.GGMLQuantizationType[name]
        elems, size = gguf.GGML_QUANT_SIZES[kind]
        n = len(D) + max(n_entries // per_block, 16)
        blocks = random.integers(0, 256, (n, size), dtype=np.uint8)
        blocks[0], blocks[1] = 0, 255
        for i in range(n):
            for k in range(per_block if n_entries and i >= len(D) else 0):
                write(blocks[i], k, ((i - len(D)) * per_block + k) % n_entries)
            set_scale(name, blocks[i], i)
        values = by_ggml(blocks.reshape(-1), kind).astype('<f4').reshape(n, elems)
        assert np.isfinite(values).all(), name
        hashes = np.array([fnv(row.tobytes()) for row in values], '<u8')
        out += np.array([int(kind), n, n * size], '<i4').tobytes() + blocks.tobytes() + hashes.tobytes()
    with open(os.path.join(os.path.dirname(PATH), 'grids.bin'), 'wb') as file:
        file.write(out)


def types_of(golden):
    """Returns the types whose records are in the file."""
    types, at = set(), 0
    while at < len(golden):
        kind, n, size = np.frombuffer(golden, '<i4', 3, at)
        types.add(kind)
        at += 12 + size + n * gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)][0] * 4
    return types


def main(wanted):
    if wanted == 'grids':
        write_grids()
        return
    random = np.random.Generator(np.random.PCG64(5))
    out = b''
    if wanted:
        if wanted not in SCALES:
            sys.exit(f'{wanted} is not in SCALES')
        with open(PATH, 'rb') as file:
            out = file.read()
        if gguf.GGMLQuantizationType[wanted] in types_of(out):
            sys.exit(f'{PATH} has a record of {wanted} already')
    for name, scales in SCALES.items():
        kind = gguf.GGMLQuantizationType[name]
        elems, size = gguf.GGML_QUANT_SIZES[kind]
        n = 4 if elems == 32 else 2
        blocks = random.integers(0, 256, (n, size), dtype=np.uint8)
        if wanted and name != wanted:
            continue
        for at in scales:
            blocks[:, at + 1] &= 0xbb
        if name in FINITE:
            at, values = FINITE[name]
            blocks[:, at] = values
        values = dequantize(blocks.reshape(-1), kind).astype('<f4')
        assert values.size == n * elems and np.isfinite(values).all()
        out += np.array([int(kind), n, n * size], '<i4').tobytes() + blocks.tobytes() + values.tobytes()
    with open(PATH + '.tmp', 'wb') as file:
        file.write(out)
    os.replace(PATH + '.tmp', PATH)


if __name__ == '__main__':
    main(sys.argv[1] if len(sys.argv) > 1 else None)
