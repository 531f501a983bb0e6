/* json.c: the reader of JSON. Strings without escapes point into the text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/host.h"
#include "value.h"

typedef struct reader {
    vm *r;
    const char *s, *end;
} reader;

static void skip_blanks(reader *j)
{
    while (j->s < j->end && (*j->s == ' ' || *j->s == '\n' || *j->s == '\t' || *j->s == '\r')) j->s++;
}

static bool take(reader *j, char c)
{
    skip_blanks(j);
    if (j->s == j->end || *j->s != c) return false;
    j->s++;
    return true;
}

static bool hex4(reader *j, uint32_t *code)
{
    *code = 0;
    if (j->end - j->s < 4) return false;
    for (int i = 0; i < 4; i++) {
        uint32_t const c = (uint8_t)*j->s++, letter = (c | 32) - 'a';
        if (c - '0' > 9 && letter > 5) return false;
        *code = *code << 4 | (c - '0' <= 9 ? c - '0' : letter + 10);
    }
    return true;
}

static bool read_escape(reader *j)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t code, low;
    char const c = j->s < j->end ? *j->s++ : 0;
    for (int i = 0; from[i]; i++)
        if (c == from[i]) {
            chord_text_put1(j->r, to[i]);
            return true;
        }
    if (c != 'u' || !hex4(j, &code)) return false;
    if (code >> 10 == 0x36 && j->end - j->s >= 6 && j->s[0] == '\\' && j->s[1] == 'u') {
        reader ahead = { j->r, j->s + 2, j->end };
        if (hex4(&ahead, &low) && low >> 10 == 0x37) {
            code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
            j->s = ahead.s;
        }
    }
    chord_char_put(j->r, code);
    return true;
}

/* The first quote has been read. */
static bool read_string(reader *j, val *v)
{
    const char *const begin = j->s;
    while (j->s < j->end && *j->s != '"' && *j->s != '\\' && (uint8_t)*j->s >= 32) j->s++;
    if (j->s < j->end && *j->s == '"') {
        *v = of_string(j->r, begin, (size_t)(j->s++ - begin));
        return true;
    }
    uint32_t const mark = j->r->out.n;
    chord_text_put(j->r, begin, (size_t)(j->s - begin));
    while (j->s < j->end && *j->s != '"') {
        const char *const run = j->s;
        while (j->s < j->end && *j->s != '"' && *j->s != '\\' && (uint8_t)*j->s >= 32) j->s++;
        chord_text_put(j->r, run, (size_t)(j->s - run));
        if (j->s == j->end || *j->s == '"') break;
        if (*j->s++ != '\\' || !read_escape(j)) return false;
    }
    *v = chord_text_take(j->r, mark);
    return j->s++ < j->end;
}

/* A schema may have bounds of 64 bits. */
static val large_number(vm *r, const char *s, size_t n)
{
    of_string(r, s, n); /* values are taken from the arena's end downward */
    chord_value *const v = chord_value_new(r, FLOAT);
    v->f = chord_host_parse(s, n);
    v->n = r->status == CHORD_OK;
    return v;
}

static bool read_scalar(reader *j, val *v)
{
    static const struct {
        const char *word;
        val v;
    } words[] = { { "true", &chord_true }, { "false", &chord_false }, { "null", &chord_none } };
    skip_blanks(j);
    if (j->s < j->end && *j->s == '"') {
        j->s++;
        return read_string(j, v);
    }
    for (int i = 0; i < 3; i++) {
        size_t const n = chord_strlen(words[i].word);
        if ((size_t)(j->end - j->s) >= n && chord_equal(j->s, words[i].word, n)) {
            j->s += n;
            *v = words[i].v;
            return true;
        }
    }
    if (j->s == j->end || *j->s == '+') return false;
    chord_value number;
    size_t const n = chord_number_scan(j->s, (size_t)(j->end - j->s), &number);
    j->s += n;
    if (n) *v = number.kind == FLOAT ? of_float(j->r, number.f) : of_int(j->r, number.i);
    if (n && number.kind == MISSING) *v = large_number(j->r, j->s - n, n);
    return n != 0;
}

typedef struct open {
    uint32_t mark; /* of its elements */
    bool is_dict;
    val key;
} open;

static bool read_key(reader *j, open *o)
{
    return !o->is_dict || (take(j, '"') && read_string(j, &o->key) && take(j, ':'));
}

static void put(vm *r, open *o, val v)
{
    if (o->is_dict) chord_dict_put(r, o->mark, o->key, v);
    else chord_list_put(r, v);
}

static bool read_value(reader *j, val *v)
{
    open stack[CHORD_TEMPLATE_DEPTH];
    int n = 0;
    for (;;) {
        bool const is_dict = take(j, '{');
        bool is_done;
        if (is_dict || take(j, '[')) {
            if (n == CHORD_TEMPLATE_DEPTH) {
                fail(j->r, "the variables are nested too deep");
                return false;
            }
            stack[n] = (open){ .is_dict = is_dict, .mark = j->r->made.n };
            is_done = take(j, is_dict ? '}' : ']');
            if (!is_done) {
                if (!read_key(j, &stack[n++])) return false;
                continue;
            }
            *v = chord_list_take(j->r, stack[n].mark, is_dict ? DICT : LIST);
        } else if (!read_scalar(j, v)) {
            return false;
        }
        /* *v is complete: put it where it belongs, and close what it completes. */
        for (;;) {
            if (j->r->status != CHORD_OK) return false;
            if (!n) return true;
            open *const o = &stack[n - 1];
            put(j->r, o, *v);
            if (take(j, ',')) {
                if (!read_key(j, o)) return false;
                break;
            }
            if (!take(j, o->is_dict ? '}' : ']')) return false;
            *v = chord_list_take(j->r, o->mark, o->is_dict ? DICT : LIST);
            n--;
        }
    }
}

val chord_json_read(vm *r, const char *s, size_t n)
{
    reader j = { r, s, s + n };
    val v = NOTHING;
    if (read_value(&j, &v)) {
        skip_blanks(&j);
        if (j.s == j.end) return v;
    }
    fail(r, "the variables aren't valid JSON");
    return NOTHING;
}
