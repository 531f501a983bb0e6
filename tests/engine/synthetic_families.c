/* synthetic_families.c: the program of each family of synthetic.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "synthetic.h"

static void emit_product(chord_builder *b, int32_t layer, const char *name, int32_t in, int32_t n_in,
                         int32_t out, int32_t n_out, int32_t flags)
{
    char full[64];
    snprintf(full, sizeof full, "blk.%%d.%s", name);
    chord_matrix const m = { chord_bind(b, full, layer, n_in, n_out, 0), CHORD_NONE, out, n_out, 0 };
    chord_emit_matmul(b, layer, in, n_in, 1, &m)->flags = flags;
}

/* x += down(act(up(h))) */
static void emit_feed_forward(chord_builder *b, int32_t layer, int32_t x, int32_t h, int32_t up,
                              int32_t activation)
{
    emit_product(b, layer, "up", h, SYN_EMBD, up, 48, 0);
    chord_op *op = chord_emit(b, CHORD_OP_ACTIVATE, layer);
    op->out[0] = up;
    op->activate = (chord_op_activate){ .width = 48, .activation = activation };
    emit_product(b, layer, "down", up, 48, x, SYN_EMBD, CHORD_FLAG_ADD);
}

static void emit_logits(chord_builder *b, const chord_slots *s)
{
    chord_matrix const m = { chord_bind(b, "token_embd.weight", 0, SYN_EMBD, SYN_VOCAB, 0), CHORD_NONE,
                             s->logits, SYN_VOCAB, 0 };
    chord_emit_matmul(b, CHORD_NONE, s->last, SYN_EMBD, 1, &m)->flags = CHORD_FLAG_OUTPUT;
}

static chord_slots begin(chord_builder *b, int32_t q, int32_t k, int32_t v, int32_t attn)
{
    chord_read_hparams(b);
    b->hparams->norm_eps = 1e-5f;
    chord_slots const s = { .x = chord_slot_new(b, SYN_EMBD, CHORD_ROWS_BATCH),
                            .h = chord_slot_new(b, SYN_EMBD, CHORD_ROWS_BATCH),
                            .q = chord_slot_new(b, q, CHORD_ROWS_BATCH),
                            .k = chord_slot_new(b, k, CHORD_ROWS_BATCH),
                            .v = chord_slot_new(b, v, CHORD_ROWS_BATCH),
                            .attn = chord_slot_new(b, attn, CHORD_ROWS_BATCH),
                            .up = chord_slot_new(b, 48, CHORD_ROWS_BATCH),
                            .last = chord_slot_new(b, SYN_EMBD, CHORD_ROWS_OUTPUT),
                            .logits = chord_slot_new(b, SYN_VOCAB, CHORD_ROWS_OUTPUT) };
    b->plan->program.output_slot = s.logits;
    return s;
}

static void end(chord_builder *b, const chord_slots *s)
{
    chord_emit_norm(b, CHORD_NONE, s->x, s->last, "output_norm");
    b->plan->program.ops[b->plan->program.n_ops - 1].flags = CHORD_FLAG_GATHER | CHORD_FLAG_OUTPUT;
    emit_logits(b, s);
}

/* Layers 0 and 1: heads of 8 with a window. Layer 2: heads of 16 that see all positions. Layer 3 uses layer
 * 2's cache, layer 4 layer 1's. */
static void build_heads(chord_builder *b)
{
    chord_slots const s = begin(b, 64, 16, 16, 64);
    int32_t const small = chord_rope_new(b, (chord_rope){ .style = CHORD_ROPE_NORM,
                                                          .n_rot = 8,
                                                          .freqs = CHORD_NONE,
                                                          .base = 10000,
                                                          .factor = 1,
                                                          .magnitude = 1 });
    int32_t const large = chord_rope_new(b, (chord_rope){ .style = CHORD_ROPE_NEOX,
                                                          .n_rot = 12,
                                                          .freqs = CHORD_NONE,
                                                          .base = 500,
                                                          .factor = 1,
                                                          .magnitude = 1 });
    chord_emit_embed(b, s.x, 1);
    int32_t caches[5];
    for (int32_t layer = 0; layer < 5; layer++) {
        bool const is_large = layer == 2 || layer == 3, is_shared = layer > 2;
        int32_t const dim = is_large ? 16 : 8, n_kv = is_large ? 1 : 2;
        caches[layer] = is_shared
                            ? caches[layer == 3 ? 2 : 1]
                            : chord_cache_new(b, (chord_cache_spec){ .kind = is_large ? CHORD_CACHE_PAGED
                                                                                      : CHORD_CACHE_WINDOW,
                                                                     .window = is_large ? 0 : SYN_WINDOW,
                                                                     .n_kv = n_kv,
                                                                     .k_dim = dim,
                                                                     .v_dim = dim });
        chord_attention const a = { .rope = is_large ? large : small,
                                    .cache = caches[layer],
                                    .is_shared = is_shared,
                                    .n_head = 4,
                                    .n_kv = n_kv,
                                    .head_dim = dim,
                                    .v_dim = dim,
                                    .scale = 0.3f,
                                    .softcap = layer == 1 ? 4.0f : 0 };
        chord_emit(b, CHORD_OP_ACQUIRE, layer);
        chord_emit_norm(b, layer, s.x, s.h, "blk.%d.attn_norm");
        emit_product(b, layer, "q", s.h, SYN_EMBD, s.q, 4 * dim, 0);
        if (!is_shared) {
            emit_product(b, layer, "k", s.h, SYN_EMBD, s.k, n_kv * dim, 0);
            emit_product(b, layer, "v", s.h, SYN_EMBD, s.v, n_kv * dim, 0);
        }
        chord_emit_attention(b, layer, &s, &a);
        emit_product(b, layer, "o", s.attn, 4 * dim, s.x, SYN_EMBD, CHORD_FLAG_ADD);
        emit_feed_forward(b, layer, s.x, s.h, s.up, CHORD_ACTIVATION_GELU);
        chord_emit(b, CHORD_OP_RELEASE, layer);
    }
    end(b, &s);
}

static void emit_layer_norm(chord_builder *b, int32_t layer, int32_t in, int32_t out)
{
    int32_t const weight = chord_bind(b, "blk.%d.norm.weight", layer, SYN_EMBD, 0, 0),
                  bias = chord_bind(b, "blk.%d.norm.bias", layer, SYN_EMBD, 0, 0);
    chord_op *op = chord_emit(b, CHORD_OP_LAYER_NORM, layer);
    op->in[0] = in, op->out[0] = out;
    op->weight[0] = weight, op->weight[1] = bias;
    op->layer_norm = (chord_op_layer_norm){ .width = SYN_EMBD, .eps = 1e-5f };
}

/* A short convolution in both layers, attention in the second, and capped logits. */
static void build_state(chord_builder *b)
{
    chord_slots const s = begin(b, 32, 16, 16, 32);
    int32_t const conv = chord_slot_new(b, SYN_EMBD, CHORD_ROWS_BATCH);
    int32_t const rope = chord_rope_new(b, (chord_rope){ .style = CHORD_ROPE_NORM,
                                                         .n_rot = 8,
                                                         .freqs = CHORD_NONE,
                                                         .base = 10000,
                                                         .factor = 1,
                                                         .magnitude = 1 });
    chord_emit_embed(b, s.x, 2);
    for (int32_t layer = 0; layer < 2; layer++) {
        emit_layer_norm(b, layer, s.x, s.h);
        int32_t const weight = chord_bind(b, "blk.%d.conv", layer, 4, SYN_EMBD, CHORD_WIDE);
        int32_t const cache = chord_cache_new(b, (chord_cache_spec){ .kind = CHORD_CACHE_STATE,
                                                                     .n_state = 3 * SYN_EMBD });
        chord_op *op = chord_emit(b, CHORD_OP_SHORT_CONV, layer);
        op->in[0] = s.h, op->out[0] = conv, op->weight[0] = weight, op->cache = cache;
        op->short_conv = (chord_op_short_conv){ .width = SYN_EMBD, .kernel = 4 };
        chord_emit_add(b, layer, conv, s.x);
        if (layer) {
            chord_attention a = chord_attention_new(b, rope, 0, 0.35f);
            a.n_kv = 2;
            b->plan->program.caches[a.cache].n_kv = 2;
            emit_product(b, layer, "q", s.x, SYN_EMBD, s.q, 32, 0);
            emit_product(b, layer, "k", s.x, SYN_EMBD, s.k, 16, 0);
            emit_product(b, layer, "v", s.x, SYN_EMBD, s.v, 16, 0);
            chord_emit_attention(b, layer, &s, &a);
            emit_product(b, layer, "o", s.attn, 32, s.x, SYN_EMBD, CHORD_FLAG_ADD);
        }
        emit_feed_forward(b, layer, s.x, s.x, s.up, layer ? CHORD_ACTIVATION_RELU : CHORD_ACTIVATION_SILU);
    }
    end(b, &s);
    chord_op *cap = chord_emit(b, CHORD_OP_SOFTCAP, CHORD_NONE);
    cap->out[0] = s.logits, cap->flags = CHORD_FLAG_OUTPUT;
    cap->softcap = (chord_op_softcap){ .width = SYN_VOCAB, .cap = 3 };
}

static void emit_stack(chord_builder *b, const char *stem, int32_t in, int32_t n_in, int32_t out,
                       int32_t n_out)
{
    int32_t const stack = chord_bind_stack(b, 0, stem, 4, n_in, n_out);
    chord_op *op = chord_emit(b, CHORD_OP_EXPERTS, 0);
    op->in[0] = in, op->out[0] = out, op->weight[0] = stack;
    op->experts = (chord_op_experts){
        .n_in = n_in, .n_weights = 1, .n_out = { n_out }, .n_expert = 4, .n_used = 4, .is_each = 1
    };
}

/* wide -> q: the first 12 of 20 elements of each head become 16, the others go behind them. */
static void emit_latent_queries(chord_builder *b, const chord_slots *s, int32_t wide, int32_t part)
{
    chord_op *op = chord_emit(b, CHORD_OP_JOIN, 0);
    op->in[0] = wide, op->out[0] = part;
    op->join = (chord_op_join){ .n_head = 4, .width = { 12, 0 }, .step = { 20, 0 } };
    emit_stack(b, "blk.%d.kb", part, 12, s->attn, 16);
    op = chord_emit(b, CHORD_OP_JOIN, 0);
    op->in[0] = s->attn, op->in[1] = wide, op->out[0] = s->q;
    op->join = (chord_op_join){ .n_head = 4, .width = { 16, 8 }, .first = { 0, 12 }, .step = { 16, 20 } };
}

/* Layer 0 is latent: keys have 24 elements; the first 16 are the value. Layer 1: keys have 12 elements,
 * values 20. */
static void build_values_in_keys(chord_builder *b)
{
    chord_slots const s = begin(b, 96, 24, 40, 80);
    int32_t const wide = chord_slot_new(b, 80, CHORD_ROWS_BATCH),
                  part = chord_slot_new(b, 48, CHORD_ROWS_BATCH);
    chord_emit_embed(b, s.x, 1);
    for (int32_t layer = 0; layer < 2; layer++) {
        int32_t const n_kv = layer ? 2 : 1, k_dim = layer ? 12 : 24, v_dim = layer ? 20 : 16;
        int32_t const cache = chord_cache_new(b, (chord_cache_spec){ .kind = CHORD_CACHE_PAGED,
                                                                     .n_kv = n_kv,
                                                                     .k_dim = k_dim,
                                                                     .v_dim = layer ? v_dim : 0 });
        chord_emit_norm(b, layer, s.x, s.h, "blk.%d.attn_norm");
        emit_product(b, layer, "q", s.h, SYN_EMBD, layer ? s.q : wide, 4 * (layer ? k_dim : 20), 0);
        if (!layer) emit_latent_queries(b, &s, wide, part);
        emit_product(b, layer, "k", s.h, SYN_EMBD, s.k, n_kv * k_dim, 0);
        if (layer) emit_product(b, layer, "v", s.h, SYN_EMBD, s.v, n_kv * v_dim, 0);
        chord_op *store = chord_emit(b, CHORD_OP_KV_STORE, layer);
        store->cache = cache, store->in[0] = s.k, store->in[1] = layer ? s.v : CHORD_NONE;
        store->kv_store = (chord_op_kv_store){ .n_kv = n_kv, .k_dim = k_dim, .v_dim = layer ? v_dim : 0 };
        chord_op *attend = chord_emit(b, CHORD_OP_ATTEND, layer);
        attend->cache = cache, attend->in[0] = s.q, attend->out[0] = s.attn;
        attend->attend =
            (chord_op_attend){ .n_head = 4, .n_kv = n_kv, .k_dim = k_dim, .v_dim = v_dim, .scale = 0.25f };
        if (!layer) emit_stack(b, "blk.%d.vb", s.attn, 16, part, 12);
        emit_product(b, layer, "o", layer ? s.attn : part, 4 * (layer ? v_dim : 12), s.x, SYN_EMBD,
                     CHORD_FLAG_ADD);
    }
    end(b, &s);
}

/* Positions are three numbers; 1, 2 and 1 pairs of a head rotate by them. */
static void build_axes(chord_builder *b)
{
    chord_slots const s = begin(b, 32, 32, 32, 32);
    int32_t const rope = chord_rope_new(b, (chord_rope){ .style = CHORD_ROPE_NEOX,
                                                         .n_rot = 8,
                                                         .freqs = CHORD_NONE,
                                                         .sections = { 1, 2, 1 },
                                                         .base = 100,
                                                         .factor = 1,
                                                         .magnitude = 1 });
    chord_emit_embed(b, s.x, 1);
    chord_attention const a = chord_attention_new(b, rope, 0, 0.35f);
    chord_emit_norm(b, 0, s.x, s.h, "blk.%d.attn_norm");
    emit_product(b, 0, "q", s.h, SYN_EMBD, s.q, 32, 0);
    emit_product(b, 0, "k", s.h, SYN_EMBD, s.k, 32, 0);
    emit_product(b, 0, "v", s.h, SYN_EMBD, s.v, 32, 0);
    chord_emit_attention(b, 0, &s, &a);
    emit_product(b, 0, "o", s.attn, 32, s.x, SYN_EMBD, CHORD_FLAG_ADD);
    end(b, &s);
}

/* Each layer has a part of a second table's row, which a gate multiplies. */
static void build_tables(chord_builder *b)
{
    chord_slots const s = begin(b, 32, 32, 32, 32);
    int32_t const row = chord_slot_new(b, 2 * 12, CHORD_ROWS_BATCH),
                  gate = chord_slot_new(b, 12, CHORD_ROWS_BATCH);
    chord_emit_embed(b, s.x, 1);
    int32_t const table = chord_bind(b, "blk.0.table", 0, 2 * 12, SYN_VOCAB, CHORD_LOOKUP);
    if (table >= 0) b->plan->tensors[table].is_padded = 1;
    chord_op *op = chord_emit(b, CHORD_OP_EMBED, CHORD_NONE);
    op->weight[0] = table, op->out[0] = row;
    op->embed = (chord_op_embed){ .width = 2 * 12, .scale = 3, .is_padded = 1 };
    chord_attention const a = chord_attention_new(b, CHORD_NONE, 0, 0.35f);
    chord_emit_norm(b, 0, s.x, s.h, "blk.%d.attn_norm");
    emit_product(b, 0, "q", s.h, SYN_EMBD, s.q, 32, 0);
    emit_product(b, 0, "k", s.h, SYN_EMBD, s.k, 32, 0);
    emit_product(b, 0, "v", s.h, SYN_EMBD, s.v, 32, 0);
    chord_emit_attention(b, 0, &s, &a);
    emit_product(b, 0, "o", s.attn, 32, s.x, SYN_EMBD, CHORD_FLAG_ADD);
    for (int32_t layer = 0; layer < 2; layer++) {
        emit_product(b, layer, "gate", s.x, SYN_EMBD, gate, 12, 0);
        op = chord_emit(b, CHORD_OP_GLU, layer);
        op->in[0] = gate, op->in[1] = row, op->out[0] = gate;
        op->glu = (chord_op_glu){ .width = 12, .activation = CHORD_ACTIVATION_GELU, .first = layer * 12 };
        emit_product(b, layer, "back", gate, 12, s.x, SYN_EMBD, CHORD_FLAG_ADD);
    }
    end(b, &s);
}

/* Slots x, h, then q: the matrix's result, k: what the convolution makes of it, v: the steps, up: beta. */
static void emit_scan(chord_builder *b, const chord_slots *s, int32_t layer, chord_op_scan of)
{
    int32_t const is_delta = of.is_delta, wide = is_delta ? SYN_DELTA_WIDE : SYN_SCAN_WIDE,
                  n = of.n_head * of.v_dim;
    emit_product(b, layer, "step", s->h, SYN_EMBD, s->v, of.n_head, 0);
    int32_t const bias = chord_bind(b, "blk.%d.dt", layer, of.n_head, 0, 0);
    chord_op *op = chord_emit(b, CHORD_OP_SOFTPLUS, layer);
    op->weight[0] = bias, op->out[0] = s->v, op->softplus.width = of.n_head;
    chord_emit_conv(b, layer, "blk.%d.conv", s->q, s->k, wide, is_delta ? 3 : 2);
    int32_t const a = is_delta ? chord_bind(b, "blk.%d.decay", layer, 4, 0, 0)
                               : chord_bind(b, "blk.%d.decay", layer, 1, 4, CHORD_WIDE),
                  skip = is_delta ? CHORD_NONE : chord_bind(b, "blk.%d.skip", layer, 1, 4, CHORD_WIDE);
    op = chord_emit(b, CHORD_OP_SCAN, layer);
    op->cache = chord_cache_new(b, (chord_cache_spec){ .kind = CHORD_CACHE_STATE, .n_state = of.k_dim * n });
    op->weight[0] = a, op->weight[1] = skip;
    op->in[0] = s->k, op->in[1] = s->v, op->in[2] = is_delta ? s->up : CHORD_NONE;
    op->out[0] = s->attn;
    op->scan = of;
}

static void build_scan(chord_builder *b)
{
    chord_slots s = begin(b, SYN_DELTA_WIDE, SYN_DELTA_WIDE, 4, 4 * 36);
    int32_t const pair = chord_slot_new(b, 2 * SYN_SCAN_WIDE, CHORD_ROWS_BATCH),
                  z = chord_slot_new(b, SYN_SCAN_WIDE, CHORD_ROWS_BATCH);
    chord_emit_embed(b, s.x, 1);

    chord_emit_norm(b, 0, s.x, s.h, "blk.%d.attn_norm");
    emit_product(b, 0, "in", s.h, SYN_EMBD, s.q, SYN_DELTA_WIDE, 0);
    emit_product(b, 0, "beta", s.h, SYN_EMBD, s.up, 4, 0);
    emit_scan(b, &s, 0,
              (chord_op_scan){ .n_head = 4,
                               .n_keys = 2,
                               .k_dim = 6,
                               .v_dim = 36,
                               .k_at = 12,
                               .v_at = 24,
                               .is_delta = 1,
                               .q_scale = 0.5f,
                               .k_scale = 0.6f });
    emit_product(b, 0, "o", s.attn, 4 * 36, s.x, SYN_EMBD, CHORD_FLAG_ADD);

    chord_emit_norm(b, 1, s.x, s.h, "blk.%d.attn_norm");
    emit_product(b, 1, "in", s.h, SYN_EMBD, pair, 2 * SYN_SCAN_WIDE, 0);
    chord_op *op = chord_emit(b, CHORD_OP_SPLIT, 1);
    op->in[0] = pair, op->out[0] = s.q, op->out[1] = z;
    op->split = (chord_op_split){ .n_head = 4, .head_dim = SYN_SCAN_WIDE / 4 };
    emit_scan(b, &s, 1,
              (chord_op_scan){ .n_head = 4,
                               .n_keys = 2,
                               .k_dim = 5,
                               .v_dim = 8,
                               .q_at = 42,
                               .k_at = 32,
                               .q_scale = 1,
                               .k_scale = 1 });
    int32_t const norm = chord_bind(b, "blk.%d.norm", 1, 16, 2, CHORD_WIDE);
    op = chord_emit(b, CHORD_OP_HEAD_NORM, 1);
    op->weight[0] = norm, op->out[0] = s.attn;
    op->head_norm =
        (chord_op_head_norm){ .n_head = 2, .head_dim = 16, .eps = 1e-5f, .is_each = 1, .is_centred = 1 };
    chord_emit_glu_of(b, 1, z, s.attn, s.attn, 4 * 8, CHORD_ACTIVATION_SIGMOID);
    emit_product(b, 1, "o", s.attn, 4 * 8, s.x, SYN_EMBD, CHORD_FLAG_ADD);
    end(b, &s);
}

/* out[first + i] += the sum over j of (coefficients[i * n_in + j] / 2 + bias) * in[j] */
static void emit_blend(chord_builder *b, int32_t in, int32_t n_in, int32_t coefficients, float bias,
                       int32_t out, int32_t first, int32_t n_out)
{
    chord_op *op = chord_emit(b, CHORD_OP_BLEND, 0);
    op->in[0] = in, op->in[1] = coefficients, op->out[0] = out;
    op->blend = (chord_op_blend){ SYN_EMBD, n_in, n_out, first, 0.5f, bias };
}

/* Four streams: three are products of the first, in its length. The layer predicts all, computes the first
 * one anew, with a sparse feed-forward, and corrects all. */
static void build_streams(chord_builder *b)
{
    chord_slots const s = begin(b, 32, 32, 32, 32);
    int32_t const streams = chord_slot_new(b, 4 * SYN_EMBD, CHORD_ROWS_BATCH),
                  others = chord_slot_new(b, 3 * SYN_EMBD, CHORD_ROWS_BATCH),
                  router = chord_slot_new(b, 4, CHORD_ROWS_BATCH),
                  coefficients = chord_slot_new(b, 16, CHORD_ROWS_BATCH);
    chord_emit_embed(b, s.x, 1);
    emit_product(b, 0, "others", s.x, SYN_EMBD, others, 3 * SYN_EMBD, 0);
    chord_op *op = chord_emit(b, CHORD_OP_RESCALE, 0);
    op->in[0] = s.x, op->out[0] = others;
    op->rescale = (chord_op_rescale){ .width = SYN_EMBD, .n_out = 3 };
    op = chord_emit(b, CHORD_OP_JOIN, 0);
    op->in[0] = s.x, op->in[1] = others, op->out[0] = streams;
    op->join = (chord_op_join){ .n_head = 1, .width = { SYN_EMBD, 3 * SYN_EMBD } };

    chord_emit_norm(b, 0, streams, s.h, "blk.%d.attn_norm");
    emit_product(b, 0, "router", s.h, SYN_EMBD, router, 4, 0);
    emit_product(b, 0, "predict", router, 4, coefficients, 16, 0);
    emit_blend(b, streams, 4, coefficients, 0, streams, 0, 4);

    chord_emit_norm(b, 0, streams, s.h, "blk.%d.attn_norm");
    chord_attention const a = chord_attention_new(b, CHORD_NONE, 0, 0.35f);
    emit_product(b, 0, "q", s.h, SYN_EMBD, s.q, 32, 0);
    emit_product(b, 0, "k", s.h, SYN_EMBD, s.k, 32, 0);
    emit_product(b, 0, "v", s.h, SYN_EMBD, s.v, 32, 0);
    chord_emit_attention(b, 0, &s, &a);
    emit_product(b, 0, "o", s.attn, 32, s.x, SYN_EMBD, 0);
    emit_product(b, 0, "up", s.x, SYN_EMBD, s.up, 48, 0);
    op = chord_emit(b, CHORD_OP_SPARSIFY, 0);
    op->out[0] = s.up;
    op->sparsify = (chord_op_sparsify){ .width = 48, .factor = 0.5f };
    emit_product(b, 0, "down", s.up, 48, s.x, SYN_EMBD, CHORD_FLAG_ADD);

    emit_blend(b, streams, 1, CHORD_NONE, -1, s.x, 0, 1);
    emit_product(b, 0, "correct", router, 4, coefficients, 4, 0);
    emit_blend(b, s.x, 1, coefficients, 1, streams, 0, 4);
    int32_t const scale = chord_bind(b, "blk.%d.scale", 0, SYN_EMBD, 0, 0);
    op = chord_emit(b, CHORD_OP_SCALE, 0);
    op->weight[0] = scale, op->out[0] = s.x;
    op->scale = (chord_op_scale){ .width = SYN_EMBD, .factor = 2, .is_each = 1 };
    emit_blend(b, s.x, 1, CHORD_NONE, 0.75f, streams, 1, 3);
    emit_blend(b, streams, 4, CHORD_NONE, 0.25f, s.x, 0, 1);
    end(b, &s);
}

/* r and w see the third row's mix of tokens, k and v the second's, a the first's; a goes through a sigmoid
 * twice. */
static void build_wkv(chord_builder *b)
{
    chord_slots s = begin(b, SYN_EMBD, SYN_EMBD, SYN_EMBD, SYN_EMBD);
    int32_t const rw = chord_slot_new(b, 2 * SYN_EMBD, CHORD_ROWS_BATCH),
                  kv = chord_slot_new(b, 2 * SYN_EMBD, CHORD_ROWS_BATCH),
                  shift = chord_state_new(b, SYN_EMBD),
                  lerp = chord_bind(b, "blk.0.lerp", 0, SYN_EMBD, 3, CHORD_WIDE);
    static const char *const names[] = { "a", "k", "v", "r", "w" };
    chord_emit_embed(b, s.x, 1);
    chord_emit_norm(b, 0, s.x, s.h, "blk.%d.attn_norm");
    for (int32_t i = 0; i < 5; i++) {
        chord_op *op = chord_emit(b, CHORD_OP_SHORT_CONV, 0);
        op->cache = shift, op->in[0] = s.h, op->out[0] = s.attn, op->weight[0] = lerp;
        op->short_conv =
            (chord_op_short_conv){ .width = SYN_EMBD, .kernel = 2, .is_lerp = 1, .row = (i + 1) / 2 };
        emit_product(b, 0, names[i], s.attn, SYN_EMBD, i == 0 ? s.v : i % 2 ? s.q : s.k, SYN_EMBD, 0);
        if (i == 0) chord_emit_activate(b, 0, s.v, SYN_EMBD, CHORD_ACTIVATION_SIGMOID);
        if (i == 2) chord_emit_join(b, 0, kv, s.q, SYN_EMBD, s.k, SYN_EMBD);
    }
    chord_emit_join(b, 0, rw, s.q, SYN_EMBD, s.k, SYN_EMBD);
    static const char *const vectors[] = { "blk.0.k_k", "blk.0.k_a", "blk.0.r_k", "blk.0.ln", "blk.0.ln_b" };
    int32_t weight[5];
    for (int32_t i = 0; i < 5; i++) weight[i] = chord_bind(b, vectors[i], 0, SYN_EMBD, 0, 0);
    int32_t const cache = chord_state_new(b, SYN_EMBD * 16);
    chord_op *op = chord_emit(b, CHORD_OP_WKV, 0);
    op->cache = cache, op->in[0] = rw, op->in[1] = kv, op->in[2] = s.v, op->out[0] = s.attn;
    for (int32_t i = 0; i < 5; i++) op->weight[i] = weight[i];
    op->wkv = (chord_op_wkv){ .n_head = 2, .head_dim = 16, .eps = 1e-3f };
    emit_product(b, 0, "o", s.attn, SYN_EMBD, s.x, SYN_EMBD, CHORD_FLAG_ADD);
    end(b, &s);
}

const chord_arch synthetic_archs[] = {
    { .name = "heads", .build = build_heads },
    { .name = "state", .build = build_state },
    { .name = "values-in-keys", .build = build_values_in_keys },
    { .name = "axes", .build = build_axes },
    { .name = "tables", .build = build_tables },
    { .name = "scan", .build = build_scan },
    { .name = "streams", .build = build_streams },
    { .name = "wkv", .build = build_wkv },
    { .name = NULL },
};
