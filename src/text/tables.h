/* tables.h: the built vocabulary, shared by the files of this room. See vocab.h for the map. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_TABLES_H
#define CHORD_TEXT_TABLES_H
#include "../base/arena.h"
#include "../base/mem.h"
#include "pre.h"
#include "vocab.h"

/* What a token is; more than one bit may be set (a normal token whose text ends a generation becomes
 * CONTROL too). None of the first six: a type that llama.cpp calls undefined. */
enum { ATTR_UNKNOWN = 1, ATTR_UNUSED = 2, ATTR_NORMAL = 4, ATTR_CONTROL = 8, ATTR_USER = 16, ATTR_BYTE = 32,
       ATTR_STRIP_AFTER = 64, ATTR_EOG = 128,
       ATTR_HIDDEN = ATTR_UNKNOWN | ATTR_CONTROL,   /* found in text only when asked; left out by SKIP_SPECIAL */
       ATTR_SPECIAL = ATTR_HIDDEN | ATTR_USER };    /* matched before everything else */

typedef struct chord_merge_rule { int32_t left, right, id; } chord_merge_rule; /* left -1: can never apply */

struct chord_vocab {
    int32_t kind, n_tokens, n_merges, n_specials, n_user;
    int32_t bos, eos, unk, pad;
    bool add_bos, add_eos, add_space_prefix;
    const chord_pre *pre;         /* BPE */
    uint8_t *texts;               /* the tokens' texts as in the file, one after the other */
    uint32_t *offsets;            /* n_tokens + 1 */
    uint32_t longest;             /* bytes of the longest token */
    uint8_t *attrs;               /* ATTR_* of each token */
    uint32_t *order;              /* SPM: smaller for a higher score */
    uint32_t *slots;              /* text -> id: id + 1, 0 is free */
    uint32_t n_slots;
    chord_merge_rule *merges;     /* BPE: by rank */
    uint32_t *merge_slots;        /* (left, right) -> rank + 1 */
    uint32_t n_merge_slots;
    int32_t *specials;            /* ids with ATTR_SPECIAL: the longest text first, then the lower id */
    int32_t *specials_by_text;    /* indices into `specials`, ordered by text */
    uint32_t special_starts[8];   /* bit set of first bytes of special tokens */
    int32_t byte_ids[256];        /* the token of a single byte, -1: none */
};

static inline const uint8_t *token_text(const chord_vocab *v, int32_t id) { return v->texts + v->offsets[id]; }
static inline uint32_t token_bytes(const chord_vocab *v, int32_t id) { return v->offsets[id + 1] - v->offsets[id]; }

/* The token with this text, -1 when there is none. */
int32_t vocab_find(const chord_vocab *v, const void *text, size_t n);
/* The rank of merging two tokens, -1 when they don't merge. */
int32_t vocab_find_merge(const chord_vocab *v, int32_t left, int32_t right);

/* special.c: upper bound of n_specials; ids and EOG as llama.cpp derives them; the sorted lists. */
uint64_t special_bound(const chord_vocab_source *source);
chord_status special_build(chord_vocab *v, const chord_vocab_source *source, chord_error *error);

/* Mark special tokens in text: marks[i] is id + 1 where one begins, MARK_COVERED inside it and in white
 * space that it swallows, 0 elsewhere. `heap` has room for n entries. */
#define MARK_COVERED UINT32_MAX
void special_mark(const chord_vocab *v, const uint8_t *text, uint32_t n, bool parse, uint32_t *marks, uint64_t *heap);

/* Where ids go; counts on past `cap`. */
typedef struct chord_ids {
    int32_t *ids;
    int32_t n, cap;
} chord_ids;
static inline void ids_put(chord_ids *out, int32_t id)
{
    if (out->n < out->cap) out->ids[out->n] = id;
    out->n++;
}

/* One stretch of text without special tokens. false: the arena is too small. *_scratch: bytes of it
 * that n bytes of text need at most. */
bool spm_tokenize(const chord_vocab *v, const uint8_t *text, uint32_t n, bool prefix, chord_ids *out, chord_arena scratch);
uint64_t spm_scratch(uint64_t n);
bool bpe_tokenize(const chord_vocab *v, const uint8_t *text, uint32_t n, chord_ids *out, chord_arena scratch);
uint64_t bpe_scratch(const chord_vocab *v, uint64_t n);

/* GPT-2's alphabet: every byte as a printable code point, 0x21..0x7E, 0xA1..0xAC and 0xAE..0xFF as
 * themselves, the others from U+0100 on in order. */
static inline uint32_t byte_to_letter(uint8_t b)
{
    if (b < 0x21) return 0x100u + b;
    if (b >= 0x7F && b <= 0xA0) return 0x121u + b - 0x7F;
    return b == 0xAD ? 0x143u : b;
}
/* -1 when the code point isn't of the alphabet. */
static inline int32_t letter_to_byte(uint32_t c)
{
    if (c < 0x100) return byte_to_letter((uint8_t)c) == c ? (int32_t)c : -1;
    if (c < 0x121) return (int32_t)c - 0x100;
    if (c < 0x143) return (int32_t)c - 0x121 + 0x7F;
    return c == 0x143 ? 0xAD : -1;
}

#endif
