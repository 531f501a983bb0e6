/* pre.h: pre-tokenizer patterns as data, and the engine that cuts text into words with them.
 *
 * A pre-tokenizer is a list of stages; each cuts the pieces of the stage before. A stage is a list of
 * alternatives as in a regular expression: at a position the first that matches gives a word, what no
 * alternative matches stays together as one word up to the next match. An alternative is a few atoms,
 * greedy, with backtracking. The end of a piece is the end of the text for what looks ahead. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_PRE_H
#define CHORD_TEXT_PRE_H
#include "unicode.h"
#include <stdbool.h>

enum { CHORD_PRE_END, CHORD_PRE_CLASS, CHORD_PRE_LITERAL, CHORD_PRE_FOLDED, CHORD_PRE_NOT_BEFORE };
enum { CHORD_PRE_ATOMS = 4, CHORD_PRE_MANY = 255 };

typedef struct chord_pre_atom {
    uint8_t kind;
    char letter;        /* LITERAL: this character; FOLDED: this lower-case ASCII letter in either case */
    uint8_t min, max;   /* CLASS: how often; MANY is unbounded */
    uint16_t any, none; /* CLASS, NOT_BEFORE: has one of `any` and none of `none` */
} chord_pre_atom;

typedef struct chord_pre_stage {
    int32_t n;
    const chord_pre_atom (*alternatives)[CHORD_PRE_ATOMS];
} chord_pre_stage;

typedef struct chord_pre {
    const char *name;        /* of tokenizer.ggml.pre */
    const chord_pre_stage *stages;
    int32_t n_stages;
    bool ignore_merges;      /* a word that is a token is that token, whatever the merges say */
    bool add_bos;            /* when the file doesn't say */
    bool no_bos;             /* no default id for BOS */
} chord_pre;

/* The pre-tokenizer of that name, NULL when unknown. */
const chord_pre *chord_pre_find(const char *name, size_t n);

/* A walk over the words of a text. It may stop anywhere and go on later. */
enum { CHORD_PRE_STAGES = 6 };
typedef struct chord_pre_level { uint32_t at, probe, end; } chord_pre_level;
typedef struct chord_pre_walk {
    int32_t depth;
    chord_pre_level levels[CHORD_PRE_STAGES]; /* the piece that each stage is cutting */
} chord_pre_walk;

void chord_pre_begin(chord_pre_walk *w, size_t begin, size_t end);

/* The next word [*begin, *end); words follow each other without gaps. Takes about what was looked at off
 * *left, the steps that may still be taken: CHORD_PRE_MORE when there are none. A word's own match is not
 * interrupted: it is linear in the word for the patterns that are here. */
enum { CHORD_PRE_OVER, CHORD_PRE_WORD, CHORD_PRE_MORE };
int32_t chord_pre_next(chord_pre_walk *w, const chord_pre *pre, const uint8_t *text, size_t *begin, size_t *end,
                       int64_t *left);

extern const chord_pre chord_pre_table[];
extern int32_t const chord_n_pre_table;

#endif
