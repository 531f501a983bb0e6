/* own.h: the formats whose codes no plane describes: the IQ formats, whose codes are indexes into grids;
 * TQ1_0; and NVFP4, where each half of a part has a scale that is a float. Each has a `read`, the
 * specification of its elements. kernels/body_own.h has the vectors.
 *
 * A grid's entry is 16 bits. IQ1 and IQ2: eight codes of two bits. Code k is bits 2 (k / 4) and the next
 * of nibble k % 4. IQ3: four codes of three bits. Code k is in nibble k. The values of the codes:
 *
 *     IQ1        -1, 0, 1
 *     IQ2        8, 25, 43
 *     IQ3_XXS    half of 4, 12, 20, 28, 36, 44, 52, 62
 *     IQ3_S      1, 3, 5, ... 15 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_OWN_H
#define CHORD_QUANT_OWN_H
#include "x4.h"

extern const uint16_t chord_iq2_xxs_grid[256], chord_iq2_xs_grid[512], chord_iq2_s_grid[1024],
    chord_iq3_xxs_grid[256], chord_iq3_s_grid[512], chord_iq1_s_grid[2048];

/* The values above, by code. */
extern const int8_t chord_iq2_values[4], chord_iq3_xxs_values[8], chord_iq3_s_values[8];

/* Writes eight elements of an entry of IQ2, or of two entries of IQ3. Bit k of `signs`: element k is
 * negative. */
void chord_own_eight(int8_t q[8], uint32_t entry, uint32_t signs);
void chord_own_fours(int8_t q[8], const int8_t values[8], uint32_t first, uint32_t second, uint32_t signs);
/* Writes eight elements of IQ1: 8 g + 1, or 8 g - 1 if `is_less`, where g are the entry's values. */
void chord_own_ternary(int8_t q[8], uint32_t entry, bool is_less);

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
