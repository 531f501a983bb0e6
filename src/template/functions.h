/* functions.h: what names.def lists. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEMPLATE_FUNCTIONS_H
#define CHORD_TEMPLATE_FUNCTIONS_H
#include "program.h"

/* What `how` may be. */
enum { LOWER, UPPER, CAPITALIZE, TITLE_FILTER, TITLE_METHOD, SWAP };
enum { DIGITS = 1, LETTERS = 2, BLANKS = 4 };
enum { LEFT = 1, RIGHT = 2 };
enum { BACK = 1, MUST = 2 };
enum { WANTED = 1, ATTRIBUTE = 2 };
#define ONE(kind) (1u << (kind))
#define FROM_TO(first, last) (ONE((last) + 1) - ONE(first))

#define NAME(words, kinds, least, function, how) chord_function function;
#define UNSAFE(words, kinds)
#include "names.def"
#undef NAME
#undef UNSAFE

#endif
