/* charsmap.h: SentencePiece's precompiled normaliser, tokenizer.ggml.precompiled_charsmap.
 *
 *   u32 bytes of the trie | units of the trie, u32 each | replacements, each ended by a zero byte
 *
 * The trie is an XOR-compressed compact double array (Kanda 2018; Darts-clone). The children of unit i are
 * at i ^ base(i) ^ c for the bytes c. A unit is the child for c if its label is c. If a unit has a leaf, the
 * unit at i ^ base(i) holds a value: the offset of a replacement.
 *
 *   bits 0-7 label | bit 8 has a leaf | bit 9 the base is shifted by 8 | bits 10-30 base | bit 31 a value
 *
 * The units come from a file: charsmap_check() makes sure that no walk can leave the array. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_CHARSMAP_H
#define CHORD_TEXT_CHARSMAP_H
#include "../base/arena.h"
#include "../base/status.h"
#include <stdbool.h>

typedef struct chord_charsmap {
    uint32_t *units;
    uint8_t *replacements;
    uint32_t n_units, n_replacements;
    uint32_t longest; /* bytes of the longest replacement */
} chord_charsmap;

/* Errors: INVALID_GGUF names the key and what is wrong. `bytes` NULL is no normaliser. */
chord_status charsmap_check(const uint8_t *bytes, uint64_t n, chord_error *error);
/* Allocates what charsmap_build() fills. The bytes have passed charsmap_check(), or `a` only counts. */
bool charsmap_lay_out(chord_charsmap *m, const uint8_t *bytes, uint64_t n, chord_arena *a);
void charsmap_build(chord_charsmap *m, const uint8_t *bytes, uint64_t n);

/* Returns the bytes of the longest prefix of the text that has a replacement, 0 if there is none. */
uint32_t charsmap_match(const chord_charsmap *m, const uint8_t *text, uint32_t n, const uint8_t **replacement,
                        uint32_t *n_replacement);

#endif
