/* character.c: UTF-8, and what Python's strings know of characters. The tables of all of Unicode belong to
 * the tokenizer; here ranges are enough: white space is complete, letters' cases are those of the alphabets
 * that have them in one range. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

/* A byte that begins no complete character is a character of its own. */
uint32_t chord_char_at(const char *s, const char *end)
{
    const uint8_t *p = (const uint8_t *)s;
    uint32_t const n = p[0] < 0xc2 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 1;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    uint32_t const wrong = 1 << 24 | 0xfffd;
    if (n > (size_t)(end - s)) return wrong;
    for (uint32_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return wrong;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c >= 0x80 && n == 1 ? wrong : n << 24 | c;
}

void chord_char_put(vm *r, uint32_t c)
{
    char s[4];
    if (c < 0x80) {
        chord_text_put1(r, (char)c);
        return;
    }
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) c = 0xfffd;
    uint32_t const n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (uint32_t i = n; --i; c >>= 6) s[i] = (char)(0x80 | (c & 0x3f));
    s[0] = (char)((0xf00u >> n & 0xf0) | c);
    chord_text_put(r, s, n);
}

bool chord_char_is_space(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

uint32_t chord_char_lower(uint32_t c)
{
    if (c >= 'A' && c <= 'Z') return c + 32;
    if (c < 0xc0 || c > 0x42f) return c;
    if (c <= 0xde) return c == 0xd7 ? c : c + 32;
    if (c >= 0x391 && c <= 0x3a9 && c != 0x3a2) return c + 32;
    if (c >= 0x410) return c + 32;
    if (c >= 0x400) return c + 80;
    /* Latin Extended-A: pairs; capitals are even in these ranges, and odd in the others. */
    bool const even = (c >= 0x100 && c <= 0x137 && c != 0x130 && c != 0x131) || (c >= 0x14a && c <= 0x177);
    bool const odd = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e);
    return (even && !(c & 1)) || (odd && (c & 1)) ? c + 1 : c;
}

uint32_t chord_char_upper(uint32_t c)
{
    if (c >= 'a' && c <= 'z') return c - 32;
    if (c < 0xe0 || c > 0x45f) return c;
    if (c == 0xff) return 0x178;
    if (c == 0x3c2) return 0x3a3;
    /* The capital whose small letter is c is 1, 32 or 80 before it. */
    static const uint8_t ways[] = { 1, 32, 80 };
    for (int i = 0; i < 3; i++)
        if (chord_char_lower(c - ways[i]) == c) return c - ways[i];
    return c;
}

bool chord_char_is_letter(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == 0xaa || c == 0xb5 || c == 0xba ||
           (c >= 0xc0 && c != 0xd7 && c != 0xf7 && !chord_char_is_space(c) && (c < 0x2010 || c > 0x206f) &&
            (c < 0x3001 || c > 0x3004) && (c < 0x3008 || c > 0x3020) && (c < 0xfe00 || c > 0xff20) &&
            c < 0x1f000);
}

int64_t chord_string_length(val s)
{
    int64_t n = 0;
    for (const char *p = s->s, *end = s->s + s->n; p < end; n++) p += char_bytes(chord_char_at(p, end));
    return n;
}

uint32_t chord_string_offset(val s, int64_t i)
{
    const char *p = s->s, *end = s->s + s->n;
    for (; i > 0 && p < end; i--) p += char_bytes(chord_char_at(p, end));
    return (uint32_t)(p - s->s);
}
