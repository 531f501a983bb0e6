/* pre.h: pre-tokenizer patterns as data, and the engine that cuts text into words with them.
 *
 * A pre-tokenizer is a list of stages; each stage cuts the pieces of the stage before. A stage is a regular
 * expression as an array of nodes. At each offset, the first alternative that matches makes a word. Text
 * that no alternative matches is one word up to the next match. Lookahead sees the end of a piece as the end
 * of the text. pre_words.h has macros to write patterns with:
 *
 *   ' ?\p{L}+(?i:'s|'t)?|\s+(?!\S)'   MAYBE(BLANK), SOME(LETTER),
 *                                     MAYBE_GROUP, IS('\''), FOLDED('s'), OR, IS('\''), FOLDED('t'), CLOSE,
 *                                     OR, SOME(WHITE), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, END
 *
 * Repeats are greedy and give back one repetition at a time, with one exception: a repeated group matches as
 * often as it can and gives nothing back, so that its work is linear. `(\d{3})*(?!\d)` means the same either
 * way. A group of at most one repetition tries each alternative together with the nodes behind the group.
 * Write \b behind a digit as NOT_AHEAD of the class of word characters, and $ as NOT_AHEAD of the class of
 * all code points. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_PRE_H
#define CHORD_TEXT_PRE_H
#include "unicode.h"
#include <stdbool.h>

/* Code points [first, last]. */
typedef struct chord_pre_range {
    uint32_t first, last;
} chord_pre_range;
/* Literal ranges, ascending. A NULL set is empty. */
typedef struct chord_pre_set {
    int32_t n;
    const chord_pre_range *ranges;
} chord_pre_set;

/* A code point belongs to a class if it is in one of the categories `any` or in `also`, and neither in one
 * of the categories `none` nor in `but`. Categories are bits of unicode.h, CHORD_IN_WHITE included. */
typedef struct chord_pre_class {
    uint32_t any, none;
    const chord_pre_set *also, *but;
} chord_pre_class;

enum {
    CHORD_PRE_END,
    CHORD_PRE_CLASS,
    CHORD_PRE_LETTER,
    CHORD_PRE_FOLDED,
    CHORD_PRE_GROUP,
    CHORD_PRE_AHEAD,
    CHORD_PRE_NOT_AHEAD,
    CHORD_PRE_OR,
    CHORD_PRE_CLOSE
};
enum { CHORD_PRE_MANY = 65535 };

typedef struct chord_pre_node {
    uint8_t kind;
    uint8_t arg;       /* CLASS: its index; LETTER: ASCII character; FOLDED: lower case, matches both */
    uint16_t min, max; /* CLASS, LETTER, FOLDED, GROUP: repetitions; MANY is unbounded */
} chord_pre_node;

typedef struct chord_pre_stage {
    const chord_pre_node *nodes; /* the last one is END */
    const chord_pre_class *classes;
} chord_pre_stage;

typedef struct chord_pre {
    const char *name;        /* its value of tokenizer.ggml.pre */
    const chord_pre_stage *stages;
    int32_t n_stages;
    int32_t flags;           /* CHORD_PRE_WHOLE_WORDS ... */
} chord_pre;
enum {
    CHORD_PRE_WHOLE_WORDS = 1, /* a word that is a token becomes that token without merges */
    CHORD_PRE_ADD_BOS = 2,     /* default for a file without the key */
    CHORD_PRE_NO_BOS = 4,      /* no default id for BOS */
    CHORD_PRE_NO_MERGES = 8,   /* a file without merges is accepted */
    CHORD_PRE_RAW = 16,        /* tokens are text, not letters of GPT-2's alphabet; bytes are <0xHH> */
    CHORD_PRE_BLANKS = 32,     /* RAW: blanks are U+2581 in tokens */
    CHORD_PRE_NEWLINES = 64    /* RAW: a word of newlines that is a token becomes that token; BOS always */
};

/* Returns the pre-tokenizer of that name, NULL if unknown. */
const chord_pre *chord_pre_find(const char *name, size_t n);

/* A walk over the words of a text. It can pause after any step. */
enum { CHORD_PRE_STAGES = 6 };
typedef struct chord_pre_level {
    uint32_t at, probe, end;
} chord_pre_level;
typedef struct chord_pre_walk {
    int32_t depth;
    chord_pre_level levels[CHORD_PRE_STAGES]; /* the current piece of each stage */
} chord_pre_walk;

void chord_pre_begin(chord_pre_walk *w, size_t begin, size_t end);

/* Finds the next word [*begin, *end). Words follow each other without gaps. The call subtracts its steps
 * from *left: one per offset that it tries, and one per 16 bytes matched. It returns CHORD_PRE_MORE if
 * none are left. The match of one word isn't interrupted. With the patterns in pre_tables.c a match is
 * linear in the word. */
enum { CHORD_PRE_OVER, CHORD_PRE_WORD, CHORD_PRE_MORE };
int32_t chord_pre_next(chord_pre_walk *w, const chord_pre *pre, const uint8_t *text, size_t *begin,
                       size_t *end, int64_t *left);

extern const chord_pre chord_pre_table[];
extern int32_t const chord_n_pre_table;

#endif
