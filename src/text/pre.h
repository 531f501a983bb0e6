/* pre.h: pre-tokenizer patterns as data, and the engine that cuts text into words with them.
 *
 * A pre-tokenizer is a list of stages; each cuts the pieces of the stage before. A stage is a regular
 * expression as an array of nodes: at a position the first alternative that matches gives a word, what no
 * alternative matches stays together as one word up to the next match. The end of a piece is the end of
 * the text for what looks ahead. pre_words.h has the words to write patterns with:
 *
 *   ' ?\p{L}+(?i:'s|'t)?|\s+(?!\S)'     MAYBE(BLANK), SOME(LETTER),
 *                                        MAYBE_GROUP, IS('\''), FOLDED('s'), OR, IS('\''), FOLDED('t'), CLOSE,
 *                                        OR, SOME(WHITE), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, END
 *
 * Repeats are greedy and give back one by one, with one exception: a group that repeats takes as often as
 * it can and gives nothing back, so that its work is linear; `(\d{3})*(?!\d)` means the same either way.
 * A group that is there at most once tries its alternatives with what follows, as usual. What \b asks
 * behind a digit is NOT_AHEAD of a class of word characters, and $ is NOT_AHEAD of ANY. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_PRE_H
#define CHORD_TEXT_PRE_H
#include "unicode.h"
#include <stdbool.h>

/* Code points of [first, last]. */
typedef struct chord_pre_range { uint32_t first, last; } chord_pre_range;
/* Literal ranges, ascending; NULL stands for none. */
typedef struct chord_pre_set {
    int32_t n;
    const chord_pre_range *ranges;
} chord_pre_set;

/* A code point belongs when it is in one of the categories `any` or in `also`, and in neither the
 * categories `none` nor `but`. Categories: bits of unicode.h, CHORD_IN_WHITE among them. */
typedef struct chord_pre_class {
    uint32_t any, none;
    const chord_pre_set *also, *but;
} chord_pre_class;

enum { CHORD_PRE_END, CHORD_PRE_CLASS, CHORD_PRE_LETTER, CHORD_PRE_FOLDED, CHORD_PRE_GROUP, CHORD_PRE_AHEAD,
       CHORD_PRE_NOT_AHEAD, CHORD_PRE_OR, CHORD_PRE_CLOSE };
enum { CHORD_PRE_MANY = 65535 };

typedef struct chord_pre_node {
    uint8_t kind;
    uint8_t arg;       /* CLASS: its index; LETTER: this ASCII character; FOLDED: this lower-case one in either case */
    uint16_t min, max; /* CLASS, LETTER, FOLDED, GROUP: how often; MANY is unbounded */
} chord_pre_node;

typedef struct chord_pre_stage {
    const chord_pre_node *nodes; /* up to END */
    const chord_pre_class *classes;
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
