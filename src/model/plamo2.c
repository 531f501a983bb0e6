/* plamo2.c: PLaMo 2 (arXiv 2509.04897): layers of Mamba 2 and of attention in turn, with norms behind both
 * halves of a layer. B, C and dt are a product of what the convolution gave, and are normed:
 *   z, x = ssm_in h, head by head; x = silu(conv(x)); B, C, dt = norms of ssm_x x
 *   y = SCAN of x, B, C with the steps ssm_dt dt; out = ssm_out (silu(z) * y) */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/mem.h"

enum { MOST_KERNEL = 64, MOST_STATE = 1024 }; /* real files have 4 and 64 */

typedef struct plamo2 {
    chord_slots s;
    int32_t zx, z, x, conv, b, c, bc, xbc, dt, step; /* slots of a mamba layer */
    int32_t rope;
    int32_t kernel, inner, state, n_head, n_dt;
} plamo2;

static void fail(chord_builder *b, chord_status status, const char *what, const char *key)
{
    chord_build_fail(b, status, what, key, chord_strlen(key));
}

static void read(chord_builder *b, plamo2 *m)
{
    const chord_hparams *h = b->hparams;
    chord_read_hybrid(b, "attention.layer_norm_rms_epsilon");
    chord_need_attention(b);
    m->kernel = chord_read_int(b, "ssm.conv_kernel", CHORD_REQUIRED, 2, MOST_KERNEL);
    m->inner = chord_read_int(b, "ssm.inner_size", CHORD_REQUIRED, 1, 1 << 20);
    m->state = chord_read_int(b, "ssm.state_size", CHORD_REQUIRED, 1, MOST_STATE);
    m->n_head = chord_read_int(b, "ssm.time_step_rank", CHORD_REQUIRED, 1, CHORD_MAX_HEADS);
    (void)chord_read_int(b, "ssm.group_count", CHORD_REQUIRED, 0, 0); /* all heads have the same B and C */
    m->n_dt = h->n_embd / 16 > 64 ? h->n_embd / 16 : 64;
    if (b->status != CHORD_OK) return;
    int32_t const head = m->inner / m->n_head;
    if (!h->n_ff) fail(b, CHORD_INVALID_GGUF, "no layer has a feed-forward:", "feed_forward_length");
    else if (m->inner % m->n_head)
        fail(b, CHORD_INVALID_GGUF, "not a multiple of ssm.time_step_rank:", "ssm.inner_size");
    else if (head > MOST_STATE) fail(b, CHORD_INVALID_GGUF, "too large for the heads:", "ssm.inner_size");
    else if (head % 4 || m->state % 4)
        fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
             "heads and states that aren't multiples of 4 aren't supported:",
             head % 4 ? "ssm.inner_size" : "ssm.state_size");
}

static void new_slots(chord_builder *b, plamo2 *m)
{
    m->s = chord_slots_new(b);
    m->zx = chord_slot_new(b, 2 * m->inner, CHORD_ROWS_BATCH);
    m->z = chord_slot_new(b, m->inner, CHORD_ROWS_BATCH);
    m->x = chord_slot_new(b, m->inner, CHORD_ROWS_BATCH);
    m->conv = chord_slot_new(b, m->inner, CHORD_ROWS_BATCH);
    m->b = chord_slot_new(b, m->state, CHORD_ROWS_BATCH);
    m->c = chord_slot_new(b, m->state, CHORD_ROWS_BATCH);
    m->bc = chord_slot_new(b, 2 * m->state, CHORD_ROWS_BATCH);
    m->xbc = chord_slot_new(b, m->inner + 2 * m->state, CHORD_ROWS_BATCH);
    m->dt = chord_slot_new(b, m->n_dt, CHORD_ROWS_BATCH);
    m->step = chord_slot_new(b, m->n_head, CHORD_ROWS_BATCH);
}

/* ---- layers ------------------------------------------------------------------------------------------- */

/* RMS norm in place; its tensor has no ".weight" behind its name. */
static void emit_norm(chord_builder *b, int32_t layer, const char *tensor, int32_t slot, int32_t width)
{
    int32_t const weight = chord_bind(b, tensor, layer, width, 0, 0);
    chord_op *op = chord_emit(b, CHORD_OP_NORM, layer);
    op->weight[0] = weight;
    op->in[0] = op->out[0] = slot;
    op->norm = (chord_op_norm){ .width = width, .eps = b->hparams->norm_eps };
}

/* conv -> xbc, step */
static void emit_scan_inputs(chord_builder *b, const plamo2 *m, int32_t layer)
{
    int32_t const n = m->state, w = chord_bind(b, "blk.%d.ssm_x.weight", layer, m->inner, m->n_dt + 2 * n, 0);
    chord_emit_matmul(b, layer, m->conv, m->inner, 3,
                      (chord_matrix[]){ { w, CHORD_NONE, m->b, n, 0 },
                                        { w, CHORD_NONE, m->c, n, n },
                                        { w, CHORD_NONE, m->dt, m->n_dt, 2 * n } });
    emit_norm(b, layer, "blk.%d.ssm_b_norm", m->b, n);
    emit_norm(b, layer, "blk.%d.ssm_c_norm", m->c, n);
    emit_norm(b, layer, "blk.%d.ssm_dt_norm", m->dt, m->n_dt);
    chord_emit_join(b, layer, m->bc, m->b, n, m->c, n);
    chord_emit_join(b, layer, m->xbc, m->conv, m->inner, m->bc, 2 * n);
    chord_matrix const dt = { chord_bind(b, "blk.%d.ssm_dt.weight", layer, m->n_dt, m->n_head, 0), CHORD_NONE,
                              m->step, m->n_head, 0 };
    chord_emit_matmul(b, layer, m->dt, m->n_dt, 1, &dt);
}

/* h -> h */
static void emit_mamba(chord_builder *b, const plamo2 *m, int32_t layer)
{
    int32_t const head = m->inner / m->n_head;
    chord_emit_linear(b, layer, "blk.%d.ssm_in", m->s.h, b->hparams->n_embd, m->zx, 2 * m->inner, 0);
    chord_op *op = chord_emit(b, CHORD_OP_SPLIT, layer);
    op->in[0] = m->zx;
    op->out[0] = m->z;
    op->out[1] = m->x;
    op->split = (chord_op_split){ .n_head = m->n_head, .head_dim = head };
    chord_emit_conv(b, layer, "blk.%d.ssm_conv1d", m->x, m->conv, m->inner, m->kernel);
    chord_emit_activate(b, layer, m->conv, m->inner, CHORD_ACTIVATION_SILU);
    emit_scan_inputs(b, m, layer);
    chord_emit_scan(b, layer, m->xbc, m->step, CHORD_NONE, m->x,
                    (chord_op_scan){ .n_head = m->n_head,
                                     .n_keys = 1,
                                     .k_dim = m->state,
                                     .v_dim = head,
                                     .q_at = m->inner + m->state,
                                     .k_at = m->inner,
                                     .q_scale = 1,
                                     .k_scale = 1 });
    chord_emit_glu_of(b, layer, m->z, m->x, m->x, m->inner, CHORD_ACTIVATION_SILU);
    chord_emit_linear(b, layer, "blk.%d.ssm_out", m->x, m->inner, m->s.h, b->hparams->n_embd, 0);
}

/* A norm with weights of each head's own. */
static void emit_head_norms(chord_builder *b, int32_t layer, const char *tensor, int32_t slot, int32_t n_head)
{
    int32_t const dim = b->hparams->head_dim, weight = chord_bind(b, tensor, layer, dim, n_head, CHORD_WIDE);
    chord_op *op = chord_emit(b, CHORD_OP_HEAD_NORM, layer);
    op->weight[0] = weight;
    op->out[0] = slot;
    op->head_norm =
        (chord_op_head_norm){ .n_head = n_head, .head_dim = dim, .eps = b->hparams->norm_eps, .is_each = 1 };
}

/* h -> h */
static void emit_attention(chord_builder *b, const plamo2 *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    chord_attention const a = chord_attention_new(b, m->rope, 0, 1 / __builtin_sqrtf((float)h->head_dim));
    chord_emit_qkv(b, layer, &m->s);
    emit_head_norms(b, layer, "blk.%d.attn_q_norm.weight", m->s.q, h->n_head);
    emit_head_norms(b, layer, "blk.%d.attn_k_norm.weight", m->s.k, h->n_kv);
    chord_emit_attention(b, layer, &m->s, &a);
    chord_emit_linear(b, layer, "blk.%d.attn_output", m->s.attn, h->n_head * h->head_dim, m->s.h, h->n_embd,
                      0);
}

static void emit_layer(chord_builder *b, const plamo2 *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    chord_emit_norm(b, layer, m->s.x, m->s.h, "blk.%d.attn_norm");
    if (chord_read_layer_heads(b, layer)) emit_attention(b, m, layer);
    else emit_mamba(b, m, layer);
    emit_norm(b, layer, "blk.%d.post_attention_norm", m->s.h, h->n_embd);
    chord_emit_add(b, layer, m->s.h, m->s.x);
    chord_emit_norm(b, layer, m->s.x, m->s.h, "blk.%d.ffn_norm");
    chord_emit_fused_glu(b, layer, &m->s, CHORD_ACTIVATION_SILU);
    chord_emit_linear(b, layer, "blk.%d.ffn_down", m->s.gate, h->n_ff, m->s.h, h->n_embd, 0);
    emit_norm(b, layer, "blk.%d.post_ffw_norm", m->s.h, h->n_embd);
    chord_emit_add(b, layer, m->s.h, m->s.x);
    chord_emit(b, CHORD_OP_RELEASE, layer);
}

void chord_build_plamo2(chord_builder *b)
{
    const chord_hparams *h = b->hparams;
    plamo2 m = { .rope = CHORD_NONE };
    read(b, &m);
    if (b->status != CHORD_OK) return;
    new_slots(b, &m);
    m.rope = chord_rope_new(b, chord_rope_of(b, CHORD_ROPE_NEOX));
    chord_emit_embed(b, m.s.x, 1);
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) emit_layer(b, &m, layer);
    (void)chord_read_layer_heads(b, CHORD_NONE);
    chord_emit_end(b, &m.s, CHORD_NORM_RMS, "output_norm");
}
