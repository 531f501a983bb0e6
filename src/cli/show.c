/* show.c: prints text from a file or a model. Characters that control a terminal (C0 and C1) or change the
 * order of a line's characters are printed as escapes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "chord_cli.h"

/* Returns the length of the UTF-8 character at s; 0 for an invalid byte, an overlong form or a surrogate. */
static size_t character(const unsigned char *s, size_t n, uint32_t *c)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t const length = s[0] < 0x80                   ? 1
                          : s[0] >= 0xc0 && s[0] < 0xe0 ? 2
                          : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                          : s[0] >= 0xf0 && s[0] < 0xf8 ? 4
                                                        : 0;
    if (!length || length > n) return 0;
    *c = length == 1 ? s[0] : s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        *c = *c << 6 | (s[i] & 0x3f);
    }
    return *c < least[length] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000) ? 0 : length;
}

/* Returns whether c is a control, a line end of Unicode, or a mark of the bidirectional algorithm. */
static int is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void cli_show(FILE *out, const char *text, size_t n, int32_t form)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t length; n; s += length, n -= length) {
        uint32_t c;
        length = character(s, n, &c);
        int const is_broken = !length;
        if (is_broken) c = s[0], length = 1;
        if (form == CLI_JSON && !is_broken && (c == '"' || c == '\\')) fprintf(out, "\\%c", (int)c);
        else if (form == CLI_JSON && is_broken) fputs("\\ufffd", out);
        else if (form == CLI_JSON && is_control(c)) fprintf(out, "\\u%04x", c);
        else if (is_broken || (is_control(c) && !(c == '\t' || (c == '\n' && form == CLI_TEXT))))
            fprintf(out, c < 0x100 ? "\\x%02x" : "\\u%04x", c);
        else fwrite(s, 1, length, out);
    }
}

void cli_complain(const char *text)
{
    fputs("chord: ", stderr);
    cli_show(stderr, text, strlen(text), CLI_LINE);
    fputc('\n', stderr);
}

void cli_print_json(const char *text, size_t n)
{
    putchar('"');
    cli_show(stdout, text, n, CLI_JSON);
    putchar('"');
}
