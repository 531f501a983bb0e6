/* op_matmul.h: the cut of a product, for op_matmul.c and its tests.
 *
 * First stage, where a matrix wants quantised inputs: a unit a row of in[0]. Second stage: 16 rows of a matrix x up to
 * 256 tokens, rows innermost, so that a run of units is one kernel call. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_OP_MATMUL_H
#define CHORD_EXEC_OP_MATMUL_H
#include "op.h"

#define CHORD_UNIT_ROWS 16     /* small enough for 16 threads to share 576 rows */
#define CHORD_UNIT_TOKENS 256  /* a panel is taken apart, and weights read, once for as many */
#define CHORD_LEAST_TOKENS 64  /* so small do units of products become for the balance of threads */

typedef struct chord_matmul_cut {
    int32_t n_rows;            /* tokens or output rows */
    int32_t tile, n_tiles;     /* tokens a unit */
    int32_t n_blocks[3], all_blocks; /* blocks of CHORD_UNIT_ROWS rows of each matrix */
    int32_t quantize;          /* 1: a first stage quantises the n_rows inputs */
    int32_t terms;             /* of each quantised input: 2 where the product is FINE */
} chord_matmul_cut;
_Static_assert(sizeof(chord_matmul_cut) <= CHORD_CUT_ROOM, "room in chord_cut");

static inline const chord_matmul_cut *chord_matmul_cut_of(const chord_cut *cut) { return (const chord_matmul_cut *)(const void *)cut->of_op; }

#endif
