/* qwen3.c: the architecture `qwen3`: Qwen 3, dense. As qwen2 without biases, with an RMS norm over each head of
 * queries and keys before they are rotated; head_dim isn't n_embd / n_head. Report: arXiv 2505.09388. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

void chord_build_qwen3(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    chord_read_hparams(b);
    h->norm_eps = chord_read_float(b, "attention.layer_norm_rms_epsilon", __builtin_nanf(""));

    chord_slots const s = chord_slots_new(b);
    int32_t const rope = chord_rope_read(b, CHORD_ROPE_NEOX);
    int32_t const n_q = h->n_head * h->head_dim;
    float const scale = 1 / __builtin_sqrtf((float)h->head_dim);

    chord_emit_embed(b, s.x, 1);
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) {
        chord_emit(b, CHORD_OP_ACQUIRE, layer);
        chord_emit_norm(b, layer, s.x, s.h, "blk.%d.attn_norm.weight");
        chord_emit_qkv(b, layer, &s);
        chord_emit_head_norm(b, layer, s.q, h->n_head, "blk.%d.attn_q_norm.weight");
        chord_emit_head_norm(b, layer, s.k, h->n_kv, "blk.%d.attn_k_norm.weight");
        chord_emit_attention(b, layer, &s, rope, 0, scale);
        chord_emit_linear(b, layer, "blk.%d.attn_output", s.attn, n_q, s.x, h->n_embd, CHORD_FLAG_ADD);

        chord_emit_norm(b, layer, s.x, s.h, "blk.%d.ffn_norm.weight");
        chord_emit_glu(b, layer, &s, CHORD_ACTIVATION_SILU);
        chord_emit_linear(b, layer, "blk.%d.ffn_down", s.gate, h->n_ff, s.x, h->n_embd, CHORD_FLAG_ADD);
        chord_emit(b, CHORD_OP_RELEASE, layer);
    }
    chord_emit_output(b, &s);
}
