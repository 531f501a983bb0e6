/* SPDX-License-Identifier: Apache-2.0 */
#include "interpreter.h"
#include "../../src/base/half.h"
#include "../../src/quant/act.h"
#include "libc.h"

enum { MAX_CACHES = 2048 };

typedef struct interpreter {
    const chord_model *model;
    const chord_plan *plan;
    const chord_batch *batch;
    int flags;
    int32_t first;                /* position of the batch's first token */
    double work;                  /* multiply-adds of products and attention so far */
    double *slots[CHORD_MAX_SLOTS];
    double *kept;                 /* [position][kept_width], one cache after another (interpreter.h) */
    size_t kept_width, kept_at[MAX_CACHES];
} interpreter;

static int32_t rows_of(const interpreter *t, const chord_op *op)
{
    return op->flags & (CHORD_FLAG_OUTPUT | CHORD_FLAG_POOLED) ? t->batch->n_outputs : t->batch->n_tokens;
}
static double *row_of(const interpreter *t, int32_t slot, int32_t row)
{
    return t->slots[slot] + (size_t)row * (size_t)t->plan->program.slots[slot].width;
}
/* Returns the part of a position's row that belongs to a cache. */
static double *kept_of(const interpreter *t, int32_t cache, int32_t position)
{
    return t->kept + (size_t)position * t->kept_width + t->kept_at[cache];
}
/* Returns the keys or values of a position. When v_dim is 0, the values are the first part of the keys. */
static double *kv_of(const interpreter *t, int32_t cache, int32_t is_v, int32_t position)
{
    const chord_cache_spec *s = &t->plan->caches[cache].spec;
    return kept_of(t, cache, position) + (is_v && s->v_dim ? s->n_kv * s->k_dim : 0);
}

/* Returns row `row` of a tensor as floats, malloc'd. */
static float *weight_row(const interpreter *t, int32_t tensor, int64_t row)
{
    const chord_tensor *w = &t->plan->tensors[tensor];
    void *plain = malloc((size_t)w->row_bytes);
    float *x = malloc((size_t)w->ne[0] * sizeof *x);
    if (chord_model_row(t->model, tensor, row, plain, (size_t)w->row_bytes) != CHORD_OK) abort();
    chord_format_of(w->type)->decode(x, plain, (int32_t)w->ne[0]);
    free(plain);
    return x;
}

static void embed(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < t->batch->n_tokens; r++) {
        double *out = row_of(t, op->out[0], r);
        const float *embedding = t->batch->embeddings ? t->batch->embeddings[r] : NULL;
        int const is_given = embedding && !op->embed.is_padded;
        for (int32_t i = 0; is_given && i < op->embed.width; i++) out[i] = (double)embedding[i];
        if (is_given) continue;
        float *w = weight_row(t, op->weight[0], embedding ? 0 : t->batch->ids[r]);
        for (int32_t i = 0; i < op->embed.width; i++) out[i] = (double)op->embed.scale * (double)w[i];
        free(w);
    }
}

static void norm_row(double *out, const double *in, const float *w, int32_t n, double eps)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += in[i] * in[i];
    double const scale = 1 / sqrt(sum / n + eps);
    for (int32_t i = 0; i < n; i++) out[i] = in[i] * scale * (w ? (double)w[i] : 1);
}

static void norm(const interpreter *t, const chord_op *op)
{
    float *w = op->weight[0] == CHORD_NONE ? NULL : weight_row(t, op->weight[0], 0);
    for (int32_t r = 0; r < rows_of(t, op); r++) {
        int32_t const from = op->flags & CHORD_FLAG_GATHER ? t->batch->rows[r] : r;
        norm_row(row_of(t, op->out[0], r), row_of(t, op->in[0], from), w, op->norm.width,
                 (double)op->norm.eps);
    }
    free(w);
}

static void head_norm(const interpreter *t, const chord_op *op)
{
    const chord_op_head_norm *n = &op->head_norm;
    for (int32_t h = 0; h < n->n_head; h++) {
        float *w = op->weight[0] == CHORD_NONE ? NULL : weight_row(t, op->weight[0], n->is_each ? h : 0);
        for (int32_t r = 0; r < rows_of(t, op); r++) {
            double *x = row_of(t, op->out[0], r) + h * n->head_dim, mean = 0;
            for (int32_t i = 0; i < n->head_dim && n->is_centred; i++) mean += x[i] / n->head_dim;
            for (int32_t i = 0; i < n->head_dim; i++) x[i] -= mean;
            norm_row(x, x, w, n->head_dim, (double)n->eps);
        }
        free(w);
    }
}

static void layer_norm(const interpreter *t, const chord_op *op)
{
    float *w = op->weight[0] == CHORD_NONE ? NULL : weight_row(t, op->weight[0], 0);
    float *bias = op->weight[1] == CHORD_NONE ? NULL : weight_row(t, op->weight[1], 0);
    int32_t const n = op->layer_norm.width;
    for (int32_t r = 0; r < rows_of(t, op); r++) {
        const double *x = row_of(t, op->in[0], op->flags & CHORD_FLAG_GATHER ? t->batch->rows[r] : r);
        double *y = row_of(t, op->out[0], r), mean = 0, variance = 0;
        for (int32_t i = 0; i < n; i++) mean += x[i] / n;
        for (int32_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / n;
        double const scale = 1 / sqrt(variance + (double)op->layer_norm.eps);
        for (int32_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * scale * (w ? (double)w[i] : 1) + (bias ? (double)bias[i] : 0);
    }
    free(w);
    free(bias);
}

/* Rounds x to q8 and back: the values that the CPU executor multiplies. */
static void through_q8(double *x, int32_t n)
{
    float *f = calloc((size_t)n, sizeof *f);
    uint8_t *q = aligned_alloc(64, ((size_t)chord_q8_bytes(n) + 63) / 64 * 64);
    for (int32_t i = 0; i < n; i++) f[i] = (float)x[i];
    chord_act_quantize_q8(q, f, n);
    for (int32_t i = 0; i < n; i++) {
        float d;
        memcpy(&d, chord_q8_d(q, n) + i / 32 * 4, 4);
        x[i] = (double)(int8_t)q[i] * (double)d;
    }
    free(f);
    free(q);
}

static void matmul(interpreter *t, const chord_op *op)
{
    int32_t const n_rows = rows_of(t, op), n = op->matmul.n_in;
    double *x = malloc((size_t)n_rows * (size_t)n * sizeof *x);
    for (int32_t k = 0; k < op->matmul.n_weights; k++) {
        int const is_q8 = (t->flags & REFERENCE_ACT_Q8) &&
                          chord_format_of(t->plan->tensors[op->weight[k]].type)->act == CHORD_ACT_Q8;
        for (int32_t r = 0; r < n_rows; r++) {
            memcpy(x + (size_t)r * (size_t)n, row_of(t, op->in[0], r), (size_t)n * sizeof *x);
            if (is_q8) through_q8(x + (size_t)r * (size_t)n, n);
        }
        float *bias = op->weight[3 + k] == CHORD_NONE ? NULL : weight_row(t, op->weight[3 + k], 0);
        t->work += (double)n_rows * n * op->matmul.n_out[k];
        for (int32_t o = 0; o < op->matmul.n_out[k]; o++) {
            float *w = weight_row(t, op->weight[k], op->matmul.row[k] + o);
            for (int32_t r = 0; r < n_rows; r++) {
                double sum = bias ? (double)bias[op->matmul.row[k] + o] : 0;
                for (int32_t i = 0; i < n; i++) sum += (double)w[i] * x[(size_t)r * (size_t)n + (size_t)i];
                double *out = row_of(t, op->out[k], r) + o;
                *out = op->flags & CHORD_FLAG_ADD ? *out + sum : sum;
            }
            free(w);
        }
        free(bias);
    }
    free(x);
}

/* YaRN's blend for pair i: 1 keeps the pair's own angle, 0 takes the scaled one (arXiv 2309.00071, 3.2). */
static double kept_share(const chord_rope *c, int32_t i)
{
    double bound[2];
    float const turns[2] = { c->beta_fast, c->beta_slow };
    for (int k = 0; k < 2; k++)
        bound[k] = c->n_rot * log(c->n_ctx_orig / (2 * 3.14159265358979 * (double)turns[k])) / 2 /
                   log((double)c->base);
    double const first = fmax(0, floor(bound[0])), last = fmin(c->n_rot - 1, ceil(bound[1]));
    return 1 - fmin(1, fmax(0, (i - first) / fmax(0.001, last - first)));
}

/* Pairs of cosine and sine, as the text of ANGLES in ops.def says: the executors' table, in double. */
static void angles(const interpreter *t, const chord_op *op)
{
    const chord_rope *c = &t->plan->program.ropes[op->angles.rope];
    int32_t const tensor = t->plan->n_ctx > c->n_ctx_orig ? c->freqs_long : c->freqs;
    float *freqs = tensor == CHORD_NONE ? NULL : weight_row(t, tensor, 0);
    for (int32_t r = 0; r < t->batch->n_tokens; r++)
        for (int32_t i = 0; i < c->n_rot / 2; i++) {
            int32_t const sum = c->sections[0] + c->sections[1] + c->sections[2], j = sum ? i % sum : i;
            int32_t const axis = c->is_interleaved                                        ? j % 3
                                 : i < c->sections[0] || !c->sections[1]                  ? 0
                                 : i < c->sections[0] + c->sections[1] || !c->sections[2] ? 1
                                                                                          : 2;
            int32_t const position =
                t->batch->positions
                    ? t->batch->positions[r * t->batch->n_axes + (t->batch->n_axes == 3 ? axis : 0)]
                    : t->first + r;
            int const stands = c->is_interleaved && j >= 3 * c->sections[j % 3];
            double const turn =
                stands ? 0 : pow((double)c->base, -2.0 * i / c->n_rot) / (freqs ? (double)freqs[i] : 1);
            double const own = c->is_yarn ? kept_share(c, i) : 0;
            double const angle = position * turn * (own + (1 - own) * (double)c->factor);
            double *pair = row_of(t, op->out[0], r) + 2 * i;
            pair[0] = (double)c->magnitude * cos(angle);
            pair[1] = (double)c->magnitude * sin(angle);
        }
    free(freqs);
}

static void rope(const interpreter *t, const chord_op *op)
{
    const chord_rope *c = &t->plan->program.ropes[op->rope.rope];
    int32_t const half = c->n_rot / 2;
    for (int32_t r = 0; r < t->batch->n_tokens; r++)
        for (int32_t i = 0; i < half; i++) {
            const double *pair = row_of(t, op->in[0], r) + 2 * i;
            for (int32_t h = 0; h < op->rope.n_head; h++) {
                double *x = row_of(t, op->out[0], r) + h * op->rope.head_dim + op->rope.first;
                double *a = c->style == CHORD_ROPE_NORM ? x + 2 * i : x + i,
                       *b = c->style == CHORD_ROPE_NORM ? a + 1 : a + half;
                double const x0 = *a, x1 = *b;
                *a = x0 * pair[0] - x1 * pair[1];
                *b = x0 * pair[1] + x1 * pair[0];
            }
        }
}

static double to_f16(double x) { return (double)chord_f16_f32(chord_f32_f16((float)x)); }

static void kv_store(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < t->batch->n_tokens; r++)
        for (int32_t part = 0; part < (op->kv_store.v_dim ? 2 : 1); part++) {
            const double *x = row_of(t, op->in[part], r);
            double *y = kv_of(t, op->cache, part, t->first + r);
            for (int32_t i = 0; i < op->kv_store.n_kv * (part ? op->kv_store.v_dim : op->kv_store.k_dim); i++)
                y[i] = t->flags & REFERENCE_KV_F16 ? to_f16(x[i]) : x[i];
        }
}

/* Computes the attention weights p[begin .. last] of query row r and head h. `last` is the query's position.
 * Returns begin. */
static int32_t attend_weights(const interpreter *t, const chord_op *op, int32_t r, int32_t h, double *p)
{
    const chord_op_attend *a = &op->attend;
    const chord_cache_spec *cache = &t->plan->caches[op->cache].spec;
    const double *q = row_of(t, op->in[0], r) + h * a->k_dim;
    int32_t const of_kv = h / (a->n_head / a->n_kv), last = t->first + r;
    int32_t const window = cache->kind == CHORD_CACHE_WINDOW ? cache->window : 0,
                  begin = window && last >= window ? last - window + 1 : 0;
    float *sinks = op->weight[0] == CHORD_NONE ? NULL : weight_row(t, op->weight[0], 0);
    double const sink = sinks ? (double)sinks[h] : -INFINITY;
    double most = sink, sum;
    free(sinks);
    for (int32_t j = begin; j <= last; j++) {
        const double *k = kv_of(t, op->cache, 0, j) + of_kv * a->k_dim;
        double score = 0;
        for (int32_t i = 0; i < a->k_dim; i++) score += q[i] * k[i];
        score *= (double)a->scale;
        if (a->softcap > 0) score = (double)a->softcap * tanh(score / (double)a->softcap);
        p[j] = score;
        most = fmax(most, score);
    }
    sum = exp(sink - most);
    for (int32_t j = begin; j <= last; j++) sum += p[j] = exp(p[j] - most);
    for (int32_t j = begin; j <= last; j++) p[j] /= sum;
    return begin;
}

static void attend(interpreter *t, const chord_op *op)
{
    const chord_op_attend *a = &op->attend;
    int32_t const v_stride = t->plan->caches[op->cache].spec.v_dim ? a->v_dim : a->k_dim;
    double *p = malloc((size_t)(t->first + t->batch->n_tokens) * sizeof *p);
    for (int32_t r = 0; r < t->batch->n_tokens; r++)
        for (int32_t h = 0; h < a->n_head; h++) {
            double *out = row_of(t, op->out[0], r) + h * a->v_dim;
            int32_t const begin = attend_weights(t, op, r, h, p);
            for (int32_t i = 0; i < a->v_dim; i++) out[i] = 0;
            t->work += (double)(t->first + r - begin + 1) * (a->k_dim + a->v_dim);
            for (int32_t j = begin; j <= t->first + r; j++) {
                const double *v = kv_of(t, op->cache, 1, j) + h / (a->n_head / a->n_kv) * v_stride;
                for (int32_t i = 0; i < a->v_dim; i++) out[i] += p[j] * v[i];
            }
        }
    free(p);
}

static double gelu(const interpreter *t, double x)
{
    int const is_table = (t->flags & REFERENCE_GELU_F16) && fabs(x) < 10;
    if (is_table) x = to_f16(x);
    double const y = 0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
    return is_table ? to_f16(y) : y;
}

static double activation(const interpreter *t, int32_t kind, double x)
{
    if (kind == CHORD_ACTIVATION_NONE) return x;
    if (kind == CHORD_ACTIVATION_SIGMOID) return 1 / (1 + exp(-x));
    if (kind == CHORD_ACTIVATION_RELU) return x > 0 ? x : 0;
    if (kind == CHORD_ACTIVATION_RELU_SQUARED) return x > 0 ? x * x : 0;
    return kind == CHORD_ACTIVATION_SILU ? x / (1 + exp(-x)) : gelu(t, x);
}

static void glu(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < rows_of(t, op); r++) {
        const double *gate = row_of(t, op->in[0], r), *up = row_of(t, op->in[1], r) + op->glu.first;
        double *out = row_of(t, op->out[0], r);
        for (int32_t i = 0; i < op->glu.width; i++) {
            double const x = fmin(gate[i], 7), y = fmax(-7, fmin(up[i], 7));
            out[i] = op->glu.activation == CHORD_ACTIVATION_SWIGLU_OAI
                         ? x / (1 + exp(-(double)1.702f * x)) * (y + 1)
                         : activation(t, op->glu.activation, gate[i]) * up[i];
        }
    }
}

static void activate(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < op->activate.width; i++) {
            double *y = row_of(t, op->out[0], r) + i;
            *y = activation(t, op->activate.activation, *y);
        }
}

static void softcap(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < op->softcap.width; i++) {
            double *y = row_of(t, op->out[0], r) + i;
            *y = (double)op->softcap.cap * tanh(*y / (double)op->softcap.cap);
        }
}

static void scale(const interpreter *t, const chord_op *op)
{
    float *w = op->weight[0] == CHORD_NONE ? NULL : weight_row(t, op->weight[0], 0);
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < op->scale.width; i++)
            row_of(t, op->out[0], r)[i] *= (double)op->scale.factor *
                                           (w ? (double)w[op->scale.is_each ? i : 0] : 1);
    free(w);
}

static void clamp(const interpreter *t, const chord_op *op)
{
    double const limit = (double)op->clamp.limit;
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < op->clamp.width; i++) {
            double *y = row_of(t, op->out[0], r) + i;
            *y = fmin(fmax(*y, -limit), limit);
        }
}

static void xielu(const interpreter *t, const chord_op *op)
{
    const chord_op_xielu *c = &op->xielu;
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < c->width; i++) {
            double *y = row_of(t, op->out[0], r) + i, x = *y;
            double const below = (double)c->alpha_n * (exp(fmin(x, (double)c->eps)) - 1 - x);
            *y = (x > 0 ? (double)c->alpha_p * x * x : below) + (double)c->beta * x;
        }
}

static void log_scale(const interpreter *t, const chord_op *op)
{
    const chord_op_log_scale *s = &op->log_scale;
    for (int32_t r = 0; r < rows_of(t, op); r++) {
        int32_t const p = t->batch->positions ? t->batch->positions[r * t->batch->n_axes] : t->first + r;
        double const factor = 1 + (double)s->factor * log(1 + floor((double)p / s->period));
        for (int32_t i = 0; i < s->width; i++) row_of(t, op->out[0], r)[i] *= factor;
    }
}

static void add(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < op->add.width; i++) row_of(t, op->out[0], r)[i] += row_of(t, op->in[0], r)[i];
}

/* A position's row holds the state after its token: the last kernel - 1 inputs, oldest first. The inputs
 * before position 0 are zeros. */
static void short_conv(const interpreter *t, const chord_op *op)
{
    int32_t const width = op->short_conv.width, n_past = op->short_conv.kernel - 1;
    float *bias = op->weight[1] == CHORD_NONE ? NULL : weight_row(t, op->weight[1], 0);
    for (int32_t c = 0; c < width; c++) {
        int32_t const lerp = op->short_conv.is_lerp;
        float *w = weight_row(t, op->weight[0], lerp ? op->short_conv.row : c);
        if (lerp) w[0] = w[c], w[1] = 1 - w[0];
        for (int32_t r = 0; r < t->batch->n_tokens; r++) {
            int32_t const position = t->first + r;
            const double *before = position ? kept_of(t, op->cache, position - 1) + c : NULL;
            double *after = kept_of(t, op->cache, position) + c, x = row_of(t, op->in[0], r)[c], sum = 0;
            for (int32_t j = 0; j < n_past; j++) {
                sum += before ? (double)w[j] * before[j * width] : 0;
                after[j * width] = j + 1 == n_past ? x : before ? before[(j + 1) * width] : 0;
            }
            row_of(t, op->out[0], r)[c] = sum + (double)w[n_past] * x + (bias ? (double)bias[c] : 0);
        }
        free(w);
    }
    free(bias);
}

/* ---- mixtures of experts ----------------------------------------------------------------------------- */

/* Returns the largest of values[first .. end - 1] that isn't out; of equal ones the first. */
static int32_t largest(const double *values, const uint8_t *is_out, int32_t first, int32_t end)
{
    int32_t best = -1;
    for (int32_t i = first; i < end; i++)
        if (!is_out[i] && (best < 0 || values[i] > values[best])) best = i;
    return best;
}

static void softmax(double *p, const double *x, int32_t n)
{
    double most = x[0], sum = 0;
    for (int32_t i = 1; i < n; i++) most = fmax(most, x[i]);
    for (int32_t i = 0; i < n; i++) sum += p[i] = exp(x[i] - most);
    for (int32_t i = 0; i < n; i++) p[i] /= sum;
}

/* Takes out the experts of all groups but those whose two best experts have the largest sums. */
static void keep_groups(const chord_op_route *c, const double *by, uint8_t *is_out)
{
    int32_t const size = c->n_expert / c->n_groups;
    double value[CHORD_MAX_EXPERTS];
    uint8_t is_in[CHORD_MAX_EXPERTS] = { 0 };
    for (int32_t g = 0; g < c->n_groups; g++) {
        int32_t const first = largest(by, is_out, g * size, (g + 1) * size);
        if (first < 0) abort();
        is_out[first] = 1;
        value[g] = by[first] + by[largest(by, is_out, g * size, (g + 1) * size)];
        is_out[first] = 0;
    }
    for (int32_t k = 0; k < c->n_groups_used; k++) is_in[largest(value, is_in, 0, c->n_groups)] = 1;
    for (int32_t i = 0; i < c->n_expert; i++) is_out[i] = !is_in[i / size];
}

static void route(const interpreter *t, const chord_op *op)
{
    const chord_op_route *c = &op->route;
    float *bias = op->weight[0] == CHORD_NONE ? NULL : weight_row(t, op->weight[0], 0),
          *factor = op->weight[1] == CHORD_NONE ? NULL : weight_row(t, op->weight[1], 0);
    double p[CHORD_MAX_EXPERTS], by[CHORD_MAX_EXPERTS];
    for (int32_t r = 0; r < rows_of(t, op); r++) {
        const double *x = row_of(t, op->in[0], r);
        double *number = row_of(t, op->out[0], r), *weight = number + c->n_used, sum = 0;
        uint8_t is_out[CHORD_MAX_EXPERTS] = { 0 };
        if (c->gating == CHORD_GATING_SOFTMAX) softmax(p, x, c->n_expert);
        else
            for (int32_t i = 0; i < c->n_expert; i++)
                p[i] = c->gating == CHORD_GATING_SIGMOID ? 1 / (1 + exp(-x[i])) : x[i];
        for (int32_t i = 0; i < c->n_expert; i++) by[i] = p[i] + (bias ? (double)bias[i] : 0);
        if (c->n_groups > 1) keep_groups(c, by, is_out);
        for (int32_t u = 0; u < c->n_used; u++) {
            int32_t const best = largest(by, is_out, 0, c->n_expert);
            is_out[best] = 1;
            number[u] = best;
            weight[u] = p[best];
        }
        if (c->gating == CHORD_GATING_CHOSEN) softmax(weight, weight, c->n_used);
        for (int32_t u = 0; u < c->n_used; u++) sum += weight[u];
        for (int32_t u = 0; u < c->n_used; u++)
            weight[u] *= (double)c->scale / (c->is_normalised ? fmax(sum, 6.103515625e-5) : 1) *
                         (factor ? (double)factor[(int32_t)number[u]] : 1);
    }
    free(bias), free(factor);
}

static void experts(interpreter *t, const chord_op *op)
{
    const chord_op_experts *m = &op->experts;
    double *x = malloc((size_t)m->n_in * sizeof *x);
    for (int32_t k = 0; k < m->n_weights; k++) {
        const chord_tensor *w = &t->plan->tensors[op->weight[k]];
        int const is_q8 = (t->flags & REFERENCE_ACT_Q8) && chord_format_of(w->type)->act == CHORD_ACT_Q8;
        for (int32_t r = 0; r < rows_of(t, op); r++)
            for (int32_t u = 0; u < m->n_used; u++) {
                int32_t const expert = op->in[1] == CHORD_NONE ? u : (int32_t)row_of(t, op->in[1], r)[u];
                memcpy(x, row_of(t, op->in[0], r) + (m->is_each ? u * m->n_in : 0),
                       (size_t)m->n_in * sizeof *x);
                if (is_q8) through_q8(x, m->n_in);
                float *bias = op->weight[3 + k] == CHORD_NONE ? NULL
                                                              : weight_row(t, op->weight[3 + k], expert);
                int32_t const s = op->weight[2 + 3 * k];
                float *scale = s == CHORD_NONE ? NULL : weight_row(t, s, 0);
                t->work += (double)m->n_in * m->n_out[k];
                for (int32_t o = 0; o < m->n_out[k]; o++) {
                    float *row = weight_row(t, op->weight[k], expert * w->ne[1] + m->row[k] + o);
                    double sum = 0;
                    for (int32_t i = 0; i < m->n_in; i++) sum += (double)row[i] * x[i];
                    if (scale) sum *= (double)scale[expert];
                    if (bias) sum += (double)bias[m->row[k] + o];
                    row_of(t, op->out[k], r)[u * m->n_out[k] + o] = sum;
                    free(row);
                }
                free(bias);
                free(scale);
            }
    }
    free(x);
}

static void combine(const interpreter *t, const chord_op *op)
{
    int32_t const width = op->combine.width, n_used = op->combine.n_used;
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < width; i++) {
            double *y = row_of(t, op->out[0], r) + i, sum = op->flags & CHORD_FLAG_ADD ? *y : 0;
            for (int32_t u = 0; u < n_used; u++)
                sum += row_of(t, op->in[1], r)[n_used + u] * row_of(t, op->in[0], r)[u * width + i];
            *y = sum;
        }
}

static void gate(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < op->gate.width; i++)
            row_of(t, op->out[0], r)[i] /= 1 + exp(-row_of(t, op->in[0], r)[0]);
}

static void add_row(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < t->batch->n_tokens; r++) {
        float *w = weight_row(t, op->weight[0], op->add_row.row >= 0 ? op->add_row.row : t->first + r);
        for (int32_t i = 0; i < op->add_row.width; i++) row_of(t, op->out[0], r)[i] += (double)w[i];
        free(w);
    }
}

/* ALiBi's slopes, arXiv 2108.12409: a geometric series for the power of two below n heads; the other heads
 * take every second one of the series for twice as many. */
static double slope(int32_t n, int32_t h, double max_bias)
{
    int32_t p = 1;
    while (2 * p <= n) p *= 2;
    return h < p ? pow(2, -max_bias / p * (h + 1)) : pow(2, -max_bias / (2 * p) * (2 * (h - p) + 1));
}

/* T5's bucket of the distance d, as Mesh TensorFlow has it. */
static int32_t bucket(int32_t n, int32_t d)
{
    int32_t const half = n / 2, exact = half / 2, far = abs(d);
    double const at = far < exact
                          ? far
                          : fmin(half - 1, exact + floor(1e-9 + log((double)far / exact) /
                                                                    log(128.0 / exact) * (half - exact)));
    return (d > 0 ? half : 0) + (int32_t)at;
}

static void encode(interpreter *t, const chord_op *op)
{
    const chord_op_encode *a = &op->encode;
    int32_t const n = t->batch->n_tokens, d = a->head_dim;
    double *p = malloc((size_t)n * sizeof *p);
    for (int32_t r = 0; r < n; r++)
        for (int32_t h = 0; h < a->n_head; h++) {
            const double *q = row_of(t, op->in[0], r) + h * d;
            double *out = row_of(t, op->out[0], r) + h * d, most = -INFINITY, sum = 0;
            int32_t const kv = h / (a->n_head / a->n_kv) * d, reach = a->window ? a->window / 2 : n;
            for (int32_t j = 0; j < n; j++) {
                p[j] = -INFINITY;
                if (abs(r - j) > reach || (a->is_causal && j > r)) continue;
                p[j] = 0;
                for (int32_t i = 0; i < d; i++) p[j] += q[i] * (row_of(t, op->in[1], j) + kv)[i];
                p[j] *= (double)a->scale;
                if (a->max_bias > 0) p[j] -= slope(a->n_head, h, (double)a->max_bias) * abs(r - j);
                if (op->weight[0] != CHORD_NONE) {
                    float *w = weight_row(t, op->weight[0], bucket(a->n_buckets, j - r));
                    p[j] += (double)w[h];
                    free(w);
                }
                most = fmax(most, p[j]);
                t->work += 2.0 * d;
            }
            for (int32_t j = 0; j < n; j++) sum += p[j] = exp(p[j] - most);
            for (int32_t i = 0; i < d; i++) out[i] = 0;
            for (int32_t j = 0; j < n; j++)
                for (int32_t i = 0; i < d; i++) out[i] += p[j] / sum * (row_of(t, op->in[2], j) + kv)[i];
        }
    free(p);
}

/* One run: the whole batch. */
static void pool(const interpreter *t, const chord_op *op)
{
    int32_t const n = t->batch->n_tokens,
                  pooling = t->batch->pooling == CHORD_POOLING_RANK ? op->pool.rank : t->batch->pooling;
    for (int32_t o = 0; o < t->batch->n_outputs; o++)
        for (int32_t i = 0; i < op->pool.width; i++) {
            double sum = 0;
            for (int32_t r = 0; r < n; r++) sum += row_of(t, op->in[0], r)[i];
            int32_t const one = pooling == CHORD_POOLING_NONE ? o : pooling == CHORD_POOLING_LAST ? n - 1 : 0;
            row_of(t, op->out[0], o)[i] = pooling == CHORD_POOLING_MEAN ? sum / n
                                                                        : row_of(t, op->in[0], one)[i];
        }
}

static void softplus(const interpreter *t, const chord_op *op)
{
    float *bias = weight_row(t, op->weight[0], 0);
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < op->softplus.width; i++) {
            double *y = row_of(t, op->out[0], r) + i, x = *y + (double)bias[i];
            *y = x > 30 ? x : log(1 + exp(x));
        }
    free(bias);
}

static void split(const interpreter *t, const chord_op *op)
{
    int32_t const n = op->split.head_dim;
    for (int32_t r = 0; r < t->batch->n_tokens; r++)
        for (int32_t i = 0; i < op->split.n_head * n * 2; i++)
            row_of(t, op->out[i / n % 2], r)[i / n / 2 * n + i % n] = row_of(t, op->in[0], r)[i];
}

static void join(const interpreter *t, const chord_op *op)
{
    const chord_op_join *j = &op->join;
    for (int32_t r = 0; r < t->batch->n_tokens; r++) {
        double *y = row_of(t, op->out[0], r);
        for (int32_t h = 0; h < j->n_head; h++)
            for (int32_t part = 0; part < 2; part++)
                for (int32_t i = 0; i < j->width[part]; i++)
                    *y++ = row_of(t, op->in[part], r)[j->first[part] + h * j->step[part] + i];
    }
}

static void blend(const interpreter *t, const chord_op *op)
{
    const chord_op_blend *b = &op->blend;
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t k = 0; k < b->width; k++) {
            double *y = row_of(t, op->out[0], r) + k, sums[4] = { 0 };
            for (int32_t i = 0; i < b->n_out; i++)
                for (int32_t j = 0; j < b->n_in; j++) {
                    double const c = op->in[1] == CHORD_NONE ? 0 : row_of(t, op->in[1], r)[i * b->n_in + j];
                    sums[i] += ((double)b->factor * c + (double)b->bias) *
                               row_of(t, op->in[0], r)[j * b->width + k];
                }
            for (int32_t i = 0; i < b->n_out; i++) y[(b->first + i) * b->width] += sums[i];
        }
}

static double length_of(const double *x, int32_t n)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

static void rescale(const interpreter *t, const chord_op *op)
{
    int32_t const n = op->rescale.width;
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < op->rescale.n_out; i++) {
            double *y = row_of(t, op->out[0], r) + i * n, own = length_of(y, n);
            for (int32_t k = 0; k < n && own > 0; k++) y[k] *= length_of(row_of(t, op->in[0], r), n) / own;
        }
}

static void sparsify(const interpreter *t, const chord_op *op)
{
    int32_t const n = op->sparsify.width;
    for (int32_t r = 0; r < rows_of(t, op); r++) {
        double *y = row_of(t, op->out[0], r), mean = 0, variance = 0;
        for (int32_t i = 0; i < n; i++) mean += y[i] / n;
        for (int32_t i = 0; i < n; i++) variance += (y[i] - mean) * (y[i] - mean) / (n - 1);
        for (int32_t i = 0; i < n; i++)
            y[i] = fmax(y[i] - mean - (double)op->sparsify.factor * sqrt(variance), 0);
    }
}

/* Computes head h of one token: S is [k_dim][v_dim], x the token's row of in[0]. */
static void scan_head(const chord_op_scan *c, int32_t h, const double *x, double step, double decay,
                      double beta, double skip, const double *before, double *after, double *y)
{
    int32_t const g = c->is_delta ? h % c->n_keys : h / (c->n_head / c->n_keys), n = c->v_dim;
    const double *q = x + c->q_at + g * c->k_dim, *k = x + c->k_at + g * c->k_dim, *v = x + c->v_at + h * n;
    for (int32_t j = 0; j < n; j++) {
        double recalled = 0, sum = 0;
        for (int32_t i = 0; i < c->k_dim && before; i++)
            recalled += (double)c->k_scale * k[i] * before[i * n + j];
        double const u = c->is_delta ? beta * (v[j] - decay * recalled) : step * v[j];
        for (int32_t i = 0; i < c->k_dim; i++) {
            after[i * n + j] = (before ? decay * before[i * n + j] : 0) + (double)c->k_scale * k[i] * u;
            sum += (double)c->q_scale * q[i] * after[i * n + j];
        }
        y[j] = sum + skip * v[j];
    }
}

/* A position's row holds the state after its token. */
static void scan(const interpreter *t, const chord_op *op)
{
    const chord_op_scan *c = &op->scan;
    float *a = malloc(sizeof(float) * (size_t)c->n_head), *d = calloc((size_t)c->n_head, sizeof(float));
    for (int k = 0; k < 2; k++) /* [n_head] or [n_head][1] */
        for (int32_t h = 0; h < c->n_head && op->weight[k] != CHORD_NONE; h++) {
            int const is_row = t->plan->tensors[op->weight[k]].n_rows == 1;
            float *w = weight_row(t, op->weight[k], is_row ? 0 : h);
            (k ? d : a)[h] = w[is_row ? h : 0];
            free(w);
        }
    for (int32_t r = 0; r < t->batch->n_tokens; r++)
        for (int32_t h = 0; h < c->n_head; h++) {
            int32_t const position = t->first + r, at = h * c->k_dim * c->v_dim;
            double const step = row_of(t, op->in[1], r)[h],
                         beta = c->is_delta ? 1 / (1 + exp(-row_of(t, op->in[2], r)[h])) : 0;
            scan_head(c, h, row_of(t, op->in[0], r), step, exp(step * (double)a[h]), beta, (double)d[h],
                      position ? kept_of(t, op->cache, position - 1) + at : NULL,
                      kept_of(t, op->cache, position) + at, row_of(t, op->out[0], r) + h * c->v_dim);
        }
    free(a);
    free(d);
}

/* Computes head h of one token. w: the op's weights; weight[4] may be NULL. */
static void wkv_head(const interpreter *t, const chord_op *op, int32_t row, int32_t h, float *const *w)
{
    int32_t const n = op->wkv.head_dim, width = n * op->wkv.n_head, position = t->first + row, at = h * n;
    const double *r = row_of(t, op->in[0], row) + at, *k = row_of(t, op->in[1], row) + at,
                 *rate = row_of(t, op->in[2], row) + at, *v = k + width;
    const double *before = position ? kept_of(t, op->cache, position - 1) + at * n : NULL;
    double *after = kept_of(t, op->cache, position) + at * n, *y = row_of(t, op->out[0], row) + at;
    double length = 0, bonus = 0;
    for (int32_t i = 0; i < n; i++) length += pow(k[i] * (double)w[0][at + i], 2);
    for (int32_t j = 0; j < n; j++) {
        double gone = 0;
        y[j] = bonus = 0;
        for (int32_t i = 0; i < n && before; i++)
            gone += k[i] * (double)w[0][at + i] / fmax(sqrt(length), 1e-12) * before[i * n + j];
        for (int32_t i = 0; i < n; i++) {
            double const a = 1 / (1 + exp(-rate[i])), decay = exp(-0.606531 / (1 + exp(-r[width + i]))),
                         c = k[i] * (double)w[0][at + i] / fmax(sqrt(length), 1e-12),
                         key = k[i] + (a - 1) * k[i] * (double)w[1][at + i];
            after[i * n + j] = (before ? decay * before[i * n + j] : 0) + key * v[j] - a * c * gone;
            y[j] += r[i] * after[i * n + j];
            bonus += r[i] * key * (double)w[2][at + i];
        }
    }
    double mean = 0, variance = 0;
    for (int32_t j = 0; j < n; j++) mean += y[j] / n;
    for (int32_t j = 0; j < n; j++) variance += (y[j] - mean) * (y[j] - mean) / n;
    for (int32_t j = 0; j < n; j++) {
        if (w[3])
            y[j] = (y[j] - mean) / sqrt(variance + (double)op->wkv.eps) * (double)w[3][at + j] +
                   (double)w[4][at + j];
        y[j] += bonus * v[j];
    }
}

static void wkv(const interpreter *t, const chord_op *op)
{
    float *w[5];
    for (int k = 0; k < 5; k++) w[k] = op->weight[k] == CHORD_NONE ? NULL : weight_row(t, op->weight[k], 0);
    for (int32_t r = 0; r < t->batch->n_tokens; r++)
        for (int32_t h = 0; h < op->wkv.n_head; h++) wkv_head(t, op, r, h, w);
    for (int k = 0; k < 5; k++) free(w[k]);
}

static void acquire(const interpreter *t, const chord_op *op) { (void)t, (void)op; }
static void release(const interpreter *t, const chord_op *op) { (void)t, (void)op; }

static int run_op(interpreter *t, const chord_op *op)
{
    switch (op->kind) {
#define INT(f)
#define INTS(f, n)
#define FLOAT(f)
#define OP(NAME, name, number, traits, fields, text) \
    case number: name(t, op); return 1;
#include "../../src/program/ops.def"
    default: return 0;
    }
}

/* Returns the doubles per position of a cache. */
static size_t width_of(const chord_cache_spec *s)
{
    return s->kind == CHORD_CACHE_STATE ? (size_t)s->n_state
                                        : (size_t)s->n_kv * (size_t)(s->k_dim + s->v_dim);
}

int64_t reference_kept_width(const chord_model *m)
{
    const chord_program *p = &chord_model_plan_of(m)->program;
    size_t width = 0;
    for (int32_t i = 0; i < p->n_caches; i++) width += width_of(&p->caches[i]);
    return (int64_t)width;
}

/* Computes a batch of one run. Returns 0 for an unknown op. */
static int run_program(interpreter *t, double *outputs)
{
    const chord_program *p = &t->plan->program;
    int32_t const n = t->batch->n_tokens;
    if (p->n_caches > MAX_CACHES) return 0;
    for (int32_t i = 0; i < p->n_caches; i++) {
        t->kept_at[i] = t->kept_width;
        t->kept_width += width_of(&p->caches[i]);
    }
    for (int32_t s = 0; s < p->n_slots; s++)
        t->slots[s] = calloc((size_t)(p->slots[s].rows == CHORD_ROWS_OUTPUT ? t->batch->n_outputs : n) *
                                 (size_t)p->slots[s].width,
                             sizeof(double));
    int known = 1;
    for (int32_t i = 0; i < chord_batch_end(t->batch, p) && known; i = chord_batch_next(t->batch, p, i))
        known = run_op(t, &p->ops[i]);
    int32_t const slot = !t->batch->is_texts                       ? p->output_slot
                         : t->batch->pooling == CHORD_POOLING_RANK ? p->rank_slot
                                                                   : p->pooled_slot;
    size_t const width = (size_t)p->slots[slot].width;
    if (known) memcpy(outputs, t->slots[slot], (size_t)t->batch->n_outputs * width * sizeof *outputs);
    for (int32_t s = 0; s < p->n_slots; s++) free(t->slots[s]);
    return known;
}

int reference_batch(const chord_model *m, const chord_batch *batch, double *kept, int flags, double *outputs,
                    double *work)
{
    static interpreter t; /* static, because it is large; tests run one at a time */
    t = (interpreter){ .model = m,
                       .plan = chord_model_plan_of(m),
                       .batch = batch,
                       .flags = flags,
                       .kept = kept,
                       .first = batch->n_runs ? batch->runs->first_pos : 0 };
    int const known = run_program(&t, outputs);
    if (work) *work = t.work;
    return known;
}

int reference_outputs(const chord_model *m, const chord_batch *batch, int flags, double *outputs)
{
    if (batch->n_runs && batch->runs->first_pos) return 0;
    double *kept = calloc((size_t)batch->n_tokens * (size_t)reference_kept_width(m) + 1, sizeof *kept);
    int const known = reference_batch(m, batch, kept, flags, outputs, NULL);
    free(kept);
    return known;
}

int reference_logits(const chord_model *m, const int32_t *ids, int32_t n, const int32_t *rows, int32_t n_rows,
                     int flags, double *logits)
{
    chord_batch const batch = { .n_tokens = n, .ids = ids, .n_outputs = n_rows, .rows = rows };
    return reference_outputs(m, &batch, flags, logits);
}
