/* op_attend.h: the cut of attention, for op_attend.c and its tests.
 *
 * A *column* is up to 32 queries of one KV head of one run. A *chunk* is two pages: attention begins anew in each chunk
 * and the results are joined in ascending order, so that no result depends on who computed which chunk. A column's
 * chunks begin with the first that one of its queries sees: a window costs what it sees.
 * Many queries: a unit is a column x up to eight chunks; a stage is such a unit of every column.
 * One run of one token, whose few columns would leave threads idle: a unit is one KV head x one chunk, side by side;
 * a second stage joins them. Up to CHORD_ATTEND_PARTS chunks lie side by side: they and their joining are a *span*. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_OP_ATTEND_H
#define CHORD_EXEC_OP_ATTEND_H
#include "op.h"

#define CHORD_UNIT_QUERIES 32  /* widening a page to f32 costs a few percent then */
#define CHORD_UNIT_CHUNKS 8
enum { CHORD_CHUNK_PAGES = 2, CHORD_CHUNK_TOKENS = CHORD_CHUNK_PAGES * CHORD_PAGE_TOKENS, CHORD_ATTEND_PARTS = 64 };

/* The queries of one KV head of a run: token-major, query = token * group + head within the group. */
typedef struct chord_attend_cut {
    int32_t group;             /* heads that share a KV head */
    int32_t window;            /* 0: none */
    int64_t n_columns;
    int64_t n_queries;         /* most queries of a column */
    int32_t most_chunks;       /* most chunks of a column */
    int32_t most_pages;        /* most pages of a column, from its first chunk's first */
    int32_t n_spans;           /* 0: many queries. Otherwise most_chunks chunks of the one token */
    int32_t first_chunk;       /* of the one token */
} chord_attend_cut;
_Static_assert(sizeof(chord_attend_cut) <= CHORD_CUT_ROOM, "room in chord_cut");

static inline const chord_attend_cut *chord_attend_cut_of(const chord_cut *cut) { return (const chord_attend_cut *)(const void *)cut->of_op; }

/* Of the span that holds `unit`. */
typedef struct chord_attend_span {
    int64_t first, joins, end; /* units: those of chunks, then those that join */
    int32_t chunk, n_chunks;   /* the first, counted from first_chunk, and how many */
} chord_attend_span;
chord_attend_span chord_attend_span_of(const chord_op *op, const chord_attend_cut *s, int64_t unit);

#endif
