/* bert.c: BERT (arXiv 1810.04805) and its kin: every half of a layer is added to its input, and the sum is
 * normed.
 *   bert          learned positions
 *   nomic-bert    RoPE, gated feed-forward (arXiv 2402.01613)
 *   nomic-bert-moe  RoPE, a mixture in every n-th layer (arXiv 2502.07972)
 *   jina-bert-v2  ALiBi, gated feed-forward, norms of queries and keys (arXiv 2310.19923)
 *   jina-bert-v3  RoPE (arXiv 2409.10173) */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

typedef struct bert {
    chord_slots s;
    chord_attention a;
    int is_plain, is_nomic, is_v2; /* is_plain: BERT itself */
    int32_t period; /* layer i has a mixture if i % period == 1; 0: none has */
    chord_mixture mix;
} bert;

static chord_op *emit_norm(chord_builder *b, int32_t layer, int32_t in, int32_t out, const char *stem)
{
    return chord_emit_norm_of(b, layer, CHORD_NORM_LAYER, b->hparams->n_embd, in, out, stem);
}

/* The norms of all queries and all keys of a token, where the file has them. */
static void emit_qk_norms(chord_builder *b, const bert *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    if (chord_has(b, "blk.%d.attn_q_norm.weight", layer))
        chord_emit_norm_of(b, layer, CHORD_NORM_LAYER, h->n_head * h->head_dim, m->s.q, m->s.q,
                           "blk.%d.attn_q_norm");
    if (chord_has(b, "blk.%d.attn_k_norm.weight", layer))
        chord_emit_norm_of(b, layer, CHORD_NORM_LAYER, h->n_kv * h->head_dim, m->s.k, m->s.k,
                           "blk.%d.attn_k_norm");
}

/* x -> attn */
static void emit_attention(chord_builder *b, const bert *m, int32_t layer)
{
    chord_slots s = m->s;
    s.h = s.x;
    chord_emit_qkv(b, layer, &s);
    if (m->is_v2) emit_qk_norms(b, m, layer);
    chord_emit_rope(b, layer, &m->a, s.q, m->a.n_head);
    chord_emit_rope(b, layer, &m->a, s.k, m->a.n_kv);
    chord_emit_encode(b, layer, &s, &m->a)->encode.max_bias = m->is_v2 ? 8 : 0;
}

/* h -> gate */
static void emit_up(chord_builder *b, const bert *m, int32_t layer)
{
    int32_t const n_ff = b->hparams->n_ff;
    if (m->is_nomic) {
        chord_emit_glu(b, layer, &m->s, CHORD_ACTIVATION_SILU);
        return;
    }
    if (m->is_v2 && chord_has(b, "blk.%d.ffn_gate.weight", layer)) {
        chord_emit_glu(b, layer, &m->s, CHORD_ACTIVATION_GELU);
        return;
    }
    if (m->is_v2 && chord_rows_of(b, "blk.%d.ffn_up.weight", layer) == 2 * (int64_t)n_ff) {
        chord_emit_fused_glu(b, layer, &m->s, CHORD_ACTIVATION_GELU);
        return;
    }
    chord_emit_linear(b, layer, "blk.%d.ffn_up", m->s.h, b->hparams->n_embd, m->s.gate, n_ff, 0);
    chord_emit_activate(b, layer, m->s.gate, n_ff, CHORD_ACTIVATION_GELU);
}

/* h += its feed-forward */
static void emit_feed_forward(chord_builder *b, const bert *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    if (m->mix.n_expert && layer % m->period == 1) {
        chord_emit_router(b, layer, &m->mix, m->s.h);
        chord_emit_mixture(b, layer, &m->mix, m->s.h, m->s.h, CHORD_FLAG_ADD);
        return;
    }
    emit_up(b, m, layer);
    chord_emit_linear(b, layer, "blk.%d.ffn_down", m->s.gate, h->n_ff, m->s.h, h->n_embd, CHORD_FLAG_ADD);
}

/* With attn_norm_2 the layer's input is added and normed a second time. */
static void emit_layer(chord_builder *b, const bert *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    int const has_norm_2 = m->is_v2 && chord_has(b, "blk.%d.attn_norm_2.weight", layer);
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    emit_attention(b, m, layer);
    chord_emit_linear(b, layer, "blk.%d.attn_output", m->s.attn, h->n_head * h->head_dim, m->s.h, h->n_embd,
                      0);
    chord_emit_add(b, layer, m->s.x, m->s.h);
    emit_norm(b, layer, m->s.h, m->s.h, "blk.%d.attn_output_norm");
    if (has_norm_2) {
        chord_emit_add(b, layer, m->s.x, m->s.h);
        emit_norm(b, layer, m->s.h, m->s.h, "blk.%d.attn_norm_2");
    }
    emit_feed_forward(b, m, layer);
    emit_norm(b, layer, m->s.h, m->s.x, "blk.%d.layer_output_norm");
    chord_emit(b, CHORD_OP_RELEASE, layer);
}

static void read_mixture(chord_builder *b, bert *m)
{
    if (!chord_arch_is(b, "nomic-bert-moe")) return;
    m->period = chord_read_int(b, "moe_every_n_layers", 0, 0, CHORD_MAX_LAYERS);
    if (m->period > 1 && b->hparams->n_layer > 1)
        m->mix = chord_mixture_read(b, CHORD_MIX_ALWAYS | CHORD_MIX_OWN_FF | CHORD_NO_GATE,
                                    CHORD_ACTIVATION_GELU);
}

/* Tokens, the type of the first text (0), positions; normed. */
static void emit_embeddings(chord_builder *b, const bert *m)
{
    const chord_hparams *h = b->hparams;
    int64_t const n_types = chord_rows_of(b, "token_types.weight", 0);
    chord_emit_embed(b, m->s.x, 1);
    if (n_types) chord_emit_add_row(b, m->s.x, "token_types.weight", n_types, 0);
    if (m->is_plain) chord_emit_add_row(b, m->s.x, "position_embd.weight", h->n_ctx_train, CHORD_NONE);
    emit_norm(b, CHORD_NONE, m->s.x, m->s.x, "token_embd_norm");
}

void chord_build_bert(chord_builder *b)
{
    bert m = { .is_plain = chord_arch_is(b, "bert"),
               .is_nomic = chord_arch_is(b, "nomic-bert"),
               .is_v2 = chord_arch_is(b, "jina-bert-v2") };
    chord_hparams *h = b->hparams;
    chord_read_hparams(b);
    h->norm_eps = chord_read_float(b, "attention.layer_norm_epsilon", __builtin_nanf(""), CHORD_EPSILON);
    read_mixture(b, &m);
    m.s = chord_slots_new(b);
    b->encoded = m.s.x;
    int32_t const rope = m.is_plain || m.is_v2 ? CHORD_NONE
                                               : chord_rope_new(b, chord_rope_of(b, CHORD_ROPE_NEOX));
    m.a = chord_attention_new(b, rope, 0, 1 / __builtin_sqrtf((float)h->head_dim));
    emit_embeddings(b, &m);
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) emit_layer(b, &m, layer);
}
