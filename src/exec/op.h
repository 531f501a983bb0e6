/* op.h: what a file src/exec/op_<name>.c gives: how an op is cut into stages and units, what a run of units
 * computes, and which memory it wants. `program/ops.def` names the ops; op.c makes the table.
 *
 * A *unit* is the least that a thread claims: a row, a block of a matrix x a tile of tokens, a piece of attention.
 * The units of one *stage* may run in any order and on any thread. Stages follow each other.
 * No output element depends on how units are cut: logits are equal to the last bit. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_OP_H
#define CHORD_EXEC_OP_H
#include "../../include/chord.h"

#include "exec.h"

typedef struct chord_op_memory {
    uint64_t work_bytes;          /* kept from one stage of the op to the next, shared by the threads */
    uint64_t thread_bytes;        /* scratch of each thread within a unit */
} chord_op_memory;

typedef struct chord_stage {
    int64_t first, end;           /* units of this stage in the op's numbering */
    uint64_t unit_work;           /* planned multiply-adds of one unit, an upper estimate, at least 1 */
} chord_stage;

/* Everything about an op on the CPU. */
typedef struct chord_op_cpu {
    /* Adds nothing where it is NULL. Measured for the largest batch that the plan allows. */
    void (*measure)(const chord_model_plan *plan, const chord_op *op, chord_op_memory *memory);
    /* The cut for a batch: cut->n_units and what the functions below need of it; cut->n_units 0: nothing to do. */
    void (*cut)(const chord_model_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut);
    /* The stage that holds `unit`. NULL: one stage, units of cut->unit_work each. */
    chord_stage (*stage)(const chord_op *op, const chord_cut *cut, int64_t unit);
    /* Units [u0, u1), all of one stage, of run->op as run->cut cuts it. NULL: the op has none. */
    void (*run)(const chord_run *run, int64_t u0, int64_t u1, int32_t thread);
} chord_op_cpu;

/* NULL for an op that the CPU executor doesn't know. */
const chord_op_cpu *chord_op_cpu_of(int32_t kind);
chord_cut chord_op_cut(const chord_model_plan *plan, const chord_op *op, const chord_batch *batch);
chord_stage chord_op_stage(const chord_op *op, const chord_cut *cut, int64_t unit);

/* ---- what the files share ----------------------------------------------------------------------------- */

static inline int32_t chord_min32(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int64_t chord_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Rows of the op: the batch's, or those that give output. */
static inline int32_t chord_op_rows(const chord_op *op, const chord_batch *batch)
{
    return op->flags & CHORD_FLAG_OUTPUT ? batch->n_outputs : batch->n_tokens;
}
/* A unit a row, of `work` multiply-adds or, where an op has none, elements. */
static inline void chord_cut_rows(const chord_op *op, const chord_batch *batch, int64_t work, chord_cut *cut)
{
    cut->n_units = chord_op_rows(op, batch);
    cut->unit_work = (uint64_t)work;
}
static inline float *chord_run_row(const chord_run *run, int32_t slot, int64_t row)
{
    return run->plan->slots[slot] + row * chord_slot_stride(&run->plan->program.slots[slot]);
}
/* The row of in[0] that a norm reads for its row `row`. */
static inline const float *chord_run_gathered(const chord_run *run, int64_t row)
{
    return chord_run_row(run, run->op->in[0], run->op->flags & CHORD_FLAG_GATHER ? run->batch->rows[row] : row);
}
static inline uint8_t *chord_run_scratch(const chord_run *run, int32_t thread)
{
    return run->plan->thread_scratch + (uint64_t)thread * run->plan->thread_scratch_bytes;
}
/* A vector, or a table, that was widened to floats at load; NULL where the op has none. */
static inline const float *chord_run_vector(const chord_run *run, int32_t tensor)
{
    return tensor < 0 ? NULL : (const float *)(const void *)run->plan->tensors[tensor].data;
}
/* The walk stops behind the slice and calls the run failed. Any thread may call it. */
static inline void chord_run_fault(const chord_run *run, int32_t fault) { __atomic_store_n(run->fault, fault, __ATOMIC_RELAXED); }
static inline bool chord_is_finite(float x)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    return (bits & 0x7f800000) != 0x7f800000;
}

#endif
