/* names.c: the table of names.def, and how functions get their arguments. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "functions.h"

const chord_entry chord_names[] = {
    { "", "", NULL, 0, 0 }, /* so that 0 is none */
#define NAME(name, params, kinds, least, function) { name, params, function, kinds, least },
#define UNSAFE(name, kinds) { name, "", NULL, kinds, 0 },
#include "names.def"
#undef NAME
#undef UNSAFE
};
enum { N_NAMES = sizeof chord_names / sizeof *chord_names, MOST_PARAMS = 4 };

int32_t chord_names_find(const char *s, size_t n, uint32_t kinds)
{
    for (int32_t i = 1; i < N_NAMES; i++) {
        const char *const name = chord_names[i].name;
        if (!(chord_names[i].kinds & kinds) || name[0] != (n ? s[0] : 0)) continue;
        if (chord_strlen(name) == n && chord_equal(name, s, n)) return i;
    }
    return 0;
}

/* The number of the parameter, from 1 on; 0 if there is none. Without a name: how many there are. */
static int parameter(const char *params, val name)
{
    int k = 1;
    for (const char *p = params; *p; k++) {
        size_t n = 0;
        while (p[n] != ' ') n++;
        if (name && name->n == n && chord_equal(p, name->s, n)) return k;
        p += n + 1;
    }
    return name ? 0 : k - 1;
}

val chord_names_call(vm *r, int32_t id, const val *a, int n)
{
    const chord_entry *const e = &chord_names[id];
    val args[1 + MOST_PARAMS];
    if (r->status != CHORD_OK) return NOTHING;
    if (e->params[0] == '*') return e->call(r, a, n);
    int const most = parameter(e->params, NULL);
    if (n - 1 > most) return chord_vm_fail(r, "too many arguments for", e->name, chord_strlen(e->name));
    for (int i = 0; i <= MOST_PARAMS; i++) args[i] = i < n ? a[i] : NOTHING;
    for (uint32_t i = 0; i < r->n_kw; i++) {
        val const name = r->kw[2 * i];
        int const at = name->kind == STRING ? parameter(e->params, name) : 0;
        if (!at || args[at]->kind != MISSING)
            return chord_vm_fail(r, "no such argument:", name->s, name->kind == STRING ? name->n : 0);
        args[at] = r->kw[2 * i + 1];
    }
    for (int i = 1; i <= e->least; i++)
        if (args[i]->kind == MISSING)
            return chord_vm_fail(r, "an argument is missing for", e->name, chord_strlen(e->name));
    return e->call(r, args, 1 + most);
}
