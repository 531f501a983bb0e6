/* unicode.h: UTF-8, and what Unicode says about a code point, as the pre-tokenizer patterns ask for it.
 *
 * The general category of every code point lies in unicode_tables.c, which is generated
 * (tools/gen_unicode.py); ASCII has a table of its own. White space is derived from the category. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_UNICODE_H
#define CHORD_TEXT_UNICODE_H
#include <stddef.h>
#include <stdint.h>

/* General categories, in the order of the generated tables. */
enum { CHORD_LU, CHORD_LL, CHORD_LT, CHORD_LM, CHORD_LO, CHORD_MN, CHORD_MC, CHORD_ME, CHORD_ND, CHORD_NL,
       CHORD_NO, CHORD_PC, CHORD_PD, CHORD_PS, CHORD_PE, CHORD_PI, CHORD_PF, CHORD_PO, CHORD_SM, CHORD_SC,
       CHORD_SK, CHORD_SO, CHORD_ZS, CHORD_ZL, CHORD_ZP, CHORD_CC, CHORD_CF, CHORD_CS, CHORD_CO, CHORD_CN,
       CHORD_N_CATEGORIES };

/* Sets of categories, a bit each. A code point is in one category, and may be white space besides. */
#define CHORD_IN(category) (1u << (category))
#define CHORD_IN_L 0x1Fu
#define CHORD_IN_M (0x7u << CHORD_MN)
#define CHORD_IN_N (0x7u << CHORD_ND)
#define CHORD_IN_P (0x7Fu << CHORD_PC)
#define CHORD_IN_S (0xFu << CHORD_SM)
#define CHORD_IN_Z (0x7u << CHORD_ZS)
#define CHORD_IN_WHITE (1u << CHORD_N_CATEGORIES)
#define CHORD_IN_ANY (CHORD_IN_WHITE * 2 - 1)

/* The generated tables. A byte begins a run: its category in the low 5 bits, its length - 1 in the upper
 * 3; 7 there says that length - 8 follows, 7 bits a byte, the lowest first, the top bit on all but the
 * last. Category CHORD_N_CATEGORIES is a run of Lu, Ll, Lu, ... An index entry stands for 32 runs: the
 * first code point in its low 21 bits, above them how far beyond 32 * i its byte lies. */
enum { CHORD_UNICODE_STRIDE = 32 };
extern uint8_t const chord_unicode_ascii[128];
extern uint8_t const chord_unicode_runs[];
extern uint32_t const chord_unicode_index[];
extern int32_t const chord_n_unicode_index;

/* The category's bit of a code point, and CHORD_IN_WHITE; anything past U+10FFFF is unassigned. */
uint32_t chord_unicode_bits(uint32_t code_point);

/* The code point at `p` (p < end) and how many bytes it takes. Overlong forms and surrogates are taken
 * at their value, as llama.cpp does; a byte that begins nothing is U+FFFD and one byte long. */
uint32_t chord_utf8_decode(const uint8_t *p, const uint8_t *end, uint32_t *code_point);

/* Bytes of the code point that ends at `p`, seen from `begin` < p: the inverse of decoding forwards. */
uint32_t chord_utf8_back(const uint8_t *begin, const uint8_t *p);

/* Write a code point (at most 4 bytes), return its length. */
uint32_t chord_utf8_encode(uint32_t code_point, uint8_t *dst);

#endif
