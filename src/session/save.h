/* save.h: a sequence as a stream of bytes.
 *
 *   header    chord_save_header, the last field is its checksum
 *   payload   ids [n_tokens], int32; positions [n_tokens][n_axes], int32, if has_positions
 *             PAGED, WINDOW: per class and live page, per cache its keys, then its values: [head][row],
 *             rows of evaluated tokens only
 *             STATE: per class the floats of its caches; then per checkpoint the same
 *   checksum  of header and payload, 8 bytes
 *
 * Numbers are little-endian, as on every target. No byte that the sequence hasn't written is in a save: a
 * page may hold rows of another sequence. So equal sequences have equal saves. Two references to one state
 * become two states.
 *
 * The header and the payload's place are functions of a few counts, so a save needs no memory: each byte is
 * found by its offset. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_SESSION_SAVE_H
#define CHORD_SESSION_SAVE_H
#include "sequence.h"

/* FNV-1a. One changed byte always changes the sum. */
#define CHORD_SUM_BEGIN 14695981039346656037ull
static inline uint64_t chord_sum(uint64_t sum, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) sum = (sum ^ p[i]) * 1099511628211ull;
    return sum;
}

/* Where an executor outside the library holds the pages (q->is_elsewhere), a save's bytes that are in pages
 * are left alone: chord_sequence_save() sums what `dst` already has there, and chord_sequence_restore() only
 * sums them. */

/* Writes where byte `at` is: the class, the number of the page and the offset in it, or CHORD_NONE if it's
 * in no page. Returns how many bytes follow there, 0 behind the save's end. Of a restore under way, the
 * header must have arrived. */
uint64_t chord_sequence_save_place(const chord_sequence *q, uint64_t at, int32_t place[3]);
/* Returns the bytes of a save of q; 0 while a restore of q is under way. */
uint64_t chord_sequence_save_bytes(const chord_sequence *q);
/* Writes bytes [at, at + n) of the save, cut to its end. MORE, or DONE after the last byte. `at` is 0, which
 * begins a save, or the end of the last call's bytes. Errors: BUSY (a batch is under way), INVALID_ARGUMENT
 * (embeddings are pending, another `at`, a restore is under way, or a batch, a truncation or a drop since
 * the save began). */
chord_status chord_sequence_save(chord_sequence *q, const chord_save_model *model, uint64_t at, void *dst,
                                 size_t n, chord_error *e);
/* Reads the next n bytes of a save. MORE, DONE (q is the saved sequence), NEED_MEMORY (q->wanted; no byte
 * was consumed). `at` is 0, which begins a restore, or the end of the last call's bytes. Errors that leave q
 * as it was: INVALID_ARGUMENT (q isn't empty, or another `at`). After every other error q is empty:
 * INVALID_ARGUMENT (no save, or another model's or version's), INTEGRITY, CONTEXT_FULL. */
chord_status chord_sequence_restore(chord_sequence *q, const chord_save_model *model, uint64_t at,
                                    const void *bytes, size_t n, chord_error *e);

#endif
