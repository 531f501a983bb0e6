/* rwkv7.c: RWKV 7 (arXiv 2503.14456), and ARWKV 7 (arXiv 2501.15570), which has Qwen's norms and
 * feed-forward beside it. Each input of a product is the token's and the token's before, mixed:
 *   r, k, v = W h;  w, a = small products of h;  v += (v of layer 0 - v) * sigmoid(a small product of h)
 *   out = W (WKV of r, w, k, v, a * a small product of h) */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/mem.h"

enum { MOST_HEAD = 128 }; /* real files have 64 */
enum { R, W, K, V, A, G, N_LERPS }; /* rows of time_mix_lerp_fused, in the file's order */

typedef struct rwkv7 {
    /* k: r, then k, then a; q: w, then v, then g; v: how much of layer 0's v; attn: the mixed input, WKV's
     * result; up: inside a small product */
    chord_slots s;
    int32_t rw, kv, first; /* slots: r and w; k and v; layer 0's v */
    int32_t is_arwkv, norm;
    int32_t ranks[N_LERPS]; /* of small products; 0: R and K have none */
    int32_t shift, lerp; /* the layer's state of the token before, and its rows of mixes */
} rwkv7;

/* The products' slot is one of the feed-forward's. */
static int32_t read_rank(chord_builder *b, const char *key, int32_t fallback)
{
    return chord_read_int(b, key, fallback, 1, b->hparams->n_ff);
}

static void read(chord_builder *b, rwkv7 *m)
{
    chord_hparams *h = b->hparams;
    chord_read_hybrid(b, m->is_arwkv ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon");
    int32_t const head = chord_read_int(b, "wkv.head_size", CHORD_REQUIRED, 1, 1 << 20),
                  n_shifts = m->is_arwkv ? 1 : 2;
    (void)chord_read_int(b, "token_shift_count", 2, n_shifts, n_shifts);
    if (!h->n_ff)
        chord_build_fail(b, CHORD_INVALID_GGUF, "no layer has a feed-forward:", "feed_forward_length", 19);
    m->ranks[W] = read_rank(b, "attention.decay_lora_rank", CHORD_REQUIRED);
    m->ranks[V] = read_rank(b, "attention.value_residual_mix_lora_rank", CHORD_REQUIRED);
    m->ranks[A] = read_rank(b, "attention.iclr_lora_rank", CHORD_REQUIRED);
    m->ranks[G] = read_rank(b, "attention.gate_lora_rank", m->is_arwkv ? 1 : CHORD_REQUIRED);
    if (h->n_embd % head)
        chord_build_fail(b, CHORD_INVALID_GGUF, "no divisor of embedding_length:", "wkv.head_size", 13);
    if (head % 16 || head > MOST_HEAD)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "heads that aren't multiples of 16 up to 128 aren't supported:", "wkv.head_size",
                         13);
    h->n_head = h->n_kv = h->n_embd / head;
    h->head_dim = head; /* n_embd is the width of the slots q, k, v and attn */
}

/* attn = h and what it was one token before, mixed by row `row` of the table */
static void emit_shift(chord_builder *b, const rwkv7 *m, int32_t layer, int32_t row)
{
    chord_op *op = chord_emit(b, CHORD_OP_SHORT_CONV, layer);
    op->cache = m->shift;
    op->in[0] = m->s.h;
    op->out[0] = m->s.attn;
    op->weight[0] = m->lerp;
    op->short_conv =
        (chord_op_short_conv){ .width = b->hparams->n_embd, .kernel = 2, .is_lerp = 1, .row = row };
}

/* A small product: out = <name>2 f(<name>1 attn) + <name>0. W has f = tanh, G a sigmoid and no bias. */
static void emit_small(chord_builder *b, const rwkv7 *m, int32_t layer, int32_t row, int32_t out)
{
    char name[] = "blk.%d.time_mix_?1";
    int32_t const n = b->hparams->n_embd, end = sizeof name - 2, rank = m->ranks[row];
    name[end - 1] = "rwkvag"[row];
    chord_emit_linear(b, layer, name, m->s.attn, n, m->s.up, rank, 0);
    if (row == W) chord_emit_softcap(b, layer, m->s.up, rank, 1);
    if (row == G) chord_emit_activate(b, layer, m->s.up, rank, CHORD_ACTIVATION_SIGMOID);
    name[end] = '2';
    chord_matrix w = { chord_bind_part(b, layer, name, ".weight", rank, n, 0), CHORD_NONE, out, n, 0 };
    name[end] = '0';
    if (row != G) w.bias = chord_bind_part(b, layer, name, ".weight", n, 0, 0);
    chord_emit_matmul(b, layer, m->s.up, rank, 1, &w);
}

static void emit_wkv(chord_builder *b, const rwkv7 *m, int32_t layer)
{
    static const char names[][28] = { "blk.%d.time_mix_k_k.weight", "blk.%d.time_mix_k_a.weight",
                                      "blk.%d.time_mix_r_k.weight", "blk.%d.time_mix_ln.weight",
                                      "blk.%d.time_mix_ln.bias" };
    int32_t const n = b->hparams->n_embd, cache = chord_state_new(b, n * b->hparams->head_dim);
    int32_t weight[5];
    for (int32_t i = 0; i < 5; i++)
        weight[i] = chord_bind(b, names[i], layer, n, 0, i > 2 && m->is_arwkv ? CHORD_OPTIONAL : 0);
    chord_op *op = chord_emit(b, CHORD_OP_WKV, layer);
    op->cache = cache;
    op->in[0] = m->rw;
    op->in[1] = m->kv;
    op->in[2] = m->s.k;
    op->out[0] = m->s.attn;
    for (int32_t i = 0; i < 5; i++) op->weight[i] = weight[i];
    if (weight[4] == CHORD_NONE) op->weight[3] = CHORD_NONE; /* as in llama.cpp: both, or no norm */
    op->wkv = (chord_op_wkv){ .n_head = b->hparams->n_head, .head_dim = b->hparams->head_dim, .eps = 64e-5f };
}

/* h -> x */
static void emit_time_mix(chord_builder *b, rwkv7 *m, int32_t layer)
{
    static const char *const names[] = { "blk.%d.time_mix_receptance", NULL, "blk.%d.time_mix_key",
                                         "blk.%d.time_mix_value" };
    static const char lerp[] = "blk.%d.time_mix_lerp_fused.weight";
    const chord_slots *s = &m->s;
    int32_t const n = b->hparams->n_embd, values = layer ? s->q : m->first;
    int32_t const n_rows = m->is_arwkv && !chord_has(b, "blk.%d.time_mix_g1.weight", layer) ? G : N_LERPS;
    m->lerp = chord_bind(b, lerp, layer, n, chord_rows_of(b, lerp, layer) == G ? n_rows : N_LERPS,
                         CHORD_WIDE);
    m->shift = chord_state_new(b, n);
    for (int32_t row = 0; row < n_rows; row++) {
        emit_shift(b, m, layer, row);
        if (row == R || row == K || row == V)
            chord_emit_linear(b, layer, names[row], s->attn, n, row == V ? values : s->k, n, 0);
        if (row == W || row == A || row == G || (row == V && layer))
            emit_small(b, m, layer, row, row == V ? s->v : row == A ? s->k : s->q);
        if (row == V && layer) { /* q = sigmoid(v) first + sigmoid(-v) q */
            chord_emit_glu_of(b, layer, s->v, m->first, s->attn, n, CHORD_ACTIVATION_SIGMOID);
            chord_emit_scale(b, layer, s->v, n, -1);
            chord_emit_glu_of(b, layer, s->v, s->q, s->q, n, CHORD_ACTIVATION_SIGMOID);
            chord_emit_add(b, layer, s->attn, s->q);
        }
        if (row == W) chord_emit_join(b, layer, m->rw, s->k, n, s->q, n);
        if (row == V) chord_emit_join(b, layer, m->kv, s->k, n, values, n);
    }
    if (!layer)
        for (int32_t i = 0; i < 3; i++)
            chord_skip(b, "blk.0.time_mix_v%d.weight", i, "layer 0 has no values to mix its own with");
    emit_wkv(b, m, layer);
    if (n_rows > G) chord_emit_glu_of(b, layer, s->q, s->attn, s->attn, n, CHORD_ACTIVATION_NONE);
    chord_emit_linear(b, layer, "blk.%d.time_mix_output", s->attn, n, s->x, n, CHORD_FLAG_ADD);
}

static void emit_layer(chord_builder *b, rwkv7 *m, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    const chord_slots *s = &m->s;
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    chord_emit_norm_of(b, layer, m->norm, h->n_embd, s->x, s->h, "blk.%d.attn_norm");
    emit_time_mix(b, m, layer);
    chord_emit_norm_of(b, layer, m->norm, h->n_embd, s->x, s->h,
                       m->is_arwkv ? "blk.%d.ffn_norm" : "blk.%d.attn_norm_2");
    if (m->is_arwkv) {
        chord_emit_glu(b, layer, s, CHORD_ACTIVATION_SILU);
    } else {
        m->lerp = chord_bind(b, "blk.%d.channel_mix_lerp_k.weight", layer, h->n_embd, 1, CHORD_WIDE);
        m->shift = chord_state_new(b, h->n_embd);
        emit_shift(b, m, layer, 0);
        chord_emit_linear(b, layer, "blk.%d.channel_mix_key", s->attn, h->n_embd, s->gate, h->n_ff, 0);
        chord_emit_activate(b, layer, s->gate, h->n_ff, CHORD_ACTIVATION_RELU_SQUARED);
    }
    chord_emit_linear(b, layer, m->is_arwkv ? "blk.%d.ffn_down" : "blk.%d.channel_mix_value", s->gate,
                      h->n_ff, s->x, h->n_embd, CHORD_FLAG_ADD);
    chord_emit(b, CHORD_OP_RELEASE, layer);
}

static void build(chord_builder *b, int32_t is_arwkv)
{
    const chord_hparams *h = b->hparams;
    rwkv7 m = { .is_arwkv = is_arwkv, .norm = is_arwkv ? CHORD_NORM_RMS : CHORD_NORM_LAYER };
    read(b, &m);
    if (b->status != CHORD_OK) return;
    m.s = chord_slots_new(b);
    m.rw = chord_slot_new(b, 2 * h->n_embd, CHORD_ROWS_BATCH);
    m.kv = chord_slot_new(b, 2 * h->n_embd, CHORD_ROWS_BATCH);
    m.first = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH);
    chord_emit_embed(b, m.s.x, 1);
    if (!is_arwkv) chord_emit_norm_of(b, CHORD_NONE, m.norm, h->n_embd, m.s.x, m.s.x, "token_embd_norm");
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) emit_layer(b, &m, layer);
    chord_emit_end(b, &m.s, m.norm, "output_norm");
}

void chord_build_rwkv7(chord_builder *b) { build(b, 0); }
void chord_build_arwkv7(chord_builder *b) { build(b, 1); }
