/* gemma3n.c: Gemma 3n (model card google/gemma-3n-E2B-it). As in llama.cpp, which has the numbers below as
 * constants too and doesn't read the keys shared_kv_layers, activation_sparsity_scale and
 * final_logit_softcapping:
 * - The residual has four streams (AltUp, arXiv 2301.13310). A layer predicts all of them by a small matrix
 *   that depends on the first one; computes the first one; corrects all by what it differs from the
 *   prediction; and adds the layer's embedding of the token (gemma.h) to the other three.
 * - Beside attention there is a product of low rank (`laurel`, arXiv 2411.07501).
 * - In the first ten layers a gate's numbers below the 95th percentile of a normal distribution are zero.
 * - From layer 20 on, layers read the keys and values of layers 18 and 19. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "gemma.h"

enum { STREAMS = 4, LAUREL_RANK = 64, SPARSE_LAYERS = 10, OWN_LAYERS = 20 };
#define SPARSE_FACTOR 1.6448533535003662f
#define LOGITS_CAP 30

typedef struct gemma3n {
    chord_gemma g; /* slot x: the layer's own residual */
    int32_t streams; /* slots: [STREAMS][n_embd] */
    int32_t others[2]; /* [STREAMS - 1][n_embd] */
    int32_t router, coefficients, low;
} gemma3n;

/* ---- streams ------------------------------------------------------------------------------------------ */

/* out[first + i] += the sum over j of (coefficients[i * n_in + j] / n_embd + bias) * in[j] */
static void emit_blend(chord_builder *b, int32_t layer, int32_t in, int32_t n_in, int32_t coefficients,
                       float bias, int32_t out, int32_t first, int32_t n_out)
{
    int32_t const n_embd = b->hparams->n_embd;
    chord_op *op = chord_emit(b, CHORD_OP_BLEND, layer);
    op->in[0] = in;
    op->in[1] = coefficients;
    op->out[0] = out;
    op->blend = (chord_op_blend){ .width = n_embd,
                                  .n_in = n_in,
                                  .n_out = n_out,
                                  .first = first,
                                  .factor = 1 / (float)n_embd,
                                  .bias = bias };
}

/* coefficients = <stem> tanh(altup_router norm(in) / n_embd) * n_embd */
static void emit_coefficients(chord_builder *b, const gemma3n *g, int32_t layer, int32_t in, const char *stem,
                              int32_t n)
{
    int32_t const n_embd = b->hparams->n_embd;
    chord_emit_norm(b, layer, in, g->g.s.h, "blk.%d.altup_router_norm");
    chord_emit_linear(b, layer, "blk.%d.altup_router", g->g.s.h, n_embd, g->router, STREAMS, 0);
    chord_op *op = chord_emit(b, CHORD_OP_SOFTCAP, layer);
    op->out[0] = g->router;
    op->softcap = (chord_op_softcap){ .width = STREAMS, .cap = (float)n_embd };
    chord_emit_linear(b, layer, stem, g->router, STREAMS, g->coefficients, n, 0);
}

/* others = matrices * in, in the length of `like`. is_each: the inputs are streams. */
static void emit_others(chord_builder *b, const char *stem, int32_t in, int32_t is_each, int32_t out,
                        int32_t like)
{
    int32_t const n_embd = b->hparams->n_embd, n = STREAMS - 1,
                  stack = chord_bind_stack(b, 0, stem, n, n_embd, n_embd);
    chord_op *op = chord_emit(b, CHORD_OP_EXPERTS, CHORD_NONE);
    op->in[0] = in;
    op->weight[0] = stack;
    op->out[0] = out;
    op->experts = (chord_op_experts){
        .n_in = n_embd, .n_weights = 1, .n_out = { n_embd }, .n_expert = n, .n_used = n, .is_each = is_each
    };
    op = chord_emit(b, CHORD_OP_RESCALE, CHORD_NONE);
    op->in[0] = like;
    op->out[0] = out;
    op->rescale = (chord_op_rescale){ .width = n_embd, .n_out = n };
}

/* out = a, then c */
static void emit_join(chord_builder *b, int32_t layer, int32_t a, int32_t first, int32_t width, int32_t c,
                      int32_t width_c, int32_t out)
{
    chord_op *op = chord_emit(b, CHORD_OP_JOIN, layer);
    op->in[0] = a;
    op->in[1] = c;
    op->out[0] = out;
    op->join = (chord_op_join){ .n_head = 1, .width = { width, width_c }, .first = { first, 0 } };
}

/* ---- the layer ---------------------------------------------------------------------------------------- */

/* h, the normed first stream -> x = norm(laurel_r laurel_l h) + h */
static void emit_laurel(chord_builder *b, const gemma3n *g, int32_t layer)
{
    const chord_slots *s = &g->g.s;
    int32_t const n_embd = b->hparams->n_embd;
    chord_emit_linear(b, layer, "blk.%d.laurel_l", s->h, n_embd, g->low, LAUREL_RANK, 0);
    chord_emit_linear(b, layer, "blk.%d.laurel_r", g->low, LAUREL_RANK, s->x, n_embd, 0);
    chord_emit_norm(b, layer, s->x, s->x, "blk.%d.laurel_post_norm");
    chord_emit_add(b, layer, s->h, s->x);
}

/* h -> h */
static void emit_feed_forward(chord_builder *b, const gemma3n *g, int32_t layer)
{
    const chord_slots *s = &g->g.s;
    const chord_hparams *h = b->hparams;
    chord_emit_gate_up(b, layer, s);
    if (layer < SPARSE_LAYERS) {
        chord_op *op = chord_emit(b, CHORD_OP_SPARSIFY, layer);
        op->out[0] = s->gate;
        op->sparsify = (chord_op_sparsify){ .width = h->n_ff, .factor = SPARSE_FACTOR };
    }
    chord_emit_act(b, layer, s, CHORD_ACTIVATION_GELU);
    chord_emit_linear(b, layer, "blk.%d.ffn_down", s->gate, h->n_ff, s->h, h->n_embd, 0);
}

/* The streams, which are the layer's prediction, += (1 + coefficients) * (x - the first one). Then the
 * others += the layer's embedding, gated by the first one. */
static void emit_correction(chord_builder *b, const gemma3n *g, int32_t layer)
{
    const chord_slots *s = &g->g.s;
    int32_t const n_embd = b->hparams->n_embd;
    emit_coefficients(b, g, layer, s->x, "blk.%d.altup_correct_coef", STREAMS);
    emit_blend(b, layer, g->streams, 1, CHORD_NONE, -1, s->x, 0, 1);
    emit_blend(b, layer, s->x, 1, g->coefficients, 1, g->streams, 0, STREAMS);

    emit_join(b, layer, g->streams, 0, n_embd, CHORD_NONE, 0, s->h);
    int32_t const scale = chord_bind(b, "blk.%d.altup_correct_scale.weight", layer, n_embd, 0, 0);
    chord_op *op = chord_emit(b, CHORD_OP_SCALE, layer);
    op->weight[0] = scale;
    op->out[0] = s->h;
    op->scale = (chord_op_scale){ .width = n_embd, .factor = 1, .is_each = 1 };
    chord_gemma_emit_ple_gate(b, &g->g, layer, s->h);
    emit_blend(b, layer, s->h, 1, CHORD_NONE, 1, g->streams, 1, STREAMS - 1);
}

static void emit_layer(chord_builder *b, const gemma3n *g, int32_t layer)
{
    chord_hparams *h = b->hparams;
    const chord_slots *s = &g->g.s;
    chord_read_layer(b, layer);
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    emit_coefficients(b, g, layer, g->streams, "blk.%d.altup_predict_coef", STREAMS * STREAMS);
    emit_blend(b, layer, g->streams, STREAMS, g->coefficients, 0, g->streams, 0, STREAMS);

    chord_emit_norm(b, layer, g->streams, s->h, "blk.%d.attn_norm");
    emit_laurel(b, g, layer);
    chord_gemma_emit_attention(b, &g->g, layer);
    chord_emit_linear(b, layer, "blk.%d.attn_output", s->attn, h->n_head * h->head_dim, s->h, h->n_embd, 0);
    chord_emit_norm(b, layer, s->h, s->h, "blk.%d.post_attention_norm");
    chord_emit_add(b, layer, s->h, s->x);
    chord_emit_add(b, layer, g->streams, s->x);
    chord_emit_scale(b, layer, s->x, h->n_embd, __builtin_sqrtf(0.5f));

    chord_emit_norm(b, layer, s->x, s->h, "blk.%d.ffn_norm");
    emit_feed_forward(b, g, layer);
    chord_emit_norm(b, layer, s->h, s->h, "blk.%d.post_ffw_norm");
    chord_emit_add(b, layer, s->h, s->x);
    emit_correction(b, g, layer);
    chord_emit(b, CHORD_OP_RELEASE, layer);
}

/* ---- the program -------------------------------------------------------------------------------------- */

static void read_keys(chord_builder *b, gemma3n *g)
{
    const char *const pattern = "attention.sliding_window_pattern";
    chord_hparams *h = b->hparams;
    b->is_by_layer = 1;
    chord_read_hparams(b);
    h->norm_eps = chord_read_float(b, "attention.layer_norm_rms_epsilon", __builtin_nanf(""), CHORD_EPSILON);
    (void)chord_read_int(b, "altup.num_inputs", STREAMS, STREAMS, STREAMS);
    (void)chord_read_int(b, "altup.active_idx", 0, 0, 0);
    g->g.window = chord_read_int(b, "attention.sliding_window", CHORD_REQUIRED, 1, INT32_MAX);
    if (chord_read_is_array(b, pattern)) (void)chord_read_most(b, pattern, CHORD_REQUIRED, 0, 1);
    else g->g.period = chord_read_int(b, pattern, 5, 1, CHORD_MAX_LAYERS);
    g->g.n_own = h->n_layer < OWN_LAYERS ? h->n_layer : OWN_LAYERS;
    g->g.has_v = 1;
    chord_gemma_check_shared(b, &g->g, pattern);
}

void chord_build_gemma3n(chord_builder *b)
{
    const chord_hparams *h = b->hparams;
    gemma3n g = { 0 };
    read_keys(b, &g);
    if (b->status != CHORD_OK) return;
    int32_t const n_embd = h->n_embd;
    g.g.s = chord_slots_new(b);
    chord_gemma_read_ple(b, &g.g, 256, 4);
    g.streams = chord_slot_new(b, STREAMS * n_embd, CHORD_ROWS_BATCH);
    for (int32_t i = 0; i < 2; i++) g.others[i] = chord_slot_new(b, (STREAMS - 1) * n_embd, CHORD_ROWS_BATCH);
    g.router = chord_slot_new(b, STREAMS, CHORD_ROWS_BATCH);
    g.coefficients = chord_slot_new(b, STREAMS * STREAMS, CHORD_ROWS_BATCH);
    g.low = chord_slot_new(b, LAUREL_RANK, CHORD_ROWS_BATCH);
    chord_rope const rope = chord_rope_of(b, CHORD_ROPE_NEOX);
    chord_gemma_ropes(b, &g.g, rope, rope.n_rot);

    chord_emit_embed(b, g.g.s.h, __builtin_sqrtf((float)n_embd));
    chord_gemma_emit_ple(b, &g.g, g.g.s.h);
    emit_others(b, "altup_proj", g.g.s.h, 0, g.others[0], g.g.s.h);
    emit_join(b, CHORD_NONE, g.g.s.h, 0, n_embd, g.others[0], (STREAMS - 1) * n_embd, g.streams);
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) emit_layer(b, &g, layer);

    emit_join(b, CHORD_NONE, g.streams, n_embd, (STREAMS - 1) * n_embd, CHORD_NONE, 0, g.others[0]);
    emit_others(b, "altup_unembd_proj", g.others[0], 1, g.others[1], g.streams);
    emit_blend(b, CHORD_NONE, g.others[1], STREAMS - 1, CHORD_NONE, 1, g.streams, 0, 1);
    /* The norm of the mean: the sum's, with a larger epsilon. */
    chord_op *op = chord_emit_norm_of(b, CHORD_NONE, CHORD_NORM_RMS, n_embd, g.streams, g.g.s.last,
                                      "output_norm");
    op->flags = CHORD_FLAG_GATHER | CHORD_FLAG_OUTPUT;
    op->norm.eps *= STREAMS * STREAMS;
    chord_emit_logits(b, &g.g.s);
    op = chord_emit(b, CHORD_OP_SOFTCAP, CHORD_NONE);
    op->flags = CHORD_FLAG_OUTPUT;
    op->out[0] = g.g.s.logits;
    op->softcap = (chord_op_softcap){ .width = h->n_vocab, .cap = LOGITS_CAP };
}
