/* gemma3.c: the architecture `gemma3`: Gemma 3, text only. Each half of a layer has a norm before and after
 * it. Each head of queries and keys has a norm. The activation is GELU. Five of six layers see a window of
 * recent tokens and use RoPE base 10000; every sixth layer sees all tokens and uses the file's RoPE base.
 * The norm weights in a file already include the 1 that the paper adds. Report: arXiv 2503.19786. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

#define LAYERS_27B 62 /* only this size scales queries by n_embd / n_head instead of head_dim */

typedef struct gemma3 {
    chord_slots s;
    int32_t rope_all, rope_window, window, period;
    float scale;
} gemma3;

/* Reads the family's own keys. When the file has no window, every layer sees all tokens. */
static gemma3 read(chord_builder *b)
{
    const chord_hparams *h = b->hparams;
    gemma3 g = { .s = chord_slots_new(b), .rope_all = chord_rope_read(b, CHORD_ROPE_NEOX) };
    g.window = chord_read_int(b, "attention.sliding_window", 0, 0, INT32_MAX);
    g.period = chord_read_int(b, "attention.sliding_window_pattern", 6, 1, CHORD_MAX_LAYERS);
    g.rope_window = chord_rope_new(b, (chord_rope){ .style = CHORD_ROPE_NEOX,
                                                    .n_rot = b->plan->program.ropes[g.rope_all].n_rot,
                                                    .freqs = CHORD_NONE,
                                                    .base = chord_read_float(b, "rope.freq_base_swa", 10000,
                                                                             CHORD_ROPE_BASE),
                                                    .factor = 1,
                                                    .magnitude = 1 });
    int32_t const per_head = h->n_layer == LAYERS_27B ? h->n_embd / h->n_head : h->head_dim;
    if (per_head < 1)
        chord_build_fail(b, CHORD_INVALID_GGUF, "more heads than elements under the key",
                         "gemma3.attention.head_count", 27);
    g.scale = 1 / __builtin_sqrtf((float)per_head);
    if (chord_read_float(b, "final_logit_softcapping", 0, CHORD_FINITE) > 0)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "capped logits aren't supported:", "gemma3.final_logit_softcapping", 30);
    return g;
}

/* Norms slot h and adds it to the residual stream. */
static void add_normed(chord_builder *b, int32_t layer, const gemma3 *g, const char *weight)
{
    chord_emit_norm(b, layer, g->s.h, g->s.h, weight);
    chord_emit_add(b, layer, g->s.h, g->s.x);
}

void chord_build_gemma3(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    chord_read_hparams(b);
    h->norm_eps = chord_read_float(b, "attention.layer_norm_rms_epsilon", __builtin_nanf(""), CHORD_EPSILON);
    gemma3 const g = read(b);
    chord_slots const s = g.s;

    chord_emit_embed(b, s.x, __builtin_sqrtf((float)h->n_embd));
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) {
        int const is_local = g.window && layer % g.period < g.period - 1;
        chord_emit(b, CHORD_OP_ACQUIRE, layer);
        chord_emit_norm(b, layer, s.x, s.h, "blk.%d.attn_norm.weight");
        chord_emit_qkv(b, layer, &s);
        chord_emit_head_norm(b, layer, s.q, h->n_head, "blk.%d.attn_q_norm.weight");
        chord_emit_head_norm(b, layer, s.k, h->n_kv, "blk.%d.attn_k_norm.weight");
        chord_attention const attention = chord_attention_new(b, is_local ? g.rope_window : g.rope_all,
                                                              is_local ? g.window : 0, g.scale);
        chord_emit_attention(b, layer, &s, &attention);
        chord_emit_linear(b, layer, "blk.%d.attn_output", s.attn, h->n_head * h->head_dim, s.h, h->n_embd, 0);
        add_normed(b, layer, &g, "blk.%d.post_attention_norm.weight");

        chord_emit_norm(b, layer, s.x, s.h, "blk.%d.ffn_norm.weight");
        chord_emit_glu(b, layer, &s, CHORD_ACTIVATION_GELU);
        chord_emit_linear(b, layer, "blk.%d.ffn_down", s.gate, h->n_ff, s.h, h->n_embd, 0);
        add_normed(b, layer, &g, "blk.%d.post_ffw_norm.weight");
        chord_emit(b, CHORD_OP_RELEASE, layer);
    }
    chord_emit_output(b, &s);
}
