/* tq1_0.c
 *
 *   block of 256:  | q 48 bytes | h 4 bytes | d f16 |     54 bytes
 *   a byte x holds five ternary digits, of h's four are used: digit n is (x * 3 ^ n mod 256) * 3 / 256
 *   digit n of byte j of q is element 32 n + j for j < 32, else element 160 + 16 n + j - 32
 *   digit n of byte j of h is element 240 + 4 n + j
 *   w = d * (digit - 1)
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

enum { BYTES = 54 };

void chord_read_tq1_0(chord_elements *to, const uint8_t *p, int32_t i)
{
    static const uint8_t power[5] = { 1, 3, 9, 27, 81 };
    *to = (chord_elements){ chord_f16_f32(chord_u16(p + 52)), { 1, 1 }, { 0 } };
    for (int k = 0; k < 32; k++) {
        int const e = 32 * i + k,
                  at = e < 160   ? e % 32
                       : e < 240 ? 32 + e % 16
                                 : 48 + e % 4,
                  n = e < 160   ? i
                      : e < 240 ? (e - 160) / 16
                                : (e - 240) / 4;
        to->q[k] = (int8_t)(((p[at] * power[n] & 255) * 3 >> 8) - 1);
    }
}

void chord_decode_tq1_0(float *dst, const void *row, int32_t n_cols)
{
    chord_own_decode(dst, row, n_cols, 256, BYTES, chord_read_tq1_0);
}
