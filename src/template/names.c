/* names.c: the table of names.def, and how functions get their arguments. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "functions.h"

/* Entries are numbered from 1, so that 0 is none. */
#define NAME(words, kinds, least, function, how) words "\0"
#define UNSAFE(words, kinds) words "\0"
static const char words[] = "\0"
#include "names.def"
    ;
#undef NAME
#undef UNSAFE

#define NAME(words, kinds, least, function, how) function,
#define UNSAFE(words, kinds) NULL,
static chord_function *const functions[] = {
    NULL,
#include "names.def"
};
#undef NAME
#undef UNSAFE

#define NAME(words, kinds, least, function, how) (int32_t)(how),
#define UNSAFE(words, kinds) 0,
static const int32_t hows[] = {
    0,
#include "names.def"
};
#undef NAME
#undef UNSAFE

enum { LEAST = 9, MOST_PARAMS = 4, N_NAMES = sizeof hows / sizeof *hows };
#define NAME(words, kinds, least, function, how) (kinds) | (least) << LEAST,
#define UNSAFE(words, kinds) (kinds),
static const uint16_t traits[] = {
    0,
#include "names.def"
};
#undef NAME
#undef UNSAFE

static size_t word_length(const char *s)
{
    size_t n = 0;
    while (s[n] != ' ') n++;
    return n;
}

int32_t chord_names_find(const char *s, size_t n, uint32_t kinds)
{
    const char *at = words + 1;
    for (int32_t i = 1; i < N_NAMES; i++) {
        if (traits[i] & kinds && word_length(at) == n && chord_equal(at, s, n)) return i;
        at += chord_strlen(at) + 1;
    }
    return 0;
}

bool chord_names_is_safe(int32_t id) { return functions[id] != NULL; }

/* The number of the parameter, from 1 on; 0 if there is none. Without a name: how many there are. */
static int parameter(const char *at, val name)
{
    int k = 0;
    for (; *at; k++) {
        size_t const n = word_length(at);
        if (k && name && name->n == n && chord_equal(at, name->s, n)) return k;
        at += n + 1;
    }
    return name ? 0 : k - 1;
}

val chord_names_call(vm *r, int32_t id, const val *a, int n)
{
    val args[1 + MOST_PARAMS];
    const char *at = words;
    if (r->status != CHORD_OK) return NOTHING;
    for (int32_t i = 0; i < id; i++) at += chord_strlen(at) + 1;
    size_t const n_name = word_length(at);
    r->n = n;
    r->how = hows[id];
    if (at[n_name + 1] == '*') return functions[id](r, a);
    int const most = parameter(at, NULL);
    if (n - 1 > most) return chord_vm_fail(r, "too many arguments for", at, n_name);
    for (int i = 0; i <= MOST_PARAMS; i++) args[i] = i < n ? a[i] : NOTHING;
    for (uint32_t i = 0; i < r->n_kw; i++) {
        val const name = r->kw[2 * i];
        int const k = name->kind == STRING ? parameter(at, name) : 0;
        if (!k || args[k]->kind != MISSING)
            return chord_vm_fail(r, "no such argument:", name->s, name->kind == STRING ? name->n : 0);
        args[k] = r->kw[2 * i + 1];
    }
    for (int i = 1; i <= traits[id] >> LEAST; i++)
        if (args[i]->kind == MISSING) return chord_vm_fail(r, "an argument is missing for", at, n_name);
    return functions[id](r, args);
}
