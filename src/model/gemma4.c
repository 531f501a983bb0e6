/* gemma4.c: Gemma 4 (model card google/gemma-4-E2B-it). As in llama.cpp:
 * - Layers with a window have another head size, another base of RoPE and no rope_freqs. Head counts and the
 *   width of the feed-forward may differ from layer to layer.
 * - The last `shared_kv_layers` layers have no keys and values. Those with a window read the cache of the
 *   last layer but one before them, the others that of the last.
 * - Values are normed. A layer without attn_v has its keys, before their norm, as values.
 * - A layer with a router has a mixture beside the feed-forward. Both are normed, summed and normed again.
 *   The router reads the residual stream, normed and divided by sqrt(n_embd).
 * - Each layer has an embedding of the token of its own (`ple`): a part of a row of a second table, and a
 *   product of the first embedding. A layer's end multiplies it with a gate.
 * The scale of attention is 1: the norms of queries and keys have it in their weights. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

typedef struct gemma4 {
    chord_slots s;
    int32_t head_dim, head_dim_local, window;
    int32_t rope, rope_local;
    int32_t n_own; /* layers that have keys and values; a cache has its layer's number */
    int32_t n_ple; /* width of a layer's embedding; 0: layers have none */
    int32_t ple, ple_gate; /* slots: [n_layer][n_ple], and n_ple */
    chord_mixture mix;
    int32_t dense; /* slot: the feed-forward's result while the mixture is computed */
} gemma4;

static int is_local(chord_builder *b, int32_t layer)
{
    return chord_read_int_at(b, "attention.sliding_window_pattern", layer, CHORD_REQUIRED, 0, 1);
}

/* Returns the layer whose keys and values a layer without them reads. */
static int32_t source_of(chord_builder *b, const gemma4 *g, int32_t layer)
{
    return g->n_own - (is_local(b, layer) ? 2 : 1);
}

/* ---- what the metadata says --------------------------------------------------------------------------- */

static void read_heads(chord_builder *b, gemma4 *g)
{
    chord_hparams *h = b->hparams;
    g->head_dim = h->head_dim;
    g->head_dim_local = chord_read_int(b, "attention.key_length_swa", CHORD_REQUIRED, 2, 1024);
    (void)chord_read_int(b, "attention.value_length_swa", CHORD_REQUIRED, g->head_dim_local,
                         g->head_dim_local);
    g->window = chord_read_int(b, "attention.sliding_window", CHORD_REQUIRED, 1, INT32_MAX);
    if (b->status == CHORD_OK && !chord_read_is_array(b, "attention.sliding_window_pattern"))
        chord_build_fail(b, CHORD_INVALID_GGUF,
                         "an array with a number for each layer is needed under the key",
                         "attention.sliding_window_pattern", 32);
    (void)chord_read_most(b, "attention.sliding_window_pattern", CHORD_REQUIRED, 0, 1);
    g->n_own = h->n_layer - chord_read_int(b, "attention.shared_kv_layers", 0, 0, h->n_layer - 1);
    for (int32_t layer = g->n_own; layer < h->n_layer && b->status == CHORD_OK; layer++)
        if (source_of(b, g, layer) < 0 || is_local(b, source_of(b, g, layer)) != is_local(b, layer))
            b->status =
                chord_fail(b->error, CHORD_INVALID_GGUF,
                           "by the key 'attention.shared_kv_layers' layer %d reads the keys and values of "
                           "layer %d, of which one has a window and the other none",
                           layer, source_of(b, g, layer));
}

static void read_ropes(chord_builder *b, gemma4 *g)
{
    chord_rope const rope = chord_rope_of(b, CHORD_ROPE_NEOX);
    chord_rope local = rope;
    local.n_rot = chord_read_int(b, "rope.dimension_count_swa", rope.n_rot, 2, g->head_dim_local) & ~1;
    local.base = chord_read_float(b, "rope.freq_base_swa", 10000, CHORD_ROPE_BASE);
    local.factor = local.magnitude = 1;
    local.is_yarn = 0;
    local.freqs = local.freqs_long = CHORD_NONE;
    g->rope = chord_rope_new(b, rope);
    g->rope_local = chord_rope_new(b, local);
}

/* ---- the layers' own embeddings ----------------------------------------------------------------------- */

/* ple = (table's row * sqrt(n_ple) + norm of each layer's part of (per_layer_model_proj x)) / sqrt(2). The
 * product is scaled by 1 / sqrt(n_embd) before its norm: that scales eps alone. */
static void emit_ple(chord_builder *b, gemma4 *g)
{
    const chord_hparams *h = b->hparams;
    if (!g->n_ple || b->status != CHORD_OK) return;
    int32_t const width = h->n_layer * g->n_ple;
    int32_t const projected = chord_slot_new(b, width, CHORD_ROWS_BATCH);
    int32_t const table = chord_bind(b, "per_layer_token_embd.weight", 0, width, h->n_vocab, CHORD_LOOKUP);
    if (table != CHORD_NONE) b->plan->tensors[table].is_padded = 1;
    chord_op *op = chord_emit(b, CHORD_OP_EMBED, CHORD_NONE);
    op->weight[0] = table;
    op->out[0] = g->ple;
    op->embed = (chord_op_embed){ .width = width, .scale = __builtin_sqrtf((float)g->n_ple), .is_padded = 1 };

    chord_emit_linear(b, CHORD_NONE, "per_layer_model_proj", g->s.x, h->n_embd, projected, width, 0);
    int32_t const norm = chord_bind(b, "per_layer_proj_norm.weight", 0, g->n_ple, 0, 0);
    op = chord_emit(b, CHORD_OP_HEAD_NORM, CHORD_NONE);
    op->weight[0] = norm;
    op->out[0] = projected;
    op->head_norm = (chord_op_head_norm){ .n_head = h->n_layer,
                                          .head_dim = g->n_ple,
                                          .eps = h->norm_eps * (float)h->n_embd };
    op = chord_emit(b, CHORD_OP_ADD, CHORD_NONE);
    op->in[0] = projected;
    op->out[0] = g->ple;
    op->add.width = width;
    chord_emit_scale(b, CHORD_NONE, g->ple, width, __builtin_sqrtf(0.5f));
}

/* x += norm(proj (gelu(inp_gate x) * the layer's part of ple)) */
static void emit_ple_gate(chord_builder *b, const gemma4 *g, int32_t layer)
{
    int32_t const n_embd = b->hparams->n_embd;
    if (!g->n_ple) return;
    chord_emit_linear(b, layer, "blk.%d.inp_gate", g->s.x, n_embd, g->ple_gate, g->n_ple, 0);
    chord_op *glu = chord_emit(b, CHORD_OP_GLU, layer);
    glu->in[0] = g->ple_gate;
    glu->in[1] = g->ple;
    glu->out[0] = g->ple_gate;
    glu->glu =
        (chord_op_glu){ .width = g->n_ple, .activation = CHORD_ACTIVATION_GELU, .first = layer * g->n_ple };
    chord_emit_linear(b, layer, "blk.%d.proj", g->ple_gate, g->n_ple, g->s.h, n_embd, 0);
    chord_emit_norm(b, layer, g->s.h, g->s.h, "blk.%d.post_norm");
    chord_emit_add(b, layer, g->s.h, g->s.x);
}

/* ---- the layer ---------------------------------------------------------------------------------------- */

/* Queries alone, or with keys and values; values are the keys' product where the file has no attn_v. */
static void emit_qkv(chord_builder *b, const gemma4 *g, int32_t layer, int is_shared)
{
    const chord_hparams *h = b->hparams;
    int32_t const n_q = h->n_head * h->head_dim, n_k = h->n_kv * h->head_dim;
    if (!is_shared &&
        (chord_has(b, "blk.%d.attn_qkv.weight", layer) || chord_has(b, "blk.%d.attn_v.weight", layer))) {
        chord_emit_qkv(b, layer, &g->s);
        return;
    }
    chord_matrix q = { CHORD_NONE, CHORD_NONE, g->s.q, n_q, 0 },
                 k = { CHORD_NONE, CHORD_NONE, g->s.k, n_k, 0 };
    q.weight = chord_bind(b, "blk.%d.attn_qkv.weight", layer, h->n_embd, (int64_t)n_q + 2 * (int64_t)n_k,
                          CHORD_OPTIONAL);
    if (q.weight == CHORD_NONE) q.weight = chord_bind(b, "blk.%d.attn_q.weight", layer, h->n_embd, n_q, 0);
    if (!is_shared) k.weight = chord_bind(b, "blk.%d.attn_k.weight", layer, h->n_embd, n_k, 0);
    chord_matrix v = k;
    v.out = g->s.v;
    chord_emit_matmul(b, layer, g->s.h, h->n_embd, is_shared ? 1 : 3, (chord_matrix[]){ q, k, v });
}

/* Returns attention that reads another layer's cache. */
static chord_attention shared_attention(chord_builder *b, const gemma4 *g, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    int32_t const source = source_of(b, g, layer);
    if (b->plan->program.caches[source].n_kv != h->n_kv)
        chord_build_fail(b, CHORD_INVALID_GGUF,
                         "layers that share keys and values have different numbers of heads under the key",
                         "attention.head_count_kv", 23);
    return (chord_attention){ .cache = source,
                              .is_shared = 1,
                              .n_head = h->n_head,
                              .n_kv = h->n_kv,
                              .head_dim = h->head_dim,
                              .v_dim = h->head_dim };
}

/* x -> slot attn */
static void emit_attention(chord_builder *b, const gemma4 *g, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    int const local = is_local(b, layer), is_shared = layer >= g->n_own;
    if (is_shared)
        for (int32_t i = 0; i < 5; i++)
            chord_skip(b,
                       (const char *[]){ "blk.%d.attn_k.weight", "blk.%d.attn_v.weight",
                                         "blk.%d.attn_k.scale", "blk.%d.attn_v.scale",
                                         "blk.%d.attn_k_norm.weight" }[i],
                       layer, "files may keep them; another layer's keys and values are read");
    chord_attention a = is_shared ? shared_attention(b, g, layer)
                                  : chord_attention_new(b, 0, local ? g->window : 0, 1);
    a.rope = local ? g->rope_local : g->rope;
    a.scale = 1;
    emit_qkv(b, g, layer, is_shared);
    chord_emit_head_norm(b, layer, g->s.q, h->n_head, "blk.%d.attn_q_norm.weight");
    if (!is_shared) {
        chord_emit_head_norm(b, layer, g->s.k, h->n_kv, "blk.%d.attn_k_norm.weight");
        chord_op *op = chord_emit(b, CHORD_OP_HEAD_NORM, layer);
        op->out[0] = g->s.v;
        op->head_norm =
            (chord_op_head_norm){ .n_head = h->n_kv, .head_dim = h->head_dim, .eps = h->norm_eps };
    }
    if (b->status == CHORD_OK) chord_emit_attention(b, layer, &g->s, &a);
}

/* h, the feed-forward's result, becomes norm(h) + norm(mixture of norm(x)). */
static void emit_mixture(chord_builder *b, const gemma4 *g, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    const chord_slots *s = &g->s;
    chord_emit_norm(b, layer, s->h, g->dense, "blk.%d.post_ffw_norm_1");
    int32_t const scale = chord_bind(b, "blk.%d.ffn_gate_inp.scale", layer, h->n_embd, 0, 0);
    chord_op *op = chord_emit(b, CHORD_OP_NORM, layer);
    op->in[0] = s->x;
    op->out[0] = s->h;
    op->weight[0] = scale;
    op->norm = (chord_op_norm){ .width = h->n_embd, .eps = h->norm_eps };
    chord_emit_scale(b, layer, s->h, h->n_embd, 1 / __builtin_sqrtf((float)h->n_embd));
    chord_emit_router(b, layer, &g->mix, s->h);
    chord_emit_norm(b, layer, s->x, s->h, "blk.%d.pre_ffw_norm_2");
    chord_emit_mixture(b, layer, &g->mix, s->h, s->h, 0);
    chord_emit_norm(b, layer, s->h, s->h, "blk.%d.post_ffw_norm_2");
    chord_emit_add(b, layer, g->dense, s->h);
}

static void emit_layer(chord_builder *b, const gemma4 *g, int32_t layer)
{
    chord_hparams *h = b->hparams;
    const chord_slots *s = &g->s;
    chord_read_layer(b, layer);
    h->head_dim = is_local(b, layer) ? g->head_dim_local : g->head_dim;
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    chord_emit_norm(b, layer, s->x, s->h, "blk.%d.attn_norm");
    emit_attention(b, g, layer);
    chord_emit_linear(b, layer, "blk.%d.attn_output", s->attn, h->n_head * h->head_dim, s->h, h->n_embd, 0);
    chord_emit_norm(b, layer, s->h, s->h, "blk.%d.post_attention_norm");
    chord_emit_add(b, layer, s->h, s->x);

    chord_emit_norm(b, layer, s->x, s->h, "blk.%d.ffn_norm");
    chord_emit_glu(b, layer, s, CHORD_ACTIVATION_GELU);
    chord_emit_linear(b, layer, "blk.%d.ffn_down", s->gate, h->n_ff, s->h, h->n_embd, 0);
    if (g->mix.n_expert && chord_has(b, "blk.%d.ffn_gate_inp.weight", layer)) emit_mixture(b, g, layer);
    chord_emit_norm(b, layer, s->h, s->h, "blk.%d.post_ffw_norm");
    chord_emit_add(b, layer, s->h, s->x);
    emit_ple_gate(b, g, layer);

    int32_t const scale = chord_bind(b, "blk.%d.layer_output_scale.weight", layer, 1, 0, CHORD_OPTIONAL);
    if (scale != CHORD_NONE) {
        chord_op *op = chord_emit(b, CHORD_OP_SCALE, layer);
        op->weight[0] = scale;
        op->out[0] = s->x;
        op->scale = (chord_op_scale){ .width = h->n_embd, .factor = 1 };
    }
    chord_emit(b, CHORD_OP_RELEASE, layer);
}

void chord_build_gemma4(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    gemma4 g = { 0 };
    b->is_by_layer = 1;
    chord_read_hparams(b);
    h->norm_eps = chord_read_float(b, "attention.layer_norm_rms_epsilon", __builtin_nanf(""), CHORD_EPSILON);
    read_heads(b, &g);
    /* GLU reads a layer's part in fours. */
    g.n_ple = chord_read_int(b, "embedding_length_per_layer_input", CHORD_REQUIRED, 0, 4096);
    if (b->status == CHORD_OK && g.n_ple % 4)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE, "a multiple of 4 is needed for the key",
                         "embedding_length_per_layer_input", 32);
    if (b->status != CHORD_OK) return;

    if (g.head_dim_local > h->head_dim) h->head_dim = g.head_dim_local; /* for the slots' widths */
    g.s = chord_slots_new(b);
    h->head_dim = g.head_dim;
    if (g.n_ple) {
        g.ple = chord_slot_new(b, h->n_layer * g.n_ple, CHORD_ROWS_BATCH);
        g.ple_gate = chord_slot_new(b, g.n_ple, CHORD_ROWS_BATCH);
    }
    g.mix = chord_mixture_read(b, CHORD_MIX_NORM, CHORD_ACTIVATION_GELU);
    g.mix.n_shared_ff = 0;
    if (g.mix.n_expert) g.dense = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH);
    read_ropes(b, &g);
    chord_emit_embed(b, g.s.x, __builtin_sqrtf((float)h->n_embd));
    emit_ple(b, &g);
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) emit_layer(b, &g, layer);
    h->head_dim = g.head_dim;

    chord_emit_norm_of(b, CHORD_NONE, CHORD_NORM_RMS, h->n_embd, g.s.x, g.s.last, "output_norm")->flags =
        CHORD_FLAG_GATHER | CHORD_FLAG_OUTPUT;
    chord_emit_logits(b, &g.s);
    float const cap = chord_read_float(b, "final_logit_softcapping", 30, CHORD_FINITE);
    if (!(cap > 0)) return;
    chord_op *op = chord_emit(b, CHORD_OP_SOFTCAP, CHORD_NONE);
    op->flags = CHORD_FLAG_OUTPUT;
    op->out[0] = g.s.logits;
    op->softcap = (chord_op_softcap){ .width = h->n_vocab, .cap = cap };
}
