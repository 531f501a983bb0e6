/* f32.c
 *
 *   element: | f32 |                      4 bytes
 *   w = the element; inf and NaN are allowed */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

void chord_decode_f32(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t i = 0; i < n_cols; i++) dst[i] = chord_f32(p + 4 * (size_t)i);
}
