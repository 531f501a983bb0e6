/* ops.c: what a run of units computes. Every function gets units of one stage; shape.c says what a unit
 * covers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"
#include "../base/half.h"
#include "../base/host.h"
#include "../base/mem.h"
#include "../quant/act.h"
#include "shape.h"
#include <float.h>

static int32_t min32(int32_t a, int32_t b) { return a < b ? a : b; }

static float *row_of(const chord_model_plan *plan, int32_t slot, int64_t row)
{
    return plan->slots[slot] + row * chord_slot_stride(&plan->program.slots[slot]);
}
static uint8_t *scratch_of(const chord_model_plan *plan, int32_t thread)
{
    return plan->thread_scratch + (uint64_t)thread * plan->thread_scratch_bytes;
}
static const float *vector_of(const chord_model_plan *plan, int32_t tensor)
{
    return tensor < 0 ? NULL : (const float *)(const void *)plan->tensors[tensor].data;
}

/* ---- row ops: unit = row ---------------------------------------------------------------------------- */

static void embed(const chord_run *run, const chord_op *op, int64_t row, int32_t thread)
{
    const chord_tensor *t = &run->plan->tensors[op->weight[0]];
    const chord_format *f = chord_format_of(t->type);
    int64_t const id = run->batch->ids[row];
    int32_t const n = op->n_out[0];
    float *out = row_of(run->plan, op->out[0], row);
    const void *source = t->data + (uint64_t)id * t->row_bytes;
    if (t->layout == CHORD_LAYOUT_X4) {
        void *plain = scratch_of(run->plan, thread);
        chord_format_unpack(f, plain, t->data + (uint64_t)(id / 4) * chord_x4_bytes(f, n), (int32_t)(id % 4), n);
        source = plain;
    }
    f->decode(out, source, n);
    if (op->scale != 1) run->ops->scale(out, out, op->scale, n);
}

static void norm(const chord_run *run, const chord_op *op, int64_t row)
{
    int64_t const from = op->flags & CHORD_FLAG_GATHER ? run->batch->rows[row] : row;
    run->ops->rms_norm(row_of(run->plan, op->out[0], row), row_of(run->plan, op->in[0], from),
                       vector_of(run->plan, op->weight[0]), op->n_out[0], op->eps);
}

static void head_norm(const chord_run *run, const chord_op *op, int64_t row)
{
    float *x = row_of(run->plan, op->out[0], row);
    for (int32_t h = 0; h < op->n_head; h++, x += op->head_dim)
        run->ops->rms_norm(x, x, vector_of(run->plan, op->weight[0]), op->head_dim, op->eps);
}

static void angles(const chord_run *run, const chord_op *op, int64_t row)
{
    int32_t const n_rot = run->plan->program.ropes[op->rope].n_rot;
    double const magnitude = (double)run->plan->program.ropes[op->rope].magnitude;
    float *cs = run->plan->rope_cs[op->rope] + row * n_rot;
    for (int32_t i = 0; i < n_rot / 2; i++) {
        double const angle = (double)(run->batch->first_pos + row) * run->plan->rope_freqs[op->rope][i];
        cs[2 * i] = (float)(magnitude * chord_host_cos(angle));
        cs[2 * i + 1] = (float)(magnitude * chord_host_sin(angle));
    }
}

static void rope(const chord_run *run, const chord_op *op, int64_t row)
{
    const chord_rope *r = &run->plan->program.ropes[op->rope];
    const float *cs = run->plan->rope_cs[op->rope] + row * r->n_rot;
    float *x = row_of(run->plan, op->out[0], row);
    chord_rope_fn *const turn = r->style == CHORD_ROPE_NORM ? run->ops->rope_norm : run->ops->rope_neox;
    for (int32_t h = 0; h < op->n_head; h++) turn(x + (int64_t)h * op->head_dim, cs, r->n_rot / 2);
}

static bool are_finite(const float *x, int32_t n)
{
    uint32_t wrong = 0;
    for (int32_t i = 0; i < n; i++) wrong |= (chord_f32_bits(x[i]) & 0x7f800000) == 0x7f800000;
    return !wrong;
}

/* What isn't finite would spread to every later token, or hide in a saturating type: the walk stops instead. */
static void kv_store(const chord_run *run, const chord_op *op, int64_t row)
{
    const chord_kv_shape *kv = &run->plan->kv;
    int64_t const at = run->batch->first_pos + row;
    uint8_t *page = run->batch->pages[at / CHORD_PAGE_TOKENS];
    uint64_t const row_at = (uint64_t)(at % CHORD_PAGE_TOKENS) * kv->row_bytes; /* of the token in a head */
    for (int32_t part = 0; part < 2; part++)
        for (int32_t h = 0; h < op->n_kv; h++) {
            const float *x = row_of(run->plan, op->in[part], row) + (int64_t)h * op->head_dim;
            void *dst = page + chord_kv_offset(kv, op->layer, part, h) + row_at;
            if (!are_finite(x, op->head_dim)) __atomic_store_n(run->not_finite, 1, __ATOMIC_RELAXED);
            if (kv->type == CHORD_KV_F32) chord_copy(dst, x, (size_t)op->head_dim * 4);
            else if (kv->type == CHORD_KV_F16) run->ops->f16_store(dst, x, op->head_dim);
            else run->ops->kv_q8_store(dst, x, op->head_dim);
        }
}

static void glu(const chord_run *run, const chord_op *op, int64_t row)
{
    chord_glu_fn *const act = op->activation == CHORD_ACTIVATION_SILU ? run->ops->silu_glu : run->ops->gelu_glu;
    act(row_of(run->plan, op->out[0], row), row_of(run->plan, op->in[0], row), row_of(run->plan, op->in[1], row), op->n_out[0]);
}

/* ---- products ----------------------------------------------------------------------------------------- */

/* The input's row in q8; of a FINE product in two terms, the second what rounding took from the first: 16 bits in all. */
static void quantize(const chord_run *run, const chord_op *op, int64_t row)
{
    uint64_t const stride = chord_q8_stride(op->n_in);
    const float *x = row_of(run->plan, op->in[0], row);
    if (!(op->flags & CHORD_FLAG_FINE)) {
        run->ops->quantize_q8(run->plan->quantized + (uint64_t)row * stride, x, op->n_in);
        return;
    }
    uint8_t *const first = run->plan->quantized + 2 * (uint64_t)row * stride;
    run->ops->quantize_q8(first, x, op->n_in);
    chord_act_quantize_rest(first + stride, first, x, op->n_in);
}

/* Blocks [b0, b1) of one token tile; each matrix's part of them is one kernel call. */
static void matmul_tile(const chord_run *run, const chord_op *op, const chord_matmul_shape *s, int32_t tile, int32_t b0, int32_t b1, int32_t thread)
{
    const chord_model_plan *plan = run->plan;
    int32_t const t0 = tile * s->tile, t1 = min32(t0 + s->tile, s->n_rows);
    int32_t first = 0;
    for (int32_t i = 0; i < op->n_weights; first += s->n_blocks[i], i++) {
        int32_t const a = b0 > first ? b0 - first : 0, b = min32(b1 - first, s->n_blocks[i]);
        if (a >= b) continue;
        const chord_tensor *w = &plan->tensors[op->weight[i]];
        const chord_format *f = chord_format_of(w->type);
        uint64_t const group_bytes = chord_x4_bytes(f, op->n_in);
        const float *bias = vector_of(plan, op->bias[i]);
        bool const is_q8 = f->act == CHORD_ACT_Q8;
        int32_t const terms = is_q8 ? s->terms : 1;
        chord_matmul const m = {
            .w = w->data + (uint64_t)(op->row[i] / 4) * group_bytes,
            .group_bytes = group_bytes,
            .x = is_q8 ? (const void *)plan->quantized : (const void *)plan->slots[op->in[0]],
            .x_stride = is_q8 ? chord_q8_stride(op->n_in) : (uint64_t)chord_slot_stride(&plan->program.slots[op->in[0]]) * 4,
            .y = plan->slots[op->out[i]],
            .y_stride = (uint64_t)chord_slot_stride(&plan->program.slots[op->out[i]]),
            .bias = bias ? bias + op->row[i] : NULL,
            .n_in = op->n_in,
            .n_out = op->n_out[i],
            .add = (op->flags & CHORD_FLAG_ADD) != 0,
            .two_terms = terms == 2,
            .panel = scratch_of(plan, thread),
        };
        chord_ops_matmul(run->ops, w->type)(&m, a * CHORD_UNIT_ROWS, min32(b * CHORD_UNIT_ROWS, op->n_out[i]), t0 * terms, t1 * terms);
    }
}

static void matmul(const chord_run *run, const chord_op *op, int64_t u0, int64_t u1, int32_t thread)
{
    chord_matmul_shape const s = chord_shape_matmul(run->plan, op, run->batch);
    int64_t const quantized = s.quantize ? s.n_rows : 0;
    if (u0 < quantized) {
        for (int64_t row = u0; row < u1; row++) quantize(run, op, row);
        return;
    }
    for (int64_t u = u0 - quantized; u < u1 - quantized;) {
        int64_t const tile = u / s.all_blocks, end = (tile + 1) * s.all_blocks;
        int64_t const stop = end < u1 - quantized ? end : u1 - quantized;
        matmul_tile(run, op, &s, (int32_t)tile, (int32_t)(u % s.all_blocks), (int32_t)(u % s.all_blocks + (stop - u)), thread);
        u = stop;
    }
}

/* ---- attention ---------------------------------------------------------------------------------------- */

typedef struct attend_column {
    const float *q[CHORD_UNIT_QUERIES];
    float *acc[CHORD_UNIT_QUERIES], *ml[CHORD_UNIT_QUERIES];
    int32_t position[CHORD_UNIT_QUERIES];
    int32_t lo[CHORD_UNIT_QUERIES], hi[CHORD_UNIT_QUERIES];
    int32_t n, head;              /* queries; KV head */
} attend_column;

static void attend_gather(const chord_run *run, const chord_op *op, const chord_attend_shape *s, int64_t column, attend_column *c)
{
    int64_t const first = column / op->n_kv * CHORD_UNIT_QUERIES;
    c->head = (int32_t)(column % op->n_kv);
    c->n = (int32_t)(s->n_queries - first < CHORD_UNIT_QUERIES ? s->n_queries - first : CHORD_UNIT_QUERIES);
    for (int32_t i = 0; i < c->n; i++) {
        int64_t const token = (first + i) / s->group, head = c->head * s->group + (first + i) % s->group;
        c->q[i] = row_of(run->plan, op->in[0], token) + head * op->head_dim;
        c->acc[i] = row_of(run->plan, op->out[0], token) + head * op->head_dim;
        c->ml[i] = run->plan->attend_ml + 2 * (token * op->n_head + head);
        c->position[i] = run->batch->first_pos + (int32_t)token;
    }
}

#define FEW_QUERIES 8 /* up to here f16 is widened on the way, twice at most */

/* The first n rows of a head's page as floats: in place, or widened into `wide`. */
static const float *widen(const chord_run *run, const chord_op *op, const void *rows, int32_t n, float *wide)
{
    const chord_kv_shape *kv = &run->plan->kv;
    if (kv->type == CHORD_KV_F32) return rows;
    if (kv->type == CHORD_KV_F16) run->ops->f16_load(wide, rows, n * op->head_dim);
    else
        for (int32_t i = 0; i < n; i++) run->ops->kv_q8_load(wide + i * op->head_dim, (const uint8_t *)rows + (uint64_t)i * kv->row_bytes, op->head_dim);
    return wide;
}

/* One page of the column; the slots each query sees are those of positions (position - window, position]. */
static void attend_page(const chord_run *run, const chord_op *op, attend_column *c, int32_t page, int32_t thread)
{
    const chord_kv_shape *kv = &run->plan->kv;
    int32_t const first = page * CHORD_PAGE_TOKENS;
    int32_t most = 0;
    for (int32_t i = 0; i < c->n; i++) {
        int32_t const begin = op->window && c->position[i] >= op->window ? c->position[i] - op->window + 1 : 0;
        c->lo[i] = begin > first ? begin - first : 0;
        c->hi[i] = min32(c->position[i] + 1 - first, CHORD_PAGE_TOKENS);
        if (c->lo[i] < c->hi[i] && c->hi[i] > most) most = c->hi[i];
    }
    if (!most) return; /* seen by nobody */
    const uint8_t *data = run->batch->pages[page];
    const void *k = data + chord_kv_offset(kv, op->layer, 0, c->head), *v = data + chord_kv_offset(kv, op->layer, 1, c->head);
    bool const is_f16 = kv->type == CHORD_KV_F16 && c->n <= FEW_QUERIES;
    if (!is_f16) {
        float *wide = (float *)(void *)scratch_of(run->plan, thread);
        k = widen(run, op, k, most, wide);
        v = widen(run, op, v, most, wide + CHORD_PAGE_TOKENS * op->head_dim);
    }
    run->ops->attend(&(chord_attend){ .k = k, .v = v, .q = c->q, .acc = c->acc, .ml = c->ml, .lo = c->lo, .hi = c->hi,
                                      .scale = op->scale, .cap = op->softcap, .n_q = c->n, .head_dim = op->head_dim, .is_f16 = is_f16 });
}

/* One byte of each line of a chunk's keys and values, all streams at once, into the cache: a kernel's own loads wait for memory one
 * after another, since a head's part of a page is too short for prefetchers and wasm can't ask. */
static void touch_chunk(const chord_run *run, const chord_op *op, int32_t head, int32_t p0, int32_t p1, int32_t thread)
{
    const chord_kv_shape *kv = &run->plan->kv;
    const volatile uint8_t *at[CHORD_CHUNK_PAGES][2];
    for (int32_t i = 0; i < CHORD_CHUNK_PAGES; i++)
        for (int32_t part = 0; part < 2; part++) at[i][part] = run->batch->pages[min32(p0 + i, p1 - 1)] + chord_kv_offset(kv, op->layer, part, head);
    uint32_t sum = 0;
    for (uint64_t b = 0; b < CHORD_PAGE_TOKENS * (uint64_t)kv->row_bytes; b += 64)
        for (int32_t i = 0; i < CHORD_CHUNK_PAGES; i++) sum += (uint32_t)at[i][0][b] + at[i][1][b];
    chord_copy(scratch_of(run->plan, thread), &sum, sizeof sum); /* so that no engine drops the loads */
}

/* A chunk of pages, begun anew, into the column's acc and ml. */
static void attend_chunk(const chord_run *run, const chord_op *op, const chord_attend_shape *s, attend_column *c, int32_t chunk, int32_t thread)
{
    for (int32_t i = 0; i < c->n; i++) {
        chord_zero(c->acc[i], (size_t)op->head_dim * 4);
        c->ml[i][0] = -FLT_MAX;
        c->ml[i][1] = 0;
    }
    int32_t const p0 = chunk * CHORD_CHUNK_PAGES, p1 = min32(p0 + CHORD_CHUNK_PAGES, s->n_pages);
    if (c->n <= FEW_QUERIES) touch_chunk(run, op, c->head, p0, p1, thread);
    for (int32_t page = p0; page < p1; page++) attend_page(run, op, c, page, thread);
}

/* The first chunk is the result so far; each later one is joined to it. */
static void attend_run(const chord_run *run, const chord_op *op, const chord_attend_shape *s, int64_t unit, int32_t thread)
{
    int32_t const first = (int32_t)(unit / s->n_columns) * (CHORD_UNIT_PAGES / CHORD_CHUNK_PAGES);
    int32_t const n_chunks = (s->n_pages + CHORD_CHUNK_PAGES - 1) / CHORD_CHUNK_PAGES;
    int32_t const last = min32(first + CHORD_UNIT_PAGES / CHORD_CHUNK_PAGES, n_chunks);
    attend_column sums, part;
    attend_gather(run, op, s, unit % s->n_columns, &sums);
    part = sums;
    float *room = (float *)(void *)scratch_of(run->plan, thread) + 2 * CHORD_PAGE_TOKENS * op->head_dim; /* behind the widened pages */
    for (int32_t i = 0; i < part.n; i++) {
        part.acc[i] = room + i * op->head_dim;
        part.ml[i] = room + CHORD_UNIT_QUERIES * op->head_dim + 2 * i;
    }
    for (int32_t chunk = first; chunk < last; chunk++) {
        attend_chunk(run, op, s, chunk ? &part : &sums, chunk, thread);
        for (int32_t i = 0; chunk && i < part.n; i++) run->ops->attend_join(sums.acc[i], sums.ml[i], part.acc[i], part.ml[i], op->head_dim);
    }
    for (int32_t i = 0; last == n_chunks && i < sums.n; i++) run->ops->scale(sums.acc[i], sums.acc[i], 1 / sums.ml[i][1], op->head_dim);
}

/* The same of one token, its chunks side by side in plan->attend_parts. */
static void attend_token(const chord_run *run, const chord_op *op, const chord_attend_shape *s, int64_t unit, int32_t thread)
{
    const chord_model_plan *plan = run->plan;
    chord_attend_span const span = chord_shape_span(op, s, unit);
    bool const is_join = unit >= span.joins;
    int32_t const head = (int32_t)((unit - (is_join ? span.joins : span.first)) % op->n_kv);
    attend_column sums, part;
    attend_gather(run, op, s, head, &sums);
    part = sums;
    float *const all_ml = plan->attend_parts + (int64_t)plan->n_attend_parts * op->n_head * op->head_dim;
    int32_t const mine = is_join ? 0 : (int32_t)((unit - span.first) / op->n_kv);
    for (int32_t k = mine; k < (is_join ? span.n_chunks : mine + 1); k++) {
        for (int32_t i = 0; i < part.n; i++) {
            int64_t const at = (int64_t)k * op->n_head + head * s->group + i;
            part.acc[i] = plan->attend_parts + at * op->head_dim;
            part.ml[i] = all_ml + 2 * at;
        }
        if (!is_join) attend_chunk(run, op, s, &part, span.chunk + k, thread);
        for (int32_t i = 0; is_join && i < part.n; i++) {
            if (span.chunk + k) run->ops->attend_join(sums.acc[i], sums.ml[i], part.acc[i], part.ml[i], op->head_dim);
            else {
                chord_copy(sums.acc[i], part.acc[i], (size_t)op->head_dim * 4);
                chord_copy(sums.ml[i], part.ml[i], 8);
            }
        }
    }
    if (!is_join || span.chunk + span.n_chunks < s->n_chunks) return;
    for (int32_t i = 0; i < sums.n; i++) run->ops->scale(sums.acc[i], sums.acc[i], 1 / sums.ml[i][1], op->head_dim);
}

static void attend(const chord_run *run, const chord_op *op, int64_t unit, int32_t thread)
{
    chord_attend_shape const s = chord_shape_attend(op, run->batch);
    (s.n_chunks ? attend_token : attend_run)(run, op, &s, unit, thread);
}

void chord_op_run(const chord_run *run, const chord_op *op, int64_t u0, int64_t u1, int32_t thread)
{
    if (op->kind == CHORD_OP_MATMUL) {
        matmul(run, op, u0, u1, thread);
        return;
    }
    for (int64_t u = u0; u < u1; u++)
        switch (op->kind) {
        case CHORD_OP_EMBED: embed(run, op, u, thread); break;
        case CHORD_OP_NORM: norm(run, op, u); break;
        case CHORD_OP_HEAD_NORM: head_norm(run, op, u); break;
        case CHORD_OP_ANGLES: angles(run, op, u); break;
        case CHORD_OP_ROPE: rope(run, op, u); break;
        case CHORD_OP_KV_STORE: kv_store(run, op, u); break;
        case CHORD_OP_ATTEND: attend(run, op, u, thread); break;
        case CHORD_OP_GLU: glu(run, op, u); break;
        case CHORD_OP_ADD: run->ops->add(row_of(run->plan, op->out[0], u), row_of(run->plan, op->in[0], u), op->n_out[0]); break;
        default: break; /* ACQUIRE and RELEASE have no units */
        }
}
