/* op_matmul.h: the cut of a product, for op_matmul.c and its tests.
 *
 * The first stage exists if a matrix needs quantised inputs: one unit per row of in[0]. In the second stage
 * a unit is 16 rows of a matrix x up to 256 tokens. Rows are innermost: consecutive units are one kernel
 * call. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_OP_MATMUL_H
#define CHORD_EXEC_OP_MATMUL_H
#include "op.h"

#define CHORD_UNIT_ROWS 16     /* small enough for 16 threads to share 576 rows */
#define CHORD_UNIT_TOKENS 256  /* maximum tokens that use a panel once it is unpacked */
#define CHORD_LEAST_TOKENS 64  /* minimum tokens of a unit when units are cut to balance threads */

typedef struct chord_matmul_cut {
    int32_t n_rows;            /* tokens or output rows */
    int32_t tile, n_tiles;     /* tokens per unit; tiles of the batch */
    int32_t n_blocks[3], all_blocks; /* blocks of CHORD_UNIT_ROWS rows per matrix; their sum */
    int32_t quantize;          /* 1: the first stage quantises n_rows inputs */
    int32_t terms;             /* terms per quantised input: 2 if the product is FINE */
} chord_matmul_cut;
_Static_assert(sizeof(chord_matmul_cut) <= CHORD_CUT_ROOM, "room in chord_cut");

static inline const chord_matmul_cut *chord_matmul_cut_of(const chord_cut *cut)
{
    return (const chord_matmul_cut *)(const void *)cut->of_op;
}

#endif
