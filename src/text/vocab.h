/* vocab.h: a vocabulary as tables; text to ids and back. The input is plain arrays, never a GGUF file.
 *
 * vocab.c     tables of every kind: texts (one byte block plus offsets), attributes, a hash table text -> id
 * special.c   special ids and their defaults, the EOG set, special tokens in text
 * tokenizer.c text -> ids, in slices: special tokens, then each stretch between them by the kind
 * spm.c       a kind: SentencePiece with scores, as llama.cpp's llm_tokenizer_spm does it
 * bpe.c       kinds: byte-level BPE over the pre-tokenizer's words; merges (left, right) -> (rank, id);
 *             and Gemma 4's, whose tokens are text
 * joints.c    where a text may be cut because no token reaches across
 * wordpiece.c a kind: BERT's words, and the longest tokens that spell them; fold.c: lower case, base letters
 * unigram.c   a kind: the spelling with the best sum of scores; charsmap.c: its normaliser, from the file
 * sorted.c    ids sorted by text, and the tokens that begin a text
 * merge.h     the line of symbols and the heap of pairs that both kinds merge with
 * pre.c       the pattern engine; pre_words.h: macros to write patterns with; pre_tables.c: the patterns
 * unicode.c   UTF-8 and general categories; unicode_tables.c: the categories in 4.5 kB, generated
 * decode.c    ids -> bytes
 * stream.c    chord_stream of chord.h
 *
 * A tokenizer kind is a table of functions (chord_text_kind in tables.h). It needs one file and one line in
 * vocab.c, the only file that lists the kinds.
 *
 * No function here allocates. chord_vocab_bytes() returns the size of the tables, chord_vocab_build() fills
 * a block of that size, and tokenising needs scratch from the caller. The caller has checked that every
 * count and length is inside the arrays that it passes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_VOCAB_H
#define CHORD_TEXT_VOCAB_H
#include "../base/status.h"
#include "../../include/chord.h" /* CHORD_ADD_SPECIAL ..., CHORD_TOKEN_* */
#include <stdbool.h>

enum {
    CHORD_VOCAB_SPM = 1,
    CHORD_VOCAB_BPE = 2,
    CHORD_VOCAB_WORDPIECE = 3,
    CHORD_VOCAB_GEMMA4 = 4,
    CHORD_VOCAB_WHITESPACE = 5,
    CHORD_VOCAB_UNIGRAM = 6,
    CHORD_VOCAB_RWKV = 7,
    CHORD_VOCAB_PLAMO2 = 8
};

/* ggml's token types */
enum {
    CHORD_TYPE_NORMAL = 1,
    CHORD_TYPE_UNKNOWN = 2,
    CHORD_TYPE_CONTROL = 3,
    CHORD_TYPE_USER = 4,
    CHORD_TYPE_UNUSED = 5,
    CHORD_TYPE_BYTE = 6
};

typedef struct chord_vocab_source {
    int32_t kind;                    /* CHORD_VOCAB_* */
    const char *pre;                 /* tokenizer.ggml.pre, NULL when absent */
    size_t n_pre;
    int32_t takes_any_pre;           /* 1: an unknown pre-tokenizer is read as "default" */
    int32_t n_tokens;                /* > 0, < 2^24 */
    const uint8_t *texts;            /* n_tokens records in file form: u64 length (LE), bytes; unaligned */
    uint64_t texts_bytes;
    const uint8_t *scores;           /* n_tokens f32 (LE, unaligned) or NULL */
    const uint8_t *types;            /* n_tokens i32 (LE, unaligned) or NULL */
    const uint8_t *merges;           /* n_merges records u64 length, "left right"; or NULL */
    int32_t n_merges;
    uint64_t merges_bytes;
    const uint8_t *charsmap;         /* Unigram: tokenizer.ggml.precompiled_charsmap, or NULL */
    uint64_t charsmap_bytes;
    /* ids from the metadata, -1 when absent: special.c applies llama.cpp's defaults */
    int32_t bos, eos, unk, sep, pad, eot, eom;
    int32_t fim_pre, fim_suf, fim_mid, fim_pad, fim_rep, fim_sep; /* the last three end a generation */
    int32_t add_bos, add_eos, add_space_prefix, remove_extra_whitespaces; /* 0, 1, or -1 when absent */
    int32_t lowercase, strip_accents; /* WordPiece: 0, 1, or -1 when absent */
    const char *strips_before;       /* a token that swallows the white space before it; NULL: none */
    int32_t strip_after_special;     /* 1: a special token swallows the white space after it (Phi-3 only) */
} chord_vocab_source;

typedef struct chord_vocab chord_vocab;
typedef struct chord_text_kind chord_text_kind; /* tables.h: the functions of a tokenizer kind */

/* Returns the CHORD_VOCAB_* of a value of tokenizer.ggml.model, 0 for an unknown one. */
int32_t chord_vocab_kind_named(const char *model, size_t n);

/* Checks that the source has what its kind needs. INVALID_GGUF and UNSUPPORTED_TOKENIZER name the key. */
chord_status chord_vocab_check(const chord_vocab_source *source, chord_error *error);

/* Sets *bytes to the size of the built tables. Returns false if a count is out of range, a text is cut off
 * or a size overflows. The tables of real vocabularies have at most 1.5 x the arrays' bytes in the file.
 * docs/DESIGN.md, "Memory bound", allows 2.5 x, the header's copy included. */
bool chord_vocab_bytes(const chord_vocab_source *source, uint64_t *bytes);

/* Builds the tables in `block` (16-byte aligned, chord_vocab_bytes() long). Errors: UNSUPPORTED_TOKENIZER
 * naming the pre-tokenizer or kind; INVALID_GGUF naming the token or merge (a merge without a blank, a byte
 * token that isn't <0xHH>, a special id >= n_tokens ...). */
chord_status chord_vocab_build(chord_vocab **out, void *block, uint64_t bytes,
                               const chord_vocab_source *source, chord_error *error);

/* As in chord.h, with a vocabulary in place of a model. chord.h has the rest of chord_tokenizer_*. */
chord_tokenizer *chord_vocab_open_tokenizer(const chord_vocab *v, const char *text, size_t n, int32_t flags,
                                            void *block, size_t bytes);
size_t chord_vocab_scratch(const chord_vocab *v, size_t n);
int32_t chord_vocab_tokenize(const chord_vocab *v, const char *text, size_t n, int32_t flags, int32_t *ids,
                             int32_t cap, void *scratch, size_t scratch_bytes);
int64_t chord_vocab_detokenize(const chord_vocab *v, const int32_t *ids, int32_t n, int32_t flags, char *dst,
                               size_t cap);
int32_t chord_vocab_flags(const chord_vocab *v, int32_t id);

typedef struct chord_vocab_specials {
    int32_t n_tokens, bos, eos, unk, pad, add_bos, add_eos;
} chord_vocab_specials;
chord_vocab_specials chord_vocab_get_specials(const chord_vocab *v);

#endif
