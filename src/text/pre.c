/* SPDX-License-Identifier: Apache-2.0 */
#include "pre.h"
#include "../base/mem.h"

static size_t const NO_MATCH = SIZE_MAX;

const chord_pre *chord_pre_find(const char *name, size_t n)
{
    for (int32_t i = 0; i < chord_n_pre_table; i++)
        if (chord_strlen(chord_pre_table[i].name) == n && chord_equal(chord_pre_table[i].name, name, n))
            return &chord_pre_table[i];
    return NULL;
}

/* Bytes of the code point at `at` when the atom takes it, else 0. */
static uint32_t takes(const chord_pre_atom *a, const uint8_t *text, size_t at, size_t end)
{
    if (at == end) return 0;
    if (a->kind == CHORD_PRE_LITERAL) return text[at] == (uint8_t)a->letter;
    if (a->kind == CHORD_PRE_FOLDED) return (text[at] | 32) == (uint8_t)a->letter && text[at] < 128;
    uint32_t code_point;
    uint32_t const n = chord_utf8_decode(text + at, text + end, &code_point), bits = chord_unicode_class(code_point);
    return (bits & a->any) && !(bits & a->none) ? n : 0;
}

/* Where a match of atoms `i`.. that begins at `at` ends. Recursion is as deep as the pattern is long;
 * the text is walked in loops. */
static size_t match(const chord_pre_atom *atoms, int32_t i, const uint8_t *text, size_t at, size_t end)
{
    if (i == CHORD_PRE_ATOMS || atoms[i].kind == CHORD_PRE_END) return at;
    const chord_pre_atom *a = &atoms[i];
    if (a->kind == CHORD_PRE_NOT_BEFORE) return takes(a, text, at, end) ? NO_MATCH : match(atoms, i + 1, text, at, end);

    size_t const begin = at;
    size_t count = 0;
    for (uint32_t n; (count < a->max || a->max == CHORD_PRE_MANY) && (n = takes(a, text, at, end)) != 0; count++) at += n;
    for (;; count--) {
        if (count < a->min) return NO_MATCH;
        size_t const rest = match(atoms, i + 1, text, at, end);
        if (rest != NO_MATCH || count == 0) return rest;
        at -= chord_utf8_back(text + begin, text + at);
    }
}

static size_t match_any(const chord_pre_stage *stage, const uint8_t *text, size_t at, size_t end)
{
    for (int32_t i = 0; i < stage->n; i++) {
        size_t const to = match(stage->alternatives[i], 0, text, at, end);
        if (to != NO_MATCH && to > at) return to;
    }
    return NO_MATCH;
}

static size_t next_word(const chord_pre_stage *stage, const uint8_t *text, size_t begin, size_t end)
{
    size_t const to = match_any(stage, text, begin, end);
    if (to != NO_MATCH) return to;
    uint32_t code_point;
    do begin += chord_utf8_decode(text + begin, text + end, &code_point);
    while (begin < end && match_any(stage, text, begin, end) == NO_MATCH);
    return begin;
}

static bool split(const chord_pre *pre, int32_t stage, const uint8_t *text, size_t begin, size_t end,
                  bool (*emit)(void *, size_t, size_t), void *context)
{
    if (stage == pre->n_stages) return emit(context, begin, end);
    while (begin < end) {
        size_t const to = next_word(&pre->stages[stage], text, begin, end);
        if (!split(pre, stage + 1, text, begin, to, emit, context)) return false;
        begin = to;
    }
    return true;
}

bool chord_pre_split(const chord_pre *pre, const uint8_t *text, size_t begin, size_t end,
                     bool (*emit)(void *context, size_t begin, size_t end), void *context)
{
    return split(pre, 0, text, begin, end, emit, context);
}
