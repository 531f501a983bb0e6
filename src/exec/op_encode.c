/* op_encode.c: attention of encoders, over the keys and values in slots. A unit is up to 32 queries of one
 * KV head of one run over all keys that they see. The keys are taken in tiles of 32, which begin at the
 * run's first row: so a text's result depends on no other text. A tile's keys are copied side by side, as
 * the kernel wants them; that costs a 64th of the products with 32 queries. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/host.h"
#include "../base/mem.h"
#include <float.h>

enum { QUERIES = 32, TILE = CHORD_PAGE_TOKENS, FAR = 128 /* T5: the largest distance that counts */ };

typedef struct encode_cut {
    int32_t group; /* heads that share a KV head */
    int64_t work; /* of a unit of the longest run */
} encode_cut;
_Static_assert(sizeof(encode_cut) <= CHORD_CUT_ROOM, "room in chord_cut");

static int64_t units_of(const chord_op *op, const chord_batch_run *of)
{
    int32_t const group = op->encode.n_head / op->encode.n_kv;
    return chord_ceil_div((int64_t)group * of->n_tokens, QUERIES) * op->encode.n_kv;
}

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    int64_t longest = 0, n_queries = 0;
    for (int32_t i = 0; i < batch->n_runs; i++) {
        int64_t const n = batch->runs[i].n_tokens, queries = n * (op->encode.n_head / op->encode.n_kv);
        cut->n_units += units_of(op, &batch->runs[i]);
        if (n > longest) longest = n;
        if (queries > n_queries) n_queries = queries;
    }
    if (n_queries > QUERIES) n_queries = QUERIES;
    int64_t const window = op->encode.window ? op->encode.window + QUERIES : longest;
    cut->unit_work = (uint64_t)(2 * n_queries * (window < longest ? window : longest) * op->encode.head_dim);
}

/* Scratch: a tile of keys; m, l of the queries; a tile's biases of each query; a line. */
static void measure(const chord_plan *plan, const chord_op *op, chord_op_memory *memory)
{
    (void)plan;
    memory->thread_bytes =
        ((uint64_t)TILE * (uint64_t)op->encode.head_dim + 2 * QUERIES + QUERIES * TILE + 2 * FAR + 1) * 4;
}

typedef struct column {
    const float *q[QUERIES], *bias[QUERIES];
    float *acc[QUERIES], *ml[QUERIES];
    int32_t at[QUERIES], head[QUERIES], lo[QUERIES], hi[QUERIES];
    int32_t n, kv;
    const chord_batch_run *of;
    float slope[QUERIES]; /* ALiBi */
    float *line; /* T5: of the head `of_line` */
    int32_t of_line;
} column;

/* ---- biases ------------------------------------------------------------------------------------------ */

/* The slopes of ALiBi for n heads, p the power of two at or below n: 2^(-max_bias (h + 1) / p), and for the
 * heads from p on 2^(-max_bias (2 (h - p) + 1) / (2 p)). */
static float slope_of(const chord_op_encode *a, int32_t head)
{
    int32_t p = 1;
    while (2 * p <= a->n_head) p *= 2;
    double const by = head < p ? (double)(head + 1) / p : (2.0 * (head - p) + 1) / (2.0 * p);
    return (float)chord_host_pow(2, -(double)a->max_bias * by);
}

/* The bucket of a distance, the key's position minus the query's. The float roundings are those of
 * llama.cpp: 16, 32 and 64 are borders of buckets. */
static int32_t bucket_of(int32_t n_buckets, int32_t distance)
{
    int32_t const half = n_buckets / 2, exact = half / 2, n = distance < 0 ? -distance : distance;
    int32_t const base = distance > 0 ? half : 0;
    if (n < exact) return base + n;
    float const more = (float)chord_host_log((double)n / exact) * (float)(half - exact);
    int32_t const at = (int32_t)((double)exact + (double)more / chord_host_log((double)FAR / exact));
    return base + (at < half ? at : half - 1);
}

/* Writes the biases of distances -FAR .. FAR of T5. Farther keys are in the bucket of FAR. */
static void fill_line(const chord_run *run, int32_t head, float *line)
{
    const chord_op_encode *a = &run->op->encode;
    const float *table = chord_run_vector(run, run->op->weight[0]);
    for (int32_t d = -FAR; d <= FAR; d++)
        line[d + FAR] = table[(int64_t)bucket_of(a->n_buckets, d) * a->n_head + head];
}

/* Writes the biases of query i of the column for the keys [first, first + TILE). */
static void bias_of(const chord_run *run, const column *c, int32_t i, int32_t first, float *out)
{
    for (int32_t j = 0; j < TILE; j++) {
        int32_t const d = first + j - c->at[i];
        if (run->op->weight[0] < 0) out[j] = -c->slope[i] * (float)(d < 0 ? -d : d);
        else out[j] = c->line[(d < -FAR ? -FAR : d > FAR ? FAR : d) + FAR];
    }
}

/* ---- a unit ------------------------------------------------------------------------------------------ */

static void gather(const chord_run *run, int64_t unit, float *ml, column *c)
{
    const chord_op_encode *a = &run->op->encode;
    c->of = run->batch->runs;
    for (int64_t n; unit >= (n = units_of(run->op, c->of)); c->of++) unit -= n;
    int32_t const group = a->n_head / a->n_kv;
    int64_t const first = unit / a->n_kv * QUERIES, left = (int64_t)group * c->of->n_tokens - first;
    c->kv = (int32_t)(unit % a->n_kv);
    c->n = left < QUERIES ? (int32_t)left : QUERIES;
    for (int32_t i = 0; i < c->n; i++) {
        c->at[i] = (int32_t)((first + i) / group);
        c->head[i] = c->kv * group + (int32_t)((first + i) % group);
        int64_t const row = c->of->first_row + c->at[i];
        c->q[i] = chord_run_row(run, run->op->in[0], row) + (int64_t)c->head[i] * a->head_dim;
        c->acc[i] = chord_run_row(run, run->op->out[0], row) + (int64_t)c->head[i] * a->head_dim;
        c->slope[i] = a->max_bias > 0 ? slope_of(a, c->head[i]) : 0;
        c->ml[i] = ml + 2 * i;
        c->ml[i][0] = -FLT_MAX;
        c->ml[i][1] = 0;
        chord_zero(c->acc[i], (size_t)a->head_dim * 4);
    }
}

static void attend_tile(const chord_run *run, column *c, int32_t first, float *keys, float *biases)
{
    const chord_op_encode *a = &run->op->encode;
    int32_t const n = chord_min32(TILE, c->of->n_tokens - first), reach = a->window / 2;
    bool const has_bias = a->max_bias > 0 || run->op->weight[0] >= 0;
    bool is_seen = false;
    for (int32_t i = 0; i < c->n; i++) {
        int32_t const lo = a->window ? c->at[i] - reach - first : 0;
        int32_t const ahead = a->is_causal ? 0 : reach;
        int32_t const hi = a->window || a->is_causal ? c->at[i] + ahead + 1 - first : n;
        c->lo[i] = lo > 0 ? lo : 0;
        c->hi[i] = hi < n ? hi : n;
        is_seen = is_seen || c->lo[i] < c->hi[i];
    }
    if (!is_seen) return;
    int64_t const at = c->of->first_row + first, head = (int64_t)c->kv * a->head_dim;
    for (int32_t j = 0; j < n; j++)
        chord_copy(keys + (int64_t)j * a->head_dim, chord_run_row(run, run->op->in[1], at + j) + head,
                   (size_t)a->head_dim * 4);
    for (int32_t i = 0; i < c->n && has_bias; i++) {
        c->bias[i] = biases + (int64_t)TILE * i;
        if (run->op->weight[0] >= 0 && c->of_line != c->head[i]) {
            fill_line(run, c->head[i], c->line);
            c->of_line = c->head[i];
        }
        bias_of(run, c, i, first, biases + (int64_t)TILE * i);
    }
    const chord_slot *v = &run->plan->program.slots[run->op->in[2]];
    run->ops->attend(&(chord_attend){ .k = keys,
                                      .v = chord_run_row(run, run->op->in[2], at) + head,
                                      .q = c->q,
                                      .acc = c->acc,
                                      .ml = c->ml,
                                      .lo = c->lo,
                                      .hi = c->hi,
                                      .scale = a->scale,
                                      .n_q = c->n,
                                      .k_dim = a->head_dim,
                                      .v_dim = a->head_dim,
                                      .v_stride = (int32_t)chord_slot_stride(v),
                                      .bias = has_bias ? c->bias : NULL });
}

static void encode(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    const chord_op_encode *a = &run->op->encode;
    float *keys = (float *)(void *)chord_run_scratch(run, thread);
    float *ml = keys + (int64_t)TILE * a->head_dim, *biases = ml + 2 * QUERIES;
    column c = { .line = biases + (int64_t)QUERIES * TILE, .of_line = -1 };
    for (int64_t u = u0; u < u1; u++) {
        gather(run, u, ml, &c);
        for (int32_t first = 0; first < c.of->n_tokens; first += TILE)
            attend_tile(run, &c, first, keys, biases);
        for (int32_t i = 0; i < c.n; i++) run->ops->scale(c.acc[i], c.acc[i], 1 / c.ml[i][1], a->head_dim);
    }
}

const chord_op_cpu chord_op_cpu_encode = { .measure = measure, .cut = cut, .run = encode };
