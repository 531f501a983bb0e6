/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"
#include "mem.h"
#include <stdbool.h>

static void put(chord_error *e, char c)
{
    if (e->length < CHORD_ERROR_BYTES - 1) e->text[e->length++] = c;
}

static void put_number(chord_error *e, uint64_t v, uint32_t base)
{
    char digits[20];
    int n = 0;
    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    while (n) put(e, digits[--n]);
}

/* Returns the bytes of the character at s if a terminal or an editor would obey it: a control (C0, DEL,
 * C1), a Unicode line end, or a mark of the bidirectional algorithm. Returns 0 for any other character. */
static size_t control_bytes(const uint8_t *s, size_t n)
{
    if (s[0] < 32 || s[0] == 127) return 1;
    if (n >= 2 && s[0] == 0xc2 && s[1] < 0xa0) return 2;                             /* U+0080 .. U+009F */
    if (n >= 2 && s[0] == 0xd8 && s[1] == 0x9c) return 2;                            /* U+061C */
    if (n < 3 || s[0] != 0xe2) return 0;
    /* U+200E, U+200F, U+2028 .. U+202E */
    bool const is_mark = s[1] == 0x80 && (s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae));
    return is_mark || (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9) ? 3 : 0;        /* U+2066 .. U+2069 */
}

static void put_quoted(chord_error *e, const char *s, size_t n)
{
    put(e, '\'');
    for (size_t i = 0; i < n && i < 120;) {
        size_t const hidden = control_bytes((const uint8_t *)s + i, n - i);
        put(e, hidden ? '?' : s[i]);
        i += hidden ? hidden : 1;
    }
    if (n > 120)
        for (int i = 0; i < 3; i++) put(e, '.');
    put(e, '\'');
}

/* Removes an incomplete character, which a cut may have left at the end. */
static void drop_half_character(chord_error *e)
{
    int32_t begin = e->length;
    while (begin && ((uint8_t)e->text[begin - 1] & 0xc0) == 0x80) begin--;
    if (!begin) return;
    uint8_t const lead = (uint8_t)e->text[begin - 1];
    int32_t const bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (e->length - (begin - 1) < bytes) e->length = begin - 1;
}

chord_status chord_fail(chord_error *error, chord_status status, const char *format, ...)
{
    if (!error) return status;
    error->length = 0;
    __builtin_va_list args;
    __builtin_va_start(args, format);
    for (const char *f = format; *f; f++) {
        if (*f != '%') {
            put(error, *f);
            continue;
        }
        switch (*++f) {
        case 's':
            for (const char *s = __builtin_va_arg(args, const char *); *s; s++) put(error, *s);
            break;
        case 'q': {
            const char *s = __builtin_va_arg(args, const char *);
            put_quoted(error, s, __builtin_va_arg(args, size_t));
            break;
        }
        case 'd': {
            int64_t v = __builtin_va_arg(args, int32_t);
            if (v < 0) {
                put(error, '-');
                v = -v;
            }
            put_number(error, (uint64_t)v, 10);
            break;
        }
        case 'u': put_number(error, __builtin_va_arg(args, uint64_t), 10); break;
        case 'x': put_number(error, __builtin_va_arg(args, uint64_t), 16); break;
        default: put(error, *f);
        }
    }
    __builtin_va_end(args);
    drop_half_character(error);
    error->text[error->length] = 0;
    return status;
}
