/* SPDX-License-Identifier: Apache-2.0 */
#include "op_matmul.h"
#include "../quant/act.h"

/* With this number of units per thread, no thread waits for the last unit longer than a ninth of the
 * time. */
enum { UNITS_A_THREAD = 8 };

/* Work: the quantised inputs, chord_q8_stride(n_in) bytes per row, two rows if the product is FINE. Scratch:
 * a panel. */
static void measure(const chord_plan *plan, const chord_op *op, chord_op_memory *memory)
{
    uint64_t const rows = (uint64_t)(op->flags & CHORD_FLAG_OUTPUT ? plan->n_logits : plan->n_batch);
    memory->work_bytes = (op->flags & CHORD_FLAG_FINE ? 2 * rows : rows) * chord_q8_stride(op->matmul.n_in);
    memory->thread_bytes = chord_panel_bytes(op->matmul.n_in);
}

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    const chord_op_matmul *m = &op->matmul;
    chord_matmul_cut *s = (chord_matmul_cut *)(void *)cut->of_op;
    *s = (chord_matmul_cut){ .n_rows = chord_op_rows(op, batch), .terms = 1 };
    for (int32_t i = 0; i < m->n_weights; i++) {
        s->n_blocks[i] = (int32_t)chord_ceil_div(m->n_out[i], CHORD_UNIT_ROWS);
        s->all_blocks += s->n_blocks[i];
        if (chord_format_of(plan->tensors[op->weight[i]].type)->act == CHORD_ACT_Q8) s->quantize = 1;
    }
    if (s->quantize && op->flags & CHORD_FLAG_FINE) s->terms = 2;
    /* a unit is at most about 50 M multiply-adds, even for very wide rows */
    int64_t const unit = 50000000 / ((int64_t)CHORD_UNIT_ROWS * m->n_in * s->terms);
    s->tile = unit < 1 ? 1 : unit < CHORD_UNIT_TOKENS ? (int32_t)unit : CHORD_UNIT_TOKENS;
    int32_t const enough = UNITS_A_THREAD * plan->n_threads;
    while (s->tile > CHORD_LEAST_TOKENS && s->all_blocks * chord_ceil_div(s->n_rows, s->tile) < enough)
        s->tile /= 2;
    if (s->tile > 4) s->tile -= s->tile % 4; /* kernels compute four tokens at a time */
    s->n_tiles = (int32_t)chord_ceil_div(s->n_rows, s->tile);
    cut->n_units = (s->quantize ? s->n_rows : 0) + (int64_t)s->n_tiles * s->all_blocks;
}

static chord_stage stage(const chord_op *op, const chord_cut *cut, int64_t unit)
{
    const chord_matmul_cut *s = chord_matmul_cut_of(cut);
    int64_t const quantized = s->quantize ? s->n_rows : 0, n_in = op->matmul.n_in;
    if (unit < quantized) return (chord_stage){ 0, quantized, (uint64_t)(n_in * s->terms) };
    int64_t const tokens = (int64_t)chord_min32(s->tile, s->n_rows) * s->terms;
    return (chord_stage){ quantized, cut->n_units, (uint64_t)(CHORD_UNIT_ROWS * tokens * n_in) };
}

/* Quantises an input row to q8. A FINE product has two terms per row: the second term is the rounding
 * error of the first. Together both terms have 16 bits. */
static void quantize(const chord_run *run, int64_t row)
{
    const chord_op *op = run->op;
    int32_t const n_in = op->matmul.n_in;
    uint64_t const stride = chord_q8_stride(n_in);
    const float *x = chord_run_row(run, op->in[0], row);
    if (!(op->flags & CHORD_FLAG_FINE)) {
        run->ops->quantize_q8(run->plan->work + (uint64_t)row * stride, x, n_in);
        return;
    }
    uint8_t *const first = run->plan->work + 2 * (uint64_t)row * stride;
    run->ops->quantize_q8(first, x, n_in);
    chord_act_quantize_rest(first + stride, first, x, n_in);
}

/* Returns the kernel's arguments for matrix `i`. */
static chord_matmul product_of(const chord_run *run, int32_t i, int32_t thread)
{
    const chord_plan *plan = run->plan;
    const chord_op *op = run->op;
    const chord_op_matmul *m = &op->matmul;
    const chord_tensor *w = &plan->tensors[op->weight[i]];
    const chord_format *f = chord_format_of(w->type);
    const chord_slot *in = &plan->program.slots[op->in[0]], *out = &plan->program.slots[op->out[i]];
    const float *bias = chord_run_vector(run, op->weight[3 + i]);
    bool const is_q8 = f->act == CHORD_ACT_Q8;
    uint64_t const group_bytes = chord_x4_bytes(f, m->n_in);
    return (chord_matmul){
        .w = w->data + (uint64_t)(m->row[i] / 4) * group_bytes,
        .group_bytes = group_bytes,
        .x = is_q8 ? (const void *)plan->work : (const void *)plan->slots[op->in[0]],
        .x_stride = is_q8 ? chord_q8_stride(m->n_in) : (uint64_t)chord_slot_stride(in) * 4,
        .y = plan->slots[op->out[i]],
        .y_stride = (uint64_t)chord_slot_stride(out),
        .bias = bias ? bias + m->row[i] : NULL,
        .n_in = m->n_in,
        .n_out = m->n_out[i],
        .add = (op->flags & CHORD_FLAG_ADD) != 0,
        .two_terms = is_q8 && chord_matmul_cut_of(&run->cut)->terms == 2,
        .panel = chord_run_scratch(run, thread),
    };
}

/* Computes blocks [b0, b1) of one token tile, with one kernel call per matrix. */
static void multiply(const chord_run *run, int32_t tile, int32_t b0, int32_t b1, int32_t thread)
{
    const chord_op *op = run->op;
    const chord_matmul_cut *s = chord_matmul_cut_of(&run->cut);
    int32_t const t0 = tile * s->tile, t1 = chord_min32(t0 + s->tile, s->n_rows);
    int32_t first = 0;
    for (int32_t i = 0; i < op->matmul.n_weights; first += s->n_blocks[i], i++) {
        int32_t const a = b0 > first ? b0 - first : 0, b = chord_min32(b1 - first, s->n_blocks[i]);
        if (a >= b) continue;
        chord_matmul const m = product_of(run, i, thread);
        int32_t const terms = m.two_terms ? 2 : 1, end = chord_min32(b * CHORD_UNIT_ROWS, m.n_out);
        chord_ops_matmul(run->ops, run->plan->tensors[op->weight[i]].type)(&m, a * CHORD_UNIT_ROWS, end,
                                                                           t0 * terms, t1 * terms);
    }
}

static void matmul(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    const chord_matmul_cut *s = chord_matmul_cut_of(&run->cut);
    int64_t const quantized = s->quantize ? s->n_rows : 0;
    if (u0 < quantized) {
        for (int64_t row = u0; row < u1; row++) quantize(run, row);
        return;
    }
    for (int64_t u = u0 - quantized; u < u1 - quantized;) {
        int64_t const tile = u / s->all_blocks, end = (tile + 1) * s->all_blocks;
        int64_t const stop = end < u1 - quantized ? end : u1 - quantized;
        multiply(run, (int32_t)tile, (int32_t)(u % s->all_blocks), (int32_t)(u % s->all_blocks + (stop - u)),
                 thread);
        u = stop;
    }
}

const chord_op_cpu chord_op_cpu_matmul = { .measure = measure, .cut = cut, .stage = stage, .run = matmul };
