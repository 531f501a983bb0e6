/* unicode.h: UTF-8 and character classes, as the pre-tokenizer patterns ask for them.
 *
 * The ranges in unicode_tables.c are generated (tools/gen_unicode.py); ASCII is answered without them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_UNICODE_H
#define CHORD_TEXT_UNICODE_H
#include <stddef.h>
#include <stdint.h>

/* A code point has one of the first seven; the tables hold the first six. */
enum { CHORD_CLASS_L = 1, CHORD_CLASS_N = 2, CHORD_CLASS_M = 4, CHORD_CLASS_P = 8, CHORD_CLASS_S = 16,
       CHORD_CLASS_WHITE = 32, CHORD_CLASS_OTHER = 64,
       CHORD_CLASS_BLANK = 128,   /* U+0020 alone */
       CHORD_CLASS_NEWLINE = 256, /* CR and LF */
       CHORD_CLASS_ANY = 511 };

extern int32_t const chord_n_unicode_ranges;
extern uint32_t const chord_unicode_ranges[]; /* first code point in the low 21 bits, class above */

/* The CHORD_CLASS_* bits of a code point; anything past U+10FFFF is OTHER. */
uint32_t chord_unicode_class(uint32_t code_point);

/* The code point at `p` (p < end) and how many bytes it takes. Overlong forms and surrogates are taken
 * at their value, as llama.cpp does; a byte that begins nothing is U+FFFD and one byte long. */
uint32_t chord_utf8_decode(const uint8_t *p, const uint8_t *end, uint32_t *code_point);

/* Bytes of the code point that ends at `p`, seen from `begin` < p: the inverse of decoding forwards. */
uint32_t chord_utf8_back(const uint8_t *begin, const uint8_t *p);

/* Write a code point (at most 4 bytes), return its length. */
uint32_t chord_utf8_encode(uint32_t code_point, uint8_t *dst);

#endif
