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

/* ---- one match --------------------------------------------------------------------------------- */

typedef struct matcher {
    const chord_pre_node *nodes;
    const chord_pre_class *classes;
    const uint8_t *text;
    size_t end;
    uint32_t known, known_bits; /* the last code point looked up: alternatives look up the same one */
} matcher;

static bool is_in(const chord_pre_set *set, uint32_t code_point)
{
    for (int32_t i = 0; set && i < set->n; i++)
        if (code_point >= set->ranges[i].first && code_point <= set->ranges[i].last) return true;
    return false;
}

static bool belongs(matcher *m, const chord_pre_class *class, uint32_t code_point)
{
    if (code_point != m->known) {
        m->known = code_point;
        m->known_bits = chord_unicode_bits(code_point);
    }
    uint32_t const bits = m->known_bits;
    return ((bits & class->any) || is_in(class->also, code_point)) && !(bits & class->none) &&
           !is_in(class->but, code_point);
}

/* Returns the bytes of the code point at `at` if the node matches it, else 0. */
static uint32_t takes(matcher *m, const chord_pre_node *node, size_t at)
{
    if (at == m->end) return 0;
    if (node->kind == CHORD_PRE_LETTER) return m->text[at] == node->arg;
    if (node->kind == CHORD_PRE_FOLDED) return (m->text[at] | 32) == node->arg && m->text[at] < 128;
    uint32_t code_point;
    uint32_t const n = chord_utf8_decode(m->text + at, m->text + m->end, &code_point);
    return belongs(m, &m->classes[node->arg], code_point) ? n : 0;
}

/* Returns the next OR, CLOSE or END at the level of node i. */
static int32_t end_of_alternative(const chord_pre_node *nodes, int32_t i)
{
    for (int32_t depth = 0;; i++) {
        int32_t const kind = nodes[i].kind;
        if (kind == CHORD_PRE_END || (!depth && (kind == CHORD_PRE_OR || kind == CHORD_PRE_CLOSE))) return i;
        if (kind == CHORD_PRE_CLOSE) depth--;
        if (kind == CHORD_PRE_GROUP || kind == CHORD_PRE_AHEAD || kind == CHORD_PRE_NOT_AHEAD) depth++;
    }
}

/* Returns the node behind the CLOSE of the group that contains node i. */
static int32_t behind_group(const chord_pre_node *nodes, int32_t i)
{
    do i = end_of_alternative(nodes, i) + 1;
    while (nodes[i - 1].kind == CHORD_PRE_OR);
    return i;
}

static size_t match(matcher *m, int32_t i, size_t at, int32_t n_open);

/* Tries the alternatives from node i on. Returns the end of the first match. */
static size_t match_any(matcher *m, int32_t i, size_t at, int32_t n_open)
{
    for (;; i++) {
        size_t const to = match(m, i, at, n_open);
        if (to != NO_MATCH) return to;
        i = end_of_alternative(m->nodes, i);
        if (m->nodes[i].kind != CHORD_PRE_OR) return NO_MATCH;
    }
}

/* Matches the repeated group at node i as often as possible, and gives no round back. */
static size_t match_rounds(matcher *m, int32_t i, size_t at)
{
    const chord_pre_node *node = &m->nodes[i];
    uint32_t count = 0;
    for (size_t to; (count < node->max || node->max == CHORD_PRE_MANY) &&
                    (to = match_any(m, i + 1, at, 0)) != NO_MATCH && to > at;
         count++)
        at = to;
    return count < node->min ? NO_MATCH : at;
}

/* Matches node i as often as possible, then the nodes behind it. As long as these don't match, node i gives
 * back one code point at a time. */
static size_t match_run(matcher *m, int32_t i, size_t at, int32_t n_open)
{
    const chord_pre_node *node = &m->nodes[i];
    size_t const begin = at;
    size_t count = 0;
    for (uint32_t n; (count < node->max || node->max == CHORD_PRE_MANY) && (n = takes(m, node, at)) != 0;
         count++)
        at += n;
    for (;; count--) {
        if (count < node->min) return NO_MATCH;
        size_t const rest = match(m, i + 1, at, n_open);
        if (rest != NO_MATCH || count == 0) return rest;
        at -= chord_utf8_back(m->text + begin, m->text + at);
    }
}

/* Matches from node i and offset `at` on, and returns the end of the match. The match continues behind the
 * `n_open` innermost groups that contain node i, and ends with the alternative around them. The recursion is
 * as deep as the pattern is long; loops walk the text. */
static size_t match(matcher *m, int32_t i, size_t at, int32_t n_open)
{
    for (;;) {
        const chord_pre_node *node = &m->nodes[i];
        switch (node->kind) {
        case CHORD_PRE_END: return at;
        case CHORD_PRE_OR:
        case CHORD_PRE_CLOSE:
            if (!n_open--) return at;
            i = behind_group(m->nodes, node->kind == CHORD_PRE_OR ? i + 1 : i);
            break;
        case CHORD_PRE_AHEAD:
        case CHORD_PRE_NOT_AHEAD:
            if ((match_any(m, i + 1, at, 0) != NO_MATCH) != (node->kind == CHORD_PRE_AHEAD)) return NO_MATCH;
            i = behind_group(m->nodes, i + 1);
            break;
        case CHORD_PRE_GROUP:
            if (node->max == 1) {
                size_t const to = match_any(m, i + 1, at, n_open + 1);
                if (to != NO_MATCH || node->min) return to;
            } else if ((at = match_rounds(m, i, at)) == NO_MATCH) {
                return NO_MATCH;
            }
            i = behind_group(m->nodes, i + 1);
            break;
        default: return match_run(m, i, at, n_open);
        }
    }
}

static size_t match_at(const chord_pre_stage *stage, const uint8_t *text, size_t at, size_t end)
{
    matcher m = { stage->nodes, stage->classes, text, end, UINT32_MAX, 0 };
    for (int32_t i = 0;; i++) { /* an empty match is no word */
        size_t const to = match(&m, i, at, 0);
        if (to != NO_MATCH && to > at) return to;
        i = end_of_alternative(m.nodes, i);
        if (m.nodes[i].kind == CHORD_PRE_END) return NO_MATCH;
    }
}

/* ---- words ------------------------------------------------------------------------------------- */

/* Returns the end of the word at level->at, or 0 if the budget is spent before. Text that no alternative
 * matches is one word up to the next match. No match begins between level->at and level->probe. */
static size_t next_end(const chord_pre_stage *stage, chord_pre_level *level, const uint8_t *text,
                       int64_t *left)
{
    for (;;) {
        size_t const to = level->probe < level->end ? match_at(stage, text, level->probe, level->end)
                                                    : level->end;
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

int32_t chord_pre_next(chord_pre_walk *w, const chord_pre *pre, const uint8_t *text, size_t *begin,
                       size_t *end, int64_t *left)
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
