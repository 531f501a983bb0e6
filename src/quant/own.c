/* own.c: what the formats of own.h share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

void chord_own_signed(int8_t q[8], const uint8_t first[4], const uint8_t second[4], uint32_t signs)
{
    for (int k = 0; k < 8; k++) {
        int32_t const value = k < 4 ? first[k] : second[k - 4];
        q[k] = (int8_t)(signs >> k & 1 ? -value : value);
    }
}

void chord_own_ternary(int8_t q[8], const uint8_t entry[8])
{
    for (int k = 0; k < 8; k++) q[k] = (int8_t)(entry[k] - 9);
}

void chord_own_decode(float *dst, const uint8_t *row, int32_t n_cols, int32_t block_elems,
                      int32_t block_bytes, void (*read)(chord_elements *to, const uint8_t *block, int32_t i))
{
    int32_t const parts = block_elems / 32;
    for (int32_t b = 0; b < n_cols / 32; b++, dst += 32) {
        chord_elements e;
        read(&e, row + (size_t)(b / parts) * (size_t)block_bytes, b % parts);
        for (int k = 0; k < 32; k++) dst[k] = e.d * (float)e.scale[k / 16] * (float)e.q[k];
    }
}
