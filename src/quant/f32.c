/* f32.c
 *
 *   element: | f32 |                      4 bytes
 *   w = the element; inf and NaN are let through */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

static void decode(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t i = 0; i < n_cols; i++) dst[i] = chord_f32(p + 4 * (size_t)i);
}

static bool check(const void *row, int32_t n_cols)
{
    (void)row, (void)n_cols;
    return true;
}

CHORD_X4_FORMAT(1, 0, 1)

const chord_format chord_format_f32 = { CHORD_F32, "F32", 1, 4, CHORD_ACT_F32, -1, -1, decode, repack, unpack, check };
