/* exec.h: the CPU executor. SPMD: all threads of a pool walk the program together; each op is a run of
 * *units* in one or more *stages*; a stage's units may run in any order and on any thread, a barrier
 * stands between stages.
 *
 *   pool.c    threads: ready, run, stop; the barrier (spin, then sleep)
 *   shape.c   op x batch -> stages, units and their planned multiply-adds
 *   exec.c    the walk: cursor, budget, cancel, the split of a slice among the threads
 *   ops.c     what a range of units of each op computes
 *
 * Bitwise rule: units are cut so that no output element depends on the cut; a slice of a stage may end
 * after any unit. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_EXEC_H
#define CHORD_EXEC_EXEC_H
#include "../base/status.h"
#include "../kernels/kernels.h"
#include "../program/batch.h"
#include "../program/plan.h"

struct chord_run;

/* Shared by the threads of one model; all zero at the start but for the first two. */
typedef struct chord_pool {
    int32_t n_threads;            /* the leader included */
    int32_t patience_ms;          /* how long the leader waits at a barrier before it calls a thread dead */
    struct chord_run *run;        /* of the step under way */
    /* atomics: */
    int32_t n_ready;              /* pool threads inside chord_pool_join */
    int32_t generation;           /* +1 a step: the signal to start */
    int32_t arrived, phase;       /* the barrier */
    int32_t sleepers;             /* threads in chord_host_wait: nobody is woken in vain */
    int32_t stop;                 /* 1: return from chord_pool_join */
    int32_t broken;               /* 1: a thread didn't come to a barrier in time; the pool is dead */
} chord_pool;

/* A pool thread's whole life; index 1 .. n_threads - 1. */
chord_status chord_pool_join(chord_pool *p, int32_t index);
void chord_pool_stop(chord_pool *p);

/* One step. */
typedef struct chord_run {
    const chord_model_plan *plan;
    const chord_ops *ops;
    const chord_batch *batch;
    chord_cursor cursor;          /* in: where to go on; out: where it stopped */
    uint64_t budget;              /* multiply-adds; at least one unit runs */
    uint64_t work;                /* out: multiply-adds spent, as planned */
    int32_t *cancel;              /* atomic: not 0 asks to stop at the next slice; read by the leader only */
    int32_t cancelled[2];         /* what the leader saw before the last two barriers, by parity */
    int32_t layer;                /* after NEED_WEIGHTS */
    chord_pool *pool;
} chord_run;

/* Inside the room: wake the pool for a step; leave a barrier once all n_threads have come (false: the
 * pool is broken, which only the leader, thread 0, finds out by waiting too long); the walk itself. */
void chord_pool_start(chord_pool *p, chord_run *run);
bool chord_pool_barrier(chord_pool *p, int32_t thread);
chord_status chord_exec_walk(chord_run *run, int32_t thread, chord_cursor *stopped);

/* DONE (the batch is complete), MORE, CANCELLED, NEED_WEIGHTS, INTERNAL (the pool is broken). Leader only. */
chord_status chord_exec_run(chord_run *run, chord_error *e);

/* Once every tensor is in place: the tables that derive from weights and constants. */
void chord_exec_prepare(const chord_model_plan *plan);

/* Multiply-adds of the whole batch, as planned. */
uint64_t chord_exec_work(const chord_model_plan *plan, const chord_batch *batch);

/* ---- shape ---------------------------------------------------------------------------------------- */
typedef struct chord_stage {
    int64_t first, end;           /* units of this stage in the op's numbering */
    uint64_t unit_work;           /* multiply-adds of one unit, an upper estimate, at least 1 */
} chord_stage;

/* Units of op `op` for this batch: the sum over its stages; 0: nothing to do. */
int64_t chord_op_units(const chord_model_plan *plan, const chord_op *op, const chord_batch *batch);
/* The stage that holds `unit`. */
chord_stage chord_op_stage(const chord_model_plan *plan, const chord_op *op, const chord_batch *batch, int64_t unit);
/* Compute units [u0, u1), all of one stage, on thread `thread`. */
void chord_op_run(const chord_run *run, const chord_op *op, int64_t u0, int64_t u1, int32_t thread);

#endif
