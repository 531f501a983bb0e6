/* machine.c: what every part of the machine needs: failures, memory, steps, growing texts and lists. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

val chord_vm_fail(vm *r, const char *what, const char *name, size_t n)
{
    if (r->status == CHORD_OK)
        r->status = chord_fail(r->error, CHORD_INVALID_ARGUMENT,
                               name ? "chat template, line %u: %s %q" : "chat template, line %u: %s",
                               (uint64_t)r->line, what, name, n);
    return NOTHING;
}

val fail(vm *r, const char *what) { return chord_vm_fail(r, what, NULL, 0); }

/* By kind. */
static const char kinds[] =
    "nothing\0undefined\0none\0a boolean\0an integer\0a float\0a string\0a list\0a tuple\0"
    "a mapping\0a view\0a view\0a view\0a range\0a filter's result\0a namespace\0loop\0"
    "a macro\0a function\0a method\0a cycler\0a joiner";

val chord_vm_refuse(vm *r, const char *what, val v)
{
    if (v->kind == UNDEFINED && v->s) return chord_vm_fail(r, "an undefined value is used:", v->s, v->n);
    if (!*what) return fail(r, "an undefined value is used"); /* its name isn't known */
    const char *kind = kinds;
    for (int i = 0; i < v->kind; i++) kind += chord_strlen(kind) + 1;
    return chord_vm_fail(r, what, kind, chord_strlen(kind));
}

void chord_vm_refuse_memory(vm *r, const char *what)
{
    if (r->status == CHORD_OK)
        r->status = chord_fail(r->error, CHORD_OUT_OF_MEMORY, "chat template, line %u: %s", (uint64_t)r->line,
                               what);
}

void *chord_vm_take(vm *r, size_t n, uint32_t bytes)
{
    uint64_t size;
    void *const p = chord_mul(n, bytes, &size) ? chord_arena_take(&r->arena, size, bytes == 1 ? 1 : 8) : NULL;
    if (!p) chord_vm_refuse_memory(r, "the template's values need more memory than it may have");
    return p;
}

bool chord_vm_has_room(vm *r, uint64_t n, int64_t times)
{
    uint64_t bytes;
    if (times < 1 || (chord_mul(n, (uint64_t)times, &bytes) && bytes <= r->arena.cap - r->arena.used))
        return true;
    chord_vm_refuse_memory(r, "the template's values need more memory than it may have");
    return false;
}

bool chord_vm_spend(vm *r, size_t n)
{
    if (n <= r->budget - r->floor) {
        r->budget -= n;
        return r->status == CHORD_OK;
    }
    r->budget = r->floor = 0;
    fail(r, "the template takes too many steps");
    return false;
}

/* Makes room for n more elements of `size` bytes. */
static bool grow(vm *r, void **at, uint32_t used, uint32_t *cap, size_t n, uint32_t size)
{
    uint64_t want = (uint64_t)used + n;
    if (r->status != CHORD_OK) return false;
    if (n <= *cap - used) return true;
    chord_arena *const a = &r->arena;
    if (want <= UINT32_MAX && *cap &&
        (uint8_t *)*at + *cap * size == a->base + a->used) { /* the arena's last */
        if (chord_arena_take(a, (want - *cap) * size, 1)) {
            *cap = (uint32_t)want;
            return true;
        }
    }
    /* The first allocation is exact: most texts and lists are written once. */
    if (*cap) want += want;
    if (want > UINT32_MAX) {
        chord_vm_refuse_memory(r, "a value is larger than 4 GB");
        return false;
    }
    void *const p = chord_vm_take(r, (size_t)want, size);
    if (!p) return false;
    chord_copy(p, *at, (size_t)used * size);
    *at = p;
    *cap = (uint32_t)want;
    return true;
}

void chord_text_put(vm *r, const char *s, size_t n)
{
    void *at = r->out.s;
    if (!n || !chord_vm_spend(r, n / 16) || !grow(r, &at, r->out.n, &r->out.cap, n, 1)) return;
    r->out.s = at;
    chord_copy(r->out.s + r->out.n, s, n);
    r->out.n += (uint32_t)n;
}
void chord_text_put1(vm *r, char c) { chord_text_put(r, &c, 1); }

/* Each copy is twice as long as the one before: a step for each character would take too long. */
void chord_text_repeat(vm *r, const char *s, size_t n, int64_t times)
{
    uint32_t const mark = r->out.n;
    if (times < 1 || !n || !chord_vm_has_room(r, n, times)) return;
    chord_text_put(r, s, n);
    uint64_t more;
    for (uint64_t done = 1, all = (uint64_t)times; done < all && r->status == CHORD_OK; done += more) {
        more = done < all - done ? done : all - done;
        chord_text_put(r, r->out.s + mark, (size_t)(more * n));
    }
}

val chord_text_take(vm *r, uint32_t mark)
{
    uint32_t const n = r->out.n - mark;
    char *const s = r->status == CHORD_OK ? chord_vm_take(r, n, 1) : NULL;
    if (!s) return NOTHING;
    if (n) chord_copy(s, r->out.s + mark, n); /* out.s is NULL before the first text */
    r->out.n = mark;
    return of_string(r, s, n);
}

val chord_string_join(vm *r, val a, val b)
{
    uint64_t n;
    chord_arena const *at = &r->arena;
    if (!b->n || r->status != CHORD_OK) return a;
    if (!a->n) return b;
    bool const is_last = (const uint8_t *)a->s + a->n == at->base + at->used;
    if (!chord_vm_spend(r, (is_last ? b->n : (size_t)a->n + b->n) / 16)) return NOTHING;
    if (!chord_add(a->n, b->n, &n) || n > UINT32_MAX) return fail(r, "a string is too long");
    char *const d = chord_vm_take(r, is_last ? b->n : (size_t)n, 1);
    if (!d) return NOTHING;
    if (!is_last) chord_copy(d, a->s, a->n);
    chord_copy(d + (is_last ? 0 : a->n), b->s, b->n);
    return of_string(r, is_last ? a->s : d, n);
}

void chord_list_put(vm *r, val v)
{
    void *at = r->made.v;
    if (!chord_vm_spend(r, 1) || !grow(r, &at, r->made.n, &r->made.cap, 1, sizeof(val))) return;
    r->made.v = at;
    r->made.v[r->made.n++] = v;
}

val chord_list_new(vm *r, int kind, val *v, uint32_t n, uint8_t depth)
{
    chord_value *const list = chord_value_new(r, kind);
    list->depth = depth;
    list->n = n;
    list->v = v;
    return list;
}

val chord_list_take(vm *r, uint32_t mark, int kind)
{
    uint32_t const n = r->made.n - mark;
    val *const v = r->status == CHORD_OK ? chord_vm_take(r, n, sizeof(val)) : NULL;
    uint8_t depth = 1;
    if (!v) return NOTHING;
    r->made.n = mark;
    for (uint32_t i = 0; i < n; i++) {
        v[i] = r->made.v[mark + i];
        if (v[i]->depth >= depth) depth = (uint8_t)(v[i]->depth + 1);
    }
    if (depth > CHORD_TEMPLATE_DEPTH) return fail(r, "values are nested too deep");
    val const list = chord_list_new(r, kind == GENERATOR ? LIST : kind, v, kind == DICT ? n / 2 : n, depth);
    return kind == GENERATOR ? chord_value_of(r, GENERATOR, list) : list;
}

val chord_list_join(vm *r, uint32_t mark)
{
    uint32_t const begin = r->out.n;
    for (uint32_t i = mark; i < r->made.n; i++) chord_text_put(r, r->made.v[i]->s, r->made.v[i]->n);
    r->made.n = mark;
    return chord_text_take(r, begin);
}

const chord_value chord_nothing = { .kind = MISSING }, chord_undefined = { .kind = UNDEFINED },
                  chord_none = { .kind = NONE }, chord_false = { .kind = BOOL },
                  chord_true = { .kind = BOOL, .i = 1 };

chord_value *chord_value_new(vm *r, int kind)
{
    chord_value *v = &r->spare;
    if (r->arena.cap - r->arena.used < sizeof *v) {
        chord_vm_refuse_memory(r, "the template's values need more memory than it may have");
    } else {
        r->arena.cap -= sizeof *v;
        v = (chord_value *)(r->arena.base + r->arena.cap);
    }
    *v = (chord_value){ .kind = (uint8_t)kind };
    return v;
}

val chord_value_of(vm *r, int kind, val of)
{
    chord_value *const v = chord_value_new(r, kind);
    v->depth = of->depth;
    v->of = of;
    return v;
}

val of_int(vm *r, int64_t i)
{
    chord_value *const v = chord_value_new(r, INT);
    v->i = i;
    return v;
}

val of_float(vm *r, double f)
{
    chord_value *const v = chord_value_new(r, FLOAT);
    v->f = f;
    return v;
}

val of_string(vm *r, const char *s, size_t n)
{
    chord_value *const v = chord_value_new(r, STRING);
    v->n = (uint32_t)n;
    v->s = s;
    return v;
}
