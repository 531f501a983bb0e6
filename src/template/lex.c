/* lex.c: the source as tokens. White space around tags goes as Jinja2's lexer makes it go: `-` strips all of
 * it, trim_blocks takes the line end behind a block, lstrip_blocks the blanks before a block that begins its
 * line, and `+` keeps both. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

enum { IN_TEXT, IN_BLOCK, IN_VALUE };

static bool at(const chord_lexer *l, const char *s, char a, char b)
{
    return l->end - s >= 2 && s[0] == a && s[1] == b;
}

static void advance(chord_lexer *l, const char *to)
{
    for (; l->s < to; l->s++) l->line += *l->s == '\n';
}

static const char *skip_space(const chord_lexer *l, const char *s)
{
    while (s < l->end) {
        uint32_t const c = chord_char_at(s, l->end);
        if (!chord_char_is_space(char_code(c))) break;
        s += char_bytes(c);
    }
    return s;
}

/* Goes past the end of a tag, of which s is the last character but one. */
static void close_tag(chord_lexer *l, const char *s, char sign, bool trims)
{
    s += 2;
    if (sign == '-') s = skip_space(l, s);
    else if (trims && sign != '+' && s < l->end && *s == '\n') s++;
    l->line_starts = s[-1] == '\n';
    advance(l, s);
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

/* Is the tag at s `{% word %}`? Sets *close to its last two characters, *sign to the mark before them. */
static bool is_raw_tag(const chord_lexer *l, const char *s, const char *word, const char **close, char *sign)
{
    size_t const n = chord_strlen(word);
    s += 2;
    if (s < l->end && (*s == '-' || *s == '+')) s++;
    s = skip_space(l, s);
    if ((size_t)(l->end - s) < n || !chord_equal(s, word, n)) return false;
    s = skip_space(l, s + n);
    *sign = 0;
    if (s < l->end && (*s == '-' || *s == '+')) *sign = *s++;
    *close = s;
    return at(l, s, '%', '}');
}

/* The text before the tag at `tag`. */
static chord_token data(const chord_lexer *l, const char *tag, char sign, bool is_value)
{
    const char *end = tag;
    bool const strips = sign == '-', is_lead = !strips && sign != '+' && !is_value;
    while ((strips || is_lead) && end > l->s) {
        const char *c = end - 1;
        while (c > l->s && (*c & 0xc0) == 0x80) c--;
        uint32_t const last = chord_char_at(c, end);
        if (c + char_bytes(last) != end || !chord_char_is_space(char_code(last)) || (is_lead && *c == '\n'))
            break;
        end = c;
    }
    /* White space before a block goes if it begins the line. */
    if (is_lead && (end > l->s ? end[-1] != '\n' : !l->line_starts)) end = tag;
    return (chord_token){ TOKEN_DATA, l->s, (uint32_t)(end - l->s), l->line };
}

static chord_token bad(chord_lexer *l, const char *what)
{
    l->fault = what;
    l->s = l->end;
    return (chord_token){ TOKEN_BAD, l->s, 0, l->line };
}

static chord_token lex_raw(chord_lexer *l)
{
    const char *close;
    char sign;
    for (const char *s = l->s; s < l->end; s++) {
        if (!at(l, s, '{', '%') || !is_raw_tag(l, s, "endraw", &close, &sign)) continue;
        chord_token const t = data(l, s, s[2], false);
        advance(l, s);
        close_tag(l, close, sign, true);
        return t;
    }
    return bad(l, "a raw block has no end");
}

/* s is in a comment, behind its opening mark. */
static bool skip_comment(chord_lexer *l, const char *s)
{
    for (; s < l->end; s++) {
        bool const is_marked = (*s == '-' || *s == '+') && at(l, s + 1, '#', '}');
        if (!is_marked && !at(l, s, '#', '}')) continue;
        close_tag(l, s + is_marked, is_marked ? *s : 0, true);
        return true;
    }
    return false;
}

static chord_token lex_text(chord_lexer *l)
{
    const char *close;
    char sign;
    for (;;) {
        const char *s = l->s;
        while (s < l->end && !(*s == '{' && s + 1 < l->end && (s[1] == '%' || s[1] == '{' || s[1] == '#')))
            s++;
        if (s == l->end) {
            chord_token const t = { l->s < s ? TOKEN_DATA : TOKEN_END, l->s, (uint32_t)(s - l->s), l->line };
            advance(l, s);
            return t;
        }
        char const mark = s + 2 < l->end ? s[2] : 0;
        if (s > l->s) {
            chord_token const t = data(l, s, mark, s[1] == '{');
            advance(l, s);
            l->line_starts = false;
            if (t.n) return t;
        }
        if (s[1] == '#') {
            s += 2 + (mark == '-' || mark == '+');
            if (s == l->end) l->s = s; /* Jinja2 takes a lone {# at the end for nothing; a raw tag too */
            else if (!skip_comment(l, s)) return bad(l, "a comment has no end");
        } else if (s[1] == '%' && is_raw_tag(l, s, "raw", &close, &sign) && sign != '+') {
            close_tag(l, close, sign, false);
            if (l->s == l->end) continue;
            chord_token const t = lex_raw(l);
            if (t.n || t.kind == TOKEN_BAD) return t;
        } else {
            l->state = s[1] == '%' ? IN_BLOCK : IN_VALUE;
            l->depth = 0;
            chord_token const t = { s[1] == '%' ? TOKEN_OPEN : TOKEN_OPEN_VALUE, s, 2, l->line };
            l->s = s + 2 + (mark == '-' || mark == '+');
            return t;
        }
    }
}

static const char *digits(const chord_lexer *l, const char *s)
{
    while (s < l->end &&
           ((*s >= '0' && *s <= '9') || (*s == '_' && s + 1 < l->end && s[1] >= '0' && s[1] <= '9')))
        s++;
    return s;
}

static chord_token lex_number(chord_lexer *l)
{
    const char *s = digits(l, l->s);
    int32_t kind = TOKEN_INT;
    if (*l->s == '0' && s == l->s + 1 && s < l->end &&
        ((*s | 32) == 'x' || (*s | 32) == 'o' || (*s | 32) == 'b')) {
        for (s++; s < l->end && is_name(*s);) s++;
    } else if (l->s[-1] != '.') { /* a.0.1 is two lookups */
        if (s + 1 < l->end && *s == '.' && s[1] >= '0' && s[1] <= '9') {
            s = digits(l, s + 1);
            kind = TOKEN_FLOAT;
        }
        if (s + 1 < l->end && (*s | 32) == 'e') {
            const char *const e = s + 1 + (s[1] == '-' || s[1] == '+');
            if (e < l->end && *e >= '0' && *e <= '9') {
                s = digits(l, e);
                kind = TOKEN_FLOAT;
            }
        }
    }
    chord_token const t = { kind, l->s, (uint32_t)(s - l->s), l->line };
    l->s = s;
    return t;
}

static chord_token lex_string(chord_lexer *l)
{
    const char *s = l->s + 1;
    while (s < l->end && *s != *l->s) s += *s == '\\' ? 2 : 1;
    if (s >= l->end) return bad(l, "a string has no end");
    chord_token const t = { TOKEN_STRING, l->s + 1, (uint32_t)(s - l->s - 1), l->line };
    advance(l, s + 1);
    return t;
}

static chord_token lex_operator(chord_lexer *l)
{
    static const struct {
        char a, b;
        int16_t kind;
    } pairs[] = { { '*', '*', TOKEN_POW }, { '/', '/', TOKEN_FLOORDIV }, { '=', '=', TOKEN_EQ },
                  { '!', '=', TOKEN_NE },  { '<', '=', TOKEN_LE },       { '>', '=', TOKEN_GE } };
    chord_token t = { *l->s, l->s, 1, l->line };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (at(l, l->s, pairs[i].a, pairs[i].b)) {
            t.kind = pairs[i].kind;
            t.n = 2;
        }
    bool is_known = t.n == 2;
    for (const char *c = "+-/*%~[](){}<>=.:|,;"; *c; c++) is_known |= *c == *l->s;
    if (!is_known) return bad(l, "a character has no meaning here");
    if (t.kind == '(' || t.kind == '[' || t.kind == '{') l->depth++;
    if ((t.kind == ')' || t.kind == ']' || t.kind == '}') && !l->depth--)
        return bad(l, "a bracket closes nothing");
    l->s += t.n;
    return t;
}

chord_token chord_lex(chord_lexer *l)
{
    if (l->state == IN_TEXT) return lex_text(l);
    bool const is_value = l->state == IN_VALUE;
    const char *s = skip_space(l, l->s);
    advance(l, s);
    if (s == l->end) return l->fault ? bad(l, l->fault) : bad(l, "a tag has no end");
    if (!l->depth) {
        bool const is_marked = *s == '-' || (*s == '+' && !is_value);
        if (at(l, s + is_marked, is_value ? '}' : '%', '}')) {
            chord_token const t = { is_value ? TOKEN_CLOSE_VALUE : TOKEN_CLOSE, s, 2, l->line };
            l->state = IN_TEXT;
            close_tag(l, s + is_marked, is_marked ? *s : 0, !is_value);
            return t;
        }
    }
    if (*s >= '0' && *s <= '9') return lex_number(l);
    if (*s == '"' || *s == '\'') return lex_string(l);
    if (!is_name(*s)) return lex_operator(l);
    while (s < l->end && is_name(*s)) s++;
    chord_token const t = { TOKEN_NAME, l->s, (uint32_t)(s - l->s), l->line };
    l->s = s;
    return t;
}
