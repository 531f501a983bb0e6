/* own.h: the formats whose codes no plane describes: the IQ formats, whose codes are indexes into grids;
 * TQ1_0; and NVFP4, where each half of a part has a scale that is a float. Each has a `read`, the
 * specification of its elements. kernels/body_own.h has the vectors.
 *
 * A grid's entry is a byte for each element: eight (IQ1 and IQ2), or four (IQ3).
 *
 *     IQ1        8 times 0, 1 or 2, and 2 more in the copy of the grid that adds 1/8: 8 times the value, + 9
 *     IQ2        8, 25, 43
 *     IQ3_XXS    half of 4, 12, 20, 28, 36, 44, 52, 62
 *     IQ3_S      1, 3, 5, ... 15 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_OWN_H
#define CHORD_QUANT_OWN_H
#include "x4.h"

/* The grids. iq1_s[1]: 1/8 is subtracted. */
typedef struct chord_grid_bytes {
    uint8_t iq1_s[2][2048][8], iq2_s[1024][8], iq2_xs[512][8], iq2_xxs[256][8], iq3_s[512][4],
        iq3_xxs[256][4];
} chord_grid_bytes;
extern const chord_grid_bytes chord_iq_grids;

/* Writes eight elements of IQ2 or IQ3: four values, then four. Bit k of `signs`: element k is negative. */
void chord_own_signed(int8_t q[8], const uint8_t first[4], const uint8_t second[4], uint32_t signs);
/* Writes eight elements of IQ1. */
void chord_own_ternary(int8_t q[8], const uint8_t entry[8]);

/* Returns eight signs from seven. An even number of eight is negative. */
static inline uint32_t chord_own_signs(uint32_t seven)
{
    uint32_t parity = seven ^ seven >> 4;
    parity ^= parity >> 2;
    return (seven & 127) | ((parity ^ parity >> 1) & 1) << 7;
}

/* Decodes a row of blocks by `read`. */
void chord_own_decode(float *dst, const uint8_t *row, int32_t n_cols, int32_t block_elems,
                      int32_t block_bytes, void (*read)(chord_elements *to, const uint8_t *block, int32_t i));

#endif
