/* batch.h: a session hands an executor a batch: runs of tokens, and the rows that have an output row.
 *
 * A *run* is consecutive positions of one sequence. Its rows follow each other in the batch. Before an
 * executor sees the batch, the pages of positions [first_pos, first_pos + n_tokens) exist, and so do the
 * pages that a query of the batch reads. An executor writes only the rows of the batch's positions, and the
 * state after each run. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_PROGRAM_BATCH_H
#define CHORD_PROGRAM_BATCH_H
#include "plan.h"

typedef struct chord_batch_run {
    int32_t first_row, n_tokens;
    int32_t first_pos;            /* position of the run's first token */
    /* PAGED, WINDOW: pages[class][p / CHORD_PAGE_TOKENS] holds position p; NULL: a dead page.
     * STATE: pages[class][0] is the state before the run. The executor writes the state after the run to
     * pages[class][1]. */
    uint8_t *const *pages[CHORD_MAX_CLASSES];
} chord_batch_run;

#define CHORD_MAX_RUNS 256

/* Texts, for embeddings: each run is a whole text, from position 0 on. `is_texts` says so. The output rows
 * are one of each run, or with CHORD_POOLING_NONE one of each token, and `rows` isn't used. */
typedef struct chord_batch {
    int32_t n_tokens;             /* rows of all runs */
    int32_t n_runs;
    const chord_batch_run *runs;
    const int32_t *ids;           /* n_tokens; -1 where the row is an embedding */
    const float *const *embeddings; /* NULL, or n_tokens pointers to n_embd floats; NULL: the row is an id */
    int32_t n_axes; /* numbers per position: 1, or 3 for multi-axis RoPE */
    const int32_t *positions; /* [n_tokens][n_axes], for ANGLES only; NULL: consecutive from first_pos */
    int32_t n_outputs;
    const int32_t *rows; /* n_outputs rows, ascending */
    int32_t is_texts, pooling;
} chord_batch;

/* Returns the run that contains `row`. */
const chord_batch_run *chord_batch_run_of(const chord_batch *b, int64_t row);

/* Returns the op behind the last op of the batch, and the op that follows `op`. */
static inline int32_t chord_batch_end(const chord_batch *b, const chord_program *p)
{
    return !b->is_texts ? p->n_ops : b->pooling == 4 /* CHORD_POOLING_RANK */ ? p->n_all : p->n_pooled;
}
int32_t chord_batch_next(const chord_batch *b, const chord_program *p, int32_t op);

/* Where the next step continues in the batch. */
typedef struct chord_cursor {
    int32_t op; /* chord_batch_end(): the batch is complete */
    int32_t reserved;
    int64_t unit;
} chord_cursor;

#endif
