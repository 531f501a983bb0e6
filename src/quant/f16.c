/* f16.c
 *
 *   element: | f16 |                      2 bytes, IEEE binary16
 *   w = the element; inf and NaN are allowed */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

void chord_decode_f16(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t i = 0; i < n_cols; i++) dst[i] = chord_f16_f32(chord_u16(p + 2 * (size_t)i));
}
