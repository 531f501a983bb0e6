/* nvfp4.c
 *
 *   block of 64:  | d 4 bytes | q 32 bytes |          36 bytes
 *   byte s of d is the scale of elements 16 s .. 16 s + 15: a float of four bits of exponent and three of
 *     mantissa, without a sign. 0x7f means 0; bit 7 counts only there.
 *   byte 8 s + j of q holds element 16 s + j in its low nibble and element 16 s + 8 + j in its high nibble,
 *     floats of four bits as in mxfp4.c
 *   w = scale / 2 * (chord_e2m1_codes[q] - 12) */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

enum { BYTES = 36 };

/* A scale in units of 2^-9, the smallest that there is. */
static int32_t units(uint8_t d)
{
    int32_t const e = d >> 3 & 15, m = d & 7;
    return d == 0x7f ? 0 : e ? (8 + m) << (e - 1) : m;
}

void chord_read_nvfp4(chord_elements *to, const uint8_t *p, int32_t i)
{
    *to = (chord_elements){ 0x1p-10f, { units(p[2 * i]), units(p[2 * i + 1]) }, { 0 } };
    for (int k = 0; k < 32; k++) {
        uint8_t const q = p[4 + 16 * i + k / 16 * 8 + k % 8];
        to->q[k] = (int8_t)(chord_e2m1_codes[k & 8 ? q >> 4 : q & 15] - 12);
    }
}

void chord_decode_nvfp4(float *dst, const void *row, int32_t n_cols)
{
    chord_own_decode(dst, row, n_cols, 64, BYTES, chord_read_nvfp4);
}
