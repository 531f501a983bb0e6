/* op_attend.h: the cut of attention, for op_attend.c and its tests.
 *
 * A *column* is up to 32 queries of one KV head of one run. A *chunk* is two pages. Each chunk of a column
 * is computed separately, and the results are joined in ascending order. So no result depends on the thread
 * that computed a chunk. A column starts with the first chunk that one of its queries sees. So a window
 * costs only the chunks that its queries see.
 *
 * Many queries: a unit is a column x up to eight chunks. A stage is one such unit of every column.
 *
 * One token: a unit per column would leave threads idle. So a unit is one KV head x one chunk, and the
 * results of the chunks are kept. Units of a second stage, one per KV head, join them. For a KV head, at
 * most CHORD_ATTEND_PARTS results are kept: these chunks and their joining are a *span*. One token with
 * more than 32 queries per KV head is cut in the same way as many queries. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_OP_ATTEND_H
#define CHORD_EXEC_OP_ATTEND_H
#include "op.h"

#define CHORD_UNIT_QUERIES 32  /* with 32 queries, widening a page to f32 costs a few percent */
#define CHORD_UNIT_CHUNKS 8
enum {
    CHORD_CHUNK_PAGES = 2,
    CHORD_CHUNK_TOKENS = CHORD_CHUNK_PAGES * CHORD_PAGE_TOKENS,
    CHORD_ATTEND_PARTS = 64
};

/* The queries of one KV head of a run are numbered token by token: token * group + head within the group. */
typedef struct chord_attend_cut {
    int32_t group;             /* heads that share a KV head */
    int32_t window;            /* 0: none */
    int64_t n_columns;
    int64_t n_queries;         /* maximum queries of a column */
    int32_t most_chunks;       /* maximum chunks of a column */
    int32_t most_pages;        /* maximum pages of a column, from the first page of its first chunk */
    int32_t n_spans;           /* one token: spans of its most_chunks chunks; many queries: 0 */
    int32_t first_chunk;       /* one token: the first chunk that the token sees */
} chord_attend_cut;
_Static_assert(sizeof(chord_attend_cut) <= CHORD_CUT_ROOM, "room in chord_cut");

static inline const chord_attend_cut *chord_attend_cut_of(const chord_cut *cut)
{
    return (const chord_attend_cut *)(const void *)cut->of_op;
}

/* The span that contains `unit`. */
typedef struct chord_attend_span {
    int64_t first, joins, end; /* units [first, joins) compute chunks, units [joins, end) join them */
    int32_t chunk, n_chunks;   /* the span's first chunk, counted from first_chunk, and their number */
} chord_attend_span;
chord_attend_span chord_attend_span_of(const chord_op *op, const chord_attend_cut *s, int64_t unit);

#endif
