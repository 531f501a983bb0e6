/* blocks.h: the scale of one block in file order, for tests and tools. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_BLOCKS_H
#define CHORD_QUANT_BLOCKS_H
#include "x4.h"

/* Returns the smallest |d| of the block's elements, without integer scales. */
static inline float chord_block_d(const chord_format *f, const uint8_t *block)
{
    if (f->read) {
        float least = 0;
        for (int32_t i = 0; i < f->block_elems / 32; i++) {
            chord_elements e;
            f->read(&e, block, i);
            float const d = e.d < 0 ? -e.d : e.d; /* NVFP4: in units of the scale */
            if (i == 0 || d < least) least = d;
        }
        return least;
    }
    float const d = f->d_kind == CHORD_D_E8M0 ? chord_e8m0_f32(block[f->d_at])
                                              : chord_f16_f32(chord_u16(block + f->d_at));
    return d < 0 ? -d : d;
}

/* Sets d to an f16, or to the power of two below it where d is E8M0. */
static inline void chord_block_set_d(const chord_format *f, uint8_t *block, uint16_t d)
{
    if (f->d_kind == CHORD_D_E8M0) {
        uint32_t const e = chord_f32_bits(chord_f16_f32(d & 0x7fff)) >> 23;
        block[f->d_at] = (uint8_t)(e + (e != 0));
    } else if (f->d_kind == CHORD_D_NONE) { /* four scales, of which the nibbles of d are the exponents */
        for (int i = 0; i < 4; i++)
            block[f->d_at + i] = (uint8_t)((block[f->d_at + i] & 7) | (d >> 4 * i & 7) << 3);
    } else if (f->d_kind == CHORD_D_SPLIT) {
        for (int i = 0; i < 4; i++) {
            uint8_t *const top = block + f->d_at + 2 * i + 1;
            *top = (uint8_t)((*top & 15) | (d >> 4 * i & 15) << 4);
        }
    } else chord_copy(block + f->d_at, &d, 2);
}

#endif
