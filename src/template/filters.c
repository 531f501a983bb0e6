/* filters.c: filters over lists and mappings, and tests. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/host.h"
#include "functions.h"

/* x.a.b.0: each part is looked up as an item. */
val chord_value_path(vm *r, val v, val path)
{
    if (path->kind != STRING) return is_given(path) ? chord_value_item(r, v, path) : v;
    for (uint32_t at = 0, end; at <= path->n && r->status == CHORD_OK; at = end + 1) {
        for (end = at; end < path->n && path->s[end] != '.';) end++;
        val const part = of_string(r, path->s + at, end - at);
        chord_value number;
        bool const is_index = part->n && part->s[0] >= '0' && part->s[0] <= '9' &&
                              chord_number_scan(part->s, part->n, &number) == part->n;
        v = chord_value_item(r, v, is_index ? of_int(r, number.i) : part);
    }
    return v;
}

static val key_of(vm *r, val v, val path, val is_exact)
{
    val const key = chord_value_path(r, v, path);
    return key->kind == STRING && !chord_value_truth(is_exact) ? chord_string_case(r, key, false) : key;
}

/* Sorts by keys, of which there are `stride` values from one to the next; keeps equal elements in order. */
static val sorted(vm *r, val list, val path, val is_exact, bool is_reverse)
{
    uint32_t const n = list->n;
    val *const v = chord_vm_take(r, n, sizeof(val)), *const keys = chord_vm_take(r, n, sizeof(val));
    for (uint32_t i = 0; v && keys && i < n && r->status == CHORD_OK; i++) {
        val const key = key_of(r, list->v[i], path, is_exact);
        uint32_t k = i;
        for (; k && chord_vm_spend(r, 1); k--) {
            int const order = chord_value_compare(r, keys[k - 1], key);
            if (is_reverse ? order >= 0 : order <= 0) break;
            keys[k] = keys[k - 1];
            v[k] = v[k - 1];
        }
        keys[k] = key;
        v[k] = list->v[i];
    }
    return chord_list_new(r, LIST, v, n, list->depth);
}

val chord_f_sort(vm *r, const val *a)
{
    val const list = chord_value_list(r, a[0]);
    return sorted(r, list, a[3], a[2], chord_value_truth(a[1]));
}

val chord_f_dictsort(vm *r, const val *a)
{
    if (a[0]->kind != DICT) return chord_vm_refuse(r, "only a mapping has sorted pairs, not", a[0]);
    val items = a[0];
    val const box = chord_value_of(r, ITEMS, items);
    if (r->status != CHORD_OK) return box;
    items = chord_value_list(r, box);
    return sorted(r, items, of_int(r, chord_value_is(a[2], "value")), a[1], chord_value_truth(a[3]));
}

val chord_f_extreme(vm *r, const val *a)
{
    int const wanted = r->how;
    val const list = chord_value_list(r, a[0]);
    val best = &chord_undefined, best_key = NOTHING;
    for (uint32_t i = 0; i < list->n && chord_vm_spend(r, 1); i++) {
        val const key = key_of(r, list->v[i], a[2], a[1]);
        if (i && chord_value_compare(r, key, best_key) != wanted) continue;
        best = list->v[i];
        best_key = key;
    }
    return best;
}

val chord_f_sum(vm *r, const val *a)
{
    val const list = chord_value_list(r, a[0]);
    val sum = a[2]->kind == MISSING ? of_int(r, 0) : a[2];
    for (uint32_t i = 0; i < list->n && chord_vm_spend(r, 1); i++)
        sum = chord_operate(r, '+', sum, chord_value_path(r, list->v[i], a[1]));
    return sum;
}

val chord_f_unique(vm *r, const val *a)
{
    val const list = chord_value_list(r, a[0]);
    val *const keys = chord_vm_take(r, list->n, sizeof(val));
    uint32_t const first = r->made.n;
    for (uint32_t i = 0; i < list->n && r->status == CHORD_OK; i++) {
        val const key = key_of(r, list->v[i], a[2], a[1]);
        uint32_t k = 0, n_keys = r->made.n - first;
        if (key->kind == LIST || key->kind == DICT) return chord_vm_refuse(r, "unique doesn't take", key);
        while (k < n_keys && !chord_value_equal(r, keys[k], key)) k++;
        if (k < n_keys) continue;
        keys[k] = key;
        chord_list_put(r, list->v[i]);
    }
    return chord_list_take(r, first, GENERATOR);
}

val chord_f_groupby(vm *r, const val *a)
{
    val const list = sorted(r, chord_value_list(r, a[0]), a[1], a[3], false);
    uint32_t const first = r->made.n;
    for (uint32_t i = 0; i < list->n && r->status == CHORD_OK;) {
        val const key = key_of(r, list->v[i], a[1], a[3]), plain = chord_value_path(r, list->v[i], a[1]);
        uint32_t const inner = r->made.n;
        for (; i < list->n && chord_value_equal(r, key, key_of(r, list->v[i], a[1], a[3])); i++)
            chord_list_put(r, list->v[i]);
        val const name = plain->kind == UNDEFINED && a[2]->kind != MISSING ? a[2] : plain;
        chord_list_put(r, chord_pair_new(r, name, chord_list_take(r, inner, LIST)));
    }
    return chord_list_take(r, first, LIST);
}

val chord_f_batch(vm *r, const val *a)
{
    val const list = chord_value_list(r, a[0]);
    if (!is_whole(a[1]) || a[1]->i < 1) return fail(r, "a batch needs a size");
    uint32_t const first = r->made.n;
    uint32_t inner = first;
    for (uint32_t i = 0; i < list->n && r->status == CHORD_OK; i++) {
        chord_list_put(r, list->v[i]);
        if (i + 1 < list->n && r->made.n - inner < a[1]->i) continue;
        while (is_given(a[2]) && r->made.n - inner < a[1]->i && r->status == CHORD_OK)
            chord_list_put(r, a[2]);
        chord_list_put(r, chord_list_take(r, inner, LIST));
        inner = r->made.n;
    }
    return chord_list_take(r, first, GENERATOR);
}

val chord_f_first(vm *r, const val *a)
{
    val const list = chord_value_list(r, a[0]);
    return list->n ? list->v[0] : &chord_undefined;
}
val chord_f_last(vm *r, const val *a)
{
    if (a[0]->kind == GENERATOR) return fail(r, "a filter's result has no last element; make a list of it");
    val const list = chord_value_list(r, a[0]);
    return list->n ? list->v[list->n - 1] : &chord_undefined;
}

val chord_f_length(vm *r, const val *a)
{
    int64_t const length = chord_value_length(a[0]);
    chord_vm_spend(r, a[0]->kind == STRING ? a[0]->n / 16 : 0);
    return length < 0 ? chord_vm_refuse(r, "no length of", a[0]) : of_int(r, length);
}

val chord_f_list(vm *r, const val *a) { return chord_value_list(r, a[0]); }

val chord_f_reverse(vm *r, const val *a)
{
    uint32_t const first = r->made.n;
    val const list = chord_value_list(r, a[0]);
    for (uint32_t i = list->n; i-- && r->status == CHORD_OK;) chord_list_put(r, list->v[i]);
    if (a[0]->kind != STRING) return chord_list_take(r, first, GENERATOR);
    return chord_list_join(r, first);
}

val chord_f_items(vm *r, const val *a)
{
    if (a[0]->kind == UNDEFINED) return chord_list_take(r, r->made.n, GENERATOR);
    if (a[0]->kind != DICT) return chord_vm_refuse(r, "only a mapping has items, not", a[0]);
    val const list = chord_value_list(r, chord_value_of(r, ITEMS, a[0]));
    return chord_value_of(r, GENERATOR, list);
}

/* ---- filters that call others ----------------------------------------------------------------------- */

static val named(vm *r, const char *name)
{
    for (uint32_t i = 0; i < r->n_kw; i++)
        if (chord_value_is(r->kw[2 * i], name)) return r->kw[2 * i + 1];
    return NOTHING;
}

/* Applies the filter or test a[0] to the subject, with arguments a[1 .. n - 1]. */
static val apply(vm *r, uint32_t kind, val subject, const val *a, int n)
{
    val args[8];
    if (!chord_string_check(r, a[0])) return NOTHING;
    int32_t const id = chord_names_find(a[0]->s, a[0]->n, kind);
    if (!id)
        return chord_vm_fail(r, kind == IS_TEST ? "there is no test" : "there is no filter", a[0]->s,
                             a[0]->n);
    if (n > 8 || r->n_inside == 4) return fail(r, "filters are nested too deep");
    args[0] = subject;
    for (int i = 1; i < n; i++) args[i] = a[i];
    const val *const kw = r->kw;
    uint32_t const n_kw = r->n_kw;
    r->n_inside++;
    val const v = chord_names_call(r, id, args, n);
    r->n_inside--;
    r->kw = kw;
    r->n_kw = n_kw;
    return v;
}

/* Jinja2 takes any false value for an empty list here. */
static val elements(vm *r, val v)
{
    return chord_value_truth(v) ? chord_value_list(r, v) : chord_list_take(r, r->made.n, LIST);
}

val chord_f_map(vm *r, const val *a)
{
    int const n = r->n;
    uint32_t const first = r->made.n;
    val const list = elements(r, a[0]), path = named(r, "attribute"), fallback = named(r, "default");
    if (n < 2 && path->kind == MISSING) return fail(r, "map needs a filter or an attribute");
    for (uint32_t i = 0; i < list->n && r->status == CHORD_OK; i++) {
        val v = n > 1 ? apply(r, IS_FILTER, list->v[i], a + 1, n - 1) : chord_value_path(r, list->v[i], path);
        if (n < 2 && v->kind == UNDEFINED && is_given(fallback)) v = fallback;
        chord_list_put(r, v);
    }
    return chord_list_take(r, first, GENERATOR);
}

val chord_f_select(vm *r, const val *a)
{
    int const n = r->n, at = r->how & ATTRIBUTE ? 2 : 1;
    bool const wanted = r->how & WANTED;
    uint32_t const first = r->made.n;
    val const list = elements(r, a[0]);
    if (n < at) return fail(r, "an attribute is missing");
    for (uint32_t i = 0; i < list->n && r->status == CHORD_OK; i++) {
        val const v = at > 1 ? chord_value_path(r, list->v[i], a[1]) : list->v[i];
        val const holds = n > at ? apply(r, IS_TEST, v, a + at, n - at) : v;
        if (chord_value_truth(holds) == wanted) chord_list_put(r, list->v[i]);
    }
    return chord_list_take(r, first, GENERATOR);
}

/* ---- filters over any value ------------------------------------------------------------------------- */

val chord_f_attr(vm *r, const val *a)
{
    if (!chord_string_check(r, a[1])) return NOTHING;
    val const v = chord_value_attribute(r, a[0], a[1]);
    /* Only attributes, no keys. */
    return a[0]->kind == DICT && v->kind != METHOD ? &chord_undefined : v;
}

val chord_f_default(vm *r, const val *a)
{
    (void)r;
    bool const is_used = a[0]->kind == UNDEFINED || (chord_value_truth(a[2]) && !chord_value_truth(a[0]));
    return !is_used ? a[0] : a[1]->kind == MISSING ? of_string(r, "", 0) : a[1];
}

val chord_f_tojson(vm *r, const val *a)
{
    chord_writing how = {
        .is_json = true, .ascii = chord_value_truth(a[1]), .indent = NULL, .sort = chord_value_truth(a[4])
    };
    how.item = of_string(r, ", ", 2);
    how.colon = of_string(r, ": ", 2);
    if (is_given(a[2])) how.item = of_string(r, ",", 1);
    if (a[2]->kind == STRING) how.indent = a[2];
    else if (is_whole(a[2])) how.indent = chord_operate(r, '*', of_string(r, " ", 1), a[2]);
    else if (is_given(a[2])) return chord_vm_refuse(r, "an indentation can't be", a[2]);
    if (is_given(a[3])) {
        val const both = chord_value_list(r, a[3]);
        if (both->n != 2 || both->v[0]->kind != STRING || both->v[1]->kind != STRING)
            return fail(r, "separators are two strings");
        how.item = both->v[0];
        how.colon = both->v[1];
    }
    uint32_t const mark = r->out.n;
    chord_write(r, a[0], &how);
    return chord_text_take(r, mark);
}

/* The number that a string is, blanks aside; MISSING if it isn't one. The value itself if it's no string. */
static val number_of(vm *r, val v)
{
    chord_value number;
    if (v->kind == UNDEFINED) return chord_vm_refuse(r, "", v);
    if (v->kind != STRING) return v;
    val const s = chord_string_strip(r, v, &chord_none, true, true);
    if (!s->n || chord_number_scan(s->s, s->n, &number) != s->n) return NOTHING;
    if (number.kind == MISSING) return of_float(r, chord_host_parse(s->s, s->n)); /* beyond 64 bits */
    return number.kind == INT ? of_int(r, number.i) : of_float(r, number.f);
}

val chord_f_int(vm *r, const val *a)
{
    val const v = number_of(r, a[0]), fallback = a[1]->kind == MISSING ? of_int(r, 0) : a[1];
    if (v->kind == FLOAT && v->f - v->f == 0) {
        if (!(v->f > -9.2e18 && v->f < 9.2e18)) return fail(r, "a whole number doesn't fit 64 bits");
        return of_int(r, (int64_t)v->f);
    }
    return is_whole(v) ? of_int(r, v->i) : fallback;
}

val chord_f_float(vm *r, const val *a)
{
    val v = number_of(r, a[0]);
    if (v->kind == INT && a[0]->kind == STRING && v->i == 0) { /* "-0" keeps its sign */
        val const s = chord_string_strip(r, a[0], &chord_none, true, true);
        v = of_float(r, chord_host_parse(s->s, s->n));
    }
    return is_number(v) ? of_float(r, as_float(v)) : a[1]->kind == MISSING ? of_float(r, 0) : a[1];
}

val chord_f_abs(vm *r, const val *a)
{
    if (a[0]->kind == FLOAT && !a[0]->n) return of_float(r, __builtin_fabs(a[0]->f));
    return is_whole(a[0]) && a[0]->i >= 0 ? of_int(r, a[0]->i) : chord_operate(r, '-', of_int(r, 0), a[0]);
}

val chord_f_round(vm *r, const val *a)
{
    int64_t const digits = a[1]->kind == MISSING ? 0 : a[1]->i;
    bool const is_up = chord_value_is(a[2], "ceil"), is_down = chord_value_is(a[2], "floor");
    if (!is_number(a[0])) return chord_vm_refuse(r, "no number to round:", a[0]);
    if ((a[1]->kind != MISSING && !is_whole(a[1])) || digits > 30 || digits < -18)
        return fail(r, "round takes -18 to 30 digits");
    if (is_given(a[2]) && !is_up && !is_down && !chord_value_is(a[2], "common"))
        return fail(r, "round's method must be common, ceil or floor");
    if (is_whole(a[0]) && digits >= 0 && !is_up && !is_down) return of_int(r, a[0]->i);
    double unit = 1;
    for (int64_t i = digits < 0 ? -digits : digits; i; i--) unit *= 10;
    double const f = as_float(a[0]);
    if (!(__builtin_fabs(f) < 9e15)) return a[0];
    if (is_up || is_down || digits < 0) {
        double const x = digits < 0 ? f / unit : f * unit;
        if (!(__builtin_fabs(x) < 9e15)) return a[0];
        int64_t whole = chord_number_floor(x);
        if (is_up) whole += (double)whole < x;
        else if (!is_down) { /* to even */ double const rest = x - (double)whole;
            whole += rest > 0.5 || (rest == 0.5 && (whole & 1));
        }
        if (is_whole(a[0]) && digits < 0 && !is_up && !is_down) return of_int(r, whole * (int64_t)unit);
        return of_float(r, digits < 0 ? (double)whole * unit : (double)whole / unit);
    }
    uint32_t const mark = r->out.n;
    chord_number_put_fixed(r, f, (uint32_t)digits);
    val const text = chord_text_take(r, mark);
    return text->n ? of_float(r, chord_host_parse(text->s, text->n)) : NOTHING;
}

/* ---- tests ------------------------------------------------------------------------------------------ */

val chord_t_kind(vm *r, const val *a) { return of_bool(r->how >> (is_large(a[0]) ? INT : a[0]->kind) & 1); }

val chord_t_bool(vm *r, const val *a) { return of_bool(a[0]->kind == BOOL && a[0]->i == r->how); }
val chord_t_compare(vm *r, const val *a) { return chord_operate(r, r->how, a[0], a[1]); }

/* odd, even, divisibleby: the rest of a division by the argument or 2 */
val chord_t_rest(vm *r, const val *a)
{
    val const by = a[1]->kind == MISSING ? of_int(r, 2) : a[1];
    return of_bool(chord_value_equal(r, chord_operate(r, '%', a[0], by), of_int(r, r->how)));
}

val chord_t_sameas(vm *r, const val *a)
{
    bool const is = a[0]->kind == a[1]->kind &&
                    (a[0]->kind >= LIST ? a[0]->v == a[1]->v : chord_value_equal(r, a[0], a[1]));
    return of_bool(is);
}

/* Is there a filter or test of this name? */
val chord_t_named(vm *r, const val *a)
{
    return of_bool(chord_string_check(r, a[0]) && chord_names_find(a[0]->s, a[0]->n, (uint32_t)r->how));
}
