/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../kernels/real.h"

/* The scratch of a token: of each expert its probability, what it is chosen by, and whether it is out. */
typedef struct choice {
    float *p, *by;
    uint8_t *is_out;
    int32_t n;
} choice;

static void measure(const chord_plan *plan, const chord_op *op, chord_op_memory *memory)
{
    (void)plan;
    memory->thread_bytes = (uint64_t)op->route.n_expert * 9;
}

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    /* an exp takes as long as some sixteen multiply-adds */
    chord_cut_rows(op, batch, (int64_t)op->route.n_expert * (16 + op->route.n_used), cut);
}

/* Makes softmax(x) of n numbers; x may be p. */
static void softmax(float *p, const float *x, int32_t n)
{
    float most = x[0];
    double sum = 0;
    for (int32_t i = 1; i < n; i++)
        if (x[i] > most) most = x[i];
    for (int32_t i = 0; i < n; i++) {
        double const e = chord_real_exp((double)x[i] - (double)most);
        p[i] = (float)e;
        sum += e;
    }
    for (int32_t i = 0; i < n; i++) p[i] = (float)((double)p[i] / sum);
}

/* Returns the best of experts [first, end) that isn't out. If nothing compares (NaN): the first of them. */
static int32_t best_of(const choice *c, int32_t first, int32_t end)
{
    int32_t best = CHORD_NONE;
    for (int32_t i = first; i < end; i++)
        if (!c->is_out[i] && (best < 0 || c->by[i] > c->by[best])) best = i;
    return best;
}

/* Returns the sum of a group's two best. */
static float value_of(choice *c, int32_t first, int32_t end)
{
    int32_t const best = best_of(c, first, end);
    c->is_out[best] = 1;
    int32_t const second = best_of(c, first, end);
    c->is_out[best] = 0;
    return c->by[best] + c->by[second];
}

/* Takes the experts of all but the best groups out. */
static void choose_groups(choice *c, const chord_op_route *r)
{
    int32_t const size = c->n / r->n_groups;
    float value[CHORD_MAX_EXPERTS / 2];
    uint8_t is_in[CHORD_MAX_EXPERTS / 2];
    for (int32_t g = 0; g < r->n_groups; g++) {
        value[g] = value_of(c, g * size, (g + 1) * size);
        is_in[g] = 0;
    }
    for (int32_t k = 0; k < r->n_groups_used; k++) {
        int32_t best = CHORD_NONE;
        for (int32_t g = 0; g < r->n_groups; g++)
            if (!is_in[g] && (best < 0 || value[g] > value[best])) best = g;
        is_in[best] = 1;
    }
    for (int32_t i = 0; i < c->n; i++) c->is_out[i] = !is_in[i / size];
}

static void route_row(const chord_run *run, int64_t row, choice *c)
{
    const chord_op_route *r = &run->op->route;
    const float *x = chord_run_row(run, run->op->in[0], row),
                *bias = chord_run_vector(run, run->op->weight[0]),
                *factor = chord_run_vector(run, run->op->weight[1]);
    float *number = chord_run_row(run, run->op->out[0], row), *weight = number + r->n_used;
    if (r->gating == CHORD_GATING_SOFTMAX) softmax(c->p, x, c->n);
    for (int32_t i = 0; i < c->n; i++) {
        if (r->gating == CHORD_GATING_SIGMOID) c->p[i] = (float)(1 / (1 + chord_real_exp(-(double)x[i])));
        if (r->gating == CHORD_GATING_CHOSEN) c->p[i] = x[i];
        c->by[i] = bias ? c->p[i] + bias[i] : c->p[i];
        c->is_out[i] = 0;
    }
    if (r->n_groups > 1) choose_groups(c, r);
    float sum = 0;
    for (int32_t u = 0; u < r->n_used; u++) {
        int32_t const best = best_of(c, 0, c->n);
        c->is_out[best] = 1;
        number[u] = (float)best;
        weight[u] = c->p[best];
        sum += weight[u];
    }
    if (r->gating == CHORD_GATING_CHOSEN) {
        softmax(weight, weight, r->n_used);
        sum = 1;
    }
    float const norm = !r->is_normalised ? 1 : sum > 0x1p-14f ? sum : 0x1p-14f;
    for (int32_t u = 0; u < r->n_used; u++) {
        weight[u] = weight[u] / norm * r->scale;
        if (factor) weight[u] *= factor[(int32_t)number[u]];
    }
}

static void route(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    int32_t const n = run->op->route.n_expert;
    float *const p = (float *)(void *)chord_run_scratch(run, thread);
    choice c = { .p = p, .by = p + n, .is_out = (uint8_t *)(p + 2 * n), .n = n };
    for (int64_t row = u0; row < u1; row++) route_row(run, row, &c);
}

const chord_op_cpu chord_op_cpu_route = { .measure = measure, .cut = cut, .run = route };
