/* bf16.c
 *
 *   element: | bf16 |                     2 bytes, the upper half of an f32
 *   w = the element; inf and NaN are let through */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

static void decode(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t i = 0; i < n_cols; i++) dst[i] = chord_bf16_f32(chord_u16(p + 2 * (size_t)i));
}

static bool check(const void *row, int32_t n_cols)
{
    (void)row, (void)n_cols;
    return true;
}

CHORD_X4_FORMAT(1, 1, 0)

const chord_format chord_format_bf16 = { CHORD_BF16, "BF16", 1, 2, CHORD_ACT_F32, -1, -1, decode, repack, unpack, check };
