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
#include "gemma.h"

typedef struct gemma4 {
    chord_gemma g;
    int32_t head_dim, head_dim_local;
    chord_mixture mix;
    int32_t dense; /* slot: the feed-forward's result while the mixture is computed */
} gemma4;

/* ---- what the metadata says --------------------------------------------------------------------------- */

static void read_heads(chord_builder *b, gemma4 *g)
{
    chord_hparams *h = b->hparams;
    g->head_dim = h->head_dim;
    g->head_dim_local = chord_read_int(b, "attention.key_length_swa", CHORD_REQUIRED, 2, 1024);
    (void)chord_read_int(b, "attention.value_length_swa", CHORD_REQUIRED, g->head_dim_local,
                         g->head_dim_local);
    g->g.window = chord_read_int(b, "attention.sliding_window", CHORD_REQUIRED, 1, INT32_MAX);
    if (b->status == CHORD_OK && !chord_read_is_array(b, "attention.sliding_window_pattern"))
        chord_build_fail(b, CHORD_INVALID_GGUF,
                         "an array with a number for each layer is needed under the key",
                         "attention.sliding_window_pattern", 32);
    (void)chord_read_most(b, "attention.sliding_window_pattern", CHORD_REQUIRED, 0, 1);
    g->g.n_own = h->n_layer - chord_read_int(b, "attention.shared_kv_layers", 0, 0, h->n_layer - 1);
    chord_gemma_check_shared(b, &g->g, "attention.shared_kv_layers");
}

/* h, the feed-forward's result, becomes norm(h) + norm(mixture of norm(x)). */
static void emit_mixture(chord_builder *b, const gemma4 *g, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    const chord_slots *s = &g->g.s;
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
    const chord_slots *s = &g->g.s;
    chord_read_layer(b, layer);
    h->head_dim = chord_gemma_is_local(b, &g->g, layer) ? g->head_dim_local : g->head_dim;
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    chord_emit_norm(b, layer, s->x, s->h, "blk.%d.attn_norm");
    chord_gemma_emit_attention(b, &g->g, layer);
    chord_emit_linear(b, layer, "blk.%d.attn_output", s->attn, h->n_head * h->head_dim, s->h, h->n_embd, 0);
    chord_emit_norm(b, layer, s->h, s->h, "blk.%d.post_attention_norm");
    chord_emit_add(b, layer, s->h, s->x);

    chord_emit_norm(b, layer, s->x, s->h, "blk.%d.ffn_norm");
    chord_emit_glu(b, layer, s, CHORD_ACTIVATION_GELU);
    chord_emit_linear(b, layer, "blk.%d.ffn_down", s->gate, h->n_ff, s->h, h->n_embd, 0);
    if (g->mix.n_expert && chord_has(b, "blk.%d.ffn_gate_inp.weight", layer)) emit_mixture(b, g, layer);
    chord_emit_norm(b, layer, s->h, s->h, "blk.%d.post_ffw_norm");
    chord_emit_add(b, layer, s->h, s->x);
    if (g->g.n_ple) {
        chord_gemma_emit_ple_gate(b, &g->g, layer, s->x);
        chord_emit_add(b, layer, s->h, s->x);
    }

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
    if (b->status != CHORD_OK) return;

    if (g.head_dim_local > h->head_dim) h->head_dim = g.head_dim_local; /* for the slots' widths */
    g.g.s = chord_slots_new(b);
    h->head_dim = g.head_dim;
    chord_gemma_read_ple(b, &g.g, CHORD_REQUIRED, 0);
    g.mix = chord_mixture_read(b, CHORD_MIX_NORM, CHORD_ACTIVATION_GELU);
    g.mix.n_shared_ff = 0;
    if (g.mix.n_expert) g.dense = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH);
    chord_rope const rope = chord_rope_of(b, CHORD_ROPE_NEOX);
    int32_t const n_rot = chord_read_int(b, "rope.dimension_count_swa", rope.n_rot, 2, g.head_dim_local);
    chord_gemma_ropes(b, &g.g, rope, n_rot & ~1);
    chord_emit_embed(b, g.g.s.x, __builtin_sqrtf((float)h->n_embd));
    chord_gemma_emit_ple(b, &g.g, g.g.s.x);
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) emit_layer(b, &g, layer);
    h->head_dim = g.head_dim;

    chord_emit_end(b, &g.g.s, CHORD_NORM_RMS, "output_norm");
    float const cap = chord_read_float(b, "final_logit_softcapping", 30, CHORD_FINITE);
    if (!(cap > 0)) return;
    chord_emit_softcap(b, CHORD_NONE, g.g.s.logits, h->n_vocab, cap)->flags = CHORD_FLAG_OUTPUT;
}
