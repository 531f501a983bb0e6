/* caches.h: the pages and states that a sequence holds, class by class. Used by src/session only. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_SESSION_CACHES_H
#define CHORD_SESSION_CACHES_H
#include "sequence.h"
#include <stdbool.h>

static inline int32_t chord_pages_for(int32_t n_tokens)
{
    return n_tokens / CHORD_PAGE_TOKENS + (n_tokens % CHORD_PAGE_TOKENS != 0);
}

/* Adds writable pages for n + ahead tokens behind n_past, as far as the context goes, and in each class of
 * states 1 + ahead states behind the current one, which executors write. Returns OK, or NEED_MEMORY
 * (q->wanted), which changes nothing. */
chord_status chord_caches_extend(chord_sequence *q, int32_t n, int32_t ahead);
/* Accepts the batch that started at position `before`: the written state becomes the current state. Takes
 * checkpoints. n_past is already behind the batch. */
void chord_caches_accept(chord_sequence *q, int32_t before);
/* Frees the pages and states that the batch under way and chord_sequence_reserve() added. */
void chord_caches_undo(chord_sequence *q);
/* Returns the nearest position at or before n at which every class can continue. n < n_past. */
int32_t chord_caches_stand(const chord_sequence *q, int32_t n);
/* Frees the pages and states behind n_past. The caller has set n_past to a result of
 * chord_caches_stand(). */
void chord_caches_cut(chord_sequence *q);
/* Frees all pages, states and checkpoints. */
void chord_caches_clear(chord_sequence *q);
/* Does the caches' part of chord_sequence_fork(). */
chord_status chord_caches_fork(chord_sequence *q, chord_sequence *to);
/* Takes the pages and states of a save for the empty sequence q. OK, or NEED_MEMORY (q->wanted), which
 * changes nothing. */
chord_status chord_caches_restore(chord_sequence *q, const chord_save_header *save);

#endif
