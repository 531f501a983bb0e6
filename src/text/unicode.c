/* SPDX-License-Identifier: Apache-2.0 */
#include "unicode.h"
#include <stdbool.h>

static uint32_t category_of(uint32_t code_point)
{
    if (code_point < 128) return chord_unicode_ascii[code_point];
    if (code_point > 0x10FFFF) return CHORD_CN;
    int32_t low = 0, high = chord_n_unicode_index; /* find the last entry at or before it */
    while (high - low > 1) {
        int32_t const middle = (low + high) / 2;
        if ((chord_unicode_index[middle] & 0x1FFFFF) <= code_point) low = middle;
        else high = middle;
    }
    uint32_t first = chord_unicode_index[low] & 0x1FFFFF;
    const uint8_t *p = chord_unicode_runs + low * CHORD_UNICODE_STRIDE + (chord_unicode_index[low] >> 21);
    for (;;) {
        uint32_t const category = *p & 31;
        uint32_t n = 1 + (*p >> 5);
        if (*p++ >> 5 == 7) {
            uint32_t shift = 0;
            do n += (uint32_t)(*p & 127) << shift, shift += 7;
            while (*p++ & 128);
        }
        if (code_point - first < n)
            return category < CHORD_N_CATEGORIES ? category : (code_point - first) & 1 ? CHORD_LL : CHORD_LU;
        first += n;
    }
}

uint32_t chord_unicode_bits(uint32_t code_point)
{
    uint32_t const bits = CHORD_IN(category_of(code_point));
    bool const is_white = (bits & CHORD_IN_Z) || code_point - 9 < 5 || code_point == 0x85;
    return is_white ? bits | CHORD_IN_WHITE : bits;
}

uint32_t chord_utf8_decode(const uint8_t *p, const uint8_t *end, uint32_t *code_point)
{
    uint32_t const lead = p[0];
    uint32_t const n = lead < 0x80   ? 1
                       : lead < 0xC0 ? 0
                       : lead < 0xE0 ? 2
                       : lead < 0xF0 ? 3
                       : lead < 0xF8 ? 4
                                     : 0;
    if (n == 1) {
        *code_point = lead;
        return 1;
    }
    *code_point = 0xFFFD;
    if (n == 0 || (size_t)(end - p) < n) return 1;
    uint32_t c = lead & (0x7Fu >> n);
    for (uint32_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return 1;
        c = c << 6 | (p[i] & 0x3F);
    }
    if (c > 0x10FFFF) return 1;
    *code_point = c;
    return n;
}

/* A lead byte is never read as a continuation, so decoding forwards begins a code point at each lead
 * byte. */
uint32_t chord_utf8_back(const uint8_t *begin, const uint8_t *p)
{
    for (uint32_t k = 1; k <= 4 && (size_t)(p - begin) >= k; k++) {
        if ((p[-(int32_t)k] & 0xC0) == 0x80) continue;
        uint32_t code_point;
        return chord_utf8_decode(p - k, p, &code_point) == k ? k : 1;
    }
    return 1;
}

uint32_t chord_utf8_encode(uint32_t c, uint8_t *dst)
{
    if (c < 0x80) {
        dst[0] = (uint8_t)c;
        return 1;
    }
    uint32_t const n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (uint32_t i = n - 1; i; i--, c >>= 6) dst[i] = (uint8_t)(0x80 | (c & 0x3F));
    dst[0] = (uint8_t)((0xF00u >> n) | c);
    return n;
}
