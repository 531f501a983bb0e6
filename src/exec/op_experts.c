/* SPDX-License-Identifier: Apache-2.0 */
#include "op_experts.h"
#include "expert_pool.h"
#include "../base/mem.h"
#include "../quant/act.h"

/* Pairs first .. first + n - 1 of the sorted ones, all of one expert. */
typedef struct experts_tile {
    int32_t expert, first, n;
} experts_tile;

/* The op's work memory, in this order. */
typedef struct experts_work {
    uint8_t *quantized;        /* the rows of in[0] as q8 */
    chord_matmul_at *at[2];    /* per stack, the places of the sorted pairs' rows */
    experts_tile *tiles;       /* most_tiles of them; the last ones may have no pairs */
} experts_work;

static int32_t rows_a_token(const chord_op *op) { return op->experts.is_each ? op->experts.n_used : 1; }

static uint64_t quantized_bytes(const chord_op *op, uint64_t n_tokens)
{
    return n_tokens * (uint64_t)rows_a_token(op) * chord_q8_stride(op->experts.n_in);
}

static experts_work work_of(const chord_run *run)
{
    uint64_t const n_tokens = (uint64_t)run->plan->n_batch,
                   pairs = n_tokens * (uint64_t)run->op->experts.n_used;
    experts_work w = { .quantized = run->plan->work };
    w.at[0] = (chord_matmul_at *)(void *)(w.quantized + quantized_bytes(run->op, n_tokens));
    w.at[1] = w.at[0] + pairs;
    w.tiles = (experts_tile *)(void *)(w.at[1] + pairs);
    return w;
}

/* No more tiles than pairs; and beside one tile per expert only full ones. */
static int32_t most_tiles(const chord_op *op, int64_t pairs, int32_t tile)
{
    int64_t const n = op->experts.n_expert + pairs / tile;
    return (int32_t)(pairs < n ? pairs : n);
}

/* Scratch: a panel. */
static void measure(const chord_plan *plan, const chord_op *op, chord_op_memory *memory)
{
    uint64_t const pairs = (uint64_t)plan->n_batch * (uint64_t)op->experts.n_used;
    memory->work_bytes = quantized_bytes(op, (uint64_t)plan->n_batch) + 2 * pairs * sizeof(chord_matmul_at) +
                         pairs * sizeof(experts_tile);
    memory->thread_bytes = chord_panel_bytes(op->experts.n_in);
}

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    const chord_op_experts *m = &op->experts;
    chord_experts_cut *s = (chord_experts_cut *)(void *)cut->of_op;
    *s = (chord_experts_cut){ .n_rows = batch->n_tokens };
    for (int32_t i = 0; i < m->n_weights; i++) {
        s->n_blocks[i] = (int32_t)chord_ceil_div(m->n_out[i], CHORD_UNIT_ROWS);
        s->all_blocks += s->n_blocks[i];
        if (chord_format_of(plan->tensors[op->weight[i]].type)->act == CHORD_ACT_Q8)
            s->n_quantized = rows_a_token(op);
    }
    /* as in op_matmul.c: at most about 50 M multiply-adds */
    int64_t const unit = 50000000 / ((int64_t)CHORD_UNIT_ROWS * m->n_in);
    s->tile = unit < 4 ? 4 : unit < CHORD_UNIT_TOKENS ? (int32_t)(unit - unit % 4) : CHORD_UNIT_TOKENS;
    s->most_tiles = most_tiles(op, (int64_t)s->n_rows * m->n_used, s->tile);
    cut->n_units = s->n_rows ? 1 + s->n_rows + (int64_t)s->most_tiles * s->all_blocks : 0;
}

/* A tile's work isn't known yet. The planned work of a unit is the average. */
static chord_stage stage(const chord_op *op, const chord_cut *cut, int64_t unit)
{
    const chord_experts_cut *s = chord_experts_cut_of(cut);
    int64_t const first = 1 + s->n_rows, n_in = op->experts.n_in,
                  pairs = (int64_t)s->n_rows * op->experts.n_used;
    if (unit < first) return (chord_stage){ 0, first, (uint64_t)(n_in * s->n_quantized) };
    return (chord_stage){ first, cut->n_units,
                          (uint64_t)(chord_ceil_div(pairs, s->most_tiles) * CHORD_UNIT_ROWS * n_in) };
}

/* Returns the expert of a pair. ROUTE writes whole numbers from 0 to n_expert - 1. */
static int32_t expert_of(const chord_run *run, int32_t token, int32_t u)
{
    if (run->op->in[1] == CHORD_NONE) return u;
    return (int32_t)chord_run_row(run, run->op->in[1], token)[u];
}

/* Sorts the pairs by expert, token and u, and cuts them into tiles. Experts are in the order of their
 * numbers, or in that in which they are read. */
static void sort(const chord_run *run, const experts_work *w)
{
    const chord_op *op = run->op;
    const chord_op_experts *m = &op->experts;
    const chord_experts_cut *s = chord_experts_cut_of(&run->cut);
    const chord_stacks *stacks = chord_stacks_of(run->plan, op);
    int32_t next[CHORD_MAX_EXPERTS]; /* the number of an expert's pairs, then where the next one goes */
    for (int32_t e = 0; e < m->n_expert; e++) next[e] = 0;
    for (int32_t t = 0; t < s->n_rows; t++)
        for (int32_t u = 0; u < m->n_used; u++) next[expert_of(run, t, u)]++;
    experts_tile *tile = w->tiles;
    int32_t first = 0;
    for (int32_t k = 0; k < (stacks ? stacks->n_chosen : m->n_expert); k++) {
        int32_t const e = stacks ? stacks->order[k] : k, end = first + next[e];
        next[e] = first;
        for (; first < end; first += tile++->n)
            *tile = (experts_tile){ e, first, chord_min32(s->tile, end - first) };
    }
    for (; tile < w->tiles + s->most_tiles; tile++) tile->n = 0;
    for (int32_t t = 0; t < s->n_rows; t++)
        for (int32_t u = 0; u < m->n_used; u++) {
            int32_t const at = next[expert_of(run, t, u)]++;
            for (int32_t i = 0; i < m->n_weights; i++) {
                const chord_slot *in = &run->plan->program.slots[op->in[0]],
                                 *out = &run->plan->program.slots[op->out[i]];
                size_t const row = (size_t)t, of = (size_t)u, n_in = (size_t)m->n_in;
                bool const is_q8 = chord_format_of(run->plan->tensors[op->weight[i]].type)->act ==
                                   CHORD_ACT_Q8;
                size_t const x = m->is_each ? of : 0;
                w->at[i][at] = (chord_matmul_at){
                    .x = is_q8 ? (row * (size_t)rows_a_token(op) + x) * (size_t)chord_q8_stride(m->n_in)
                               : (row * (size_t)chord_slot_stride(in) + x * n_in) * 4,
                    .y = row * (size_t)chord_slot_stride(out) + of * (size_t)m->n_out[i],
                };
            }
        }
}

static void quantize(const chord_run *run, const experts_work *w, int64_t token)
{
    int32_t const n = chord_experts_cut_of(&run->cut)->n_quantized, n_in = run->op->experts.n_in;
    const float *x = chord_run_row(run, run->op->in[0], token);
    for (int32_t u = 0; u < n; u++)
        run->ops->quantize_q8(w->quantized + (uint64_t)(token * n + u) * chord_q8_stride(n_in), x + u * n_in,
                              n_in);
}

/* y = scale * y + bias for rows [r0, r1) of n pairs; bias may be NULL. */
static void rescale(const chord_matmul *m, float scale, const float *bias, int32_t r0, int32_t r1, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        float *y = m->y + m->at[i].y;
        for (int32_t r = r0; r < r1; r++) y[r] = y[r] * scale + (bias ? bias[r] : 0);
    }
}

/* Computes blocks [b0, b1) of a tile, with one kernel call per stack. */
static void multiply(const chord_run *run, const experts_work *w, const experts_tile *tile, int32_t b0,
                     int32_t b1, int32_t thread)
{
    const chord_plan *plan = run->plan;
    const chord_op *op = run->op;
    const chord_op_experts *m = &op->experts;
    const chord_experts_cut *s = chord_experts_cut_of(&run->cut);
    int32_t first = 0;
    for (int32_t i = 0; i < m->n_weights; first += s->n_blocks[i], i++) {
        int32_t const a = b0 > first ? b0 - first : 0, b = chord_min32(b1 - first, s->n_blocks[i]);
        if (a >= b) continue;
        const chord_tensor *t = &plan->tensors[op->weight[i]];
        const chord_stacks *stacks = chord_stacks_of(plan, op);
        const chord_format *f = chord_format_of(t->type);
        const float *bias = chord_run_vector(run, op->weight[3 + i]),
                    *scale = chord_run_vector(run, op->weight[2 + 3 * i]);
        uint64_t const group_bytes = chord_x4_bytes(f, m->n_in);
        int64_t const of = tile->expert * t->ne[1], row = of + m->row[i];
        const uint8_t *rows = stacks ? chord_expert_rows(stacks, t, tile->expert)
                                     : t->data + (uint64_t)(of / 4) * group_bytes;
        if (bias) bias += row;
        chord_matmul const product = {
            .w = rows + (uint64_t)(m->row[i] / 4) * group_bytes,
            .group_bytes = group_bytes,
            .x = f->act == CHORD_ACT_Q8 ? (const void *)w->quantized : (const void *)plan->slots[op->in[0]],
            .y = plan->slots[op->out[i]],
            .bias = scale ? NULL : bias,
            .at = w->at[i] + tile->first,
            .n_in = m->n_in,
            .n_out = m->n_out[i],
            .panel = chord_run_scratch(run, thread),
        };
        int32_t const r0 = a * CHORD_UNIT_ROWS, r1 = chord_min32(b * CHORD_UNIT_ROWS, m->n_out[i]);
        chord_ops_matmul(run->ops, t->type)(&product, r0, r1, 0, tile->n);
        if (scale) rescale(&product, scale[tile->expert], bias, r0, r1, tile->n);
    }
}

/* A slice ends before the first expert that isn't there. */
static chord_status ready(const chord_run *run, int64_t unit, int64_t *n, chord_error *e)
{
    const chord_experts_cut *s = chord_experts_cut_of(&run->cut);
    chord_stacks *stacks = chord_stacks_of(run->plan, run->op);
    int64_t const at = unit - 1 - s->n_rows;
    if (!stacks || at < 0) return CHORD_OK;
    const experts_tile *tiles = work_of(run).tiles;
    int32_t tile = (int32_t)(at / s->all_blocks);
    if (!tiles[tile].n) return CHORD_OK;
    CHORD_TRY(chord_experts_need(run->pager, stacks, tiles[tile].expert, e));
    while (tile < s->most_tiles && tiles[tile].n && chord_expert_is_there(stacks, tiles[tile].expert)) tile++;
    int64_t const most = (int64_t)tile * s->all_blocks - at;
    bool const is_last = tile == s->most_tiles || !tiles[tile].n;
    if (!is_last && *n > most) *n = most;
    return CHORD_OK;
}

static void experts(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    const chord_experts_cut *s = chord_experts_cut_of(&run->cut);
    experts_work const w = work_of(run);
    int64_t const first = 1 + s->n_rows;
    if (u0 < first) {
        if (!u0) sort(run, &w);
        for (int64_t u = u0 ? u0 : 1; u < u1; u++) quantize(run, &w, u - 1);
        return;
    }
    for (int64_t u = u0 - first; u < u1 - first;) {
        int64_t const tile = u / s->all_blocks, end = (tile + 1) * s->all_blocks;
        int64_t const stop = end < u1 - first ? end : u1 - first;
        if (!w.tiles[tile].n) return; /* there are fewer tiles */
        multiply(run, &w, &w.tiles[tile], (int32_t)(u % s->all_blocks),
                 (int32_t)(u % s->all_blocks + (stop - u)), thread);
        u = stop;
    }
}

const chord_op_cpu chord_op_cpu_experts = {
    .measure = measure, .cut = cut, .stage = stage, .ready = ready, .run = experts
};
