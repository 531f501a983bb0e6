/* dense.c: the layer that most transformers share, with the differences that a row of families.def names. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/host.h"
#include "../base/mem.h"

typedef struct dense {
    const chord_family *f;
    uint64_t flags;               /* the family's, or with what the file decides */
    int32_t norm;                 /* CHORD_NORM_* */
    int32_t activation;           /* of the feed-forward */
    chord_slots s;
    int32_t rope, rope_local;     /* indices; rope_local is for layers with a window */
    int32_t window, period;       /* window 0: none */
    float scale, softcap, residual_scale;
    float clamp;                  /* of queries, keys and values; 0: none */
    float temperature;            /* LONG_QUERIES; 0: none */
    chord_mixture mix;
    chord_latent latent;
} dense;

static int is_local(chord_builder *b, const dense *d, int32_t layer)
{
    if (!d->window) return 0;
    if (chord_read_is_array(b, "attention.sliding_window_pattern"))
        return chord_read_int_at(b, "attention.sliding_window_pattern", layer, 0, 0, 1);
    if (!d->period) return 1;
    return d->flags & CHORD_GLOBAL_FIRST ? layer % d->period > 0 : layer % d->period < d->period - 1;
}

/* ---- what the metadata says --------------------------------------------------------------------------- */

static void read_windows(chord_builder *b, dense *d)
{
    d->period = 1;
    if (d->f->window == CHORD_NONE || (d->flags & CHORD_WINDOW_64 && b->hparams->n_layer != 64)) return;
    d->window = chord_read_int(b, "attention.sliding_window", d->f->window, 0, INT32_MAX);
    if (!chord_read_is_array(b, "attention.sliding_window_pattern"))
        d->period = chord_read_int(b, "attention.sliding_window_pattern", d->f->period, 0, CHORD_MAX_LAYERS);
    else if (d->window) (void)chord_read_most(b, "attention.sliding_window_pattern", 0, 0, 1);
    if (d->flags & CHORD_WINDOW_4096 && d->window) d->window = 4096;
}

/* Pair i belongs to axis i % 3, up to so many pairs of an axis. */
static void read_sections(chord_builder *b, chord_rope *rope)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < 3; i++) {
        rope->sections[i] = chord_read_int_at(b, "rope.dimension_sections", i, CHORD_REQUIRED, 0, 1024);
        sum += rope->sections[i];
    }
    rope->is_interleaved = 1;
    if (b->status == CHORD_OK && (!sum || sum > rope->n_rot / 2))
        b->status =
            chord_fail(b->error, CHORD_INVALID_GGUF,
                       "the sections of the key 'rope.dimension_sections' are %d pairs; RoPE turns %d", sum,
                       rope->n_rot / 2);
}

/* The keys of RoPE that one family has. */
static void read_rope_keys(chord_builder *b, dense *d, chord_rope *rope)
{
    double const head_dim = b->hparams->head_dim;
    if (d->flags & CHORD_ROPE_ALPHA) { /* NTK-aware: the base grows, so that short waves keep their angles */
        float const alpha = chord_read_float(b, "rope.scaling.alpha", 0, CHORD_FINITE);
        double const grows = alpha > 0 && head_dim > 2
                                 ? chord_host_pow((double)alpha, head_dim / (head_dim - 2))
                                 : 1;
        if (grows < 1e30) rope->base *= (float)grows;
        if (rope->base < 1)
            chord_build_fail(b, CHORD_INVALID_GGUF, "RoPE's base is below 1 by the key", "rope.scaling.alpha",
                             18);
    }
    if (d->flags & CHORD_ROPE_IMROPE) read_sections(b, rope);
    if (d->flags & CHORD_LATENT_YARN) d->scale = chord_latent_scale(b, &d->latent, rope);
    if (!(d->flags & CHORD_LONG_QUERIES)) return;
    d->temperature = chord_read_float(b, "attention.temperature_scale", 0, CHORD_FINITE);
    if (!rope->is_yarn) return;
    chord_range const turns = { 0x1p-20, 1e6, "a number from 1e-6 to 1e6" };
    rope->beta_fast = chord_read_float(b, "rope.scaling.yarn_beta_fast", 32, turns);
    rope->beta_slow = chord_read_float(b, "rope.scaling.yarn_beta_slow", 1, turns);
    float const multiplier = chord_read_float(b, "rope.scaling.yarn_log_multiplier", 0, CHORD_FINITE);
    float const factor = 1 / rope->factor;
    rope->magnitude *= chord_yarn_magnitude(factor, multiplier) / chord_yarn_magnitude(factor, 0);
}

/* The layers with a window may rotate with another base, or without the scaling. */
static void read_ropes(chord_builder *b, dense *d)
{
    d->rope = d->rope_local = CHORD_NONE;
    if (d->flags & CHORD_POSITIONS) return;
    chord_rope rope = chord_rope_of(b, d->flags & CHORD_NEOX ? CHORD_ROPE_NEOX : CHORD_ROPE_NORM);
    if (d->flags & (CHORD_ROPE_ALPHA | CHORD_LONG_QUERIES | CHORD_ROPE_IMROPE | CHORD_LATENT_YARN))
        read_rope_keys(b, d, &rope);
    if (d->flags & CHORD_ROPE_SWITCH && !chord_read_int(b, "rope.scaling.finetuned", 1, 0, 1)) return;
    chord_rope local = rope;
    d->rope = d->rope_local = chord_rope_new(b, rope);
    if (!d->window) return;
    if (d->flags & (CHORD_LOCAL_BASE | CHORD_LOCAL_PLAIN)) {
        local.factor = local.magnitude = 1;
        local.is_yarn = 0;
        local.freqs = local.freqs_long = CHORD_NONE;
    }
    if (!(d->flags & CHORD_ONE_BASE))
        local.base = chord_read_float(b, "rope.freq_base_swa",
                                      d->flags & CHORD_LOCAL_BASE ? 10000 : rope.base, CHORD_ROPE_BASE);
    d->rope_local = chord_rope_new(b, local);
}

static void read_scales(chord_builder *b, dense *d)
{
    const chord_hparams *h = b->hparams;
    int32_t per_head = h->n_layer == d->f->n_layer_wide ? h->n_embd / h->n_head : h->head_dim;
    if (b->status == CHORD_OK && per_head < 1)
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF,
                               "the key 'attention.head_count' names more heads than there are elements: %d",
                               h->n_head);
    if (d->flags & CHORD_LATENT) per_head = d->latent.nope + d->latent.rot;
    d->scale = 1 / __builtin_sqrtf((float)per_head);
    float const old = 1.4f / __builtin_sqrtf((float)h->n_layer);
    if (d->flags & CHORD_MINICPM3) d->residual_scale = old;
    if (d->flags & CHORD_SCALES) {
        float const scale = d->flags & CHORD_MINICPM
                                ? 0
                                : chord_read_float(b, "attention.scale", 0, CHORD_FINITE);
        float const residual = chord_read_float(b, "residual_scale", d->flags & CHORD_MINICPM ? old : 0,
                                                CHORD_FINITE);
        if (scale != 0) d->scale = scale;
        if (residual != 0) d->residual_scale = residual;
    }
    if (d->flags & CHORD_SOFTCAPS)
        d->softcap = chord_read_float(b, "attn_logit_softcapping", 50, CHORD_FINITE);
    if (d->flags & CHORD_CLAMP_QKV) d->clamp = chord_read_float(b, "attention.clamp_kqv", 0, CHORD_FINITE);
}

static void read(chord_builder *b, dense *d)
{
    b->is_latent = (d->flags & CHORD_LATENT) != 0;
    chord_read_hparams(b);
    if (b->is_latent) d->latent = chord_latent_read(b);
    b->hparams->norm_eps = chord_read_float(b,
                                            d->norm == CHORD_NORM_RMS ? "attention.layer_norm_rms_epsilon"
                                                                      : "attention.layer_norm_epsilon",
                                            __builtin_nanf(""), CHORD_EPSILON);
    if (!(d->flags & CHORD_MIXTURE) && chord_read_int(b, "expert_count", 0, 0, 65536))
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "a mixture of experts isn't supported: expert_count of", b->arch, b->n_arch);
    if (d->flags & CHORD_NEXTN) {
        int32_t const all = b->hparams->n_layer;
        b->hparams->n_layer -= chord_read_int(b, "nextn_predict_layers", 0, 0, all - 1);
        for (int32_t i = b->hparams->n_layer; i < all; i++) chord_skip_block(b, i, "predicts further tokens");
    }
    if (d->flags & CHORD_SECTIONS_NEOX && chord_read_is_array(b, "rope.dimension_sections") &&
        chord_read_int_at(b, "rope.dimension_sections", 0, 0, 0, 1024))
        d->flags |= CHORD_NEOX;
    if (d->flags & CHORD_PARALLEL_KEY && chord_read_int(b, "use_parallel_residual", CHORD_REQUIRED, 0, 1))
        d->flags |= CHORD_PARALLEL;
    read_windows(b, d);
    read_scales(b, d);
    if (d->flags & CHORD_ACTIVATION_KEY &&
        (chord_read_is(b, "hidden_activation", "silu") || chord_read_is(b, "hidden_activation", "swiglu")))
        d->activation = CHORD_ACTIVATION_SILU;
    if (d->flags & CHORD_ENCODER) return;
    if (chord_read_int(b, "attention.causal", 1, 0, 1)) return;
    if (d->window || d->softcap > 0 || b->is_latent)
        chord_build_fail(
            b, CHORD_UNSUPPORTED_ARCHITECTURE,
            "an encoder with windows, soft-caps or latent attention isn't supported: attention.causal of",
            b->arch, b->n_arch);
    d->flags |= CHORD_ENCODER;
}

/* ---- the layer ---------------------------------------------------------------------------------------- */

static void emit_norm(chord_builder *b, const dense *d, int32_t layer, int32_t out, const char *stem)
{
    chord_emit_norm_of(b, layer, d->norm, b->hparams->n_embd, d->s.x, out, stem);
}

static void emit_centred_norm(chord_builder *b, int32_t layer, int32_t slot, int32_t n_head, const char *name)
{
    int32_t const dim = b->hparams->head_dim;
    int32_t const weight = chord_bind(b, name, layer, dim, n_head, CHORD_OPTIONAL | CHORD_WIDE);
    if (weight == CHORD_NONE) return;
    chord_op *op = chord_emit(b, CHORD_OP_HEAD_NORM, layer);
    op->weight[0] = weight;
    op->out[0] = slot;
    op->head_norm = (chord_op_head_norm){
        .n_head = n_head, .head_dim = dim, .eps = b->hparams->norm_eps, .is_each = 1, .is_centred = 1
    };
}

static void emit_qk_norms(chord_builder *b, const dense *d, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    if (d->flags & CHORD_QK_NORM) {
        chord_emit_head_norm(b, layer, d->s.q, h->n_head, "blk.%d.attn_q_norm.weight");
        chord_emit_head_norm(b, layer, d->s.k, h->n_kv, "blk.%d.attn_k_norm.weight");
    }
    if (d->flags & CHORD_QK_CENTRED) {
        emit_centred_norm(b, layer, d->s.q, h->n_head, "blk.%d.attn_q_norm.weight");
        emit_centred_norm(b, layer, d->s.k, h->n_kv, "blk.%d.attn_k_norm.weight");
    }
    if (d->flags & CHORD_QK_ROW_NORM) {
        chord_emit_norm_of(b, layer, CHORD_NORM_RMS, h->n_head * h->head_dim, d->s.q, d->s.q,
                           "blk.%d.attn_q_norm");
        chord_emit_norm_of(b, layer, CHORD_NORM_RMS, h->n_kv * h->head_dim, d->s.k, d->s.k,
                           "blk.%d.attn_k_norm");
    }
}

static void emit_clamp(chord_builder *b, int32_t layer, int32_t slot, int32_t width, float limit)
{
    chord_op *op = chord_emit(b, CHORD_OP_CLAMP, layer);
    op->out[0] = slot;
    op->clamp = (chord_op_clamp){ .width = width, .limit = limit };
}

/* ModernBERT's first layer has no norm: the embeddings are normed. */
static int has_attn_norm(const chord_builder *b, const dense *d, int32_t layer)
{
    return !(d->flags & CHORD_EMBED_NORM) || chord_has(b, "blk.%d.attn_norm.weight", layer);
}

/* x (or its norm) -> slot attn */
static void emit_attention(chord_builder *b, const dense *d, int32_t layer)
{
    int const local = is_local(b, d, layer);
    int32_t rope = local ? d->rope_local : d->rope;
    if ((d->flags & CHORD_LOCAL_ROPE && d->window && !local) || (d->flags & CHORD_NOPE_4 && layer % 4 == 3))
        rope = CHORD_NONE;
    chord_slots s = d->s;
    if (d->flags & CHORD_NO_PRE_NORM || !has_attn_norm(b, d, layer)) s.h = s.x;
    chord_emit_qkv(b, layer, &s);
    chord_attention a = chord_attention_new(b, rope, local ? d->window : 0, d->scale);
    a.softcap = d->softcap;
    if (d->clamp > 0) {
        emit_clamp(b, layer, s.q, a.n_head * a.head_dim, d->clamp);
        emit_clamp(b, layer, s.k, a.n_kv * a.head_dim, d->clamp);
        emit_clamp(b, layer, s.v, a.n_kv * a.head_dim, d->clamp);
    }
    if (!(d->flags & CHORD_QK_LATE)) emit_qk_norms(b, d, layer);
    chord_emit_rope(b, layer, &a, s.q, a.n_head);
    chord_emit_rope(b, layer, &a, s.k, a.n_kv);
    if (d->flags & CHORD_QK_LATE) emit_qk_norms(b, d, layer);
    if (d->temperature != 0)
        chord_emit_log_scale(b, layer, s.q, &a, d->temperature, b->plan->program.ropes[d->rope].n_ctx_orig);
    int32_t const sinks = d->flags & CHORD_SINKS
                              ? chord_bind(b, "blk.%d.attn_sinks.weight", layer, a.n_head, 0, 0)
                              : CHORD_NONE;
    chord_emit_attend(b, layer, &s, &a)->weight[0] = sinks;
    if (d->flags & CHORD_SUB_NORM)
        chord_emit_norm_of(b, layer, CHORD_NORM_RMS, a.n_head * a.head_dim, s.attn, s.attn,
                           "blk.%d.attn_sub_norm");
}

static float softplus(float x) { return x > 20 ? x : (float)chord_host_log(1 + chord_host_exp((double)x)); }

/* The keys have no architecture's name before them. As in llama.cpp, alpha_n and alpha_p are stored before
 * softplus, and beta is added to alpha_n. */
static void emit_xielu(chord_builder *b, const dense *d, int32_t layer)
{
    float const beta = chord_read_key_at(b, "xielu.beta", layer),
                eps = chord_read_key_at(b, "xielu.eps", layer);
    float const alpha_n = beta + softplus(chord_read_key_at(b, "xielu.alpha_n", layer));
    float const alpha_p = softplus(chord_read_key_at(b, "xielu.alpha_p", layer));
    chord_op *op = chord_emit(b, CHORD_OP_XIELU, layer);
    op->out[0] = d->s.gate;
    op->xielu = (chord_op_xielu){
        .width = b->hparams->n_ff, .alpha_n = alpha_n, .alpha_p = alpha_p, .beta = beta, .eps = eps
    };
}

/* x (or its norm) -> slot gate */
static void emit_feed_forward(chord_builder *b, const dense *d, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    chord_slots s = d->s;
    if (d->flags & CHORD_NO_PRE_NORM) s.h = s.x;
    if (d->flags & CHORD_NO_GATE) {
        chord_emit_linear(b, layer, "blk.%d.ffn_up", s.h, h->n_embd, s.gate, h->n_ff, 0);
        if (d->flags & CHORD_XIELU) {
            emit_xielu(b, d, layer);
            return;
        }
        chord_emit_activate(b, layer, s.gate, h->n_ff, d->activation);
    } else if (d->flags & CHORD_FUSED_GATE) chord_emit_fused_glu(b, layer, &s, d->activation);
    else chord_emit_glu(b, layer, &s, d->activation);
    if (d->flags & CHORD_SUB_NORM)
        chord_emit_norm_of(b, layer, CHORD_NORM_RMS, h->n_ff, s.gate, s.gate, "blk.%d.ffn_sub_norm");
}

/* x += the product of `in` with <stem>.weight, scaled or normed where the family does that. */
static void emit_back(chord_builder *b, const dense *d, int32_t layer, const char *stem, int32_t in,
                      int32_t n_in, const char *post_norm)
{
    int32_t const n_embd = b->hparams->n_embd;
    if (!(d->flags & CHORD_POST_NORM) && d->residual_scale == 1) {
        chord_emit_linear(b, layer, stem, in, n_in, d->s.x, n_embd, CHORD_FLAG_ADD);
        return;
    }
    chord_emit_linear(b, layer, stem, in, n_in, d->s.h, n_embd, 0);
    if (d->flags & CHORD_POST_NORM) chord_emit_norm_of(b, layer, d->norm, n_embd, d->s.h, d->s.h, post_norm);
    chord_emit_scale(b, layer, d->s.h, n_embd, d->residual_scale);
    chord_emit_add(b, layer, d->s.h, d->s.x);
}

/* The last product has no bias, though the file may: llama.cpp reads it and doesn't add it. */
static void drop_bias(chord_builder *b, int32_t layer, const char *name)
{
    chord_program *p = &b->plan->program;
    p->ops[p->n_ops - 1].weight[3] = CHORD_NONE;
    chord_skip(b, name, layer, "llama.cpp doesn't add it");
}

/* In a parallel layer the feed-forward reads the layer's input too. So its products come before the residual
 * stream changes. */
static int is_mixture(const dense *d, int32_t layer) { return d->mix.n_expert && layer >= d->mix.first; }

/* x += the mixture of h */
static void emit_mixture(chord_builder *b, const dense *d, int32_t layer)
{
    if (!(d->flags & CHORD_MIX_EARLY)) chord_emit_router(b, layer, &d->mix, d->s.h);
    int const is_direct = d->residual_scale == 1;
    chord_emit_mixture(b, layer, &d->mix, d->s.h, is_direct ? d->s.x : d->s.h,
                       is_direct ? CHORD_FLAG_ADD : 0);
    if (is_direct) return;
    chord_emit_scale(b, layer, d->s.h, b->hparams->n_embd, d->residual_scale);
    chord_emit_add(b, layer, d->s.h, d->s.x);
}

static void emit_layer(chord_builder *b, const dense *d, int32_t layer)
{
    const chord_hparams *h = b->hparams;
    int const has_pre_norm = !(d->flags & CHORD_NO_PRE_NORM);
    int const has_ffn_norm = chord_has(b, "blk.%d.ffn_norm.weight", layer);
    int const has_norm_2 = d->flags & CHORD_NORM_2 && chord_has(b, "blk.%d.attn_norm_2.weight", layer);
    int const is_parallel = d->flags & CHORD_PARALLEL || (d->flags & CHORD_MAY_PARALLEL && !has_ffn_norm);
    const char *const ffn_norm = d->flags & CHORD_FFN_POST_NAME ? "blk.%d.post_attention_norm"
                                                                : "blk.%d.ffn_norm";
    chord_emit(b, CHORD_OP_ACQUIRE, layer);
    if (is_mixture(d, layer) && d->flags & CHORD_MIX_EARLY) chord_emit_router(b, layer, &d->mix, d->s.x);
    if (has_pre_norm && has_attn_norm(b, d, layer))
        emit_norm(b, d, layer, d->s.h, has_norm_2 ? "blk.%d.attn_norm_2" : "blk.%d.attn_norm");
    if (b->is_latent) chord_emit_latent(b, layer, &d->latent, &d->s, d->rope, d->scale);
    else emit_attention(b, d, layer);
    if (is_parallel) {
        if (has_norm_2) emit_norm(b, d, layer, d->s.h, "blk.%d.attn_norm");
        else if (has_ffn_norm) emit_norm(b, d, layer, d->s.h, ffn_norm);
        emit_feed_forward(b, d, layer);
    }
    emit_back(b, d, layer, "blk.%d.attn_output", b->is_latent ? d->latent.out : d->s.attn,
              h->n_head * (b->is_latent ? d->latent.v_dim : h->head_dim), "blk.%d.post_attention_norm");
    if (d->flags & CHORD_UNBIASED) {
        drop_bias(b, layer, "blk.%d.attn_output.bias");
        chord_skip(b, "blk.%d.attn_q_norm.bias", layer, "llama.cpp doesn't add it");
        chord_skip(b, "blk.%d.attn_k_norm.bias", layer, "llama.cpp doesn't add it");
    }
    if (!is_parallel) {
        if (has_pre_norm) emit_norm(b, d, layer, d->s.h, ffn_norm);
        if (!is_mixture(d, layer)) emit_feed_forward(b, d, layer);
    }
    if (is_mixture(d, layer)) emit_mixture(b, d, layer);
    else emit_back(b, d, layer, "blk.%d.ffn_down", d->s.gate, h->n_ff, "blk.%d.post_ffw_norm");
    chord_emit(b, CHORD_OP_RELEASE, layer);
}

/* Between two passes over the layers the residual stream is normed as before the logits. */
static void emit_layers(chord_builder *b, const dense *d)
{
    int32_t const n_passes = d->flags & CHORD_LOOPS ? chord_read_int(b, "num_loops", 1, 1, CHORD_MAX_LOOPS)
                                                    : 1;
    int32_t const is_plain = d->flags & CHORD_LOOPS ? chord_read_int(b, "skip_loop_final_norm", 0, 0, 1) : 1;
    for (int32_t layer = 0; layer < b->hparams->n_layer && b->status == CHORD_OK; layer++) {
        chord_skip(b, "blk.%d.attn_rot_embd", layer, "a rotary table of very old conversions");
        chord_skip(b, "blk.%d.attn.rot_freqs", layer, "a rotary table of very old conversions");
    }
    for (int32_t pass = 0; pass < n_passes; pass++) {
        if (pass && !is_plain) emit_norm(b, d, CHORD_NONE, d->s.x, "output_norm");
        for (int32_t layer = 0; layer < b->hparams->n_layer && b->status == CHORD_OK; layer++)
            emit_layer(b, d, layer);
    }
}

/* ---- the model ---------------------------------------------------------------------------------------- */

static float embedding_scale(chord_builder *b, const dense *d)
{
    if (d->flags & CHORD_SQRT_EMBED) return __builtin_sqrtf((float)b->hparams->n_embd);
    if (d->flags & CHORD_MINICPM3) return 12;
    float const scale = d->flags & CHORD_SCALES
                            ? chord_read_float(b, "embedding_scale", d->flags & CHORD_MINICPM ? 12 : 0,
                                               CHORD_FINITE)
                            : 0;
    return scale != 0 ? scale : 1;
}

static void emit_output(chord_builder *b, const dense *d)
{
    int32_t const n_vocab = b->hparams->n_vocab, logits = d->s.logits;
    if (d->flags & CHORD_ENCODER) {
        emit_norm(b, d, CHORD_NONE, d->s.x, "output_norm");
        chord_skip(b, "output.weight", 0, "an encoder has no logits");
        return;
    }
    chord_emit_end(b, &d->s, d->norm, "output_norm");
    if (d->flags & CHORD_UNBIASED) drop_bias(b, 0, "output.bias");
    float scale = d->flags & (CHORD_MINICPM | CHORD_MINICPM3) ? 256 / (float)b->hparams->n_embd : 0;
    if (d->flags & (CHORD_SCALES | CHORD_LOGIT_SCALE))
        scale = chord_read_float(b, "logit_scale", scale, CHORD_FINITE);
    if (scale == 0) scale = 1;
    chord_op *op = chord_emit_scale(b, CHORD_NONE, logits, n_vocab,
                                    d->flags & (CHORD_LOGIT_SCALE | CHORD_MINICPM3)
                                        ? scale
                                        : chord_inverse_of(b, scale, "logit_scale"));
    if (op) op->flags = CHORD_FLAG_OUTPUT;

    float const cap = chord_read_float(b, "final_logit_softcapping", d->flags & CHORD_SOFTCAPS ? 30 : 0,
                                       CHORD_FINITE);
    if (!(cap > 0) || !(d->flags & (CHORD_SOFTCAPS | CHORD_LOCAL_BASE))) return;
    chord_emit_softcap(b, CHORD_NONE, logits, n_vocab, cap)->flags = CHORD_FLAG_OUTPUT;
}

void chord_build_dense(chord_builder *b)
{
    dense d = {
        .f = b->family, .flags = b->family->flags, .activation = b->family->activation, .residual_scale = 1
    };
    if (d.flags & CHORD_LAYER_NORM) d.norm = CHORD_NORM_LAYER;
    if (d.flags & CHORD_BARE_NORM) d.norm = CHORD_NORM_BARE;
    read(b, &d);
    if (d.flags & CHORD_MIXTURE) d.mix = chord_mixture_read(b, d.flags, d.f->activation);
    d.s = chord_slots_new(b);
    if (b->is_latent && b->status == CHORD_OK) chord_latent_slots(b, &d.latent, &d.s);
    if (d.flags & CHORD_ENCODER) b->encoded = d.s.x;
    read_ropes(b, &d);
    chord_emit_embed(b, d.s.x, embedding_scale(b, &d));
    if (d.flags & CHORD_POSITIONS)
        chord_emit_add_row(b, d.s.x, "position_embd.weight", b->hparams->n_ctx_train, CHORD_NONE);
    if (d.flags & CHORD_EMBED_NORM) emit_norm(b, &d, CHORD_NONE, d.s.x, "token_embd_norm");
    emit_layers(b, &d);
    emit_output(b, &d);
}
