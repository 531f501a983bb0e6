/* SPDX-License-Identifier: Apache-2.0 */
#include "op_attend.h"
#include "../base/mem.h"
#include "../kernels/real.h"
#include "../quant/act.h"
#include <float.h>

/* For up to FEW_QUERIES queries the kernel widens f16 itself, once per four queries. For more queries a
 * page is widened in scratch first. */
#define FEW_QUERIES 8

/* ---- cut --------------------------------------------------------------------------------------------- */

/* Queries at positions p0 .. p1 see the chunks [first, end) and the pages from `page` on. */
typedef struct sight {
    int32_t first, end, page;
} sight;

static sight sight_of(int32_t window, int32_t p0, int32_t p1)
{
    int32_t const lowest = window && p0 >= window ? p0 - window + 1 : 0;
    return (sight){ lowest / CHORD_CHUNK_TOKENS, p1 / CHORD_CHUNK_TOKENS + 1, lowest / CHORD_PAGE_TOKENS };
}

static int64_t columns_of(const chord_op *op, const chord_attend_cut *s, const chord_batch_run *run)
{
    return chord_ceil_div((int64_t)s->group * run->n_tokens, CHORD_UNIT_QUERIES) * op->attend.n_kv;
}

/* Returns what queries [first, first + n) of a run see. */
static sight sight_of_queries(const chord_attend_cut *s, const chord_batch_run *run, int64_t first, int64_t n)
{
    return sight_of(s->window, run->first_pos + (int32_t)(first / s->group),
                    run->first_pos + (int32_t)((first + n - 1) / s->group));
}

static int64_t queries_from(const chord_attend_cut *s, const chord_batch_run *run, int64_t first)
{
    int64_t const left = (int64_t)s->group * run->n_tokens - first;
    return left < CHORD_UNIT_QUERIES ? left : CHORD_UNIT_QUERIES;
}

static void note_run(const chord_op *op, const chord_batch_run *run, chord_attend_cut *s)
{
    s->n_columns += columns_of(op, s, run);
    for (int64_t first = 0; first < (int64_t)s->group * run->n_tokens; first += CHORD_UNIT_QUERIES) {
        int64_t const n = queries_from(s, run, first);
        sight const seen = sight_of_queries(s, run, first, n);
        int32_t const last = run->first_pos + (int32_t)((first + n - 1) / s->group);
        int32_t const pages = last / CHORD_PAGE_TOKENS + 1 - seen.first * CHORD_CHUNK_PAGES;
        if (n > s->n_queries) s->n_queries = n;
        if (seen.end - seen.first > s->most_chunks) s->most_chunks = seen.end - seen.first;
        if (pages > s->most_pages) s->most_pages = pages;
        s->first_chunk = seen.first;
    }
}

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    const chord_op_attend *a = &op->attend;
    chord_attend_cut *s = (chord_attend_cut *)(void *)cut->of_op;
    const chord_cache_spec *cache = &plan->caches[op->cache].spec;
    *s = (chord_attend_cut){ .group = a->n_head / a->n_kv,
                             .window = cache->kind == CHORD_CACHE_WINDOW ? cache->window : 0 };
    for (int32_t i = 0; i < batch->n_runs; i++) note_run(op, &batch->runs[i], s);
    if (batch->n_tokens > 1 || s->group > CHORD_UNIT_QUERIES) {
        cut->n_units = s->n_columns * chord_ceil_div(s->most_chunks, CHORD_UNIT_CHUNKS);
        return;
    }
    s->n_spans = (int32_t)chord_ceil_div(s->most_chunks, CHORD_ATTEND_PARTS);
    cut->n_units = (int64_t)a->n_kv * (s->most_chunks + s->n_spans);
}

chord_attend_span chord_attend_span_of(const chord_op *op, const chord_attend_cut *s, int64_t unit)
{
    int64_t const n_kv = op->attend.n_kv, of_span = (CHORD_ATTEND_PARTS + 1) * n_kv, span = unit / of_span;
    int32_t const chunk = (int32_t)span * CHORD_ATTEND_PARTS,
                  n_chunks = chord_min32(CHORD_ATTEND_PARTS, s->most_chunks - chunk);
    int64_t const joins = span * of_span + (int64_t)n_chunks * n_kv;
    return (chord_attend_span){ span * of_span, joins, joins + n_kv, chunk, n_chunks };
}

static chord_stage stage(const chord_op *op, const chord_cut *cut, int64_t unit)
{
    const chord_attend_cut *s = chord_attend_cut_of(cut);
    int64_t const width = (int64_t)op->attend.k_dim + op->attend.v_dim;
    if (s->n_spans) {
        chord_attend_span const span = chord_attend_span_of(op, s, unit);
        int64_t const pages = chord_min32(CHORD_CHUNK_PAGES, s->most_pages), work = s->group * width;
        if (unit >= span.joins)
            return (chord_stage){ span.joins, span.end, (uint64_t)(work * span.n_chunks) };
        return (chord_stage){ span.first, span.joins, (uint64_t)(work * pages * CHORD_PAGE_TOKENS) };
    }
    int64_t const at = unit / s->n_columns, before = at * CHORD_UNIT_CHUNKS * CHORD_CHUNK_PAGES;
    int64_t const pages = chord_min32(CHORD_UNIT_CHUNKS * CHORD_CHUNK_PAGES, s->most_pages - (int32_t)before);
    return (chord_stage){ at * s->n_columns, (at + 1) * s->n_columns,
                          (uint64_t)(s->n_queries * pages * CHORD_PAGE_TOKENS * width) };
}

/* Work: m, l of every query; for one token also a result of each chunk of a span with its m, l. Scratch:
 * one head's page of keys and page of values, widened to floats; the queries' sums over one chunk with
 * their m, l. (m, l: kernels.h) */
static void measure(const chord_plan *plan, const chord_op *op, chord_op_memory *memory)
{
    uint64_t const n_head = (uint64_t)op->attend.n_head, v = (uint64_t)op->attend.v_dim,
                   k = (uint64_t)op->attend.k_dim;
    memory->work_bytes = ((uint64_t)plan->n_batch * 2 + CHORD_ATTEND_PARTS * (v + 2)) * n_head * 4;
    memory->thread_bytes = ((k + v) * CHORD_PAGE_TOKENS + (v + 2) * CHORD_UNIT_QUERIES) * 4;
}

/* ---- a column ---------------------------------------------------------------------------------------- */

typedef struct column {
    const float *q[CHORD_UNIT_QUERIES];
    float *acc[CHORD_UNIT_QUERIES], *ml[CHORD_UNIT_QUERIES];
    int32_t position[CHORD_UNIT_QUERIES], q_head[CHORD_UNIT_QUERIES];
    int32_t lo[CHORD_UNIT_QUERIES], hi[CHORD_UNIT_QUERIES];
    int32_t n, head;              /* number of queries; KV head */
    const chord_batch_run *of;
    sight seen;
} column;

static void gather(const chord_run *run, int64_t index, column *c)
{
    const chord_op_attend *a = &run->op->attend;
    const chord_attend_cut *s = chord_attend_cut_of(&run->cut);
    c->of = run->batch->runs;
    for (int64_t n; index >= (n = columns_of(run->op, s, c->of)); c->of++) index -= n;
    int64_t const first = index / a->n_kv * CHORD_UNIT_QUERIES;
    c->head = (int32_t)(index % a->n_kv);
    c->n = (int32_t)queries_from(s, c->of, first);
    c->seen = sight_of_queries(s, c->of, first, c->n);
    for (int32_t i = 0; i < c->n; i++) {
        int64_t const token = (first + i) / s->group, head = c->head * s->group + (first + i) % s->group;
        int64_t const row = c->of->first_row + token;
        c->q[i] = chord_run_row(run, run->op->in[0], row) + head * a->k_dim;
        c->acc[i] = chord_run_row(run, run->op->out[0], row) + head * a->v_dim;
        c->ml[i] = (float *)(void *)run->plan->work + 2 * (row * a->n_head + head);
        c->position[i] = c->of->first_pos + (int32_t)token;
        c->q_head[i] = (int32_t)head;
    }
}

/* Returns the first n rows of a head's page as floats: the rows themselves, or widened into `wide`. */
static const float *widen(const chord_run *run, const void *rows, int32_t n, int32_t width, float *wide)
{
    const chord_cache *cache = &run->plan->caches[run->op->cache];
    if (cache->type == CHORD_KV_F32) return rows;
    if (cache->type == CHORD_KV_F16) run->ops->f16_load(wide, rows, n * width);
    else
        for (int32_t i = 0; i < n; i++)
            run->ops->kv_q8_load(wide + i * width,
                                 (const uint8_t *)rows + (uint64_t)i * chord_kv_q8_bytes(width), width);
    return wide;
}

/* Adds one page to the column's sums. A query sees the positions (position - window, position]. */
static void attend_page(const chord_run *run, column *c, int32_t page, int32_t thread)
{
    const chord_op_attend *a = &run->op->attend;
    const chord_cache *cache = &run->plan->caches[run->op->cache];
    int32_t const window = chord_attend_cut_of(&run->cut)->window, first = page * CHORD_PAGE_TOKENS;
    int32_t most = 0;
    for (int32_t i = 0; i < c->n; i++) {
        int32_t const begin = window && c->position[i] >= window ? c->position[i] - window + 1 : 0;
        c->lo[i] = begin > first ? begin - first : 0;
        c->hi[i] = chord_min32(c->position[i] + 1 - first, CHORD_PAGE_TOKENS);
        if (c->lo[i] < c->hi[i] && c->hi[i] > most) most = c->hi[i];
    }
    if (!most) return; /* no query sees the page */
    const uint8_t *data = c->of->pages[cache->cls][page];
    const void *k = data + cache->k_off + (uint64_t)c->head * cache->k_head,
               *v = data + cache->v_off + (uint64_t)c->head * cache->v_head;
    int32_t const v_stride = cache->spec.v_dim ? a->v_dim : a->k_dim;
    bool const is_f16 = cache->type == CHORD_KV_F16 && c->n <= FEW_QUERIES;
    if (!is_f16) {
        float *wide = (float *)(void *)chord_run_scratch(run, thread);
        k = widen(run, k, most, a->k_dim, wide);
        v = cache->spec.v_dim ? widen(run, v, most, a->v_dim, wide + CHORD_PAGE_TOKENS * a->k_dim) : k;
    }
    run->ops->attend(&(chord_attend){ .k = k,
                                      .v = v,
                                      .q = c->q,
                                      .acc = c->acc,
                                      .ml = c->ml,
                                      .lo = c->lo,
                                      .hi = c->hi,
                                      .scale = a->scale,
                                      .cap = a->softcap,
                                      .n_q = c->n,
                                      .k_dim = a->k_dim,
                                      .v_dim = a->v_dim,
                                      .v_stride = v_stride,
                                      .is_f16 = is_f16 });
}

/* Reads one byte of each cache line of the head's keys and values in pages [p0, p1), interleaved. The
 * kernel's own loads would miss one after another: a head's rows in a page are too short for the
 * prefetcher, and wasm has no prefetch. */
static void touch_chunk(const chord_run *run, const column *c, int32_t p0, int32_t p1, int32_t thread)
{
    const chord_cache *cache = &run->plan->caches[run->op->cache];
    uint64_t const k_bytes = CHORD_PAGE_TOKENS * cache->k_row, v_bytes = CHORD_PAGE_TOKENS * cache->v_row;
    const volatile uint8_t *k[CHORD_CHUNK_PAGES], *v[CHORD_CHUNK_PAGES];
    for (int32_t i = 0; i < CHORD_CHUNK_PAGES; i++) {
        const uint8_t *page = c->of->pages[cache->cls][chord_min32(p0 + i, p1 - 1)];
        k[i] = page + cache->k_off + (uint64_t)c->head * cache->k_head;
        v[i] = page + cache->v_off + (uint64_t)c->head * cache->v_head;
    }
    uint32_t sum = 0;
    for (uint64_t b = 0; b < k_bytes; b += 64)
        for (int32_t i = 0; i < CHORD_CHUNK_PAGES; i++) sum += (uint32_t)k[i][b] + v[i][b < v_bytes ? b : 0];
    for (uint64_t b = k_bytes; b < v_bytes; b += 64)
        for (int32_t i = 0; i < CHORD_CHUNK_PAGES; i++) sum += v[i][b];
    chord_copy(chord_run_scratch(run, thread), &sum, sizeof sum); /* so that no compiler drops the loads */
}

/* Computes one chunk into the column's acc and ml, starting from zero. */
static void attend_chunk(const chord_run *run, column *c, int32_t chunk, int32_t thread)
{
    int32_t const v_dim = run->op->attend.v_dim;
    for (int32_t i = 0; i < c->n; i++) {
        chord_zero(c->acc[i], (size_t)v_dim * 4);
        c->ml[i][0] = -FLT_MAX;
        c->ml[i][1] = 0;
    }
    int32_t const last = c->position[c->n - 1] / CHORD_PAGE_TOKENS + 1;
    int32_t const begin = chunk * CHORD_CHUNK_PAGES, p0 = begin > c->seen.page ? begin : c->seen.page;
    int32_t const p1 = chord_min32(begin + CHORD_CHUNK_PAGES, last);
    if (c->n <= FEW_QUERIES) touch_chunk(run, c, p0, p1, thread);
    for (int32_t page = p0; page < p1; page++) attend_page(run, c, page, thread);
}

/* A sink is one more term of the softmax's sum. */
static void finish(const chord_run *run, const column *c)
{
    const float *sinks = chord_run_vector(run, run->op->weight[0]);
    for (int32_t i = 0; i < c->n; i++) {
        float const *ml = c->ml[i];
        float const sink = sinks ? (float)chord_real_exp((double)sinks[c->q_head[i]] - (double)ml[0]) : 0;
        run->ops->scale(c->acc[i], c->acc[i], 1 / (ml[1] + sink), run->op->attend.v_dim);
    }
}

/* ---- units ------------------------------------------------------------------------------------------- */

/* Computes a unit of many queries. The first chunk of the column goes into the output slot; each later
 * chunk is joined to it. */
static void attend_many(const chord_run *run, int64_t unit, int32_t thread)
{
    const chord_op_attend *a = &run->op->attend;
    const chord_attend_cut *s = chord_attend_cut_of(&run->cut);
    column sums, part;
    gather(run, unit % s->n_columns, &sums);
    int32_t const first = sums.seen.first + (int32_t)(unit / s->n_columns) * CHORD_UNIT_CHUNKS;
    int32_t const last = chord_min32(first + CHORD_UNIT_CHUNKS, sums.seen.end);
    if (first >= last) return; /* the column has fewer chunks than others */
    part = sums;
    /* behind the widened pages */
    float *room = (float *)(void *)chord_run_scratch(run, thread) + CHORD_PAGE_TOKENS * (a->k_dim + a->v_dim);
    for (int32_t i = 0; i < part.n; i++) {
        part.acc[i] = room + i * a->v_dim;
        part.ml[i] = room + CHORD_UNIT_QUERIES * a->v_dim + 2 * i;
    }
    for (int32_t chunk = first; chunk < last; chunk++) {
        bool const is_first = chunk == sums.seen.first;
        attend_chunk(run, is_first ? &sums : &part, chunk, thread);
        for (int32_t i = 0; !is_first && i < part.n; i++)
            run->ops->attend_join(sums.acc[i], sums.ml[i], part.acc[i], part.ml[i], a->v_dim);
    }
    if (last == sums.seen.end) finish(run, &sums);
}

/* Computes a unit of one token: a chunk, or the joining of a span. The results of the chunks are in the
 * work memory, behind m, l of every query. */
static void attend_one(const chord_run *run, int64_t unit, int32_t thread)
{
    const chord_op_attend *a = &run->op->attend;
    const chord_attend_cut *s = chord_attend_cut_of(&run->cut);
    chord_attend_span const span = chord_attend_span_of(run->op, s, unit);
    bool const is_join = unit >= span.joins;
    int32_t const head = (int32_t)((unit - (is_join ? span.joins : span.first)) % a->n_kv);
    column sums, part;
    gather(run, head, &sums);
    part = sums;
    float *const parts = (float *)(void *)run->plan->work + 2 * (int64_t)a->n_head;
    float *const all_ml = parts + (int64_t)CHORD_ATTEND_PARTS * a->n_head * a->v_dim;
    int32_t const mine = is_join ? 0 : (int32_t)((unit - span.first) / a->n_kv);
    for (int32_t k = mine; k < (is_join ? span.n_chunks : mine + 1); k++) {
        for (int32_t i = 0; i < part.n; i++) {
            int64_t const at = (int64_t)k * a->n_head + head * s->group + i;
            part.acc[i] = parts + at * a->v_dim;
            part.ml[i] = all_ml + 2 * at;
        }
        if (!is_join) attend_chunk(run, &part, s->first_chunk + span.chunk + k, thread);
        for (int32_t i = 0; is_join && i < part.n; i++) {
            if (span.chunk + k)
                run->ops->attend_join(sums.acc[i], sums.ml[i], part.acc[i], part.ml[i], a->v_dim);
            else {
                chord_copy(sums.acc[i], part.acc[i], (size_t)a->v_dim * 4);
                chord_copy(sums.ml[i], part.ml[i], 8);
            }
        }
    }
    if (is_join && span.chunk + span.n_chunks == s->most_chunks) finish(run, &sums);
}

static void attend(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    bool const is_one = chord_attend_cut_of(&run->cut)->n_spans != 0;
    for (int64_t u = u0; u < u1; u++) (is_one ? attend_one : attend_many)(run, u, thread);
}

const chord_op_cpu chord_op_cpu_attend = { .measure = measure, .cut = cut, .stage = stage, .run = attend };
