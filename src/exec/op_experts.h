/* op_experts.h: the cut of a product with stacks of matrices, for op_experts.c and its tests.
 *
 * A *pair* is a token and one of its chosen experts. The first stage sorts the pairs by expert (one unit),
 * and quantises inputs (a unit per token) if a stack needs that. In the second stage a unit is 16 rows of
 * one expert's matrix x a *tile*: up to 256 pairs of that expert. So each expert's weights are read once.
 * The number of tiles is known when the pairs are sorted, which is after the cut. So the cut has a unit for
 * each tile that there may be. Rows are innermost: consecutive units are one kernel call. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_OP_EXPERTS_H
#define CHORD_EXEC_OP_EXPERTS_H
#include "op_matmul.h"

typedef struct chord_experts_cut {
    int32_t n_rows;            /* tokens */
    int32_t tile, most_tiles;  /* maximum pairs of a tile; maximum tiles */
    int32_t n_blocks[2], all_blocks; /* blocks of CHORD_UNIT_ROWS rows per stack; their sum */
    int32_t n_quantized;       /* rows of in[0] per token that the first stage quantises */
} chord_experts_cut;
_Static_assert(sizeof(chord_experts_cut) <= CHORD_CUT_ROOM, "room in chord_cut");

static inline const chord_experts_cut *chord_experts_cut_of(const chord_cut *cut)
{
    return (const chord_experts_cut *)(const void *)cut->of_op;
}

#endif
