#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/quant.bin: random blocks of each block format that tests/quant/goldens.h lacks, and the
elements that gguf's own dequantizer gives, or ggml's where gguf has none. Format of the file, and versions of
gguf, numpy and llama-cpp-python: tests/golden/README.md."""
import os

import gguf
import numpy as np

from ggml_types import dequantize

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'tests', 'golden', 'quant.bin')
# offsets of the f16 scales in a block; the scales are made finite
SCALES = {'Q5_0': [0], 'Q5_1': [0, 2], 'Q2_K': [80, 82], 'Q3_K': [108], 'Q4_K': [0, 2], 'Q5_K': [0, 2],
          'Q6_K': [208], 'IQ4_NL': [0], 'IQ4_XS': [0], 'Q1_0': [0], 'Q2_0': [0]}


def main():
    random = np.random.Generator(np.random.PCG64(5))
    with open(PATH, 'wb') as out:
        for name, scales in SCALES.items():
            kind = gguf.GGMLQuantizationType[name]
            elems, size = gguf.GGML_QUANT_SIZES[kind]
            n = 4 if elems == 32 else 2
            blocks = random.integers(0, 256, (n, size), dtype=np.uint8)
            for at in scales:
                blocks[:, at + 1] &= 0xbb
            values = dequantize(blocks.reshape(-1), kind).astype('<f4')
            assert values.size == n * elems and np.isfinite(values).all()
            out.write(np.array([int(kind), n, n * size], '<i4').tobytes() + blocks.tobytes() + values.tobytes())


if __name__ == '__main__':
    main()
