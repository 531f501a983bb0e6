/* exec.h: the CPU executor. The caller's thread, the leader, walks the program; each op is a run of *units* in one
 * or more *stages*, and a stage's units may run in any order and on any thread. The leader offers the units of a
 * slice, all threads claim some until none are left, and he goes on when the last is done. A helper that sleeps or
 * has lost its core claims nothing and delays nobody.
 *
 *   pool.c    threads: join, claim, stop; the leader's offer and wait (spin, then sleep)
 *   exec.c    the walk: cursor, budget, cancel, what is worth sharing
 *   op.h      what an op is to the executor; op.c the table, op_<name>.c a file an op
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

/* The leader's: what sharing brought of late, and what it cost. */
typedef struct chord_account {
    double here, there;           /* multiply-adds of what was on offer: his own, the helpers' */
    double lost;                  /* ms he slept for claimed units, and took for waking */
    double spent, since;          /* ms between begin and end: up to `since` (by chord_host_now()), and that moment */
} chord_account;

/* How an op is cut for a batch: computed once, when the walk comes to the op, and offered to the threads with it. */
#define CHORD_CUT_ROOM 64
typedef struct chord_cut {
    int64_t n_units;              /* over all stages; 0: nothing to do */
    uint64_t unit_work;           /* of an op of one stage */
    _Alignas(8) uint8_t of_op[CHORD_CUT_ROOM]; /* the op's own (op_matmul.h, op_attend.h) */
} chord_cut;

/* Why a run ends in an error: what an op found in its values. */
enum { CHORD_FAULT_NONE = 0,
       CHORD_FAULT_KV = 1,        /* a key or a value isn't finite */
       CHORD_FAULT_NORM = 2 };    /* a norm's sum isn't finite */

/* One step. */
typedef struct chord_run {
    const chord_model_plan *plan;
    const chord_ops *ops;
    const chord_batch *batch;
    chord_cursor cursor;          /* in: where to go on; out: where it stopped */
    uint64_t budget;              /* multiply-adds; at least one unit runs */
    uint64_t work;                /* out: multiply-adds spent, as planned */
    int32_t *cancel;              /* atomic: not 0 asks to stop at the next slice */
    int32_t layer;                /* out: after NEED_WEIGHTS */
    double *profile;              /* NULL, or milliseconds by op to add to */
    struct chord_pool *pool;
    /* the walk's own: */
    const chord_op *op;           /* at the cursor */
    chord_cut cut;                /* of op */
    int32_t *fault;               /* atomic: CHORD_FAULT_*, set by any thread */
} chord_run;

/* Shared by the threads of one model; all zero at the start but for the first two. */
typedef struct chord_pool {
    int32_t n_threads;            /* the leader included */
    int32_t patience_ms;          /* how long the leader waits for claimed units before he calls their thread dead */
    /* the offer, the leader's to write while `left` is 0: */
    chord_run run;                /* with the op and its cut; a copy: a helper may be at work after its leader\'s step has ended (`broken`) */
    int64_t end;                  /* behind its last unit; those on offer are end - left .. end - 1 */
    int32_t done_here;            /* units the leader has done himself */
    chord_account account;        /* do helpers help? */
    double alone_until;           /* by chord_host_now(): until then nothing is offered; 0: no such moment */
    double alone_ms;              /* how long that lasts or lasted; 0: the account has been good since */
    int32_t broken;               /* 1: a thread died within a claim; the pool is dead */
    /* atomics: */
    int32_t left;                 /* units nobody has claimed */
    int32_t least;                /* a claim's least size */
    int32_t done;                 /* units the helpers have done */
    int32_t leader_sleeps;        /* 1: who finishes wakes him at `done` */
    int32_t sleepers;             /* helpers that wait at `calls`: nobody is woken in vain */
    int32_t calls;                /* +1 wakes them */
    int32_t fault;                /* what the run's fault points at */
    int32_t n_ready;              /* threads inside chord_pool_join */
    int32_t stop;                 /* 1: return from chord_pool_join */
} chord_pool;

/* A pool thread's whole life; index 1 .. n_threads - 1. */
chord_status chord_pool_join(chord_pool *p, int32_t index);
void chord_pool_stop(chord_pool *p);

/* Inside the room, the leader's. Share: n units of run->op, of unit_work multiply-adds each, from `first` on, all of one stage, by whoever comes;
 * returns when all are done, or false when a thread that claimed some doesn't finish: the pool is broken then. Between begin and end
 * his time counts. Charge: `lost` ms have just passed in vain; now and then it judges, and he is alone for a while. */
bool chord_pool_share(chord_pool *p, const chord_run *run, int64_t first, int32_t n, uint64_t unit_work);
void chord_pool_begin(chord_pool *p);
void chord_pool_end(chord_pool *p);
void chord_pool_charge(chord_pool *p, double lost, double now);
bool chord_pool_is_alone(chord_pool *p);

/* DONE (the batch is complete), MORE, CANCELLED, NEED_WEIGHTS, INTERNAL (the pool is broken). Leader only. */
chord_status chord_exec_run(chord_run *run, chord_error *e);

/* What the ops want besides slots: plan->work_bytes and plan->thread_scratch_bytes, before the memory is laid out. */
void chord_exec_measure(chord_model_plan *plan);

/* Once every tensor is in place: the tables that derive from weights and constants. */
void chord_exec_prepare(const chord_model_plan *plan);

/* Multiply-adds of the whole batch, as planned. */
uint64_t chord_exec_work(const chord_model_plan *plan, const chord_batch *batch);

/* Compute units [u0, u1) of run->op, all of one stage, on thread `thread`. */
void chord_op_run(const chord_run *run, int64_t u0, int64_t u1, int32_t thread);

#endif
