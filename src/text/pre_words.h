/* pre_words.h: macros to write patterns with; pre.h has an example. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_PRE_WORDS_H
#define CHORD_TEXT_PRE_WORDS_H
#include "pre.h"

#define TIMES(class, min, max) { CHORD_PRE_CLASS, class, min, max }
#define ONE(class) TIMES(class, 1, 1)
#define SOME(class) TIMES(class, 1, CHORD_PRE_MANY)
#define RUN(class) TIMES(class, 0, CHORD_PRE_MANY)
#define MAYBE(class) TIMES(class, 0, 1)
#define IS(c) { CHORD_PRE_LETTER, c, 1, 1 }
#define FOLDED(c) { CHORD_PRE_FOLDED, c, 1, 1 }
#define GROUP_TIMES(min, max) { CHORD_PRE_GROUP, 0, min, max }
#define GROUP GROUP_TIMES(1, 1)
#define MAYBE_GROUP GROUP_TIMES(0, 1)
#define AHEAD { CHORD_PRE_AHEAD, 0, 0, 0 }
#define NOT_AHEAD { CHORD_PRE_NOT_AHEAD, 0, 0, 0 }
#define OR { CHORD_PRE_OR, 0, 0, 0 }
#define CLOSE { CHORD_PRE_CLOSE, 0, 0, 0 }
#define END { CHORD_PRE_END, 0, 0, 0 }

/* 's|'t|'re|'ve|'m|'ll|'d in lower case (letter: IS) or in both cases (FOLDED) */
#define CONTRACTIONS(letter)                                                                                \
    IS('\''), letter('s'), OR, IS('\''), letter('t'), OR, IS('\''), letter('r'), letter('e'), OR, IS('\''), \
        letter('v'), letter('e'), OR, IS('\''), letter('m'), OR, IS('\''), letter('l'), letter('l'), OR,    \
        IS('\''), letter('d')

#define CHORD_PRE_SET(ranges) { (int32_t)(sizeof(ranges) / sizeof *(ranges)), ranges }

#endif
