/* SPDX-License-Identifier: Apache-2.0 */
#include "gemma.h"

int chord_gemma_is_local(chord_builder *b, const chord_gemma *g, int32_t layer)
{
    const char *const key = "attention.sliding_window_pattern";
    if (chord_read_is_array(b, key)) return chord_read_int_at(b, key, layer, CHORD_REQUIRED, 0, 1);
    return layer % g->period < g->period - 1;
}

/* Returns the layer whose keys and values a layer without them reads: the last one with a window is the last
 * but one that has any. */
static int32_t source_of(chord_builder *b, const chord_gemma *g, int32_t layer)
{
    return g->n_own - (chord_gemma_is_local(b, g, layer) ? 2 : 1);
}

void chord_gemma_check_shared(chord_builder *b, const chord_gemma *g, const char *key)
{
    for (int32_t layer = g->n_own; layer < b->hparams->n_layer && b->status == CHORD_OK; layer++) {
        int32_t const source = source_of(b, g, layer);
        if (source < 0 || chord_gemma_is_local(b, g, source) != chord_gemma_is_local(b, g, layer))
            b->status =
                chord_fail(b->error, CHORD_INVALID_GGUF,
                           "by the key '%s' layer %d reads the keys and values of layer %d, of which one has "
                           "a window and the other none",
                           key, layer, source);
    }
}

void chord_gemma_ropes(chord_builder *b, chord_gemma *g, chord_rope rope, int32_t n_rot)
{
    chord_rope local = rope;
    local.n_rot = n_rot;
    local.base = chord_read_float(b, "rope.freq_base_swa", 10000, CHORD_ROPE_BASE);
    local.factor = local.magnitude = 1;
    local.is_yarn = 0;
    local.freqs = local.freqs_long = CHORD_NONE;
    g->rope = chord_rope_new(b, rope);
    g->rope_local = chord_rope_new(b, local);
}

/* ---- the layers' own embeddings ----------------------------------------------------------------------- */

void chord_gemma_read_ple(chord_builder *b, chord_gemma *g, int32_t fallback, int32_t least)
{
    const char *const key = "embedding_length_per_layer_input";
    g->n_ple = chord_read_int(b, key, fallback, least, 4096);
    if (!g->n_ple || b->status != CHORD_OK) return;
    if (g->n_ple % 4) /* GLU reads a layer's part in fours. */
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE, "a multiple of 4 is needed for the key", key, 32);
    g->ple = chord_slot_new(b, b->hparams->n_layer * g->n_ple, CHORD_ROWS_BATCH);
    g->ple_gate = chord_slot_new(b, g->n_ple, CHORD_ROWS_BATCH);
}

/* ple = (table's row * sqrt(n_ple) + norm of each layer's part of (per_layer_model_proj x)) / sqrt(2). The
 * product is scaled by 1 / sqrt(n_embd) before its norm: that scales eps alone. */
void chord_gemma_emit_ple(chord_builder *b, const chord_gemma *g, int32_t x)
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

    chord_emit_linear(b, CHORD_NONE, "per_layer_model_proj", x, h->n_embd, projected, width, 0);
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

void chord_gemma_emit_ple_gate(chord_builder *b, const chord_gemma *g, int32_t layer, int32_t in)
{
    int32_t const n_embd = b->hparams->n_embd;
    chord_emit_linear(b, layer, "blk.%d.inp_gate", in, n_embd, g->ple_gate, g->n_ple, 0);
    chord_op *glu = chord_emit(b, CHORD_OP_GLU, layer);
    glu->in[0] = g->ple_gate;
    glu->in[1] = g->ple;
    glu->out[0] = g->ple_gate;
    glu->glu =
        (chord_op_glu){ .width = g->n_ple, .activation = CHORD_ACTIVATION_GELU, .first = layer * g->n_ple };
    chord_emit_linear(b, layer, "blk.%d.proj", g->ple_gate, g->n_ple, g->s.h, n_embd, 0);
    chord_emit_norm(b, layer, g->s.h, g->s.h, "blk.%d.post_norm");
}

/* ---- attention ---------------------------------------------------------------------------------------- */

/* Queries alone, or with keys and values; values are the keys' product where the file has no attn_v. */
static void emit_qkv(chord_builder *b, const chord_gemma *g, int32_t layer, int is_shared)
{
    const chord_hparams *h = b->hparams;
    int32_t const n_q = h->n_head * h->head_dim, n_k = h->n_kv * h->head_dim;
    if (!is_shared && (g->has_v || chord_has(b, "blk.%d.attn_qkv.weight", layer) ||
                       chord_has(b, "blk.%d.attn_v.weight", layer))) {
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
static chord_attention shared_attention(chord_builder *b, const chord_gemma *g, int32_t layer)
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

void chord_gemma_emit_attention(chord_builder *b, const chord_gemma *g, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    int const local = chord_gemma_is_local(b, g, layer), is_shared = layer >= g->n_own;
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
