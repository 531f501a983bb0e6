/* exec.c: the walk. Every thread keeps its own copy of cursor and spent budget and computes the same
 * slices; only the cancel flag needs telling. A slice of one unit is the leader's, and between two such
 * slices nobody waits: the next barrier orders them all. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"
#include "../base/host.h"

/* Are the weights of the layer that begins at this ACQUIRE all in place? */
static bool layer_is_ready(const chord_model_plan *plan, int32_t at)
{
    const chord_program *p = &plan->program;
    for (int32_t i = at; i < p->n_ops && p->ops[i].kind != CHORD_OP_RELEASE; i++)
        for (int32_t k = 0; k < 3; k++) {
            int32_t const w = p->ops[i].weight[k];
            if (w >= 0 && !(plan->tensors[w].data && plan->tensors[w].is_ready)) return false;
        }
    return true;
}

typedef struct walker {
    chord_run *run;
    int32_t thread, n_threads;
    int32_t n_barriers;
    bool is_open;                 /* a slice of several units has been worked on since the last barrier */
    bool is_alone;                /* only the leader has worked since the last barrier */
} walker;

/* false: stop (cancelled, or the pool is broken). */
static bool meet(walker *w)
{
    chord_run *run = w->run;
    int32_t *const seen = &run->cancelled[w->n_barriers++ & 1];
    if (w->thread == 0) *seen = __atomic_load_n(run->cancel, __ATOMIC_RELAXED) != 0;
    w->is_open = w->is_alone = false;
    return chord_pool_barrier(run->pool, w->thread) && !*seen;
}

static bool run_slice(walker *w, const chord_op *op, int64_t first, int64_t n)
{
    bool const is_single = n == 1;
    bool const is_fenced = w->n_threads == 1 || (!w->is_open && (is_single || !w->is_alone));
    if ((w->n_threads == 1 || !is_fenced) && !meet(w)) return false;
    int64_t const a = n * w->thread / w->n_threads, b = n * (w->thread + 1) / w->n_threads;
    if (is_single) {
        if (w->thread == 0) chord_op_run(w->run, op, first, first + 1, 0);
    } else if (a < b) {
        chord_op_run(w->run, op, first + a, first + b, w->thread);
    }
    if (is_single) w->is_alone = true;
    else w->is_open = true;
    return true;
}

chord_status chord_exec_walk(chord_run *run, int32_t thread, chord_cursor *stopped)
{
    const chord_program *p = &run->plan->program;
    walker w = { .run = run, .thread = thread, .n_threads = run->pool->n_threads };
    chord_cursor at = run->cursor;
    uint64_t const budget = run->budget;
    uint64_t spent = 0;
    int32_t layer = -1;
    chord_status status = CHORD_DONE;
    while (at.op < p->n_ops) {
        const chord_op *op = &p->ops[at.op];
        if (op->kind == CHORD_OP_ACQUIRE && !layer_is_ready(run->plan, at.op)) {
            status = CHORD_NEED_WEIGHTS;
            layer = op->layer;
            break;
        }
        if (at.unit >= chord_op_units(run->plan, op, run->batch)) {
            at.op++;
            at.unit = 0;
            continue;
        }
        chord_stage const stage = chord_op_stage(run->plan, op, run->batch, at.unit);
        uint64_t room = spent < budget ? (budget - spent) / stage.unit_work : 0;
        if (!room && spent) { status = CHORD_MORE; break; }
        if (!room) room = 1;
        int64_t n = stage.end - at.unit;
        if ((uint64_t)n > room) n = (int64_t)room;
        if (!run_slice(&w, op, at.unit, n)) { status = CHORD_CANCELLED; break; }
        spent += (uint64_t)n * stage.unit_work;
        at.unit += n;
    }
    /* the leader may leave, and `run` with it, only when everyone has done his last unit */
    bool const together = chord_pool_barrier(run->pool, thread);
    if (thread == 0) {
        run->work = spent;
        run->layer = layer;
        *stopped = at;
    }
    return together ? status : CHORD_INTERNAL;
}

chord_status chord_exec_run(chord_run *run, chord_error *e)
{
    chord_pool *pool = run->pool;
    run->cancelled[0] = run->cancelled[1] = 0;
    run->work = 0;
    if (__atomic_load_n(&pool->broken, __ATOMIC_SEQ_CST))
        return chord_fail(e, CHORD_INTERNAL, "the thread pool is broken");
    if (__atomic_load_n(&pool->n_ready, __ATOMIC_SEQ_CST) + 1 < pool->n_threads)
        return chord_fail(e, CHORD_INTERNAL, "%d of %d pool threads have joined", pool->n_ready, pool->n_threads - 1);
    chord_pool_start(pool, run);
    chord_status const status = chord_exec_walk(run, 0, &run->cursor);
    if (status == CHORD_INTERNAL) return chord_fail(e, status, "a thread of the pool didn't answer");
    return status;
}

void chord_exec_prepare(const chord_model_plan *plan)
{
    for (int32_t r = 0; r < plan->program.n_ropes; r++) {
        const chord_rope *rope = &plan->program.ropes[r];
        const float *freqs = rope->freqs < 0 ? 0 : (const float *)(const void *)plan->tensors[rope->freqs].data;
        for (int32_t i = 0; i < rope->n_rot / 2; i++) {
            double const turn = chord_host_pow((double)rope->base, -2.0 * i / rope->n_rot);
            plan->rope_freqs[r][i] = turn * (double)rope->factor / (freqs ? (double)freqs[i] : 1.0);
        }
    }
}
