/* batch.h: what a session hands to a backend: some tokens at consecutive positions, the page table
 * that holds their sequence, and the rows whose logits are wanted. Pages of [0, first_pos + n_tokens)
 * exist before a backend sees the batch; a backend writes the KV rows of its own positions only. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_PROGRAM_BATCH_H
#define CHORD_PROGRAM_BATCH_H
#include <stdint.h>

typedef struct chord_batch {
    int32_t n_tokens;
    int32_t first_pos;            /* position of ids[0] */
    const int32_t *ids;           /* n_tokens */
    int32_t n_outputs;
    const int32_t *rows;          /* n_outputs indices into ids, ascending */
    uint8_t *const *pages;        /* pages[p / CHORD_PAGE_TOKENS] holds position p */
} chord_batch;

/* Where the executor stands inside the batch. */
typedef struct chord_cursor {
    int32_t op;                   /* n_ops: the batch is complete */
    int32_t reserved;
    int64_t unit;
} chord_cursor;

#endif
