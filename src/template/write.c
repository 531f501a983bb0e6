/* write.c: the text of a value, as Python's str, repr and json.dumps write it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

static void put_text(vm *r, const char *s) { chord_text_put(r, s, chord_strlen(s)); }

static void put_hex(vm *r, const char *lead, uint32_t code, int digits)
{
    put_text(r, lead);
    while (digits--) chord_text_put1(r, "0123456789abcdef"[code >> 4 * digits & 15]);
}

/* Characters that Python's repr doesn't print as they are. */
static bool is_hidden(uint32_t c)
{
    return c < 32 || (c >= 127 && c <= 0xa0) || c == 0xad || (c != ' ' && chord_char_is_space(c)) ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           (c >= 0xe000 && c <= 0xf8ff) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) || c >= 0xe0000;
}

static void put_quoted(vm *r, val v, const chord_writing *how)
{
    bool has_single = false, has_double = false;
    for (uint32_t i = 0; i < v->n && !how->is_json; i++) {
        has_single |= v->s[i] == '\'';
        has_double |= v->s[i] == '"';
    }
    char const quote = how->is_json || (has_single && !has_double) ? '"' : '\'';
    static const char from[] = "\n\r\t\b\f", to[] = "nrtbf";
    chord_text_put1(r, quote);
    for (uint32_t i = 0, n; i < v->n && r->status == CHORD_OK; i += n) {
        uint32_t c;
        int k = 0;
        /* A run of plain letters at once. */
        for (n = 0; i + n < v->n && (uint8_t)(v->s[i + n] - 32) < 95 && v->s[i + n] != '"' &&
                    v->s[i + n] != '\'' && v->s[i + n] != '\\';)
            n++;
        if (n) {
            chord_text_put(r, v->s + i, n);
            continue;
        }
        c = chord_char_at(v->s + i, v->s + v->n);
        n = char_bytes(c);
        c = char_code(c);
        while (from[k] && (uint32_t)from[k] != c) k++;
        if (c == (uint32_t)quote || c == '\\' || (from[k] && (how->is_json || k < 3))) {
            chord_text_put1(r, '\\');
            chord_text_put1(r, from[k] ? to[k] : (char)c);
        } else if (how->is_json && c > 0xffff && how->ascii) {
            put_hex(r, "\\u", 0xd800 + ((c - 0x10000) >> 10), 4);
            put_hex(r, "\\u", 0xdc00 + (c & 0x3ff), 4);
        } else if (how->is_json ? c < 32 || (c > 126 && how->ascii) : is_hidden(c)) {
            if (c < 256 && !how->is_json) put_hex(r, "\\x", c, 2);
            else if (c < 0x10000) put_hex(r, "\\u", c, 4);
            else put_hex(r, "\\U", c, 8);
        } else {
            chord_char_put(r, c);
        }
    }
    chord_text_put1(r, quote);
}

static void put_scalar(vm *r, val v, const chord_writing *how)
{
    bool const json = how->is_json;
    switch (v->kind) {
    case STRING: put_quoted(r, v, how); return;
    case NONE: put_text(r, json ? "null" : "None"); return;
    case BOOL: put_text(r, v->i ? json ? "true" : "True" : json ? "false" : "False"); return;
    case INT: chord_number_put(r, v); return;
    case FLOAT:
        if (json && !v->n && (v->f != v->f || __builtin_isinf(v->f)))
            put_text(r, v->f != v->f ? "NaN" : v->f < 0 ? "-Infinity" : "Infinity");
        else chord_number_put(r, v);
        return;
    default: break;
    }
    if (json) {
        chord_vm_refuse(r, "JSON has no form for", v);
        return;
    }
    switch (v->kind) {
    case UNDEFINED: put_text(r, "Undefined"); return;
    case RANGE:
        put_text(r, "range(");
        chord_number_put(r, of_int(r, v->range[0]));
        put_text(r, ", ");
        chord_number_put(r, of_int(r, v->range[0] + v->range[1] * v->range[2]));
        if (v->range[1] != 1) {
            put_text(r, ", ");
            chord_number_put(r, of_int(r, v->range[1]));
        }
        put_text(r, ")");
        return;
    case MACRO:
        put_text(r, "<Macro ");
        put_quoted(r, &r->program->macros[v->n].name, how);
        put_text(r, ">");
        return;
    default: chord_vm_refuse(r, "no text for", v);
    }
}

typedef struct writer {
    val v;
    const char *close; /* a list, its dict's pairs; what is written behind it */
    uint32_t i;
    bool is_dict;
} writer;

static void put_line(vm *r, const chord_writing *how, int level)
{
    if (!how->indent) return;
    put_text(r, "\n");
    for (int i = 0; i < level; i++) chord_text_put(r, how->indent->s, how->indent->n);
}

static const struct {
    const char *open, *close;
} marks[] = { [LIST] = { "[", "]" },
              [TUPLE] = { "(", ")" },
              [DICT] = { "{", "}" },
              [KEYS] = { "dict_keys([", "])" },
              [VALUES] = { "dict_values([", "])" },
              [ITEMS] = { "dict_items([", "])" } };

static val sorted_pairs(vm *r, val d)
{
    val *const at = chord_vm_take(r, 2 * (size_t)d->n, sizeof(val));
    if (!at || !chord_vm_spend(r, d->n < 65536 ? (size_t)d->n * d->n / 4 : UINT32_MAX)) return NOTHING;
    for (uint32_t i = 0; i < d->n; i++) {
        uint32_t k = i;
        for (; k && chord_value_compare(r, at[2 * k - 2], d->v[2 * i]) > 0; k--) {
            at[2 * k] = at[2 * k - 2];
            at[2 * k + 1] = at[2 * k - 1];
        }
        at[2 * k] = d->v[2 * i];
        at[2 * k + 1] = d->v[2 * i + 1];
    }
    chord_value *const sorted = chord_value_new(r, DICT);
    sorted->depth = d->depth;
    sorted->n = d->n;
    sorted->v = at;
    return sorted;
}

static void put_key(vm *r, val key, const chord_writing *how)
{
    bool const is_bare = how->is_json && key->kind != STRING;
    if (is_bare) put_text(r, "\"");
    put_scalar(r, key, how);
    if (is_bare) put_text(r, "\"");
    chord_text_put(r, how->colon->s, how->colon->n);
}

/* Opens a container; false for another value, which is written. */
static bool open_container(vm *r, val v, const chord_writing *how, writer *w)
{
    bool const is_view = v->kind >= KEYS && v->kind <= ITEMS;
    if ((v->kind != LIST && v->kind != TUPLE && v->kind != DICT && !is_view) || (is_view && how->is_json)) {
        put_scalar(r, v, how);
        return false;
    }
    int const kind = how->is_json && v->kind == TUPLE ? LIST : v->kind;
    put_text(r, marks[kind].open);
    *w = (writer){ .v = v, .is_dict = v->kind == DICT };
    w->close = marks[kind].close;
    if (is_view) w->v = chord_value_list(r, v);
    if (w->is_dict && how->sort) w->v = sorted_pairs(r, v);
    return true;
}

void chord_write(vm *r, val v, const chord_writing *how)
{
    writer stack[CHORD_TEMPLATE_DEPTH + 2];
    int n = open_container(r, v, how, &stack[0]);
    while (n && chord_vm_spend(r, 1)) {
        writer *const w = &stack[n - 1];
        if (w->i == w->v->n) {
            if (w->v->n) put_line(r, how, n - 1);
            if (w->v->kind == TUPLE && w->v->n == 1 && !how->is_json) put_text(r, ",");
            put_text(r, w->close);
            n--;
            continue;
        }
        if (w->i) chord_text_put(r, how->item->s, how->item->n);
        put_line(r, how, n);
        if (w->is_dict) put_key(r, w->v->v[2 * w->i], how);
        val const element = w->v->v[w->is_dict ? 2 * w->i + 1 : w->i];
        w->i++;
        if (n == CHORD_TEMPLATE_DEPTH + 2) {
            fail(r, "values are nested too deep");
            return;
        }
        n += open_container(r, element, how, &stack[n]);
    }
}

static const chord_value comma = { .kind = STRING, .n = 2, .s = ", " },
                         colon = { .kind = STRING, .n = 2, .s = ": " };
const chord_writing chord_python = { .item = &comma, .colon = &colon };

void chord_write_text(vm *r, val v)
{
    if (v->kind == STRING) chord_text_put(r, v->s, v->n);
    else if (v->kind != UNDEFINED && v->kind != MISSING) chord_write(r, v, &chord_python);
}

val chord_write_string(vm *r, val v)
{
    uint32_t const mark = r->out.n;
    if (v->kind == STRING) return v;
    chord_write_text(r, v);
    return chord_text_take(r, mark);
}
