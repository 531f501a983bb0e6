/* op.h: what a file src/exec/op_<name>.c defines: the op's memory, its cut into stages and units, and the
 * function that computes units. `program/ops.def` lists the ops; op.c makes the table.
 *
 * A *unit* is the smallest piece of work a thread claims: one row, one block of a matrix x one tile of
 * tokens, or one column of attention x some chunks. The units of one *stage* may run in any order and on any
 * thread. A stage starts when the one before it is done. No output element depends on how units are cut:
 * logits are equal to the last bit. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_OP_H
#define CHORD_EXEC_OP_H
#include "../../include/chord.h"

#include "exec.h"

typedef struct chord_op_memory {
    uint64_t work_bytes;          /* kept between the op's stages, shared by all threads */
    uint64_t thread_bytes;        /* scratch of one thread during one unit */
} chord_op_memory;

typedef struct chord_stage {
    int64_t first, end;           /* units first .. end - 1 of the op are this stage */
    uint64_t unit_work;           /* planned work of a unit: an upper estimate, minimum 1 */
} chord_stage;

/* Everything about an op on the CPU. */
typedef struct chord_op_cpu {
    /* Computes the op's memory for the largest batch the plan allows. NULL: the op needs none. */
    void (*measure)(const chord_plan *plan, const chord_op *op, chord_op_memory *memory);
    /* Cuts the op for a batch: sets cut->n_units and all that the functions below read. n_units 0: nothing
     * to do. */
    void (*cut)(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut);
    /* Returns the stage that contains `unit`. NULL: the op has one stage, of units of cut->unit_work. */
    chord_stage (*stage)(const chord_op *op, const chord_cut *cut, int64_t unit);
    /* Limits *n, the number of units from `unit` on that a slice runs, to those whose weights are there.
     * NEED_WEIGHTS: not even the first one's are. NULL: the layer's ACQUIRE has looked. */
    chord_status (*ready)(const chord_run *run, int64_t unit, int64_t *n, chord_error *e);
    /* Computes units [u0, u1) of run->op, all of one stage, as run->cut numbers them. NULL: the op has no
     * units. */
    void (*run)(const chord_run *run, int64_t u0, int64_t u1, int32_t thread);
} chord_op_cpu;

/* Returns NULL for an op that the CPU executor doesn't know. */
const chord_op_cpu *chord_op_cpu_of(int32_t kind);
chord_cut chord_op_cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch);
chord_stage chord_op_stage(const chord_op *op, const chord_cut *cut, int64_t unit);

/* ---- shared by op_<name>.c ---------------------------------------------------------------------------- */

static inline int32_t chord_min32(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int64_t chord_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Returns the op's number of rows: the batch's tokens or its output rows. */
static inline int32_t chord_op_rows(const chord_op *op, const chord_batch *batch)
{
    return op->flags & (CHORD_FLAG_OUTPUT | CHORD_FLAG_POOLED) ? batch->n_outputs : batch->n_tokens;
}
/* Cuts the op into one unit per row. `work` is its multiply-adds, or its elements if the op has no
 * multiply-adds. */
void chord_cut_rows(const chord_op *op, const chord_batch *batch, int64_t work, chord_cut *cut);
float *chord_run_row(const chord_run *run, int32_t slot, int64_t row);
/* Returns the row of in[0] that a norm reads for row `row` of out[0]. */
const float *chord_run_gathered(const chord_run *run, int64_t row);
uint8_t *chord_run_scratch(const chord_run *run, int32_t thread);
/* Returns a vector or table, which the load widened to floats. NULL if the op has none. */
const float *chord_run_vector(const chord_run *run, int32_t tensor);
/* Makes the walk stop after the slice and fail the run. Any thread may call it. */
static inline void chord_run_fault(const chord_run *run, int32_t fault)
{
    __atomic_store_n(run->fault, fault, __ATOMIC_RELAXED);
}
static inline bool chord_is_finite(float x)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    return (bits & 0x7f800000) != 0x7f800000;
}

#endif
