/* exec.h: the CPU executor.
 *
 * The *leader* is the caller's thread. It walks the program op by op. Each op has one or more *stages*; a
 * stage is a run of *units*, which may run in any order and on any thread. The leader offers a slice of a
 * stage. The leader and the *helpers* (the pool's threads) claim units of the offer until none are left.
 * The leader continues when the last unit is done. A helper that sleeps or has lost its core claims
 * nothing and delays no other thread.
 *
 *   pool.c    the threads: join, claim, stop; the leader's offer and its wait (spin, then sleep)
 *   exec.c    the walk: cursor, budget, cancel flag
 *   pager.h   layers whose weights are read while others compute
 *   op.h      the interface of an op; op.c holds the table of ops; each op_<name>.c holds one op
 *
 * Bitwise rule: no output element depends on how units are cut. A slice of a stage may end after any
 * unit. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_EXEC_H
#define CHORD_EXEC_EXEC_H
#include "../base/status.h"
#include "../kernels/kernels.h"
#include "../program/batch.h"
#include "../program/plan.h"
#include "pager.h"

struct chord_run;

/* The leader's ledger: recent savings and costs of sharing. */
typedef struct chord_ledger {
    double here, there;           /* multiply-adds of past offers: the leader's, the helpers' */
    double lost;                  /* ms that the leader slept for claimed units or took to wake helpers */
    /* ms between chord_pool_begin() and chord_pool_end(), up to the moment `since` (by chord_host_now()) */
    double spent, since;
} chord_ledger;

/* The cut of an op for a batch. The walk computes the cut once, when it comes to the op. Every offer
 * contains the cut. */
#define CHORD_CUT_ROOM 64
typedef struct chord_cut {
    int64_t n_units; /* over all stages; 0: nothing to do */
    uint64_t unit_work; /* of an op of one stage */
    _Alignas(8) uint8_t of_op[CHORD_CUT_ROOM]; /* the op's own (op_matmul.h, op_attend.h) */
} chord_cut;

/* Faults that an op finds in the values it computes. A fault ends the step with an error. */
enum {
    CHORD_FAULT_NONE = 0,
    CHORD_FAULT_KV = 1, /* a key or a value isn't finite */
    CHORD_FAULT_NORM = 2 /* a norm's sum isn't finite */
};

/* One step. */
typedef struct chord_run {
    const chord_plan *plan;
    const chord_ops *ops;
    const chord_batch *batch;
    chord_cursor cursor; /* in: where the walk starts; out: where the walk stopped */
    uint64_t budget; /* multiply-adds; at least one unit runs */
    uint64_t work; /* out: multiply-adds spent, as planned */
    int32_t *cancel; /* atomic; not 0: the walk stops before the next slice */
    int32_t layer; /* out: after NEED_WEIGHTS */
    double *profile; /* NULL, or milliseconds by op; the walk adds to them */
    struct chord_pool *pool;
    chord_pager *pager; /* NULL: nothing is paged */
    /* The walk uses these fields: */
    const chord_op *op; /* at the cursor */
    chord_cut cut; /* of op */
    int32_t *fault; /* atomic: CHORD_FAULT_*, set by any thread */
} chord_run;

/* The threads of one model share a pool. All fields except the first two start as zero. */
typedef struct chord_pool {
    int32_t n_threads; /* the leader included */
    int32_t patience_ms; /* longest wait for claimed units; after it the pool is broken */

    /* The offer. The leader writes these fields while `left` is 0. */
    chord_run run; /* a copy: a helper may outlast the leader's step (`broken`) */
    int64_t end; /* behind the last unit; end - left .. end - 1 are unclaimed */
    int32_t done_here; /* units that the leader has done itself */

    chord_ledger ledger; /* savings and costs of sharing */
    /* time (by chord_host_now()) until which the leader runs alone; 0: the leader shares */
    double alone_until;
    double alone_ms; /* ms that the leader runs or last ran alone; 0: sharing has paid since */
    int32_t broken; /* 1: a helper died within a claim; the pool is dead */

    /* Atomics. */
    int32_t left; /* unclaimed units */
    int32_t least; /* units in the smallest claim */
    int32_t done; /* units that helpers have done */
    int32_t leader_sleeps; /* 1: a helper that finishes wakes the leader at `done` */
    int32_t sleepers; /* helpers that sleep at `calls`; 0: the leader skips the wake-up */
    int32_t calls; /* +1 wakes the sleepers */
    int32_t fault; /* the run's `fault` points at this field */
    int32_t n_ready; /* helpers inside chord_pool_join() */
    int32_t stop; /* 1: helpers return from chord_pool_join() */
} chord_pool;

/* Runs helper `index` (1 .. n_threads - 1) until chord_pool_stop(). Then returns DONE. */
chord_status chord_pool_join(chord_pool *p, int32_t index);
void chord_pool_stop(chord_pool *p);

/* Only the leader calls the next five functions, and only from src/exec. */

/* Computes units [first, first + n) of run->op, all of one stage. Helpers that are awake claim some of
 * the units. `unit_work` is the planned work of one unit. Returns true when all units are done. Returns
 * false if a helper doesn't finish its claim within the patience: the pool is broken then. */
bool chord_pool_share(chord_pool *p, const chord_run *run, int64_t first, int32_t n, uint64_t unit_work);
/* The ledger counts the leader's time between these two calls. */
void chord_pool_begin(chord_pool *p);
void chord_pool_end(chord_pool *p);
/* Records a cost of `lost` ms that ended at `now`. If enough time has passed, the call judges the
 * ledger; the leader may then run alone for a while. */
void chord_pool_charge(chord_pool *p, double lost, double now);
bool chord_pool_is_alone(chord_pool *p);

/* Walks from run->cursor on. Returns DONE (the batch is complete), MORE, CANCELLED, NEED_WEIGHTS, INTERNAL
 * (the pool is broken, or a value isn't finite), or the status of a layer's load that failed. Only the
 * leader calls this function. */
chord_status chord_exec_run(chord_run *run, chord_error *e);

/* Sets plan->work_bytes and plan->thread_scratch_bytes, the memory that ops need besides slots. Call it
 * before the memory is laid out. */
void chord_exec_measure(chord_plan *plan);

/* Fills the tables that derive from weights and constants. Call it when every tensor is in place. */
void chord_exec_prepare(const chord_plan *plan);

/* Returns the planned work of the whole batch. */
uint64_t chord_exec_work(const chord_plan *plan, const chord_batch *batch);

/* Computes units [u0, u1) of run->op, all of one stage, on thread `thread`. */
void chord_op_run(const chord_run *run, int64_t u0, int64_t u1, int32_t thread);

#endif
