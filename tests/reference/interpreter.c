/* SPDX-License-Identifier: Apache-2.0 */
#include "interpreter.h"
#include "../../src/base/half.h"
#include "../../src/quant/act.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct interpreter {
    const chord_model *model;
    const chord_model_plan *plan;
    const chord_batch *batch;
    int flags;
    double *slots[CHORD_MAX_SLOTS];
    double *kv;                   /* [layer][K, V][position][n_kv * head_dim] */
} interpreter;

static int32_t rows_of(const interpreter *t, const chord_op *op)
{
    return op->flags & CHORD_FLAG_OUTPUT ? t->batch->n_outputs : t->batch->n_tokens;
}
static double *row_of(const interpreter *t, int32_t slot, int32_t row)
{
    return t->slots[slot] + (size_t)row * (size_t)t->plan->program.slots[slot].width;
}
static double *kv_of(const interpreter *t, int32_t layer, int32_t is_v, int32_t position)
{
    size_t const width = (size_t)t->plan->kv.n_kv * (size_t)t->plan->kv.head_dim;
    return t->kv + (((size_t)layer * 2 + (size_t)is_v) * (size_t)t->batch->n_tokens + (size_t)position) * width;
}

/* Row `row` of a tensor as numbers; malloc'd. */
static float *weight_row(const interpreter *t, int32_t tensor, int64_t row)
{
    const chord_tensor *w = &t->plan->tensors[tensor];
    void *plain = malloc((size_t)w->row_bytes);
    float *x = malloc((size_t)w->ne[0] * sizeof *x);
    if (chord_row(t->model, tensor, row, plain, (size_t)w->row_bytes) != CHORD_OK) abort();
    chord_format_of(w->type)->decode(x, plain, (int32_t)w->ne[0]);
    free(plain);
    return x;
}

static void embed(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < t->batch->n_tokens; r++) {
        float *w = weight_row(t, op->weight[0], t->batch->ids[r]);
        double *out = row_of(t, op->out[0], r);
        for (int32_t i = 0; i < op->n_out[0]; i++) out[i] = (double)op->scale * (double)w[i];
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
        norm_row(row_of(t, op->out[0], r), row_of(t, op->in[0], from), w, op->n_out[0], (double)op->eps);
    }
    free(w);
}

static void head_norm(const interpreter *t, const chord_op *op)
{
    float *w = op->weight[0] == CHORD_NONE ? NULL : weight_row(t, op->weight[0], 0);
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t h = 0; h < op->n_head; h++) {
            double *x = row_of(t, op->out[0], r) + h * op->head_dim;
            norm_row(x, x, w, op->head_dim, (double)op->eps);
        }
    free(w);
}

/* What the executor multiplies with instead of x. */
static void through_q8(double *x, int32_t n)
{
    float *f = malloc((size_t)n * sizeof *f);
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

static void matmul(const interpreter *t, const chord_op *op)
{
    int32_t const n_rows = rows_of(t, op), n = op->n_in;
    double *x = malloc((size_t)n_rows * (size_t)n * sizeof *x);
    for (int32_t k = 0; k < op->n_weights; k++) {
        int const is_q8 = (t->flags & REFERENCE_ACT_Q8) && chord_format_of(t->plan->tensors[op->weight[k]].type)->act == CHORD_ACT_Q8;
        for (int32_t r = 0; r < n_rows; r++) {
            memcpy(x + (size_t)r * (size_t)n, row_of(t, op->in[0], r), (size_t)n * sizeof *x);
            if (is_q8) through_q8(x + (size_t)r * (size_t)n, n);
        }
        float *bias = op->bias[k] == CHORD_NONE ? NULL : weight_row(t, op->bias[k], 0);
        for (int32_t o = 0; o < op->n_out[k]; o++) {
            float *w = weight_row(t, op->weight[k], op->row[k] + o);
            for (int32_t r = 0; r < n_rows; r++) {
                double sum = bias ? (double)bias[op->row[k] + o] : 0;
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

static void rope(const interpreter *t, const chord_op *op)
{
    const chord_rope *c = &t->plan->program.ropes[op->rope];
    float *freqs = c->freqs == CHORD_NONE ? NULL : weight_row(t, c->freqs, 0);
    int32_t const half = c->n_rot / 2;
    for (int32_t r = 0; r < t->batch->n_tokens; r++)
        for (int32_t i = 0; i < half; i++) {
            double const angle = r * (double)c->factor * pow((double)c->base, -2.0 * i / c->n_rot) / (freqs ? (double)freqs[i] : 1);
            double const cosine = (double)c->magnitude * cos(angle), sine = (double)c->magnitude * sin(angle);
            for (int32_t h = 0; h < op->n_head; h++) {
                double *x = row_of(t, op->out[0], r) + h * op->head_dim;
                double *a = c->style == CHORD_ROPE_NORM ? x + 2 * i : x + i, *b = c->style == CHORD_ROPE_NORM ? a + 1 : a + half;
                double const x0 = *a, x1 = *b;
                *a = x0 * cosine - x1 * sine;
                *b = x0 * sine + x1 * cosine;
            }
        }
    free(freqs);
}

static double to_f16(double x) { return (double)chord_f16_f32(chord_f32_f16((float)x)); }

static void kv_store(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < t->batch->n_tokens; r++)
        for (int32_t part = 0; part < 2; part++) {
            const double *x = row_of(t, op->in[part], r);
            double *y = kv_of(t, op->layer, part, r);
            for (int32_t i = 0; i < op->n_kv * op->head_dim; i++)
                y[i] = t->flags & REFERENCE_KV_F16 ? to_f16(x[i]) : x[i];
        }
}

static void attend(const interpreter *t, const chord_op *op)
{
    double *p = malloc((size_t)t->batch->n_tokens * sizeof *p);
    for (int32_t r = 0; r < t->batch->n_tokens; r++)
        for (int32_t h = 0; h < op->n_head; h++) {
            const double *q = row_of(t, op->in[0], r) + h * op->head_dim;
            double *out = row_of(t, op->out[0], r) + h * op->head_dim;
            int32_t const of_kv = h / (op->n_head / op->n_kv) * op->head_dim;
            int32_t const begin = op->window && r >= op->window ? r - op->window + 1 : 0;
            double most = -INFINITY, sum = 0;
            for (int32_t j = begin; j <= r; j++) {
                const double *k = kv_of(t, op->layer, 0, j) + of_kv;
                double score = 0;
                for (int32_t i = 0; i < op->head_dim; i++) score += q[i] * k[i];
                score *= (double)op->scale;
                if (op->softcap > 0) score = (double)op->softcap * tanh(score / (double)op->softcap);
                p[j] = score;
                most = fmax(most, score);
            }
            for (int32_t j = begin; j <= r; j++) sum += p[j] = exp(p[j] - most);
            for (int32_t i = 0; i < op->head_dim; i++) out[i] = 0;
            for (int32_t j = begin; j <= r; j++) {
                const double *v = kv_of(t, op->layer, 1, j) + of_kv;
                for (int32_t i = 0; i < op->head_dim; i++) out[i] += p[j] / sum * v[i];
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

static void glu(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < rows_of(t, op); r++) {
        const double *gate = row_of(t, op->in[0], r), *up = row_of(t, op->in[1], r);
        double *out = row_of(t, op->out[0], r);
        for (int32_t i = 0; i < op->n_out[0]; i++) {
            double const x = gate[i];
            out[i] = (op->activation == CHORD_ACTIVATION_SILU ? x / (1 + exp(-x)) : gelu(t, x)) * up[i];
        }
    }
}

static void add(const interpreter *t, const chord_op *op)
{
    for (int32_t r = 0; r < rows_of(t, op); r++)
        for (int32_t i = 0; i < op->n_out[0]; i++) row_of(t, op->out[0], r)[i] += row_of(t, op->in[0], r)[i];
}

static int run_op(const interpreter *t, const chord_op *op)
{
    switch (op->kind) {
    case CHORD_OP_EMBED: embed(t, op); return 1;
    case CHORD_OP_NORM: norm(t, op); return 1;
    case CHORD_OP_MATMUL: matmul(t, op); return 1;
    case CHORD_OP_HEAD_NORM: head_norm(t, op); return 1;
    case CHORD_OP_ROPE: rope(t, op); return 1;
    case CHORD_OP_KV_STORE: kv_store(t, op); return 1;
    case CHORD_OP_ATTEND: attend(t, op); return 1;
    case CHORD_OP_GLU: glu(t, op); return 1;
    case CHORD_OP_ADD: add(t, op); return 1;
    case CHORD_OP_ANGLES:         /* a table for the executors; ROPE above takes the angles themselves */
    case CHORD_OP_ACQUIRE:
    case CHORD_OP_RELEASE: return 1;
    default: return 0;
    }
}

int reference_logits(const chord_model *m, const int32_t *ids, int32_t n, const int32_t *rows, int32_t n_rows,
                     int flags, double *logits)
{
    const chord_model_plan *plan = chord_model_plan_of(m);
    const chord_program *p = &plan->program;
    chord_batch const batch = { .n_tokens = n, .ids = ids, .n_outputs = n_rows, .rows = rows };
    interpreter t = { .model = m, .plan = plan, .batch = &batch, .flags = flags };
    size_t const kv_row = (size_t)plan->kv.n_kv * (size_t)plan->kv.head_dim;
    t.kv = calloc((size_t)plan->kv.n_layer * 2 * (size_t)n * kv_row, sizeof *t.kv);
    for (int32_t s = 0; s < p->n_slots; s++)
        t.slots[s] = calloc((size_t)(p->slots[s].rows == CHORD_ROWS_OUTPUT ? n_rows : n) * (size_t)p->slots[s].width, sizeof(double));
    int known = 1;
    for (int32_t i = 0; i < p->n_ops && known; i++) known = run_op(&t, &p->ops[i]);
    if (known) memcpy(logits, t.slots[p->logits_slot], (size_t)n_rows * (size_t)plan->n_vocab * sizeof *logits);
    for (int32_t s = 0; s < p->n_slots; s++) free(t.slots[s]);
    free(t.kv);
    return known;
}
