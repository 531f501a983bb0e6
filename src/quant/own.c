/* own.c: what the formats of own.h share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

const int8_t chord_iq2_values[4] = { 8, 25, 43, 0 };
const int8_t chord_iq3_xxs_values[8] = { 2, 6, 10, 14, 18, 22, 26, 31 };
const int8_t chord_iq3_s_values[8] = { 1, 3, 5, 7, 9, 11, 13, 15 };

static uint32_t code_of_eight(uint32_t entry, int k) { return entry >> (k % 4 * 4 + k / 4 * 2) & 3; }

void chord_own_eight(int8_t q[8], uint32_t entry, uint32_t signs)
{
    for (int k = 0; k < 8; k++) {
        int8_t const value = chord_iq2_values[code_of_eight(entry, k)];
        q[k] = signs >> k & 1 ? (int8_t)-value : value;
    }
}

void chord_own_fours(int8_t q[8], const int8_t values[8], uint32_t first, uint32_t second, uint32_t signs)
{
    for (int k = 0; k < 8; k++) {
        int8_t const value = values[(k < 4 ? first : second) >> k % 4 * 4 & 7];
        q[k] = signs >> k & 1 ? (int8_t)-value : value;
    }
}

void chord_own_ternary(int8_t q[8], uint32_t entry, bool is_less)
{
    for (int k = 0; k < 8; k++)
        q[k] = (int8_t)(8 * (int32_t)code_of_eight(entry, k) - 8 + (is_less ? -1 : 1));
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
