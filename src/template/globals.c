/* globals.c: global functions, and the methods of lists, mappings, loops and cyclers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "functions.h"

static val pack(vm *r, const val *v, int n, int kind)
{
    uint32_t const first = r->made.n;
    for (int i = 0; i < n; i++) chord_list_put(r, v[i]);
    return chord_list_take(r, first, kind);
}

/* The sandbox of Jinja2 allows 100,000 elements. */
val chord_g_range(vm *r, const val *a)
{
    int const n = r->n;
    int64_t begin = 0, step = 1;
    for (int i = 1; i < n; i++)
        if (!is_whole(a[i])) return chord_vm_refuse(r, "range takes whole numbers, not", a[i]);
    if (n < 2 || n > 4 || r->n_kw) return fail(r, "range takes one to three numbers");
    if (n > 2) begin = a[1]->i;
    if (n > 3) step = a[3]->i;
    int64_t const end = n > 2 ? a[2]->i : a[1]->i;
    if (!step) return fail(r, "range's step can't be 0");
    uint64_t const size = step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
    uint64_t const span = step < 0      ? begin > end ? (uint64_t)begin - (uint64_t)end : 0
                          : end > begin ? (uint64_t)end - (uint64_t)begin
                                        : 0;
    uint64_t const count = span / size + (span % size != 0);
    if (count > 100000) return fail(r, "a range has more than 100000 elements");
    return chord_range_new(r, begin, step, (int64_t)count);
}

/* dict(mapping or pairs, name=value ...) */
val chord_g_dict(vm *r, const val *a)
{
    int const n = r->n;
    uint32_t const first = r->made.n;
    if (n > 2) return fail(r, "dict takes one mapping");
    if (n == 2 && a[1]->kind == DICT) {
        for (uint32_t i = 0; i < a[1]->n; i++) chord_dict_put(r, first, a[1]->v[2 * i], a[1]->v[2 * i + 1]);
    } else if (n == 2) {
        val const list = chord_value_list(r, a[1]);
        for (uint32_t i = 0; i < list->n && r->status == CHORD_OK; i++) {
            val const pair = chord_value_list(r, list->v[i]);
            if (pair->n == 2) chord_dict_put(r, first, pair->v[0], pair->v[1]);
            else fail(r, "dict takes pairs");
        }
    }
    for (uint32_t i = 0; i < r->n_kw; i++) chord_dict_put(r, first, r->kw[2 * i], r->kw[2 * i + 1]);
    return chord_list_take(r, first, DICT);
}

val chord_flat(vm *r, val d)
{
    if (d->kind == DICT) chord_value_edit(d)->depth = 1;
    (void)r;
    return d;
}

val chord_g_namespace(vm *r, const val *a)
{
    return chord_value_of(r, NAMESPACE, chord_flat(r, chord_g_dict(r, a)));
}

val chord_g_raise_exception(vm *r, const val *a)
{
    char text[CHORD_ERROR_BYTES];
    val const message = chord_write_string(r, a[1]);
    if (r->status != CHORD_OK) return message;
    uint32_t size = message->n < sizeof text ? message->n : sizeof text - 1;
    for (uint32_t i = 0; i < size; i++)
        text[i] = (uint8_t)message->s[i] < 32 || message->s[i] == 127 ? ' ' : message->s[i];
    text[size] = 0;
    r->raised = message;
    return fail(r, text);
}

val chord_g_joiner(vm *r, const val *a)
{
    return chord_value_of(r, JOINER, a[1]->kind == MISSING ? of_string(r, ", ", 2) : a[1]);
}

val chord_g_cycler(vm *r, const val *a)
{
    if (r->n < 2) return fail(r, "cycler takes values");
    return chord_value_of(r, CYCLER, pack(r, a + 1, r->n - 1, TUPLE));
}
val chord_m_next(vm *r, const val *a)
{
    (void)r;
    val const one = a[0]->of->v[a[0]->n];
    chord_value_edit(a[0])->n = (a[0]->n + 1) % a[0]->of->n;
    return one;
}
val chord_m_reset(vm *r, const val *a)
{
    (void)r;
    chord_value_edit(a[0])->n = 0;
    return &chord_none;
}

val chord_m_cycle(vm *r, const val *a)
{
    if (r->n < 2) return fail(r, "loop.cycle takes values");
    return a[1 + a[0]->loop->i % (uint32_t)(r->n - 1)];
}
val chord_m_changed(vm *r, const val *a)
{
    chord_loop *const l = a[0]->loop;
    val const now = pack(r, a + 1, r->n - 1, TUPLE);
    bool const is_same = l->changed->kind == TUPLE && chord_value_equal(r, l->changed, now);
    l->changed = now;
    return of_bool(!is_same);
}

val chord_m_list_count(vm *r, const val *a)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < a[0]->n; i++) count += chord_value_equal(r, a[0]->v[i], a[1]);
    return of_int(r, count);
}
val chord_m_list_index(vm *r, const val *a)
{
    for (uint32_t i = 0; i < a[0]->n; i++)
        if (chord_value_equal(r, a[0]->v[i], a[1])) return of_int(r, i);
    return fail(r, "a value isn't in the list");
}

val chord_m_copy(vm *r, const val *a) { return (void)r, a[0]; }
val chord_m_get(vm *r, const val *a)
{
    val const v = chord_dict_get(r, a[0], a[1]);
    return v->kind != MISSING ? v : a[2]->kind == MISSING ? &chord_none : a[2];
}
val chord_m_view(vm *r, const val *a) { return chord_value_of(r, r->how, a[0]); }
