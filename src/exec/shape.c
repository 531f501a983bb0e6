/* shape.c: how an op is cut into units for a batch. Row ops: a unit is a token's row. Products: 16 rows
 * of a matrix x up to 256 tokens, rows innermost so that a run of units is one kernel call. Attention: up
 * to 32 queries of one KV head x up to 16 pages; a stage is one run of pages, so chunks always ascend. Of a
 * single token, whose few columns would leave threads idle: one KV head x a chunk of pages, then a stage that joins them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"
#include "shape.h"

enum { UNITS_A_THREAD = 8 }; /* so that nobody waits for the last one longer than a ninth of the time */

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int32_t min32(int32_t a, int32_t b) { return a < b ? a : b; }

int32_t chord_op_rows(const chord_op *op, const chord_batch *batch)
{
    return op->flags & CHORD_FLAG_OUTPUT ? batch->n_outputs : batch->n_tokens;
}

chord_matmul_shape chord_shape_matmul(const chord_model_plan *plan, const chord_op *op, const chord_batch *batch)
{
    chord_matmul_shape s = { .n_rows = chord_op_rows(op, batch) };
    s.terms = 1;
    for (int32_t i = 0; i < op->n_weights; i++) {
        s.n_blocks[i] = (int32_t)ceil_div(op->n_out[i], CHORD_UNIT_ROWS);
        s.all_blocks += s.n_blocks[i];
        if (chord_format_of(plan->tensors[op->weight[i]].type)->act == CHORD_ACT_Q8) s.quantize = 1;
    }
    if (s.quantize && op->flags & CHORD_FLAG_FINE) s.terms = 2;
    /* at most about 50 M multiply-adds a unit, also for very wide rows */
    int64_t const unit = 50000000 / ((int64_t)CHORD_UNIT_ROWS * op->n_in * s.terms);
    s.tile = unit < 1 ? 1 : unit < CHORD_UNIT_TOKENS ? (int32_t)unit : CHORD_UNIT_TOKENS;
    while (s.tile > CHORD_LEAST_TOKENS && s.all_blocks * ceil_div(s.n_rows, s.tile) < UNITS_A_THREAD * plan->n_threads) s.tile /= 2;
    if (s.tile > 4) s.tile -= s.tile % 4; /* kernels take four at a time */
    s.n_tiles = (int32_t)ceil_div(s.n_rows, s.tile);
    return s;
}

chord_attend_shape chord_shape_attend(const chord_op *op, const chord_batch *batch)
{
    chord_attend_shape s = { .group = op->n_head / op->n_kv };
    s.n_queries = (int64_t)s.group * batch->n_tokens;
    s.n_columns = ceil_div(s.n_queries, CHORD_UNIT_QUERIES) * op->n_kv;
    s.n_pages = (int32_t)ceil_div((int64_t)batch->first_pos + batch->n_tokens, CHORD_PAGE_TOKENS);
    s.n_runs = (int32_t)ceil_div(s.n_pages, CHORD_UNIT_PAGES);
    if (batch->n_tokens > 1 || s.group > CHORD_UNIT_QUERIES) return s;
    s.n_chunks = (int32_t)ceil_div(s.n_pages, CHORD_CHUNK_PAGES);
    s.n_spans = (int32_t)ceil_div(s.n_chunks, CHORD_ATTEND_PARTS);
    return s;
}

chord_attend_span chord_shape_span(const chord_op *op, const chord_attend_shape *s, int64_t unit)
{
    int64_t const of_span = (CHORD_ATTEND_PARTS + 1) * (int64_t)op->n_kv, span = unit / of_span;
    int32_t const chunk = (int32_t)span * CHORD_ATTEND_PARTS, n_chunks = min32(CHORD_ATTEND_PARTS, s->n_chunks - chunk);
    int64_t const joins = span * of_span + (int64_t)n_chunks * op->n_kv;
    return (chord_attend_span){ span * of_span, joins, joins + op->n_kv, chunk, n_chunks };
}

int64_t chord_op_units(const chord_model_plan *plan, const chord_op *op, const chord_batch *batch)
{
    switch (op->kind) {
    case CHORD_OP_ACQUIRE:
    case CHORD_OP_RELEASE: return 0;
    case CHORD_OP_MATMUL: {
        chord_matmul_shape const s = chord_shape_matmul(plan, op, batch);
        return (s.quantize ? s.n_rows : 0) + (int64_t)s.n_tiles * s.all_blocks;
    }
    case CHORD_OP_ATTEND: {
        chord_attend_shape const s = chord_shape_attend(op, batch);
        return s.n_chunks ? (int64_t)op->n_kv * (s.n_chunks + s.n_spans) : s.n_columns * s.n_runs;
    }
    default: return chord_op_rows(op, batch);
    }
}

/* Elements a row op touches for one token. */
static int64_t row_elements(const chord_model_plan *plan, const chord_op *op)
{
    switch (op->kind) {
    case CHORD_OP_ANGLES: return plan->program.ropes[op->rope].n_rot;
    case CHORD_OP_KV_STORE: return 2ll * op->n_kv * op->head_dim;
    case CHORD_OP_HEAD_NORM:
    case CHORD_OP_ROPE: return (int64_t)op->n_head * op->head_dim;
    default: return op->n_out[0];
    }
}

chord_stage chord_op_stage(const chord_model_plan *plan, const chord_op *op, const chord_batch *batch, int64_t unit)
{
    int64_t const units = chord_op_units(plan, op, batch);
    if (op->kind == CHORD_OP_MATMUL) {
        chord_matmul_shape const s = chord_shape_matmul(plan, op, batch);
        int64_t const quantized = s.quantize ? s.n_rows : 0;
        if (unit < quantized) return (chord_stage){ 0, quantized, (uint64_t)op->n_in * (uint64_t)s.terms };
        int64_t const tokens = (int64_t)min32(s.tile, s.n_rows) * s.terms;
        return (chord_stage){ quantized, units, (uint64_t)(CHORD_UNIT_ROWS * tokens * op->n_in) };
    }
    if (op->kind == CHORD_OP_ATTEND) {
        chord_attend_shape const s = chord_shape_attend(op, batch);
        if (s.n_chunks) {
            chord_attend_span const span = chord_shape_span(op, &s, unit);
            int64_t const pages = min32(CHORD_CHUNK_PAGES, s.n_pages), work = s.group * 2ll * op->head_dim;
            if (unit >= span.joins) return (chord_stage){ span.joins, span.end, (uint64_t)(work * span.n_chunks) };
            return (chord_stage){ span.first, span.joins, (uint64_t)(work * pages * CHORD_PAGE_TOKENS) };
        }
        int64_t const run = unit / s.n_columns;
        int64_t const queries = s.n_queries < CHORD_UNIT_QUERIES ? s.n_queries : CHORD_UNIT_QUERIES;
        int64_t const pages = min32(CHORD_UNIT_PAGES, s.n_pages - (int32_t)run * CHORD_UNIT_PAGES);
        return (chord_stage){ run * s.n_columns, (run + 1) * s.n_columns,
                              (uint64_t)(queries * pages * CHORD_PAGE_TOKENS * 2 * op->head_dim) };
    }
    int64_t const work = row_elements(plan, op);
    return (chord_stage){ 0, units, work > 0 ? (uint64_t)work : 1 }; /* the walk divides by it */
}

uint64_t chord_exec_work(const chord_model_plan *plan, const chord_batch *batch)
{
    uint64_t work = 0;
    for (int32_t i = 0; i < plan->program.n_ops; i++) {
        const chord_op *op = &plan->program.ops[i];
        int64_t const units = chord_op_units(plan, op, batch);
        for (int64_t u = 0; u < units;) {
            chord_stage const s = chord_op_stage(plan, op, batch, u);
            work += (uint64_t)(s.end - s.first) * s.unit_work;
            u = s.end;
        }
    }
    return work;
}
