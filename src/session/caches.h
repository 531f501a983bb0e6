/* caches.h: inside the room: which pages and states a sequence holds, class by class. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_SESSION_CACHES_H
#define CHORD_SESSION_CACHES_H
#include "sequence.h"
#include <stdbool.h>

static inline int32_t chord_pages_for(int32_t n_tokens) { return n_tokens / CHORD_PAGE_TOKENS + (n_tokens % CHORD_PAGE_TOKENS != 0); }

/* Pages for n tokens behind n_past, writable; a state to write. OK or NEED_MEMORY (q->wanted): nothing has changed. */
chord_status chord_caches_extend(chord_sequence *q, int32_t n);
/* The batch that began at `before` is in: the state that was written stands; checkpoints are taken. */
void chord_caches_accept(chord_sequence *q, int32_t before);
/* What the batch under way took goes back. */
void chord_caches_undo(chord_sequence *q);
/* The nearest position at or before n, n < n_past, that every class can stand at. */
int32_t chord_caches_stand(const chord_sequence *q, int32_t n);
/* n_past has become a position that chord_caches_stand() gave: pages and states behind it go back. */
void chord_caches_cut(chord_sequence *q);
void chord_caches_clear(chord_sequence *q);
/* As chord_sequence_fork. */
chord_status chord_caches_fork(chord_sequence *q, chord_sequence *to);

#endif
