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

/* ---- words ------------------------------------------------------------------------------------- */

/* The end of the word at level->at, 0 when the budget is spent before it is found. What no alternative
 * matches stays together up to the next match: level->probe is how far that was looked for. */
static size_t next_end(const chord_pre_stage *stage, chord_pre_level *level, const uint8_t *text, int64_t *left)
{
    for (;;) {
        size_t const to = level->probe < level->end ? match_any(stage, text, level->probe, level->end) : level->end;
        *left -= 1 + (int64_t)((to == NO_MATCH ? 0 : to - level->probe) >> 4);
        if (to != NO_MATCH) return level->probe == level->at ? to : level->probe;
        uint32_t code_point;
        level->probe += chord_utf8_decode(text + level->probe, text + level->end, &code_point);
        if (*left <= 0) return 0;
    }
}

void chord_pre_begin(chord_pre_walk *w, size_t begin, size_t end)
{
    w->depth = 0;
    w->levels[0] = (chord_pre_level){ (uint32_t)begin, (uint32_t)begin, (uint32_t)end };
}

int32_t chord_pre_next(chord_pre_walk *w, const chord_pre *pre, const uint8_t *text, size_t *begin, size_t *end, int64_t *left)
{
    while (w->depth >= 0) {
        chord_pre_level *level = &w->levels[w->depth];
        if (level->at == level->end) {
            w->depth--;
            continue;
        }
        if (*left <= 0) return CHORD_PRE_MORE;
        size_t const to = next_end(&pre->stages[w->depth], level, text, left);
        if (!to) return CHORD_PRE_MORE;
        *begin = level->at;
        *end = level->at = level->probe = (uint32_t)to;
        if (w->depth + 1 == pre->n_stages) return CHORD_PRE_WORD;
        w->levels[++w->depth] = (chord_pre_level){ (uint32_t)*begin, (uint32_t)*begin, (uint32_t)*end };
    }
    return CHORD_PRE_OVER;
}
