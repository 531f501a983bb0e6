/* SPDX-License-Identifier: Apache-2.0 */
#include "unicode.h"

static uint32_t ascii_class(uint32_t c)
{
    if ((c | 32) - 'a' < 26u) return CHORD_CLASS_L;
    if (c - '0' < 10u) return CHORD_CLASS_N;
    if (c == ' ') return CHORD_CLASS_WHITE | CHORD_CLASS_BLANK;
    if (c == '\r' || c == '\n') return CHORD_CLASS_WHITE | CHORD_CLASS_NEWLINE;
    if (c - 9 < 5u) return CHORD_CLASS_WHITE;
    if (c < 32 || c == 127) return CHORD_CLASS_OTHER;
    switch (c) {
    case '$': case '+': case '<': case '=': case '>': case '^': case '`': case '|': case '~': return CHORD_CLASS_S;
    default: return CHORD_CLASS_P;
    }
}

uint32_t chord_unicode_class(uint32_t code_point)
{
    if (code_point < 128) return ascii_class(code_point);
    if (code_point > 0x10FFFF) return CHORD_CLASS_OTHER;
    int32_t low = 0, high = chord_n_unicode_ranges; /* the last range that begins at or before it */
    while (high - low > 1) {
        int32_t const middle = (low + high) / 2;
        if ((chord_unicode_ranges[middle] & 0x1FFFFF) <= code_point) low = middle;
        else high = middle;
    }
    uint32_t const bits = chord_unicode_ranges[low] >> 21;
    return bits ? bits : CHORD_CLASS_OTHER;
}

uint32_t chord_utf8_decode(const uint8_t *p, const uint8_t *end, uint32_t *code_point)
{
    uint32_t const lead = p[0];
    uint32_t const n = lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0;
    if (n == 1) { *code_point = lead; return 1; }
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

/* A lead byte is never taken as a continuation, so decoding forwards always starts one there. */
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
    if (c < 0x80) { dst[0] = (uint8_t)c; return 1; }
    uint32_t const n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (uint32_t i = n - 1; i; i--, c >>= 6) dst[i] = (uint8_t)(0x80 | (c & 0x3F));
    dst[0] = (uint8_t)((0xF00u >> n) | c);
    return n;
}
