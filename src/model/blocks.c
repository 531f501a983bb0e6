/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

chord_slots chord_slots_new(chord_builder *b)
{
    const chord_hparams *h = b->hparams;
    int32_t const n_q = h->n_head * h->head_dim, n_k = h->n_kv * h->head_dim;
    chord_slots const s = {
        .x = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH),
        .h = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH),
        .q = chord_slot_new(b, n_q, CHORD_ROWS_BATCH),
        .k = chord_slot_new(b, n_k, CHORD_ROWS_BATCH),
        .v = chord_slot_new(b, n_k, CHORD_ROWS_BATCH),
        .attn = chord_slot_new(b, n_q, CHORD_ROWS_BATCH),
        .gate = chord_slot_new(b, h->n_ff, CHORD_ROWS_BATCH),
        .up = chord_slot_new(b, h->n_ff, CHORD_ROWS_BATCH),
        .last = chord_slot_new(b, h->n_embd, CHORD_ROWS_OUTPUT),
        .logits = chord_slot_new(b, h->n_vocab, CHORD_ROWS_OUTPUT),
    };
    b->plan->program.output_slot = s.logits;
    return s;
}

/* Minimum scaling factor of RoPE; real files have 1 to 64. Positions are below 2^24, angles below 2^34, and
 * a double represents an angle to 2^-19. */
#define LEAST_SCALING 0x1p-10

static float scaling_factor(chord_builder *b, const char *suffix, float fallback)
{
    chord_range range = { 0, 3e38, "0 or a number from 1/1024 to 3e38" };
    float const factor = chord_read_float(b, suffix, fallback, range);
    range.least = LEAST_SCALING;
    return factor > 0 ? chord_read_float(b, suffix, fallback, range) : factor;
}

/* As in llama.cpp: scaling is linear by default, rope.scale_linear is the key of files from 2023, and a
 * factor of 0 means no scaling. */
static float linear_scaling(chord_builder *b)
{
    if (chord_read_is(b, "rope.scaling.type", "none")) return 1;
    if (!chord_read_is(b, "rope.scaling.type", "") && !chord_read_is(b, "rope.scaling.type", "linear"))
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "a RoPE scaling other than linear isn't supported:", "rope.scaling.type", 17);
    float const factor = scaling_factor(b, "rope.scaling.factor", scaling_factor(b, "rope.scale_linear", 0));
    return factor > 0 ? 1 / factor : 1;
}

int32_t chord_rope_read(chord_builder *b, int32_t style)
{
    int32_t const head_dim = b->hparams->head_dim;
    int32_t const n_rot = chord_read_int(b, "rope.dimension_count", head_dim, 2, head_dim) & ~1;
    return chord_rope_new(b, (chord_rope){
                                 .style = style,
                                 .n_rot = n_rot,
                                 .magnitude = 1,
                                 .factor = linear_scaling(b),
                                 .base = chord_read_float(b, "rope.freq_base", 10000, CHORD_ROPE_BASE),
                                 .freqs = chord_bind(b, "rope_freqs.weight", 0, n_rot / 2, 0, CHORD_OPTIONAL),
                             });
}

void chord_emit_embed(chord_builder *b, int32_t x, float scale)
{
    const chord_hparams *h = b->hparams;
    int32_t const weight = chord_bind(b, "token_embd.weight", 0, h->n_embd, h->n_vocab, CHORD_LOOKUP);
    chord_op *op = chord_emit(b, CHORD_OP_EMBED, CHORD_NONE);
    op->weight[0] = weight;
    op->out[0] = x;
    op->embed = (chord_op_embed){ .width = h->n_embd, .scale = scale };
}

void chord_emit_norm(chord_builder *b, int32_t layer, int32_t in, int32_t out, const char *weight)
{
    int32_t const tensor = chord_bind(b, weight, layer, b->hparams->n_embd, 0, 0);
    chord_op *op = chord_emit(b, CHORD_OP_NORM, layer);
    op->in[0] = in;
    op->out[0] = out;
    op->weight[0] = tensor;
    op->norm = (chord_op_norm){ .width = b->hparams->n_embd, .eps = b->hparams->norm_eps };
}

chord_op *chord_emit_matmul(chord_builder *b, int32_t layer, int32_t in, int32_t n_in, int32_t n,
                            const chord_matrix *m)
{
    chord_op *op = chord_emit(b, CHORD_OP_MATMUL, layer);
    op->in[0] = in;
    op->matmul = (chord_op_matmul){ .n_in = n_in, .n_weights = n };
    for (int32_t i = 0; i < n; i++) {
        op->weight[i] = m[i].weight;
        op->weight[3 + i] = m[i].bias;
        op->out[i] = m[i].out;
        op->matmul.n_out[i] = m[i].n_out;
        op->matmul.row[i] = m[i].row;
    }
    return op;
}

/* Binds <stem>.weight and, if the file has it, <stem>.bias. */
static chord_matrix bind_linear(chord_builder *b, int32_t layer, const char *stem, int32_t n_in, int32_t out,
                                int32_t n_out)
{
    char weight[64], bias[64];
    size_t n = 0;
    while (stem[n] && n < 48) {
        weight[n] = bias[n] = stem[n];
        n++;
    }
    for (size_t i = 0; i < 8; i++) weight[n + i] = ".weight"[i];
    for (size_t i = 0; i < 6; i++) bias[n + i] = ".bias"[i];
    int32_t const matrix = chord_bind(b, weight, layer, n_in, n_out, 0);
    return (chord_matrix){ matrix, chord_bind(b, bias, layer, n_out, 0, CHORD_OPTIONAL), out, n_out, 0 };
}

void chord_emit_linear(chord_builder *b, int32_t layer, const char *stem, int32_t in, int32_t n_in,
                       int32_t out, int32_t n_out, int32_t flags)
{
    chord_matrix const m = bind_linear(b, layer, stem, n_in, out, n_out);
    chord_emit_matmul(b, layer, in, n_in, 1, &m)->flags = flags;
}

/* A matrix is in memory as groups of four rows. So queries, keys and values of a fused matrix must each
 * start a group. */
static void emit_fused_qkv(chord_builder *b, int32_t layer, const chord_slots *s, int32_t fused, int32_t n_q,
                           int32_t n_k)
{
    int32_t const bias = chord_bind(b, "blk.%d.attn_qkv.bias", layer, n_q + 2 * n_k, 0, CHORD_OPTIONAL);
    if (n_q % 4 || n_k % 4)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "a fused matrix whose parts aren't multiples of 4 rows isn't supported:",
                         "attn_qkv.weight", 15);
    chord_emit_matmul(b, layer, s->h, b->hparams->n_embd, 3,
                      (chord_matrix[]){ { fused, bias, s->q, n_q, 0 },
                                        { fused, bias, s->k, n_k, n_q },
                                        { fused, bias, s->v, n_k, n_q + n_k } });
}

void chord_emit_qkv(chord_builder *b, int32_t layer, const chord_slots *s)
{
    const chord_hparams *h = b->hparams;
    int32_t const n_q = h->n_head * h->head_dim, n_k = h->n_kv * h->head_dim;
    int32_t const fused = chord_bind(b, "blk.%d.attn_qkv.weight", layer, h->n_embd,
                                     (int64_t)n_q + 2 * (int64_t)n_k, CHORD_OPTIONAL);
    if (fused != CHORD_NONE) {
        emit_fused_qkv(b, layer, s, fused, n_q, n_k);
        return;
    }
    chord_emit_matmul(b, layer, s->h, h->n_embd, 3,
                      (chord_matrix[]){ bind_linear(b, layer, "blk.%d.attn_q", h->n_embd, s->q, n_q),
                                        bind_linear(b, layer, "blk.%d.attn_k", h->n_embd, s->k, n_k),
                                        bind_linear(b, layer, "blk.%d.attn_v", h->n_embd, s->v, n_k) });
}

void chord_emit_head_norm(chord_builder *b, int32_t layer, int32_t slot, int32_t n_head, const char *weight)
{
    int32_t const tensor = chord_bind(b, weight, layer, b->hparams->head_dim, 0, 0);
    chord_op *op = chord_emit(b, CHORD_OP_HEAD_NORM, layer);
    op->weight[0] = tensor;
    op->out[0] = slot;
    op->head_norm = (chord_op_head_norm){ .n_head = n_head,
                                          .head_dim = b->hparams->head_dim,
                                          .eps = b->hparams->norm_eps };
}

static void emit_rope(chord_builder *b, int32_t layer, const chord_attention *a, int32_t slot, int32_t n_head)
{
    chord_op *op = chord_emit(b, CHORD_OP_ROPE, layer);
    op->in[0] = b->plan->program.ropes[a->rope].slot;
    op->out[0] = slot;
    op->rope = (chord_op_rope){ .rope = a->rope, .n_head = n_head, .head_dim = a->head_dim };
}

chord_attention chord_attention_new(chord_builder *b, int32_t rope, int32_t window, float scale)
{
    const chord_hparams *h = b->hparams;
    chord_cache_spec const spec = { .kind = window ? CHORD_CACHE_WINDOW : CHORD_CACHE_PAGED,
                                    .window = window,
                                    .n_kv = h->n_kv,
                                    .k_dim = h->head_dim,
                                    .v_dim = h->head_dim };
    return (chord_attention){ .rope = rope,
                              .cache = chord_cache_new(b, spec),
                              .n_head = h->n_head,
                              .n_kv = h->n_kv,
                              .head_dim = h->head_dim,
                              .scale = scale };
}

void chord_emit_attention(chord_builder *b, int32_t layer, const chord_slots *s, const chord_attention *a)
{
    emit_rope(b, layer, a, s->q, a->n_head);
    if (!a->is_shared) {
        emit_rope(b, layer, a, s->k, a->n_kv);
        chord_op *store = chord_emit(b, CHORD_OP_KV_STORE, layer);
        store->cache = a->cache;
        store->in[0] = s->k;
        store->in[1] = s->v;
        store->kv_store = (chord_op_kv_store){ .n_kv = a->n_kv, .k_dim = a->head_dim, .v_dim = a->head_dim };
    }
    chord_op *attend = chord_emit(b, CHORD_OP_ATTEND, layer);
    attend->cache = a->cache;
    attend->in[0] = s->q;
    attend->out[0] = s->attn;
    attend->attend = (chord_op_attend){ .n_head = a->n_head,
                                        .n_kv = a->n_kv,
                                        .k_dim = a->head_dim,
                                        .v_dim = a->head_dim,
                                        .scale = a->scale,
                                        .softcap = a->softcap };
}

void chord_emit_glu(chord_builder *b, int32_t layer, const chord_slots *s, int32_t activation)
{
    const chord_hparams *h = b->hparams;
    chord_emit_matmul(b, layer, s->h, h->n_embd, 2,
                      (chord_matrix[]){ bind_linear(b, layer, "blk.%d.ffn_gate", h->n_embd, s->gate, h->n_ff),
                                        bind_linear(b, layer, "blk.%d.ffn_up", h->n_embd, s->up, h->n_ff) });
    chord_op *glu = chord_emit(b, CHORD_OP_GLU, layer);
    glu->in[0] = s->gate;
    glu->in[1] = s->up;
    glu->out[0] = s->gate;
    glu->glu = (chord_op_glu){ .width = h->n_ff, .activation = activation };
}

void chord_emit_add(chord_builder *b, int32_t layer, int32_t in, int32_t out)
{
    chord_op *op = chord_emit(b, CHORD_OP_ADD, layer);
    op->in[0] = in;
    op->out[0] = out;
    op->add.width = b->hparams->n_embd;
}

static void emit_layer(chord_builder *b, int32_t layer, const chord_slots *s, int32_t rope, int32_t flags)
{
    const chord_hparams *h = b->hparams;
    float const scale = 1 / __builtin_sqrtf((float)h->head_dim);
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    chord_emit_norm(b, layer, s->x, s->h, "blk.%d.attn_norm.weight");
    chord_emit_qkv(b, layer, s);
    if (flags & CHORD_QK_NORM) {
        chord_emit_head_norm(b, layer, s->q, h->n_head, "blk.%d.attn_q_norm.weight");
        chord_emit_head_norm(b, layer, s->k, h->n_kv, "blk.%d.attn_k_norm.weight");
    }
    chord_attention const attention = chord_attention_new(b, rope, 0, scale);
    chord_emit_attention(b, layer, s, &attention);
    chord_emit_linear(b, layer, "blk.%d.attn_output", s->attn, h->n_head * h->head_dim, s->x, h->n_embd,
                      CHORD_FLAG_ADD);

    chord_emit_norm(b, layer, s->x, s->h, "blk.%d.ffn_norm.weight");
    chord_emit_glu(b, layer, s, CHORD_ACTIVATION_SILU);
    chord_emit_linear(b, layer, "blk.%d.ffn_down", s->gate, h->n_ff, s->x, h->n_embd, CHORD_FLAG_ADD);
    chord_emit(b, CHORD_OP_RELEASE, layer);
}

void chord_emit_layers(chord_builder *b, const chord_slots *s, int32_t rope, int32_t flags)
{
    for (int32_t layer = 0; layer < b->hparams->n_layer && b->status == CHORD_OK; layer++)
        emit_layer(b, layer, s, rope, flags);
}

void chord_emit_output(chord_builder *b, const chord_slots *s)
{
    chord_hparams *h = b->hparams;
    chord_emit_norm(b, CHORD_NONE, s->x, s->last, "output_norm.weight");
    b->plan->program.ops[b->plan->program.n_ops - 1].flags = CHORD_FLAG_GATHER | CHORD_FLAG_OUTPUT;

    int32_t weight = chord_bind(b, "output.weight", 0, h->n_embd, h->n_vocab, CHORD_OPTIONAL);
    h->is_tied = weight == CHORD_NONE;
    if (h->is_tied) weight = chord_bind(b, "token_embd.weight", 0, h->n_embd, h->n_vocab, 0);
    int32_t const bias = chord_bind(b, "output.bias", 0, h->n_vocab, 0, CHORD_OPTIONAL);
    chord_matrix const m = { weight, bias, s->logits, h->n_vocab, 0 };
    /* FINE, because no later op damps this product's rounding. Tried: without FINE, Qwen2.5 0.5B chose a
     * token in 2 of 75 steps whose exact logit is 0.18 below the best; with FINE in none. FINE costs a
     * second term of this product alone, usually for one row. */
    chord_emit_matmul(b, CHORD_NONE, s->last, h->n_embd, 1, &m)->flags = CHORD_FLAG_OUTPUT | CHORD_FLAG_FINE;
}
