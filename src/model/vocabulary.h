/* vocabulary.h: GGUF metadata -> the plain arrays that text/ builds a vocabulary from. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_MODEL_VOCABULARY_H
#define CHORD_MODEL_VOCABULARY_H
#include "../format/gguf.h"
#include "../text/vocab.h"

/* Read and check every tokenizer key of a complete header: type, count and, in arrays of strings, each
 * length. *out points into the header's log and is valid as long as that is. A special id outside the
 * vocabulary counts as absent (older converters wrote 0xFFFFFFFF), as in llama.cpp.
 * Errors: INVALID_GGUF naming the key, UNSUPPORTED_TOKENIZER naming the model. */
chord_status chord_vocabulary_read(const chord_gguf *g, chord_vocab_source *out, chord_error *e);

/* The keys whose values the header must keep whatever their size, NULL at the end: for chord_gguf_init.
 * tokenizer.chat_template is among them; the text room doesn't read it, users do. */
extern const char *const chord_vocabulary_keys[];

/* Bytes of tokens, scores, types and merges in the file. */
uint64_t chord_vocabulary_file_bytes(const chord_vocab_source *source);

#endif
