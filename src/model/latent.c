/* latent.c: multi-head latent attention (DeepSeek V2, arXiv 2405.04434). Keys and values of all heads are
 * products of one short vector, the latent one. A part of each key turns with the position, and is the same
 * for all heads. Files hold the matrices in one of two forms:
 *   attn_kv_b            The latent vector gives each head a key and a value, which are cached.
 *   attn_k_b, attn_v_b   The latent vector itself is cached, as the key and value of one head for all: the
 *                        matrices multiply the queries before attention, and what it gives.
 * Numbers in the cache per token and layer: of the first form (nope + rot + v_dim) n_head, of the second
 * rank + rot. DeepSeek V2 Lite: 5120 and 576; MiniCPM3, which has the first form: 6400. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/host.h"
#include "../base/mem.h"

enum { MOST_RANK = 1 << 16, MOST_PART = 1024 };

/* ---- what the metadata says --------------------------------------------------------------------------- */

static void need(chord_builder *b, const char *key, int32_t found, int32_t wanted)
{
    if (b->status == CHORD_OK && found != wanted)
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF,
                               "the key %q of latent attention is %d, but other keys require %d", key,
                               chord_strlen(key), found, wanted);
}

chord_latent chord_latent_read(chord_builder *b)
{
    const chord_hparams *h = b->hparams;
    chord_latent l = { .rank = chord_read_int(b, "attention.kv_lora_rank", CHORD_REQUIRED, 1, MOST_RANK) };
    int32_t key = chord_read_int(b, "attention.key_length_mla", 0, 0, MOST_PART);
    l.is_absorbed = key > 0;
    l.v_dim = chord_read_int(b, "attention.value_length_mla", key ? CHORD_REQUIRED : 0, l.is_absorbed,
                             key ? MOST_PART : 0);
    if (!l.is_absorbed) key = h->head_dim, l.v_dim = h->v_dim;
    l.rot = chord_read_int(b, "rope.dimension_count", CHORD_REQUIRED, 2, key > 2 ? key - 1 : 2);
    l.nope = key - l.rot;
    if (!chord_has(b, "blk.%d.attn_q.weight", 0))
        l.q_rank = chord_read_int(b, "attention.q_lora_rank", CHORD_REQUIRED, 1, MOST_RANK);
    if (l.is_absorbed) {
        need(b, "attention.head_count_kv", h->n_kv, 1);
        need(b, "attention.key_length", h->head_dim, l.rank + l.rot);
        need(b, "attention.value_length", h->v_dim, l.rank);
    } else need(b, "attention.head_count_kv", h->n_kv, h->n_head);
    if (b->status == CHORD_OK && (l.nope < 1 || l.rot % 2))
        chord_build_fail(b, CHORD_INVALID_GGUF, "an even number below a key's length is needed for the key",
                         "rope.dimension_count", 20);
    if (b->status == CHORD_OK && l.is_absorbed && l.nope % 4)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "keys whose part without RoPE isn't a multiple of 4 aren't supported:",
                         "attention.key_length_mla", 24);
    l.temperature = chord_read_float(b, "attention.temperature_scale", 0, CHORD_FINITE);
    if (l.temperature != 0)
        l.period = chord_read_int(b, "attention.temperature_length", CHORD_REQUIRED, 1, INT32_MAX);
    return l;
}

float chord_latent_scale(chord_builder *b, const chord_latent *l, chord_rope *rope)
{
    float const given = chord_read_float(b, "rope.scaling.yarn_log_multiplier", 0, CHORD_FINITE);
    double const log_factor = -chord_host_log((double)rope->factor), multiplier = (double)given / 0.1;
    if (rope->is_yarn && given != 0) rope->magnitude /= chord_yarn_magnitude(1 / rope->factor, 0);
    double m = (double)rope->magnitude * (1 + 0.1 * multiplier * log_factor);
    if (!rope->is_yarn) m *= 1 + 0.1 * log_factor; /* llama.cpp does so with any scaling */
    return (float)(m * m) / __builtin_sqrtf((float)(l->nope + l->rot));
}

void chord_latent_slots(chord_builder *b, chord_latent *l, const chord_slots *s)
{
    int32_t const n_head = b->hparams->n_head, key = l->nope + l->rot;
    l->low = l->q_rank ? chord_slot_new(b, l->q_rank, CHORD_ROWS_BATCH) : CHORD_NONE;
    l->wide = chord_slot_new(b, n_head * (l->is_absorbed ? key : l->nope + l->v_dim), CHORD_ROWS_BATCH);
    if (l->is_absorbed) {
        int32_t const most = l->nope > l->v_dim ? l->nope : l->v_dim;
        l->latent = s->k;
        l->part = l->out = chord_slot_new(b, n_head * most, CHORD_ROWS_BATCH);
    } else {
        l->latent = chord_slot_new(b, l->rank + l->rot, CHORD_ROWS_BATCH);
        l->out = s->attn;
    }
}

/* ---- ops ---------------------------------------------------------------------------------------------- */

/* A part of each head of a slot. */
typedef struct part {
    int32_t slot, width, first, step;
} part;

static void emit_join(chord_builder *b, int32_t layer, int32_t out, part a, part c)
{
    chord_op *op = chord_emit(b, CHORD_OP_JOIN, layer);
    op->in[0] = a.slot;
    op->in[1] = c.width ? c.slot : CHORD_NONE;
    op->out[0] = out;
    op->join = (chord_op_join){ .n_head = b->hparams->n_head,
                                .width = { a.width, c.width },
                                .first = { a.first, c.first },
                                .step = { a.step, c.step } };
}

/* Head h of `out` = matrix h of a stack * head h of `in`. */
static void emit_heads(chord_builder *b, int32_t layer, const char *stem, int32_t in, int32_t n_in,
                       int32_t out, int32_t n_out)
{
    int32_t const n = b->hparams->n_head, stack = chord_bind_stack(b, layer, stem, n, n_in, n_out);
    chord_op *op = chord_emit(b, CHORD_OP_EXPERTS, layer);
    op->in[0] = in;
    op->weight[0] = stack;
    op->out[0] = out;
    op->experts = (chord_op_experts){
        .n_in = n_in, .n_weights = 1, .n_out = { n_out }, .n_expert = n, .n_used = n, .is_each = 1
    };
}

/* h -> the queries, in slot q, and the latent vector, whose part without RoPE is normed. */
static void emit_inputs(chord_builder *b, int32_t layer, const chord_latent *l, int32_t h, int32_t q)
{
    int32_t const n_embd = b->hparams->n_embd, n_q = b->hparams->n_head * (l->nope + l->rot);
    const char *const name = l->q_rank ? "blk.%d.attn_q_a.weight" : "blk.%d.attn_q.weight";
    int32_t const width = l->q_rank ? l->q_rank : n_q, to = l->q_rank ? l->low : q,
                  w = chord_bind(b, name, layer, n_embd, width, 0),
                  kv = chord_bind(b, "blk.%d.attn_kv_a_mqa.weight", layer, n_embd, l->rank + l->rot, 0);
    chord_emit_matmul(b, layer, h, n_embd, 2,
                      (chord_matrix[]){ { w, CHORD_NONE, to, width, 0 },
                                        { kv, CHORD_NONE, l->latent, l->rank + l->rot, 0 } });
    if (l->q_rank) {
        chord_emit_norm_of(b, layer, CHORD_NORM_RMS, l->q_rank, l->low, l->low, "blk.%d.attn_q_a_norm");
        chord_emit_linear(b, layer, "blk.%d.attn_q_b", l->low, l->q_rank, q, n_q, 0);
    }
    int32_t const norm = chord_bind(b, "blk.%d.attn_kv_a_norm.weight", layer, l->rank, 0, 0);
    chord_op *op = chord_emit(b, CHORD_OP_HEAD_NORM, layer);
    op->weight[0] = norm;
    op->out[0] = l->latent;
    op->head_norm = (chord_op_head_norm){ .n_head = 1, .head_dim = l->rank, .eps = b->hparams->norm_eps };
}

/* The queries of slot `wide` become those for latent keys. */
static void emit_absorbed(chord_builder *b, int32_t layer, const chord_latent *l, const chord_slots *s)
{
    int32_t const key = l->nope + l->rot;
    emit_join(b, layer, l->part, (part){ l->wide, l->nope, 0, key }, (part){ 0 });
    emit_heads(b, layer, "blk.%d.attn_k_b", l->part, l->nope, s->attn, l->rank);
    emit_join(b, layer, s->q, (part){ s->attn, l->rank, 0, l->rank },
              (part){ l->wide, l->rot, l->nope, key });
}

/* The latent vector becomes keys and values of each head. */
static void emit_expanded(chord_builder *b, int32_t layer, const chord_latent *l, const chord_slots *s)
{
    int32_t const step = l->nope + l->v_dim;
    chord_emit_linear(b, layer, "blk.%d.attn_kv_b", l->latent, l->rank, l->wide, b->hparams->n_head * step,
                      0);
    emit_join(b, layer, s->k, (part){ l->wide, l->nope, 0, step }, (part){ l->latent, l->rot, l->rank, 0 });
    emit_join(b, layer, s->v, (part){ l->wide, l->v_dim, l->nope, step }, (part){ 0 });
}

void chord_emit_latent(chord_builder *b, int32_t layer, const chord_latent *l, const chord_slots *s,
                       int32_t rope, float scale)
{
    const chord_hparams *h = b->hparams;
    chord_cache_spec const spec = { .kind = CHORD_CACHE_PAGED,
                                    .n_kv = h->n_kv,
                                    .k_dim = h->head_dim,
                                    .v_dim = l->is_absorbed ? 0 : l->v_dim };
    chord_attention const a = { .rope = rope,
                                .cache = chord_cache_new(b, spec),
                                .n_head = h->n_head,
                                .n_kv = h->n_kv,
                                .head_dim = h->head_dim,
                                .v_dim = h->v_dim,
                                .first = h->head_dim - l->rot,
                                .scale = scale };
    emit_inputs(b, layer, l, s->h, l->is_absorbed ? l->wide : s->q);
    if (l->is_absorbed) emit_absorbed(b, layer, l, s);
    else emit_expanded(b, layer, l, s);
    if (l->temperature != 0) chord_emit_log_scale(b, layer, s->q, &a, l->temperature, l->period);
    chord_emit_attention(b, layer, s, &a);
    if (l->is_absorbed) emit_heads(b, layer, "blk.%d.attn_v_b", s->attn, l->rank, l->out, l->v_dim);
}
