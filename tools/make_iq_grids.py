#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/quant/iq_grids_tables.c: the grids of ggml's IQ1, IQ2 and IQ3 formats, as PyPI gguf 0.19.0 has
them. An entry of a grid is eight values of three, or four values of eight. src/quant/own.h has the order of
its bits."""
import os

import numpy as np
from gguf import quants

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'src/quant/iq_grids_tables.c')
GRIDS = ['IQ2_XXS', 'IQ2_XS', 'IQ2_S', 'IQ3_XXS', 'IQ3_S', 'IQ1_S']


def entries(name):
    kind = getattr(quants, name)
    kind.init_grid()
    values = kind.grid.reshape(kind.grid_shape)
    codes = np.searchsorted(np.unique(values), values)
    nibbles = codes if codes.shape[1] == 4 else codes[:, :4] | codes[:, 4:] << 2
    return [sum(int(n) << 4 * k for k, n in enumerate(row)) for row in nibbles]


def main():
    out = ['/* iq_grids_tables.c: the grids of the IQ formats (own.h). Written by tools/make_iq_grids.py. */',
           '/* SPDX-License-Identifier: Apache-2.0 */', '#include "own.h"', '']
    for name in GRIDS:
        grid = entries(name)
        out.append(f'const uint16_t chord_{name.lower()}_grid[{len(grid)}] = {{')
        for at in range(0, len(grid), 13):
            out.append('    ' + ' '.join(f'0x{e:04x},' for e in grid[at:at + 13]))
        out += ['};', '']
    with open(PATH, 'w', encoding='utf-8') as file:
        file.write('\n'.join(out[:-1]) + '\n')


if __name__ == '__main__':
    main()
