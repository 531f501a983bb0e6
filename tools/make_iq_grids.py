#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/quant/iq_grids_tables.c: the grids of ggml's IQ1, IQ2 and IQ3 formats, as PyPI gguf 0.19.0 has
them. An entry of a grid is eight values of three, or four values of eight."""
import os

import numpy as np
from gguf import quants

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'src/quant/iq_grids_tables.c')
HEAD = r'''/* iq_grids_tables.c: the grids of the IQ formats (own.h). Written by tools/make_iq_grids.py.
 *
 * The numbers are entries. An entry of eight values has codes of two bits: code k is bits 2 (k / 4) and the
 * next of nibble k % 4. An entry of four values has codes of three bits: code k is nibble k. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

/* The value of code c. s: which copy of the grid it is (own.h). tools/pack.py and host/wasm/unpack.c know
 * them too. */
#define IQ2(s, c) 8 + 17 * (c) + ((c) == 2)
#define IQ3_XXS(s, c) 2 + 4 * (c) + ((c) == 7)
#define IQ3_S(s, c) 1 + 2 * (c)
#define IQ1(s, c) 8 * (c) + 2 * !(s)
#define FOUR(V, s, e) { V(s, (e) & 7), V(s, (e) >> 4 & 7), V(s, (e) >> 8 & 7), V(s, (e) >> 12) }
#define EIGHT(V, s, e)                                                                \
    {                                                                                 \
        V(s, (e) & 3), V(s, (e) >> 4 & 3), V(s, (e) >> 8 & 3), V(s, (e) >> 12 & 3),   \
        V(s, (e) >> 2 & 3), V(s, (e) >> 6 & 3), V(s, (e) >> 10 & 3), V(s, (e) >> 14)  \
    }
#define ROW(s, N, V, a, b, c, d, e, f, g, h) \
    N(V, s, a), N(V, s, b), N(V, s, c), N(V, s, d), N(V, s, e), N(V, s, f), N(V, s, g), N(V, s, h)
'''
GRIDS = ['IQ1_S', 'IQ2_S', 'IQ2_XS', 'IQ2_XXS', 'IQ3_S', 'IQ3_XXS']


def entries(name):
    kind = getattr(quants, name)
    kind.init_grid()
    values = kind.grid.reshape(kind.grid_shape)
    codes = np.searchsorted(np.unique(values), values)
    nibbles = codes if codes.shape[1] == 4 else codes[:, :4] | codes[:, 4:] << 2
    return [sum(int(n) << 4 * k for k, n in enumerate(row)) for row in nibbles]


def main():
    out = [HEAD]
    for name in GRIDS:
        grid = entries(name)
        row, values = ('FOUR', name) if name[2] == '3' else ('EIGHT', name[:3])
        lines = [f'    ROW(s, {row}, {values}, ' + ', '.join(f'0x{e:04x}' for e in grid[at:at + 8]) + ')'
                 for at in range(0, len(grid), 8)]
        out.append(f'#define {name}_GRID(s) \\\n' + ', \\\n'.join(lines) + '\n')
    out += ['const chord_grid_bytes chord_iq_grids = {', '    .iq1_s = { { IQ1_S_GRID(0) }, { IQ1_S_GRID(1) } },']
    out += [f'    .{name.lower()} = {{ {name}_GRID(0) }},' for name in GRIDS[1:]] + ['};']
    with open(PATH, 'w', encoding='utf-8') as file:
        file.write('\n'.join(out) + '\n')


if __name__ == '__main__':
    main()
