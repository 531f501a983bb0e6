/* exec.c: the walk. Only the leader walks. The leader shares a slice with the pool if the slice has
 * enough work, and computes other slices itself. A decode step shares five slices per layer: qkv,
 * attention, output, gate and up, down. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "expert_pool.h"
#include "op.h"
#include "../base/host.h"

/* Returns whether all weights of the layer that begins at this ACQUIRE are in place, but for experts that
 * are read when they are chosen. */
static bool layer_is_ready(const chord_plan *plan, int32_t at)
{
    const chord_program *p = &plan->program;
    for (int32_t i = at; i < p->n_ops && p->ops[i].kind != CHORD_OP_RELEASE; i++)
        for (int32_t k = 0; k < CHORD_OP_WEIGHTS; k++) {
            int32_t const w = p->ops[i].weight[k];
            const chord_tensor *t = w < 0 ? NULL : &plan->tensors[w];
            if (t && !chord_tensor_stacks(plan, t) && !(t->data && t->is_ready)) return false;
        }
    return true;
}

void chord_op_run(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    chord_op_cpu_of(run->op->kind)->run(run, u0, u1, thread);
}

/* Returns the error for the fault that an op found in its values. */
static chord_status faulty(const chord_run *run, chord_error *e)
{
    int32_t const layer = run->op->layer;
    if (*run->fault == CHORD_FAULT_KV)
        return chord_fail(e, CHORD_INVALID_GGUF, "layer %d: a key or value isn't a finite number", layer);
    if (layer < 0)
        return chord_fail(e, CHORD_INTERNAL, "behind the layers: the sum of a norm isn't a finite number");
    return chord_fail(e, CHORD_INTERNAL, "layer %d: the sum of a norm isn't a finite number", layer);
}

/* Runs the op from the cursor on, as far as its stage and the budget allow. Returns MORE if the budget
 * allows no unit. */
static chord_status run_slice(chord_run *run, chord_error *e)
{
    chord_cursor *at = &run->cursor;
    chord_stage const stage = chord_op_stage(run->op, &run->cut, at->unit);
    uint64_t room = run->work < run->budget ? (run->budget - run->work) / stage.unit_work : 0;
    if (!room && run->work) return CHORD_MORE;
    if (!room) room = 1;
    if (room > INT32_MAX) room = INT32_MAX;
    int64_t n = stage.end - at->unit;
    if ((uint64_t)n > room) n = (int64_t)room;
    const chord_op_cpu *cpu = chord_op_cpu_of(run->op->kind);
    if (cpu->ready) {
        run->layer = run->op->layer;
        CHORD_TRY(cpu->ready(run, at->unit, &n, e));
    }
    if (__atomic_load_n(run->cancel, __ATOMIC_RELAXED)) return CHORD_CANCELLED;
    double const begin = run->profile ? chord_host_now() : 0;
    if (!chord_pool_share(run->pool, run, at->unit, (int32_t)n, stage.unit_work))
        return chord_fail(e, CHORD_INTERNAL, "a pool thread claimed work and didn't finish it");
    if (*run->fault) return faulty(run, e);
    if (run->profile && at->op < run->plan->program.n_ops) run->profile[at->op] += chord_host_now() - begin;
    run->work += (uint64_t)n * stage.unit_work;
    at->unit += n;
    return CHORD_OK;
}

/* Returns whether the rows that an EMBED looks up are in memory. */
static bool rows_are_there(const chord_run *run)
{
    const chord_tensor *t = &run->plan->tensors[run->op->weight[0]];
    return t->placement != CHORD_PLACE_LAZY ||
           chord_lazy_next(run->plan, t, run->batch, 0) == run->batch->n_tokens;
}

/* Gets or gives back the weights that the op at the cursor needs. NEED_WEIGHTS: they aren't there. */
static chord_status get_weights(chord_run *run, chord_error *e)
{
    switch (run->op->kind) {
    case CHORD_OP_ACQUIRE:
        run->layer = run->op->layer;
        if (run->pager) CHORD_TRY(chord_pager_acquire(run->pager, run->cursor.op, e));
        return layer_is_ready(run->plan, run->cursor.op) ? CHORD_OK : CHORD_NEED_WEIGHTS;
    case CHORD_OP_RELEASE:
        if (run->pager) chord_pager_release(run->pager, run->op->layer);
        return CHORD_OK;
    case CHORD_OP_EXPERTS: {
        chord_stacks *stacks = chord_stacks_of(run->plan, run->op);
        if (stacks) chord_experts_begin(run->pager, stacks, run->batch);
        return CHORD_OK;
    }
    case CHORD_OP_EMBED: run->layer = CHORD_NONE; return rows_are_there(run) ? CHORD_OK : CHORD_NEED_WEIGHTS;
    default: return CHORD_OK;
    }
}

/* Walks from run->cursor on and moves the cursor. */
static chord_status walk(chord_run *run, chord_error *e)
{
    const chord_program *p = &run->plan->program;
    int32_t const end = chord_batch_end(run->batch, p);
    for (chord_cursor *at = &run->cursor; at->op < end;
         at->op = chord_batch_next(run->batch, p, at->op), at->unit = 0) {
        run->op = &p->ops[at->op];
        if (!at->unit) CHORD_TRY(get_weights(run, e));
        run->cut = chord_op_cut(run->plan, run->op, run->batch);
        while (at->unit < run->cut.n_units) CHORD_TRY(run_slice(run, e));
    }
    return CHORD_DONE;
}

chord_status chord_exec_run(chord_run *run, chord_error *e)
{
    chord_pool *pool = run->pool;
    pool->fault = CHORD_FAULT_NONE;
    run->fault = &pool->fault;
    run->work = 0;
    run->layer = -1;
    if (pool->broken) return chord_fail(e, CHORD_INTERNAL, "the thread pool is broken");
    int32_t const n_ready = __atomic_load_n(&pool->n_ready, __ATOMIC_SEQ_CST);
    if (n_ready + 1 < pool->n_threads)
        return chord_fail(e, CHORD_INTERNAL, "%d of %d pool threads have joined", n_ready,
                          pool->n_threads - 1);
    chord_pool_begin(pool);
    chord_status const status = walk(run, e);
    chord_pool_end(pool);
    return status;
}

uint64_t chord_exec_work(const chord_plan *plan, const chord_batch *batch)
{
    uint64_t work = 0;
    const chord_program *p = &plan->program;
    for (int32_t i = 0; i < chord_batch_end(batch, p); i = chord_batch_next(batch, p, i)) {
        const chord_op *op = &p->ops[i];
        chord_cut const cut = chord_op_cut(plan, op, batch);
        for (int64_t u = 0; u < cut.n_units;) {
            chord_stage const s = chord_op_stage(op, &cut, u);
            work += (uint64_t)(s.end - s.first) * s.unit_work;
            u = s.end;
        }
    }
    return work;
}

/* Returns the pair that turns `turns` times within the trained context:
 * n_rot ln(n_ctx / (2 pi turns)) / (2 ln base). */
static double turning_pair(const chord_rope *r, float turns)
{
    double const n = (double)r->n_ctx_orig / ((double)turns * 2 * 3.14159265358979323846);
    return r->n_rot * chord_host_log(n) / (2 * chord_host_log((double)r->base));
}

/* What scales the angle of a pair (program.h). As in llama.cpp the ramp begins and ends at whole pairs. */
static double scale_of(const chord_rope *r, int32_t pair)
{
    double const factor = (double)r->factor;
    int32_t const place = chord_rope_place(r, pair);
    if (r->is_interleaved && place >= 3 * r->sections[place % 3]) return 0;
    if (!r->is_yarn || r->base <= 1) return factor;
    double first = __builtin_floor(turning_pair(r, r->beta_fast));
    double last = __builtin_ceil(turning_pair(r, r->beta_slow));
    if (first < 0) first = 0;
    if (last > r->n_rot - 1) last = r->n_rot - 1;
    double const width = last - first > 0.001 ? last - first : 0.001;
    double const y = (pair - first) / width, ramp = y < 0 ? 0 : y > 1 ? 1 : y;
    return factor * ramp + (1 - ramp);
}

void chord_exec_prepare(const chord_plan *plan)
{
    for (int32_t r = 0; r < plan->program.n_ropes; r++) {
        const chord_rope *rope = &plan->program.ropes[r];
        int32_t const tensor = plan->n_ctx > rope->n_ctx_orig ? rope->freqs_long : rope->freqs;
        const float *freqs = tensor < 0 ? 0 : (const float *)(const void *)plan->tensors[tensor].data;
        for (int32_t i = 0; i < rope->n_rot / 2; i++) {
            double const turn = chord_host_pow((double)rope->base, -2.0 * i / rope->n_rot);
            plan->rope_freqs[r][i] = turn * scale_of(rope, i) / (freqs ? (double)freqs[i] : 1.0);
        }
    }
}
