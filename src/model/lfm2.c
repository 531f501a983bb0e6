/* lfm2.c: LFM2 (arXiv 2511.23404). Most layers have a gated short convolution instead of attention:
 *   b, c, y = in_proj x; out = out_proj (c * conv(b * y))
 * A layer without KV heads is such a layer. In lfm2moe (model card LiquidAI/LFM2-8B-A1B) the layers behind
 * the leading dense ones have mixtures. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

enum { MOST_KERNEL = 64 }; /* real files have 3 */

typedef struct lfm2 {
    chord_slots s;
    int32_t b, c, y;              /* slots of the convolution's three parts */
    int32_t rope, window, kernel;
    float scale;
    chord_mixture mix;
} lfm2;

/* The matrix is in memory as groups of four rows, and each part starts a group. */
static void emit_short_conv(chord_builder *b, const lfm2 *m, int32_t layer)
{
    int32_t const n = b->hparams->n_embd;
    int32_t const w = chord_bind(b, "blk.%d.shortconv.in_proj.weight", layer, n, 3 * (int64_t)n, 0);
    if (n % 4)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "a fused matrix whose parts aren't multiples of 4 rows isn't supported:",
                         "shortconv.in_proj.weight", 24);
    chord_emit_matmul(b, layer, m->s.h, n, 3,
                      (chord_matrix[]){ { w, CHORD_NONE, m->b, n, 0 },
                                        { w, CHORD_NONE, m->c, n, n },
                                        { w, CHORD_NONE, m->y, n, 2 * n } });
    chord_emit_glu_of(b, layer, m->b, m->y, m->b, n, CHORD_ACTIVATION_NONE);
    chord_emit_conv(b, layer, "blk.%d.shortconv.conv", m->b, m->y, n, m->kernel);
    chord_emit_glu_of(b, layer, m->c, m->y, m->y, n, CHORD_ACTIVATION_NONE);
    chord_emit_linear(b, layer, "blk.%d.shortconv.out_proj", m->y, n, m->s.x, n, CHORD_FLAG_ADD);
}

static void emit_attention(chord_builder *b, const lfm2 *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    chord_attention const a = chord_attention_new(b, m->rope, m->window, m->scale);
    chord_emit_qkv(b, layer, &m->s);
    chord_emit_head_norm(b, layer, m->s.q, h->n_head, "blk.%d.attn_q_norm.weight");
    chord_emit_head_norm(b, layer, m->s.k, h->n_kv, "blk.%d.attn_k_norm.weight");
    chord_emit_attention(b, layer, &m->s, &a);
    chord_emit_linear(b, layer, "blk.%d.attn_output", m->s.attn, h->n_head * h->head_dim, m->s.x, h->n_embd,
                      CHORD_FLAG_ADD);
}

/* h -> x */
static void emit_feed_forward(chord_builder *b, const lfm2 *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    if (m->mix.n_expert && layer >= m->mix.first) {
        chord_emit_router(b, layer, &m->mix, m->s.h);
        chord_emit_mixture(b, layer, &m->mix, m->s.h, m->s.x, CHORD_FLAG_ADD);
        return;
    }
    chord_emit_glu(b, layer, &m->s, CHORD_ACTIVATION_SILU);
    chord_emit_linear(b, layer, "blk.%d.ffn_down", m->s.gate, h->n_ff, m->s.x, h->n_embd, CHORD_FLAG_ADD);
}

static void emit_layer(chord_builder *b, const lfm2 *m, int32_t layer)
{
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    chord_emit_norm(b, layer, m->s.x, m->s.h, "blk.%d.attn_norm");
    if (chord_read_layer_heads(b, layer)) emit_attention(b, m, layer);
    else emit_short_conv(b, m, layer);
    chord_emit_norm(b, layer, m->s.x, m->s.h, "blk.%d.ffn_norm");
    emit_feed_forward(b, m, layer);
    chord_emit(b, CHORD_OP_RELEASE, layer);
}

void chord_build_lfm2(chord_builder *b)
{
    const chord_hparams *h = b->hparams;
    chord_read_hybrid(b, "attention.layer_norm_rms_epsilon");
    chord_need_attention(b);
    lfm2 m = { .kernel = chord_read_int(b, "shortconv.l_cache", CHORD_REQUIRED, 2, MOST_KERNEL) };
    if (chord_arch_is(b, "lfm2moe"))
        m.mix = chord_mixture_read(b, CHORD_MIX_ALWAYS | CHORD_MIX_NORM | CHORD_MIX_GATING,
                                   CHORD_ACTIVATION_SILU);
    else m.window = chord_read_int(b, "attention.sliding_window", 0, 0, INT32_MAX);
    if (b->status != CHORD_OK) return;
    m.scale = 1 / __builtin_sqrtf((float)h->head_dim);
    m.s = chord_slots_new(b);
    m.b = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH);
    m.c = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH);
    m.y = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH);
    m.rope = chord_rope_new(b, chord_rope_of(b, CHORD_ROPE_NEOX));
    chord_emit_embed(b, m.s.x, 1);
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) emit_layer(b, &m, layer);
    (void)chord_read_layer_heads(b, CHORD_NONE);
    chord_emit_end(b, &m.s, CHORD_NORM_RMS, "token_embd_norm");
}
