/* q2_0.c
 *
 *   block of 64:  | d f16 | q 16 bytes |            18 bytes
 *   bits 2 i, 2 i + 1 of byte j of q are element 4 j + i
 *   w = d * (q - 1), q 0..3; a file of a ternary model never holds 3, but the format allows it
 *
 * A non-finite d is refused (see q4_0.c). A fork of llama.cpp writes blocks of 128 (34 bytes) under the same
 * type id. Tensors in such a file are smaller than this format needs, so the planner refuses the file: its
 * tensors overlap. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 18 };

void chord_decode_q2_0(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 64; b++, p += BYTES) {
        float const d = chord_f16_f32(chord_u16(p));
        for (int i = 0; i < 64; i++) *dst++ = d * (float)((p[2 + i / 4] >> i % 4 * 2 & 3) - 1);
    }
}
