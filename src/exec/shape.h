/* shape.h: the cut of a product and of attention, shared by shape.c and ops.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_SHAPE_H
#define CHORD_EXEC_SHAPE_H
#include "../../include/chord.h"

#include "exec.h"

#define CHORD_UNIT_ROWS 16     /* small enough for 16 threads to share 576 rows */
#define CHORD_UNIT_TOKENS 256  /* a panel is taken apart, and weights read, once for as many */
#define CHORD_LEAST_TOKENS 64  /* so small do units of products become for the balance of threads */
#define CHORD_UNIT_QUERIES 32  /* widening a page to f32 costs a few percent then */
#define CHORD_UNIT_PAGES 16

typedef struct chord_matmul_shape {
    int32_t n_rows;            /* tokens or output rows */
    int32_t tile, n_tiles;     /* tokens a unit */
    int32_t n_blocks[3], all_blocks; /* blocks of CHORD_UNIT_ROWS rows of each matrix */
    int32_t quantize;          /* 1: a first stage quantises the n_rows inputs */
    int32_t terms;             /* of each quantised input: 2 where the product is FINE */
} chord_matmul_shape;

/* The queries of one KV head: token-major, query = token * group + head within the group. */
typedef struct chord_attend_shape {
    int32_t group;             /* heads that share a KV head */
    int64_t n_queries;         /* of one KV head */
    int64_t n_columns;         /* n_kv x runs of CHORD_UNIT_QUERIES queries; column = run * n_kv + KV head */
    int32_t n_pages;
    int32_t n_runs;            /* stages: runs of CHORD_UNIT_PAGES pages, a unit a column */
    int32_t n_chunks, n_spans; /* of a single token: its units are KV head x chunk, then the joining a KV head; span by span */
} chord_attend_shape;

int32_t chord_op_rows(const chord_op *op, const chord_batch *batch);
chord_matmul_shape chord_shape_matmul(const chord_model_plan *plan, const chord_op *op, const chord_batch *batch);
/* Of the span that holds `unit`. */
typedef struct chord_attend_span {
    int64_t first, joins, end; /* units: those of chunks, then those that join */
    int32_t chunk, n_chunks;   /* the first and how many */
} chord_attend_span;
chord_attend_span chord_shape_span(const chord_op *op, const chord_attend_shape *s, int64_t unit);
chord_attend_shape chord_shape_attend(const chord_op *op, const chord_batch *batch);

#endif
