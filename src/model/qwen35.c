/* qwen35.c: Qwen 3.5 (model card Qwen/Qwen3.5-0.8B). Three of four layers are gated delta nets (arXiv
 * 2412.06464), the fourth is attention whose result has a gate:
 *   q, k, v = silu(conv(attn_qkv h)); q and k get the length 1; o = SCAN; x += ssm_out (norm(o) * silu(z))
 *   q, gate = attn_q h, in turn for each head; x += attn_output (sigmoid(gate) * attention)
 * post_attention_norm is the norm before the feed-forward. In qwen35moe (model card Qwen/Qwen3.5-35B-A3B)
 * each feed-forward is a mixture. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/mem.h"

enum { MOST_KERNEL = 64, MOST_STATE = 1024 }; /* real files have 4 and 128 */

typedef struct qwen35 {
    chord_slots s;
    int32_t pair;                 /* slot: queries and gates as the matrix gives them */
    int32_t qkv, conv, z, o, step, beta; /* slots of a delta layer */
    int32_t rope, interval; /* interval 0: attention.recurrent_layers says which layers are recurrent */
    int32_t kernel, dim, n_keys, n_values, n_qkv; /* of delta layers */
    chord_mixture mix;
} qwen35;

static void fail(chord_builder *b, const char *what, const char *key)
{
    chord_build_fail(b, CHORD_INVALID_GGUF, what, key, chord_strlen(key));
}

static void read(chord_builder *b, qwen35 *m)
{
    chord_read_hybrid(b, "attention.layer_norm_rms_epsilon");
    chord_need_attention(b);
    m->kernel = chord_read_int(b, "ssm.conv_kernel", CHORD_REQUIRED, 2, MOST_KERNEL);
    m->dim = chord_read_int(b, "ssm.state_size", CHORD_REQUIRED, 1, MOST_STATE);
    m->n_values = chord_read_int(b, "ssm.time_step_rank", CHORD_REQUIRED, 1, CHORD_MAX_HEADS);
    m->n_keys = chord_read_int(b, "ssm.group_count", CHORD_REQUIRED, 1, CHORD_MAX_HEADS);
    int32_t const inner = chord_read_int(b, "ssm.inner_size", CHORD_REQUIRED, 1, INT32_MAX);
    m->interval = chord_read_is_array(b, "attention.recurrent_layers")
                      ? 0
                      : chord_read_int(b, "full_attention_interval", 4, 1, CHORD_MAX_LAYERS);
    if (b->status != CHORD_OK) return;
    m->n_qkv = (2 * m->n_keys + m->n_values) * m->dim;
    if (m->n_values % m->n_keys) fail(b, "not a multiple of ssm.group_count:", "ssm.time_step_rank");
    if (inner != m->n_values * m->dim)
        fail(b, "not the product of ssm.time_step_rank and ssm.state_size:", "ssm.inner_size");
    if (m->dim % 4)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "a size that isn't a multiple of 4 isn't supported:", "ssm.state_size", 14);
}

static int is_recurrent(chord_builder *b, const qwen35 *m, int32_t layer)
{
    return m->interval ? (layer + 1) % m->interval != 0
                       : chord_read_int_at(b, "attention.recurrent_layers", layer, 0, 0, 1);
}

/* The three axes of a position take turns, pair by pair. In a text they are equal. */
static int32_t read_rope(chord_builder *b)
{
    chord_rope rope = chord_rope_of(b, CHORD_ROPE_NEOX);
    rope.is_interleaved = 1;
    int32_t sum = 0;
    for (int32_t i = 0; i < 3; i++)
        sum += rope.sections[i] = chord_read_int_at(b, "rope.dimension_sections", i, CHORD_REQUIRED, 0, 1024);
    if (b->status == CHORD_OK && sum != rope.n_rot / 2)
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF,
                               "the sections of the key 'rope.dimension_sections' add up to %d, but %d pairs "
                               "of elements rotate",
                               sum, rope.n_rot / 2);
    return chord_rope_new(b, rope);
}

/* ---- layers ------------------------------------------------------------------------------------------- */

static void emit_head_norm(chord_builder *b, int32_t layer, int32_t slot, int32_t n_head, int32_t dim,
                           float eps, int32_t weight)
{
    chord_op *op = chord_emit(b, CHORD_OP_HEAD_NORM, layer);
    op->weight[0] = weight;
    op->out[0] = slot;
    op->head_norm = (chord_op_head_norm){ .n_head = n_head, .head_dim = dim, .eps = eps };
}

static void emit_scan(chord_builder *b, const qwen35 *m, int32_t layer)
{
    /* x / sqrt(sum(x^2) + eps) = NORM(x, eps / dim) / sqrt(dim) */
    float const dim = (float)m->dim, eps = b->hparams->norm_eps / dim, root = 1 / __builtin_sqrtf(dim);
    emit_head_norm(b, layer, m->conv, 2 * m->n_keys, m->dim, eps > 0x1p-126f ? eps : 0x1p-126f, CHORD_NONE);
    chord_emit_scan(b, layer, m->conv, m->step, m->beta, m->o,
                    (chord_op_scan){ .n_head = m->n_values,
                                     .n_keys = m->n_keys,
                                     .k_dim = m->dim,
                                     .v_dim = m->dim,
                                     .k_at = m->n_keys * m->dim,
                                     .v_at = 2 * m->n_keys * m->dim,
                                     .is_delta = 1,
                                     .q_scale = root * root,
                                     .k_scale = root });
}

static chord_matrix bind(chord_builder *b, int32_t layer, const char *name, int32_t out, int32_t n_out)
{
    return (chord_matrix){ chord_bind(b, name, layer, b->hparams->n_embd, n_out, 0), CHORD_NONE, out, n_out,
                           0 };
}

static void emit_delta(chord_builder *b, const qwen35 *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    int32_t const n = m->n_values * m->dim;
    chord_emit_matmul(b, layer, m->s.h, h->n_embd, 2,
                      (chord_matrix[]){ bind(b, layer, "blk.%d.attn_qkv.weight", m->qkv, m->n_qkv),
                                        bind(b, layer, "blk.%d.attn_gate.weight", m->z, n) });
    chord_emit_matmul(b, layer, m->s.h, h->n_embd, 2,
                      (chord_matrix[]){ bind(b, layer, "blk.%d.ssm_alpha.weight", m->step, m->n_values),
                                        bind(b, layer, "blk.%d.ssm_beta.weight", m->beta, m->n_values) });
    chord_emit_conv(b, layer, "blk.%d.ssm_conv1d", m->qkv, m->conv, m->n_qkv, m->kernel);
    chord_emit_activate(b, layer, m->conv, m->n_qkv, CHORD_ACTIVATION_SILU);
    emit_scan(b, m, layer);
    int32_t const norm = chord_bind(b, "blk.%d.ssm_norm.weight", layer, m->dim, 0, 0);
    emit_head_norm(b, layer, m->o, m->n_values, m->dim, h->norm_eps, norm);
    chord_emit_glu_of(b, layer, m->z, m->o, m->o, n, CHORD_ACTIVATION_SILU);
    chord_emit_linear(b, layer, "blk.%d.ssm_out", m->o, n, m->s.x, h->n_embd, CHORD_FLAG_ADD);
}

static void emit_attention(chord_builder *b, const qwen35 *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    int32_t const n = h->n_head * h->head_dim;
    chord_slots s = m->s;
    chord_attention const a = chord_attention_new(b, m->rope, 0, 1 / __builtin_sqrtf((float)h->head_dim));
    s.q = m->pair;
    chord_emit_qkv_of(b, layer, &s, 2 * n, h->n_kv * h->head_dim);
    chord_op *op = chord_emit(b, CHORD_OP_SPLIT, layer);
    op->in[0] = m->pair;
    op->out[0] = s.q = m->s.q;
    op->out[1] = m->z;
    op->split = (chord_op_split){ .n_head = h->n_head, .head_dim = h->head_dim };
    chord_emit_head_norm(b, layer, s.q, h->n_head, "blk.%d.attn_q_norm.weight");
    chord_emit_head_norm(b, layer, s.k, h->n_kv, "blk.%d.attn_k_norm.weight");
    chord_emit_attention(b, layer, &s, &a);
    chord_emit_glu_of(b, layer, m->z, s.attn, s.attn, n, CHORD_ACTIVATION_SIGMOID);
    chord_emit_linear(b, layer, "blk.%d.attn_output", s.attn, n, s.x, h->n_embd, CHORD_FLAG_ADD);
}

/* h -> x */
static void emit_feed_forward(chord_builder *b, const qwen35 *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    if (m->mix.n_expert) {
        chord_emit_router(b, layer, &m->mix, m->s.h);
        chord_emit_mixture(b, layer, &m->mix, m->s.h, m->s.x, CHORD_FLAG_ADD);
        return;
    }
    chord_emit_glu(b, layer, &m->s, CHORD_ACTIVATION_SILU);
    chord_emit_linear(b, layer, "blk.%d.ffn_down", m->s.gate, h->n_ff, m->s.x, h->n_embd, CHORD_FLAG_ADD);
}

static void emit_layer(chord_builder *b, const qwen35 *m, int32_t layer)
{
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    chord_emit_norm(b, layer, m->s.x, m->s.h, "blk.%d.attn_norm");
    if (is_recurrent(b, m, layer)) emit_delta(b, m, layer);
    else emit_attention(b, m, layer);
    chord_emit_norm(b, layer, m->s.x, m->s.h, "blk.%d.post_attention_norm");
    emit_feed_forward(b, m, layer);
    chord_emit(b, CHORD_OP_RELEASE, layer);
}

static void new_slots(chord_builder *b, qwen35 *m)
{
    int32_t const n = m->n_values * m->dim, n_attn = b->hparams->n_head * b->hparams->head_dim;
    m->s = chord_slots_new(b);
    m->pair = chord_slot_new(b, 2 * n_attn, CHORD_ROWS_BATCH);
    m->qkv = chord_slot_new(b, m->n_qkv, CHORD_ROWS_BATCH);
    m->conv = chord_slot_new(b, m->n_qkv, CHORD_ROWS_BATCH);
    m->z = chord_slot_new(b, n > n_attn ? n : n_attn, CHORD_ROWS_BATCH);
    m->o = chord_slot_new(b, n, CHORD_ROWS_BATCH);
    m->step = chord_slot_new(b, m->n_values, CHORD_ROWS_BATCH);
    m->beta = chord_slot_new(b, m->n_values, CHORD_ROWS_BATCH);
}

void chord_build_qwen35(chord_builder *b)
{
    qwen35 m = { .interval = 4 };
    read(b, &m);
    if (b->status != CHORD_OK) return;
    int32_t const n_layer = b->hparams->n_layer,
                  n_all = chord_read_int(b, "block_count", CHORD_REQUIRED, 1, CHORD_MAX_LAYERS);
    for (int32_t layer = n_layer; layer < n_all; layer++)
        chord_skip_block(b, layer, "a block that drafts the token after next");
    if (chord_arch_is(b, "qwen35moe"))
        m.mix = chord_mixture_read(b,
                                   CHORD_MIX_ALWAYS | CHORD_MIX_NORM | CHORD_MIX_SHARED | CHORD_MIX_SHARED_FF,
                                   CHORD_ACTIVATION_SILU);
    new_slots(b, &m);
    m.rope = read_rope(b);
    chord_emit_embed(b, m.s.x, 1);
    for (int32_t layer = 0; layer < n_layer && b->status == CHORD_OK; layer++) emit_layer(b, &m, layer);
    chord_emit_end(b, &m.s, CHORD_NORM_RMS, "output_norm");
}
