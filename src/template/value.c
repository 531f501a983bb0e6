/* value.c: truth, order, elements and attributes of values, as in Python. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

bool chord_value_is(val v, const char *word)
{
    return v->kind == STRING && chord_strlen(word) == v->n && chord_equal(v->s, word, v->n);
}

int64_t chord_value_length(val v)
{
    switch (v->kind) {
    case UNDEFINED: return 0;
    case STRING: return chord_string_length(v);
    case LIST:
    case TUPLE:
    case DICT: return v->n;
    case KEYS:
    case VALUES:
    case ITEMS: return v->of->n;
    case RANGE: return v->range[2];
    case LOOP: return v->loop->n;
    default: return -1;
    }
}

bool chord_value_truth(val v)
{
    switch (v->kind) {
    case MISSING:
    case UNDEFINED:
    case NONE: return false;
    case BOOL:
    case INT: return v->i != 0;
    case FLOAT: return v->f != 0;
    case STRING: return v->n != 0;
    default: return chord_value_length(v) != 0;
    }
}

/* ---- equality and order ----------------------------------------------------------------------------- */

static bool same_scalar(val a, val b)
{
    if (is_number(a) && is_number(b))
        return a->kind == FLOAT || b->kind == FLOAT ? as_float(a) == as_float(b) : a->i == b->i;
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case MISSING:
    case UNDEFINED:
    case NONE: return true;
    case STRING: return a->n == b->n && chord_equal(a->s, b->s, a->n);
    case FUNCTION: return a->i == b->i;
    default: return a->v == b->v && a->n == b->n;
    }
}

val chord_dict_get(vm *r, val d, val key)
{
    if (key->kind == LIST || key->kind == DICT) return fail(r, "a list or a mapping can't be a key");
    if (!chord_vm_spend(r, d->n / 8)) return NOTHING;
    for (uint32_t i = 0; i < d->n; i++)
        if (same_scalar(d->v[2 * i], key)) return d->v[2 * i + 1];
    return NOTHING;
}

/* A comparison of containers waits here while an element of both is compared. */
typedef struct pair {
    val a, b;
    uint32_t i;
} pair;

/* Compares the next elements: *a and *b become them. Returns whether there is one in both. */
static bool next_pair(vm *r, pair *p, val *a, val *b)
{
    if (p->i == p->a->n) return false;
    if (p->a->kind == DICT) {
        *a = p->a->v[2 * p->i + 1];
        *b = chord_dict_get(r, p->b, p->a->v[2 * p->i]);
    } else {
        *a = p->a->v[p->i];
        *b = p->b->v[p->i];
    }
    p->i++;
    return true;
}

bool chord_value_equal(vm *r, val a, val b)
{
    pair stack[CHORD_TEMPLATE_DEPTH + 1];
    int n = 0;
    for (;;) {
        bool const is_list = a->kind == b->kind && (a->kind == LIST || a->kind == TUPLE || a->kind == DICT);
        if (!chord_vm_spend(r, 1 + (a->kind == STRING ? a->n / 64 : 0))) return false;
        if (is_list ? a->n != b->n || n > CHORD_TEMPLATE_DEPTH : !same_scalar(a, b)) {
            if (a->kind != RANGE || b->kind != RANGE) return false;
            for (int i = 0; i < 3; i++)
                if (a->range[i] != b->range[i]) return false;
        }
        if (is_list) stack[n++] = (pair){ a, b, 0 };
        while (n && !next_pair(r, &stack[n - 1], &a, &b)) n--;
        if (!n) return r->status == CHORD_OK;
    }
}

int chord_value_compare(vm *r, val a, val b)
{
    /* Lists are ordered by their first elements that differ. */
    while ((a->kind == LIST || a->kind == TUPLE) && a->kind == b->kind) {
        uint32_t i = 0;
        while (i < a->n && i < b->n && chord_value_equal(r, a->v[i], b->v[i])) i++;
        if (i == a->n || i == b->n) return a->n < b->n ? -1 : a->n > b->n;
        val const left = a->v[i];
        b = b->v[i];
        a = left;
    }
    if (is_whole(a) && is_whole(b)) return a->i < b->i ? -1 : a->i > b->i;
    if (is_number(a) && is_number(b)) {
        double const x = as_float(a), y = as_float(b);
        return x < y ? -1 : x == y ? 0 : x > y ? 1 : 2; /* 2: NaN */
    }
    if (a->kind != STRING || b->kind != STRING) {
        chord_vm_refuse(r, "no order between values:", a->kind == UNDEFINED || b->kind != UNDEFINED ? a : b);
        return 0;
    }
    chord_vm_spend(r, (a->n < b->n ? a->n : b->n) / 16);
    for (uint32_t i = 0; i < a->n && i < b->n; i++)
        if (a->s[i] != b->s[i]) return (uint8_t)a->s[i] < (uint8_t)b->s[i] ? -1 : 1;
    return a->n < b->n ? -1 : a->n > b->n;
}

bool chord_value_in(vm *r, val x, val in)
{
    if (in->kind == STRING) {
        if (x->kind != STRING) {
            chord_vm_refuse(r, "only a string can be in a string, not", x);
            return false;
        }
        if (!chord_vm_spend(r, in->n / 16)) return false;
        for (uint32_t i = 0; x->n <= in->n && i <= in->n - x->n; i++) {
            if (x->n && in->s[i] != x->s[0]) continue;
            if (chord_equal(in->s + i, x->s, x->n)) return true;
            if (!chord_vm_spend(r, x->n / 64)) return false;
        }
        return false;
    }
    if (in->kind == DICT) return chord_dict_get(r, in, x)->kind != MISSING;
    val const all = chord_value_list(r, in);
    for (uint32_t i = 0; i < all->n; i++)
        if (chord_value_equal(r, all->v[i], x)) return true;
    return false;
}

/* ---- elements --------------------------------------------------------------------------------------- */

static val range_at(vm *r, val v, int64_t i) { return of_int(r, v->range[0] + i * v->range[1]); }

val chord_pair_new(vm *r, val key, val v)
{
    uint32_t const first = r->made.n;
    chord_list_put(r, key);
    chord_list_put(r, v);
    return chord_list_take(r, first, TUPLE);
}

val chord_range_new(vm *r, int64_t begin, int64_t step, int64_t n)
{
    int64_t *const parts = chord_vm_take(r, 3, sizeof *parts);
    chord_value *const v = chord_value_new(r, parts ? RANGE : NONE);
    if (!parts) return v;
    parts[0] = begin;
    parts[1] = step;
    parts[2] = n;
    v->range = parts;
    return v;
}

/* n elements of the list or tuple, from one on. */
static val part_of(vm *r, val v, int kind, int64_t begin, int64_t n)
{
    return chord_list_new(r, kind, v->v ? v->v + begin : NULL, (uint32_t)n, v->depth);
}

val chord_value_list(vm *r, val v)
{
    uint32_t const first = r->made.n;
    switch (v->kind) {
    case UNDEFINED: break;
    case LIST: return v;
    case TUPLE: return part_of(r, v, LIST, 0, v->n);
    case GENERATOR: {
        bool const is_read = v->n;
        chord_value_edit(v)->n = 1;
        if (!is_read) return v->of;
        break;
    }
    case STRING: {
        for (uint32_t i = 0, n; i < v->n && r->status == CHORD_OK; i += n) {
            n = char_bytes(chord_char_at(v->s + i, v->s + v->n));
            chord_list_put(r, of_string(r, v->s + i, n));
        }
        break;
    }
    case RANGE:
        for (int64_t i = 0; i < v->range[2] && r->status == CHORD_OK; i++)
            chord_list_put(r, range_at(r, v, i));
        break;
    case DICT:
    case KEYS:
    case VALUES:
    case ITEMS: {
        val const d = v->kind == DICT ? v : v->of;
        for (uint32_t i = 0; i < d->n && r->status == CHORD_OK; i++) {
            val const key = d->v[2 * i], of = d->v[2 * i + 1];
            chord_list_put(r, v->kind == VALUES ? of : v->kind == ITEMS ? chord_pair_new(r, key, of) : key);
        }
        break;
    }
    default: return chord_vm_refuse(r, "no elements to go through in", v);
    }
    return chord_list_take(r, first, LIST);
}

/* The dict's value becomes v. */
void chord_dict_put(vm *r, uint32_t mark, val key, val v)
{
    if (key->kind >= LIST) {
        chord_vm_refuse(r, "a key of a mapping can't be", key);
        return;
    }
    if (!chord_vm_spend(r, (r->made.n - mark) / 8)) return;
    for (uint32_t i = mark; i < r->made.n; i += 2)
        if (same_scalar(r->made.v[i], key)) {
            r->made.v[i + 1] = v;
            return;
        }
    chord_list_put(r, key);
    chord_list_put(r, v);
}

static val undefined(vm *r, val name)
{
    chord_value *const v = chord_value_new(r, UNDEFINED);
    if (name->kind == STRING) {
        v->n = name->n;
        v->s = name->s;
    }
    return v;
}

/* A method of v, or MISSING. Methods that change their object are undefined, as the immutable sandbox makes
 * them. */
static val method(vm *r, val v, val name)
{
    static const uint16_t of[] = { [STRING] = OF_STRING, [DICT] = OF_DICT, [LIST] = OF_LIST,
                                   [TUPLE] = OF_TUPLE,   [LOOP] = OF_LOOP, [CYCLER] = OF_CYCLER };
    if (name->id) return NOTHING; /* the parser found no method of this name */
    uint32_t const mask = v->kind < sizeof of / sizeof *of ? of[v->kind] : 0;
    int32_t id = mask ? chord_names_find(name->s, name->n, mask) : 0;
    if (!id) return NOTHING;
    if (!chord_names_is_safe(id)) return undefined(r, name);
    chord_value *const m = chord_value_edit(chord_value_of(r, METHOD, v));
    m->id = (uint16_t)id;
    return m;
}

static val plain_item(vm *r, val v, val key)
{
    int64_t const n = chord_value_length(v);
    if (key->kind >= LIST) return NOTHING; /* what can't be a key is no key */
    if (v->kind == DICT) return chord_dict_get(r, v, key);
    if (v->kind == NAMESPACE) return chord_dict_get(r, v->of, key);
    if (!is_whole(key) || n < 0) return NOTHING;
    int64_t const i = key->i < 0 ? key->i + n : key->i;
    if (i < 0 || i >= n) return NOTHING;
    switch (v->kind) {
    case LIST:
    case TUPLE: return v->v[i];
    case RANGE: return range_at(r, v, i);
    case STRING: {
        chord_vm_spend(r, v->n / 16);
        uint32_t const at = chord_string_offset(v, i);
        return of_string(r, v->s + at, char_bytes(chord_char_at(v->s + at, v->s + v->n)));
    }
    default: return NOTHING;
    }
}

val chord_value_attribute(vm *r, val v, val name)
{
    if (v->kind == UNDEFINED) return chord_vm_refuse(r, "", v);
    val found = NOTHING;
    if (v->kind == LOOP) found = chord_loop_attribute(r, v->loop, name);
    if (v->kind == CYCLER && chord_value_is(name, "current")) return v->of->v[v->n];
    if (v->kind == MACRO && chord_value_is(name, "name")) return &r->program->macros[v->n].name;
    if (found->kind == MISSING) found = method(r, v, name);
    if (found->kind == MISSING) found = plain_item(r, v, name);
    return found->kind == MISSING ? undefined(r, name) : found;
}

val chord_value_item(vm *r, val v, val key)
{
    if (v->kind == UNDEFINED) return chord_vm_refuse(r, "", v);
    val found = plain_item(r, v, key);
    if (found->kind == MISSING && key->kind == STRING && v->kind == LOOP)
        found = chord_loop_attribute(r, v->loop, key);
    if (found->kind == MISSING && key->kind == STRING) found = method(r, v, key);
    return found->kind == MISSING ? undefined(r, key) : found;
}

static bool bound(vm *r, val v, int64_t n, int64_t fallback, bool is_back, int64_t *out)
{
    *out = fallback;
    if (!is_given(v)) return true;
    if (!is_whole(v)) {
        chord_vm_refuse(r, "a slice's bound can't be", v);
        return false;
    }
    int64_t const least = is_back ? -1 : 0, most = is_back ? n - 1 : n;
    int64_t const i = v->i < 0 ? v->i < -n ? least : v->i + n : v->i;
    *out = i < least ? least : i > most ? most : i;
    return true;
}

val chord_value_slice(vm *r, val v, const val *part)
{
    int64_t begin, end, n = chord_value_length(v), step = 1;
    if (v->kind == UNDEFINED) return chord_vm_refuse(r, "", v);
    if (v->kind != STRING && v->kind != LIST && v->kind != TUPLE && v->kind != RANGE)
        return chord_vm_refuse(r, "no slice of", v);
    if (is_given(part[2])) {
        if (!is_whole(part[2])) return chord_vm_refuse(r, "a slice's step can't be", part[2]);
        step = part[2]->i;
    }
    if (!step) return fail(r, "a slice's step can't be 0");
    bool const is_back = step < 0;
    if (!bound(r, part[0], n, is_back ? n - 1 : 0, is_back, &begin) ||
        !bound(r, part[1], n, is_back ? -1 : n, is_back, &end))
        return NOTHING;
    if (step > n) step = n + 1;
    if (step < -n) step = -n - 1;
    int64_t const span = is_back ? begin - end : end - begin;
    int64_t const size = is_back ? -step : step, count = span > 0 ? (span + size - 1) / size : 0;
    if (!chord_vm_spend(r, v->kind == STRING ? v->n / 16 : 0)) return NOTHING;
    if (step == 1 && v->kind == STRING) {
        uint32_t const at = chord_string_offset(v, begin);
        val rest = of_string(r, v->s + at, v->n - at);
        return of_string(r, rest->s, chord_string_offset(rest, count));
    }
    if (step == 1 && v->kind != RANGE) return part_of(r, v, v->kind, begin, count);
    if (v->kind == RANGE) {
        return chord_range_new(r, v->range[0] + begin * v->range[1], v->range[1] * step, count);
    }
    uint32_t const first = r->made.n;
    val const all = chord_value_list(r, v);
    for (int64_t i = 0; i < count && r->status == CHORD_OK; i++) chord_list_put(r, all->v[begin + i * step]);
    if (v->kind != STRING) return chord_list_take(r, first, v->kind);
    return chord_list_join(r, first);
}
