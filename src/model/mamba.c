/* mamba.c: Mamba 2 (arXiv 2405.21060), and families that have its layers beside attention: Granite 4 in turn
 * (model card ibm-granite/granite-4.0-h-350m), Falcon H1 both in each layer (arXiv 2507.22448).
 *   z, xBC, dt = ssm_in h; x, B, C = silu(conv(xBC)); y = SCAN; out = ssm_out norm(silu(z) * y) */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/mem.h"

enum { MOST_KERNEL = 64, MOST_STATE = 1024 }; /* real files have 4 and up to 256 */
enum { MAMBA, GRANITE, FALCON };

typedef struct mamba {
    int32_t kind;
    chord_slots s;
    int32_t z, wide, conv, y, step; /* slots of a mamba layer */
    int32_t rope;
    int32_t kernel, inner, state, n_head, n_group, n_wide;
    float scale, residual_scale;
    chord_mixture moe;
} mamba;

static void fail(chord_builder *b, const char *what, const char *key)
{
    chord_build_fail(b, CHORD_INVALID_GGUF, what, key, chord_strlen(key));
}

static void read(chord_builder *b, mamba *m)
{
    chord_read_hybrid(b, "attention.layer_norm_rms_epsilon");
    m->kernel = chord_read_int(b, "ssm.conv_kernel", CHORD_REQUIRED, 2, MOST_KERNEL);
    m->inner = chord_read_int(b, "ssm.inner_size", CHORD_REQUIRED, 1, 1 << 20);
    m->state = chord_read_int(b, "ssm.state_size", CHORD_REQUIRED, 1, MOST_STATE);
    m->n_head = chord_read_int(b, "ssm.time_step_rank", CHORD_REQUIRED, 1, CHORD_MAX_HEADS);
    m->n_group = chord_read_int(b, "ssm.group_count", CHORD_REQUIRED, 1, CHORD_MAX_HEADS);
    if (b->status != CHORD_OK) return;
    if (m->inner % m->n_head) fail(b, "not a multiple of ssm.time_step_rank:", "ssm.inner_size");
    else if (m->n_head % m->n_group) fail(b, "not a multiple of ssm.group_count:", "ssm.time_step_rank");
    else if (m->inner / m->n_head > MOST_STATE) fail(b, "too large for the heads:", "ssm.inner_size");
    else if (m->inner / m->n_head % 4 || (2 * m->n_group * m->state) % 4)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "heads and states that aren't multiples of 4 aren't supported:",
                         m->inner / m->n_head % 4 ? "ssm.inner_size" : "ssm.state_size", 14);
    m->n_wide = m->inner + 2 * m->n_group * m->state;
}

/* ---- layers ------------------------------------------------------------------------------------------- */

/* h -> x, or h where `is_added` is 0. */
static void emit_mamba(chord_builder *b, const mamba *m, int32_t layer, int32_t is_added)
{
    int32_t const n_embd = b->hparams->n_embd, n_all = m->inner + m->n_wide + m->n_head;
    int32_t const in = chord_bind(b, "blk.%d.ssm_in.weight", layer, n_embd, n_all, 0);
    chord_emit_matmul(b, layer, m->s.h, n_embd, 3,
                      (chord_matrix[]){ { in, CHORD_NONE, m->z, m->inner, 0 },
                                        { in, CHORD_NONE, m->wide, m->n_wide, m->inner },
                                        { in, CHORD_NONE, m->step, m->n_head, m->inner + m->n_wide } });
    chord_emit_conv(b, layer, "blk.%d.ssm_conv1d", m->wide, m->conv, m->n_wide, m->kernel);
    chord_emit_activate(b, layer, m->conv, m->n_wide, CHORD_ACTIVATION_SILU);
    chord_emit_scan(b, layer, m->conv, m->step, CHORD_NONE, m->y,
                    (chord_op_scan){ .n_head = m->n_head,
                                     .n_keys = m->n_group,
                                     .k_dim = m->state,
                                     .v_dim = m->inner / m->n_head,
                                     .q_at = m->inner + m->n_group * m->state,
                                     .k_at = m->inner,
                                     .q_scale = 1,
                                     .k_scale = 1 });
    chord_emit_glu_of(b, layer, m->z, m->y, m->y, m->inner, CHORD_ACTIVATION_SILU);
    if (m->kind != FALCON || chord_has(b, "blk.%d.ssm_norm.weight", layer)) {
        int32_t const group = m->inner / m->n_group,
                      norm = chord_bind(b, "blk.%d.ssm_norm.weight", layer, group, m->n_group, CHORD_WIDE);
        chord_op *op = chord_emit(b, CHORD_OP_HEAD_NORM, layer);
        op->weight[0] = norm;
        op->out[0] = m->y;
        op->head_norm = (chord_op_head_norm){
            .n_head = m->n_group, .head_dim = group, .eps = b->hparams->norm_eps, .is_each = m->n_group > 1
        };
    }
    chord_emit_linear(b, layer, "blk.%d.ssm_out", m->y, m->inner, is_added ? m->s.x : m->s.h, n_embd,
                      is_added ? CHORD_FLAG_ADD : 0);
}

/* h -> x, or h where `is_added` is 0. */
static void emit_attention(chord_builder *b, const mamba *m, int32_t layer, int32_t is_added)
{
    const chord_hparams *h = b->hparams;
    chord_attention const a = chord_attention_new(b, m->rope, 0, m->scale);
    chord_emit_qkv(b, layer, &m->s);
    chord_emit_attention(b, layer, &m->s, &a);
    if (m->kind == FALCON) chord_skip(b, "blk.%d.attn_output.bias", layer, "llama.cpp doesn't add it");
    int32_t const n = h->n_head * h->head_dim, out = is_added ? m->s.x : m->s.h;
    chord_matrix const w = { chord_bind(b, "blk.%d.attn_output.weight", layer, n, h->n_embd, 0),
                             m->kind == FALCON ? CHORD_NONE
                                               : chord_bind(b, "blk.%d.attn_output.bias", layer, h->n_embd, 0,
                                                            CHORD_OPTIONAL),
                             out, h->n_embd, 0 };
    chord_emit_matmul(b, layer, m->s.attn, n, 1, &w)->flags = is_added ? CHORD_FLAG_ADD : 0;
}

/* x += residual_scale * h */
static void emit_back(chord_builder *b, const mamba *m, int32_t layer)
{
    chord_emit_scale(b, layer, m->s.h, b->hparams->n_embd, m->residual_scale);
    chord_emit_add(b, layer, m->s.h, m->s.x);
}

static void emit_feed_forward(chord_builder *b, const mamba *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    int32_t const norm = m->kind == FALCON ? chord_bind(b, "blk.%d.ffn_norm", layer, h->n_embd, 0, 0)
                                           : chord_bind(b, "blk.%d.ffn_norm.weight", layer, h->n_embd, 0, 0);
    chord_op *op = chord_emit(b, CHORD_OP_NORM, layer);
    op->weight[0] = norm;
    op->in[0] = m->s.x;
    op->out[0] = m->s.h;
    op->norm = (chord_op_norm){ .width = h->n_embd, .eps = h->norm_eps };
    int32_t const is_added = m->residual_scale == 1;
    if (m->moe.n_expert) {
        chord_emit_router(b, layer, &m->moe, m->s.h);
        chord_emit_mixture(b, layer, &m->moe, m->s.h, is_added ? m->s.x : m->s.h,
                           is_added ? CHORD_FLAG_ADD : 0);
        if (!is_added) emit_back(b, m, layer);
        return;
    }
    chord_emit_glu(b, layer, &m->s, CHORD_ACTIVATION_SILU);
    chord_emit_linear(b, layer, "blk.%d.ffn_down", m->s.gate, h->n_ff, is_added ? m->s.x : m->s.h, h->n_embd,
                      is_added ? CHORD_FLAG_ADD : 0);
    if (!is_added) emit_back(b, m, layer);
}

static void emit_layer(chord_builder *b, const mamba *m, int32_t layer)
{
    int32_t const is_added = m->residual_scale == 1;
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    chord_emit_norm(b, layer, m->s.x, m->s.h, "blk.%d.attn_norm");
    if (m->kind == FALCON) emit_attention(b, m, layer, 1);
    if (m->kind == GRANITE && chord_read_layer_heads(b, layer)) emit_attention(b, m, layer, is_added);
    else emit_mamba(b, m, layer, is_added);
    if (!is_added) emit_back(b, m, layer);
    if (m->kind != MAMBA) emit_feed_forward(b, m, layer);
    chord_emit(b, CHORD_OP_RELEASE, layer);
}

/* ---- the models --------------------------------------------------------------------------------------- */

static void new_slots(chord_builder *b, mamba *m)
{
    chord_hparams *h = b->hparams;
    if (m->kind == MAMBA) h->n_head = h->n_kv = h->head_dim = h->n_ff = 0; /* slots of no width */
    m->s = chord_slots_new(b);
    m->z = chord_slot_new(b, m->inner, CHORD_ROWS_BATCH);
    m->wide = chord_slot_new(b, m->n_wide, CHORD_ROWS_BATCH);
    m->conv = chord_slot_new(b, m->n_wide, CHORD_ROWS_BATCH);
    m->y = chord_slot_new(b, m->inner, CHORD_ROWS_BATCH);
    m->step = chord_slot_new(b, m->n_head, CHORD_ROWS_BATCH);
}

static float read_scale(chord_builder *b, const mamba *m, const char *key, float fallback)
{
    float const scale = m->kind == GRANITE ? chord_read_float(b, key, 0, CHORD_FINITE) : 0;
    return scale != 0 ? scale : fallback;
}

static void build(chord_builder *b, mamba m)
{
    const chord_hparams *h = b->hparams;
    read(b, &m);
    if (m.kind != MAMBA) {
        chord_need_attention(b);
        if (b->status == CHORD_OK && !h->n_ff) fail(b, "no layer has a feed-forward:", "feed_forward_length");
    }
    if (b->status != CHORD_OK) return;
    m.residual_scale = read_scale(b, &m, "residual_scale", 1);
    m.scale = read_scale(b, &m, "attention.scale", h->head_dim ? 1 / __builtin_sqrtf((float)h->head_dim) : 1);
    new_slots(b, &m);
    if (m.kind == GRANITE && chord_read_int(b, "expert_count", 0, 0, CHORD_MAX_EXPERTS))
        m.moe = chord_mixture_read(b, CHORD_MIX_NORM | CHORD_MIX_OWN_FF, CHORD_ACTIVATION_SILU);
    m.rope = CHORD_NONE;
    if (m.kind == FALCON) m.rope = chord_rope_new(b, chord_rope_of(b, CHORD_ROPE_NEOX));
    if (m.kind == GRANITE && chord_read_int(b, "rope.scaling.finetuned", 1, 0, 1))
        m.rope = chord_rope_new(b, chord_rope_of(b, CHORD_ROPE_NORM));
    chord_emit_embed(b, m.s.x, read_scale(b, &m, "embedding_scale", 1));
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) emit_layer(b, &m, layer);
    if (m.kind == GRANITE) (void)chord_read_layer_heads(b, CHORD_NONE);
    chord_emit_end(b, &m.s, CHORD_NORM_RMS, "output_norm");
    chord_op *op = chord_emit_scale(b, CHORD_NONE, m.s.logits, h->n_vocab,
                                    chord_inverse_of(b, read_scale(b, &m, "logit_scale", 1), "logit_scale"));
    if (op) op->flags = CHORD_FLAG_OUTPUT;
}

void chord_build_mamba2(chord_builder *b) { build(b, (mamba){ .kind = MAMBA }); }
void chord_build_granitehybrid(chord_builder *b) { build(b, (mamba){ .kind = GRANITE }); }
void chord_build_falcon_h1(chord_builder *b) { build(b, (mamba){ .kind = FALCON }); }
