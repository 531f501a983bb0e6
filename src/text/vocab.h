/* vocab.h: a vocabulary as tables, text to ids and back. Receives plain arrays, never a GGUF.
 *
 * vocab.c     tables: texts (one byte block plus offsets), an open-addressing table text -> id,
 *             types, scores, merges (left id, right id) -> (rank, id)
 * special.c   defaults of special ids, the EOG set, and finding special tokens in text
 * tokenizer.c text -> ids, in slices: special tokens, then each stretch between them through its kind
 * spm.c       a kind: SentencePiece with scores, as llama.cpp's llm_tokenizer_spm does it
 * bpe.c       a kind: byte-level BPE over the pre-tokenizer's words
 * merge.h     the list of symbols and the heap of pairs that both merge with
 * pre.c       the pattern engine; pre_words.h what patterns are written with, pre_tables.c the patterns
 * unicode.c   UTF-8 and general categories; unicode_tables.c, generated, has them in 4.5 kB
 * decode.c    ids -> bytes
 * stream.c    chord_stream of chord.h
 *
 * A kind of tokenizer is a table of functions (chord_text_kind in tables.h): one file, and a line in
 * vocab.c, the only place that asks which kind it is.
 *
 * Nothing allocates: chord_vocab_bytes() says how much, chord_vocab_build() fills it; tokenising takes
 * scratch. Every count and length here was checked by the caller to lie inside the arrays given. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_VOCAB_H
#define CHORD_TEXT_VOCAB_H
#include "../base/status.h"
#include "../../include/chord.h" /* CHORD_ADD_SPECIAL ..., CHORD_TOKEN_* */
#include <stdbool.h>

enum { CHORD_VOCAB_SPM = 1, CHORD_VOCAB_BPE = 2 }; /* WordPiece, Unigram: later */

/* ggml's token types */
enum { CHORD_TYPE_NORMAL = 1, CHORD_TYPE_UNKNOWN = 2, CHORD_TYPE_CONTROL = 3, CHORD_TYPE_USER = 4,
       CHORD_TYPE_UNUSED = 5, CHORD_TYPE_BYTE = 6 };

typedef struct chord_vocab_source {
    int32_t kind;                    /* CHORD_VOCAB_* */
    const char *pre;                 /* tokenizer.ggml.pre, NULL when absent */
    size_t n_pre;
    int32_t n_tokens;                /* > 0, < 2^24 */
    const uint8_t *texts;            /* n_tokens records in file form: u64 length (LE), bytes; unaligned */
    uint64_t texts_bytes;
    const uint8_t *scores;           /* n_tokens f32 (LE, unaligned) or NULL */
    const uint8_t *types;            /* n_tokens i32 (LE, unaligned) or NULL */
    const uint8_t *merges;           /* n_merges records u64 length, "left right"; or NULL */
    int32_t n_merges;
    uint64_t merges_bytes;
    int32_t bos, eos, unk, sep, pad, eot, eom; /* ids out of the metadata, -1 when absent: vocab.c applies llama.cpp's defaults */
    int32_t fim_pre, fim_suf, fim_mid, fim_pad, fim_rep, fim_sep; /* likewise: the last three end a generation */
    int32_t add_bos, add_eos, add_space_prefix, remove_extra_whitespaces; /* 0, 1, or -1 when absent */
    int32_t strip_after_special;     /* 1: white space after a special token belongs to it (Phi-3, by its name) */
} chord_vocab_source;

typedef struct chord_vocab chord_vocab;
typedef struct chord_text_kind chord_text_kind; /* tables.h: the functions of a kind of tokenizer */

/* The CHORD_VOCAB_* of a value of tokenizer.ggml.model, 0 when it is none of ours. */
int32_t chord_vocab_kind_named(const char *model, size_t n);

/* Whether the source has what its kind needs: INVALID_GGUF or UNSUPPORTED_TOKENIZER naming the key. */
chord_status chord_vocab_check(const chord_vocab_source *source, chord_error *error);

/* Memory for the built tables; false when a size overflows. At most 1.5 x the arrays' bytes in the file
 * for real vocabularies (docs/DESIGN.md, "Memory, one definition", allows 2.5 x with the header beside it). */
bool chord_vocab_bytes(const chord_vocab_source *source, uint64_t *bytes);

/* Build into `block` (16-byte aligned, chord_vocab_bytes() long). Errors: UNSUPPORTED_TOKENIZER naming
 * the pre-tokenizer or kind, INVALID_GGUF naming the token or merge (an id out of range, a merge
 * without a blank, a byte token that isn't <0xHH>, a special id >= n_tokens ...). */
chord_status chord_vocab_build(chord_vocab **out, void *block, uint64_t bytes,
                               const chord_vocab_source *source, chord_error *error);

/* As in chord.h, with a vocabulary in place of a model. The rest of chord_tokenizer_* is in chord.h. */
chord_tokenizer *chord_vocab_open_tokenizer(const chord_vocab *v, const char *text, size_t n, int32_t flags,
                                            void *block, size_t bytes);
size_t chord_vocab_scratch(const chord_vocab *v, size_t n);
int32_t chord_vocab_tokenize(const chord_vocab *v, const char *text, size_t n, int32_t flags,
                             int32_t *ids, int32_t cap, void *scratch, size_t scratch_bytes);
int64_t chord_vocab_detokenize(const chord_vocab *v, const int32_t *ids, int32_t n, int32_t flags,
                               char *dst, size_t cap);
int32_t chord_vocab_flags(const chord_vocab *v, int32_t id);

typedef struct chord_vocab_specials {
    int32_t n_tokens, bos, eos, unk, pad, add_bos, add_eos;
} chord_vocab_specials;
chord_vocab_specials chord_vocab_get_specials(const chord_vocab *v);

#endif
