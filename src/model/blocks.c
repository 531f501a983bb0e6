/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/host.h"
#include "../base/mem.h"

/* A family without attention or feed-forward has no use for some slots, but no slot is empty. */
static int32_t batch_slot(chord_builder *b, int32_t width)
{
    return chord_slot_new(b, width > 0 ? width : 1, CHORD_ROWS_BATCH);
}

chord_slots chord_slots_new(chord_builder *b)
{
    const chord_hparams *h = b->hparams;
    int32_t const n_q = h->n_head * h->head_dim, n_k = h->n_kv * h->head_dim;
    int32_t const v_dim = b->is_latent ? h->v_dim : h->head_dim;
    chord_slots const s = {
        .x = batch_slot(b, h->n_embd),
        .h = batch_slot(b, h->n_embd),
        .q = batch_slot(b, n_q),
        .k = batch_slot(b, n_k),
        .v = batch_slot(b, h->n_kv * v_dim),
        .attn = batch_slot(b, h->n_head * v_dim),
        .gate = batch_slot(b, h->n_ff),
        .up = batch_slot(b, h->n_ff),
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
 * factor of 0 means no scaling. Returns how many times the context was extended, and the type. */
static float read_scaling(chord_builder *b, int32_t *is_yarn)
{
    if (chord_read_is(b, "rope.scaling.type", "none")) return 1;
    *is_yarn = chord_read_is(b, "rope.scaling.type", "yarn");
    if (!*is_yarn && !chord_read_is(b, "rope.scaling.type", "") &&
        !chord_read_is(b, "rope.scaling.type", "linear") &&
        !chord_read_is(b, "rope.scaling.type", "longrope"))
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "a RoPE scaling other than linear, yarn and longrope isn't supported:",
                         "rope.scaling.type", 17);
    float const factor = scaling_factor(b, "rope.scaling.factor", scaling_factor(b, "rope.scale_linear", 0));
    return factor > 0 ? factor : 1;
}

float chord_yarn_magnitude(float factor, float log_multiplier)
{
    if (factor <= 1) return 1;
    double const log_factor = chord_host_log((double)factor);
    double const m = 1 + 0.1 * log_factor;
    return (float)(log_multiplier != 0 ? m / (1 + 0.1 * (double)log_multiplier * log_factor) : m);
}

chord_rope chord_rope_of(chord_builder *b, int32_t style)
{
    const chord_hparams *h = b->hparams;
    chord_rope r = { .style = style, .beta_fast = 32, .beta_slow = 1 };
    r.n_rot = chord_read_int(b, "rope.dimension_count", h->head_dim, 2, h->head_dim) & ~1;
    float const factor = read_scaling(b, &r.is_yarn);
    r.factor = 1 / factor;
    r.magnitude = chord_read_float(b, "rope.scaling.attn_factor", 1, CHORD_FINITE);
    if (r.is_yarn) r.magnitude *= chord_yarn_magnitude(factor, 0);
    r.n_ctx_orig = chord_read_int(b, "rope.scaling.original_context_length", h->n_ctx_train, 1, INT32_MAX);
    r.base = chord_read_float(b, "rope.freq_base", 10000, CHORD_ROPE_BASE);
    int32_t const n_pairs = (b->is_by_layer ? h->head_dim : r.n_rot) / 2;
    r.freqs = r.freqs_long = chord_bind(b, "rope_freqs.weight", 0, n_pairs, 0, CHORD_OPTIONAL);
    if (r.freqs != CHORD_NONE) return r;
    r.freqs = chord_bind(b, "rope_factors_short.weight", 0, r.n_rot / 2, 0, CHORD_OPTIONAL);
    r.freqs_long = chord_bind(b, "rope_factors_long.weight", 0, r.n_rot / 2, 0, CHORD_OPTIONAL);
    return r;
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

chord_op *chord_emit_norm_of(chord_builder *b, int32_t layer, int32_t kind, int32_t width, int32_t in,
                             int32_t out, const char *stem)
{
    int32_t const weight = kind == CHORD_NORM_BARE ? CHORD_NONE
                                                   : chord_bind_part(b, layer, stem, ".weight", width, 0, 0);
    int32_t const bias = kind == CHORD_NORM_LAYER
                             ? chord_bind_part(b, layer, stem, ".bias", width, 0, CHORD_OPTIONAL)
                             : CHORD_NONE;
    chord_op *op = chord_emit(b, kind == CHORD_NORM_RMS ? CHORD_OP_NORM : CHORD_OP_LAYER_NORM, layer);
    op->in[0] = in;
    op->out[0] = out;
    op->weight[0] = weight;
    op->weight[1] = bias;
    if (kind == CHORD_NORM_RMS) op->norm = (chord_op_norm){ .width = width, .eps = b->hparams->norm_eps };
    else op->layer_norm = (chord_op_layer_norm){ .width = width, .eps = b->hparams->norm_eps };
    return op;
}

void chord_emit_norm(chord_builder *b, int32_t layer, int32_t in, int32_t out, const char *stem)
{
    chord_emit_norm_of(b, layer, CHORD_NORM_RMS, b->hparams->n_embd, in, out, stem);
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
    int32_t const matrix = chord_bind_part(b, layer, stem, ".weight", n_in, n_out, 0);
    return (chord_matrix){ matrix, chord_bind_part(b, layer, stem, ".bias", n_out, 0, CHORD_OPTIONAL), out,
                           n_out, 0 };
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
    chord_emit_qkv_of(b, layer, s, h->n_head * h->head_dim, h->n_kv * h->head_dim);
}

void chord_emit_qkv_of(chord_builder *b, int32_t layer, const chord_slots *s, int32_t n_q, int32_t n_k)
{
    const chord_hparams *h = b->hparams;
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

void chord_emit_rope(chord_builder *b, int32_t layer, const chord_attention *a, int32_t slot, int32_t n_head)
{
    if (a->rope == CHORD_NONE) return;
    chord_op *op = chord_emit(b, CHORD_OP_ROPE, layer);
    op->in[0] = b->plan->program.ropes[a->rope].slot;
    op->out[0] = slot;
    op->rope =
        (chord_op_rope){ .rope = a->rope, .n_head = n_head, .head_dim = a->head_dim, .first = a->first };
}

chord_attention chord_attention_new(chord_builder *b, int32_t rope, int32_t window, float scale)
{
    const chord_hparams *h = b->hparams;
    chord_attention a = { .rope = rope,
                          .cache = CHORD_NONE,
                          .n_head = h->n_head,
                          .n_kv = h->n_kv,
                          .head_dim = h->head_dim,
                          .v_dim = h->head_dim,
                          .scale = scale,
                          .window = window };
    if (b->encoded != CHORD_NONE) return a;
    chord_cache_spec const spec = { .kind = window ? CHORD_CACHE_WINDOW : CHORD_CACHE_PAGED,
                                    .window = window,
                                    .n_kv = h->n_kv,
                                    .k_dim = h->head_dim,
                                    .v_dim = h->head_dim };
    a.cache = chord_cache_new(b, spec);
    return a;
}

chord_op *chord_emit_encode(chord_builder *b, int32_t layer, const chord_slots *s, const chord_attention *a)
{
    chord_op *op = chord_emit(b, CHORD_OP_ENCODE, layer);
    op->in[0] = s->q;
    op->in[1] = s->k;
    op->in[2] = s->v;
    op->out[0] = s->attn;
    op->encode = (chord_op_encode){
        .n_head = a->n_head, .n_kv = a->n_kv, .head_dim = a->head_dim, .window = a->window, .scale = a->scale
    };
    return op;
}

void chord_emit_add_row(chord_builder *b, int32_t x, const char *table, int64_t n_rows, int32_t row)
{
    int32_t const n_embd = b->hparams->n_embd;
    int32_t const weight = chord_bind(b, table, 0, n_embd, n_rows, CHORD_WIDE);
    chord_op *op = chord_emit(b, CHORD_OP_ADD_ROW, CHORD_NONE);
    op->weight[0] = weight;
    op->out[0] = x;
    op->add_row = (chord_op_add_row){ .width = n_embd, .row = row };
}

chord_op *chord_emit_attend(chord_builder *b, int32_t layer, const chord_slots *s, const chord_attention *a)
{
    if (b->encoded != CHORD_NONE) return chord_emit_encode(b, layer, s, a);
    if (!a->is_shared) {
        int32_t const v_dim = a->cache == CHORD_NONE ? 0 : b->plan->program.caches[a->cache].v_dim;
        chord_op *store = chord_emit(b, CHORD_OP_KV_STORE, layer);
        store->cache = a->cache;
        store->in[0] = s->k;
        store->in[1] = v_dim ? s->v : CHORD_NONE;
        store->kv_store = (chord_op_kv_store){ .n_kv = a->n_kv, .k_dim = a->head_dim, .v_dim = v_dim };
    }
    chord_op *attend = chord_emit(b, CHORD_OP_ATTEND, layer);
    attend->cache = a->cache;
    attend->in[0] = s->q;
    attend->out[0] = s->attn;
    attend->attend = (chord_op_attend){ .n_head = a->n_head,
                                        .n_kv = a->n_kv,
                                        .k_dim = a->head_dim,
                                        .v_dim = a->v_dim,
                                        .scale = a->scale,
                                        .softcap = a->softcap };
    return attend;
}

void chord_emit_log_scale(chord_builder *b, int32_t layer, int32_t q, const chord_attention *a, float factor,
                          int32_t period)
{
    chord_op *op = chord_emit(b, CHORD_OP_LOG_SCALE, layer);
    op->out[0] = q;
    op->log_scale =
        (chord_op_log_scale){ .width = a->n_head * a->head_dim, .period = period, .factor = factor };
}

void chord_emit_attention(chord_builder *b, int32_t layer, const chord_slots *s, const chord_attention *a)
{
    chord_emit_rope(b, layer, a, s->q, a->n_head);
    if (!a->is_shared) chord_emit_rope(b, layer, a, s->k, a->n_kv);
    chord_emit_attend(b, layer, s, a);
}

int32_t chord_state_new(chord_builder *b, int32_t n)
{
    return chord_cache_new(b, (chord_cache_spec){ .kind = CHORD_CACHE_STATE, .n_state = n });
}

void chord_emit_conv(chord_builder *b, int32_t layer, const char *stem, int32_t in, int32_t out,
                     int32_t width, int32_t kernel)
{
    int32_t const weight = chord_bind_part(b, layer, stem, ".weight", kernel, width, CHORD_WIDE),
                  bias = chord_bind_part(b, layer, stem, ".bias", width, 0, CHORD_OPTIONAL);
    int32_t const cache = chord_state_new(b, (kernel - 1) * width);
    chord_op *op = chord_emit(b, CHORD_OP_SHORT_CONV, layer);
    op->cache = cache;
    op->in[0] = in;
    op->out[0] = out;
    op->weight[0] = weight;
    op->weight[1] = bias;
    op->short_conv = (chord_op_short_conv){ .width = width, .kernel = kernel };
}

/* A number for each head: a vector, or a column. */
static int32_t bind_heads(chord_builder *b, int32_t layer, const char *name, int32_t n)
{
    int const is_column = chord_rows_of(b, name, layer) == n;
    return chord_bind(b, name, layer, is_column ? 1 : n, is_column ? n : 1, CHORD_WIDE);
}

void chord_emit_scan(chord_builder *b, int32_t layer, int32_t in, int32_t step, int32_t gates, int32_t out,
                     chord_op_scan scan)
{
    int32_t const n = scan.n_head, bias = chord_bind(b, "blk.%d.ssm_dt.bias", layer, n, 0, 0),
                  cache = chord_state_new(b, n * scan.k_dim * scan.v_dim),
                  a = bind_heads(b, layer, "blk.%d.ssm_a", n),
                  d = scan.is_delta ? CHORD_NONE : bind_heads(b, layer, "blk.%d.ssm_d", n);
    chord_op *op = chord_emit(b, CHORD_OP_SOFTPLUS, layer);
    op->weight[0] = bias;
    op->out[0] = step;
    op->softplus.width = n;
    op = chord_emit(b, CHORD_OP_SCAN, layer);
    op->cache = cache;
    op->weight[0] = a;
    op->weight[1] = d;
    op->in[0] = in;
    op->in[1] = step;
    op->in[2] = gates;
    op->out[0] = out;
    op->scan = scan;
}

void chord_emit_join(chord_builder *b, int32_t layer, int32_t out, int32_t first, int32_t n_first,
                     int32_t second, int32_t n_second)
{
    chord_op *op = chord_emit(b, CHORD_OP_JOIN, layer);
    op->in[0] = first;
    op->in[1] = second;
    op->out[0] = out;
    op->join = (chord_op_join){ .n_head = 1, .width = { n_first, n_second } };
}

void chord_emit_activate(chord_builder *b, int32_t layer, int32_t out, int32_t width, int32_t activation)
{
    chord_op *op = chord_emit(b, CHORD_OP_ACTIVATE, layer);
    op->out[0] = out;
    op->activate = (chord_op_activate){ .width = width, .activation = activation };
}

chord_op *chord_emit_softcap(chord_builder *b, int32_t layer, int32_t out, int32_t width, float cap)
{
    chord_op *op = chord_emit(b, CHORD_OP_SOFTCAP, layer);
    op->out[0] = out;
    op->softcap = (chord_op_softcap){ .width = width, .cap = cap };
    return op;
}

void chord_emit_glu_of(chord_builder *b, int32_t layer, int32_t gate, int32_t up, int32_t out, int32_t width,
                       int32_t activation)
{
    chord_op *glu = chord_emit(b, CHORD_OP_GLU, layer);
    glu->in[0] = gate;
    glu->in[1] = up;
    glu->out[0] = out;
    glu->glu = (chord_op_glu){ .width = width, .activation = activation };
}

void chord_emit_act(chord_builder *b, int32_t layer, const chord_slots *s, int32_t activation)
{
    chord_emit_glu_of(b, layer, s->gate, s->up, s->gate, b->hparams->n_ff, activation);
}

void chord_emit_gate_up(chord_builder *b, int32_t layer, const chord_slots *s)
{
    const chord_hparams *h = b->hparams;
    chord_emit_matmul(b, layer, s->h, h->n_embd, 2,
                      (chord_matrix[]){ bind_linear(b, layer, "blk.%d.ffn_gate", h->n_embd, s->gate, h->n_ff),
                                        bind_linear(b, layer, "blk.%d.ffn_up", h->n_embd, s->up, h->n_ff) });
}

void chord_emit_glu(chord_builder *b, int32_t layer, const chord_slots *s, int32_t activation)
{
    chord_emit_gate_up(b, layer, s);
    chord_emit_act(b, layer, s, activation);
}

void chord_emit_fused_glu(chord_builder *b, int32_t layer, const chord_slots *s, int32_t activation)
{
    const chord_hparams *h = b->hparams;
    int32_t const n_ff = h->n_ff;
    int32_t const up = chord_bind(b, "blk.%d.ffn_up.weight", layer, h->n_embd, 2 * (int64_t)n_ff, 0);
    int32_t const bias = chord_bind(b, "blk.%d.ffn_up.bias", layer, 2 * (int64_t)n_ff, 0, CHORD_OPTIONAL);
    if (n_ff % 4)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "a fused matrix whose parts aren't multiples of 4 rows isn't supported:",
                         "ffn_up.weight", 13);
    chord_emit_matmul(b, layer, s->h, b->hparams->n_embd, 2,
                      (chord_matrix[]){ { up, bias, s->gate, n_ff, 0 }, { up, bias, s->up, n_ff, n_ff } });
    chord_emit_act(b, layer, s, activation);
}

void chord_emit_add(chord_builder *b, int32_t layer, int32_t in, int32_t out)
{
    chord_op *op = chord_emit(b, CHORD_OP_ADD, layer);
    op->in[0] = in;
    op->out[0] = out;
    op->add.width = b->hparams->n_embd;
}

chord_op *chord_emit_scale(chord_builder *b, int32_t layer, int32_t out, int32_t width, float factor)
{
    if (factor == 1) return NULL;
    chord_op *op = chord_emit(b, CHORD_OP_SCALE, layer);
    op->out[0] = out;
    op->scale = (chord_op_scale){ .width = width, .factor = factor };
    return op;
}

void chord_emit_logits(chord_builder *b, const chord_slots *s)
{
    chord_hparams *h = b->hparams;
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

void chord_emit_end(chord_builder *b, const chord_slots *s, int32_t kind, const char *stem)
{
    chord_emit_norm_of(b, CHORD_NONE, kind, b->hparams->n_embd, s->x, s->last, stem)->flags =
        CHORD_FLAG_GATHER | CHORD_FLAG_OUTPUT;
    chord_emit_logits(b, s);
}
