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

static const char *const kinds[] = { "nothing",     "undefined", "none",    "a boolean",  "an integer",
                                     "a float",     "a string",  "a list",  "a tuple",    "a mapping",
                                     "a view",      "a view",    "a view",  "a range",    "a filter's result",
                                     "a namespace", "loop",      "a macro", "a function", "a method",
                                     "a cycler",    "a joiner" };

val chord_vm_refuse(vm *r, const char *what, val v)
{
    if (v->kind == UNDEFINED && v->s) return chord_vm_fail(r, "an undefined value is used:", v->s, v->n);
    if (!*what) return fail(r, "an undefined value is used"); /* its name isn't known */
    const char *const kind = kinds[v->kind];
    return chord_vm_fail(r, what, kind, chord_strlen(kind));
}

static void refuse_memory(vm *r, const char *what)
{
    if (r->status == CHORD_OK)
        r->status = chord_fail(r->error, CHORD_OUT_OF_MEMORY, "chat template, line %u: %s", (uint64_t)r->line,
                               what);
}

void *chord_vm_take(vm *r, uint64_t n, uint64_t bytes)
{
    uint64_t size;
    void *const p = chord_mul(n, bytes, &size) ? chord_arena_take(&r->arena, size, bytes == 1 ? 1 : 8) : NULL;
    if (!p) refuse_memory(r, "the template's values need more memory than it may have");
    return p;
}

bool chord_vm_spend(vm *r, uint64_t n)
{
    if (n <= r->budget) {
        r->budget -= n;
        return r->status == CHORD_OK;
    }
    r->budget = 0;
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
        refuse_memory(r, "a value is larger than 4 GB");
        return false;
    }
    void *const p = chord_vm_take(r, want, size);
    if (!p) return false;
    chord_copy(p, *at, (size_t)used * size);
    *at = p;
    *cap = (uint32_t)want;
    return true;
}

void chord_buffer_put(vm *r, chord_buffer *b, const char *s, size_t n)
{
    if (!n) return;
    if (b == &r->out && n > r->max_output - b->n) {
        refuse_memory(r, "the template writes more than it may");
        return;
    }
    void *at = b->s;
    if (!chord_vm_spend(r, n / 16) || !grow(r, &at, b->n, &b->cap, n, 1)) return;
    b->s = at;
    chord_copy(b->s + b->n, s, n);
    b->n += (uint32_t)n;
}

val chord_buffer_string(vm *r, const chord_buffer *b)
{
    return r->status == CHORD_OK ? of_string(r, b->n ? b->s : "", b->n) : NOTHING;
}

val chord_string_join(vm *r, val a, val b)
{
    uint64_t n;
    chord_arena const *at = &r->arena;
    if (!b->n || r->status != CHORD_OK) return a;
    if (!a->n) return b;
    bool const is_last = (const uint8_t *)a->s + a->n == at->base + at->used;
    if (!chord_vm_spend(r, (is_last ? b->n : (uint64_t)a->n + b->n) / 16)) return NOTHING;
    if (!chord_add(a->n, b->n, &n) || n > UINT32_MAX) return fail(r, "a string is too long");
    char *const d = chord_vm_take(r, is_last ? b->n : n, 1);
    if (!d) return NOTHING;
    if (!is_last) chord_copy(d, a->s, a->n);
    chord_copy(d + (is_last ? 0 : a->n), b->s, b->n);
    return of_string(r, is_last ? a->s : d, n);
}

void chord_values_put(vm *r, chord_values *l, val v)
{
    void *at = l->v;
    if (v->depth >= CHORD_TEMPLATE_DEPTH) fail(r, "values are nested too deep");
    if (!chord_vm_spend(r, 1) || !grow(r, &at, l->n, &l->cap, 1, sizeof(val))) return;
    l->v = at;
    l->v[l->n++] = v;
    if (v->depth >= l->depth) l->depth = (uint8_t)(v->depth + 1);
}

val chord_values_done(vm *r, const chord_values *l, int kind)
{
    chord_value *const v = chord_value_new(r, kind == GENERATOR ? LIST : kind);
    v->depth = l->depth ? l->depth : 1;
    v->n = (uint32_t)(kind == DICT ? l->n / 2 : l->n);
    v->v = l->v;
    return kind == GENERATOR ? chord_value_of(r, GENERATOR, v) : v;
}

const chord_value chord_nothing = { .kind = MISSING }, chord_undefined = { .kind = UNDEFINED },
                  chord_none = { .kind = NONE }, chord_false = { .kind = BOOL },
                  chord_true = { .kind = BOOL, .i = 1 };

chord_value *chord_value_new(vm *r, int kind)
{
    chord_value *v = &r->spare;
    if (r->arena.cap - r->arena.used < sizeof *v) {
        refuse_memory(r, "the template's values need more memory than it may have");
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
