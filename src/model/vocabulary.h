/* vocabulary.h: reads the arrays from which text/ builds a vocabulary out of GGUF metadata. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_MODEL_VOCABULARY_H
#define CHORD_MODEL_VOCABULARY_H
#include "../format/gguf.h"
#include "../text/vocab.h"

/* Reads every tokenizer key of a complete header and checks its type, its count and, in arrays of strings,
 * each length. With any_pre 1 an unknown tokenizer.ggml.pre is read as "default". *out points into the
 * header's log and is valid as long as the log. A special id outside the vocabulary counts as absent, as in
 * llama.cpp: older converters wrote 0xFFFFFFFF.
 * Errors: INVALID_GGUF names the key, UNSUPPORTED_TOKENIZER names the tokenizer. */
chord_status chord_vocabulary_read(const chord_gguf *g, int32_t any_pre, chord_vocab_source *out,
                                   chord_error *e);

/* Keys whose values the header must keep whatever their size, for chord_gguf_init(): the vocabulary's, and
 * the chat templates (engine/chat.c). */
extern const char *const chord_vocabulary_keys[];

/* Returns the bytes of tokens, scores, types and merges in the file. */
uint64_t chord_vocabulary_file_bytes(const chord_vocab_source *source);

#endif
