/* t5.c: the encoder of T5, arXiv 1910.10683: pre-norm, no scale of scores, and a bias of each head by the
 * distance of query and key. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

static void emit_attention(chord_builder *b, const chord_slots *s, int32_t layer, int32_t n_buckets,
                           int32_t is_causal)
{
    const chord_hparams *h = b->hparams;
    int32_t const n_q = h->n_head * h->head_dim, n_k = h->n_kv * h->head_dim;
    chord_emit_linear(b, layer, "enc.blk.%d.attn_q", s->h, h->n_embd, s->q, n_q, 0);
    chord_emit_linear(b, layer, "enc.blk.%d.attn_k", s->h, h->n_embd, s->k, n_k, 0);
    chord_emit_linear(b, layer, "enc.blk.%d.attn_v", s->h, h->n_embd, s->v, n_k, 0);
    const char *const name =
        "enc.blk.%d.attn_rel_b.weight"; /* a layer without a table uses the first one's */
    int32_t const table = chord_bind(b, name, chord_has(b, name, layer) ? layer : 0, h->n_head, n_buckets,
                                     CHORD_WIDE);
    chord_attention const a = chord_attention_new(b, CHORD_NONE, 0, 1);
    chord_op *op = chord_emit_encode(b, layer, s, &a);
    op->weight[0] = table;
    op->encode.n_buckets = n_buckets;
    op->encode.is_causal = is_causal;
    chord_emit_linear(b, layer, "enc.blk.%d.attn_o", s->attn, n_q, s->x, h->n_embd, CHORD_FLAG_ADD);
}

/* Gated with GELU where there is a gate (Flan-T5), otherwise ReLU. */
static void emit_feed_forward(chord_builder *b, const chord_slots *s, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    int const has_gate = chord_has(b, "enc.blk.%d.ffn_gate.weight", layer);
    chord_emit_linear(b, layer, "enc.blk.%d.ffn_up", s->h, h->n_embd, has_gate ? s->up : s->gate, h->n_ff, 0);
    if (has_gate) {
        chord_emit_linear(b, layer, "enc.blk.%d.ffn_gate", s->h, h->n_embd, s->gate, h->n_ff, 0);
        chord_emit_act(b, layer, s, CHORD_ACTIVATION_GELU);
    } else {
        chord_emit_activate(b, layer, s->gate, h->n_ff, CHORD_ACTIVATION_RELU);
    }
    chord_emit_linear(b, layer, "enc.blk.%d.ffn_down", s->gate, h->n_ff, s->x, h->n_embd, CHORD_FLAG_ADD);
}

void chord_build_t5(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    chord_read_hparams(b);
    h->norm_eps = chord_read_float(b, "attention.layer_norm_rms_epsilon", __builtin_nanf(""), CHORD_EPSILON);
    int32_t const n_buckets = chord_read_int(b, "attention.relative_buckets_count", CHORD_REQUIRED, 4, 1024);
    /* The answers of llama.cpp's server and tools, which call llama_decode(): without the key no row sees a
     * later one. Converters don't write the key. llama_encode() would let them. */
    int32_t const is_causal = chord_read_int(b, "attention.causal", 1, 0, 1);
    chord_slots const s = chord_slots_new(b);
    b->encoded = s.x;
    chord_emit_embed(b, s.x, 1);
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) {
        chord_emit(b, CHORD_OP_ACQUIRE, layer);
        chord_emit_norm(b, layer, s.x, s.h, "enc.blk.%d.attn_norm");
        emit_attention(b, &s, layer, n_buckets, is_causal);
        chord_emit_norm(b, layer, s.x, s.h, "enc.blk.%d.ffn_norm");
        emit_feed_forward(b, &s, layer);
        chord_emit(b, CHORD_OP_RELEASE, layer);
    }
    chord_emit_norm(b, CHORD_NONE, s.x, s.x, "enc.output_norm");
    chord_skip(b, "output.weight", 0, "an encoder has no logits");
}
