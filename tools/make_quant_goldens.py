#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/quant.bin: random blocks of each block format that tests/quant/goldens.h lacks, and the
elements that gguf's own dequantizer gives, or ggml's where gguf has none. With a NAME of SCALES it keeps the
file's records and appends that format's: make_quant_goldens.py [NAME]

Needs PyPI gguf and numpy, and llama-cpp-python for the formats that gguf can't dequantise. Format of the
file, and versions of the packages: tests/golden/README.md."""
import os
import sys

import gguf
import numpy as np

from ggml_types import dequantize

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATH = os.path.join(ROOT, 'tests', 'golden', 'quant.bin')
# Offsets of the f16 scales in a block; the scales are made finite. A new format comes last: all formats share
# one random generator.
SCALES = {'Q5_0': [0], 'Q5_1': [0, 2], 'Q2_K': [80, 82], 'Q3_K': [108], 'Q4_K': [0, 2], 'Q5_K': [0, 2],
          'Q6_K': [208], 'IQ4_NL': [0], 'IQ4_XS': [0], 'Q1_0': [0], 'Q2_0': [0]}


def types_of(golden):
    """Returns the types whose records are in the file."""
    types, at = set(), 0
    while at < len(golden):
        kind, n, size = np.frombuffer(golden, '<i4', 3, at)
        types.add(kind)
        at += 12 + size + n * gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)][0] * 4
    return types


def main(wanted):
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
        values = dequantize(blocks.reshape(-1), kind).astype('<f4')
        assert values.size == n * elems and np.isfinite(values).all()
        out += np.array([int(kind), n, n * size], '<i4').tobytes() + blocks.tobytes() + values.tobytes()
    with open(PATH + '.tmp', 'wb') as file:
        file.write(out)
    os.replace(PATH + '.tmp', PATH)


if __name__ == '__main__':
    main(sys.argv[1] if len(sys.argv) > 1 else None)
