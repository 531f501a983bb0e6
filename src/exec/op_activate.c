/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/host.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->activate.width, cut);
}

static void relu_squared(float *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++) x[i] = x[i] > 0 ? x[i] * x[i] : 0;
}

/* In double: the exp of a large -x is then no infinity. */
static void sigmoid(float *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++) x[i] = (float)(1 / (1 + chord_host_exp(-(double)x[i])));
}

static chord_activate_fn *function_of(const chord_ops *ops, int32_t activation)
{
    switch (activation) {
    case CHORD_ACTIVATION_SILU: return ops->silu;
    case CHORD_ACTIVATION_GELU: return ops->gelu;
    case CHORD_ACTIVATION_RELU_SQUARED: return relu_squared;
    case CHORD_ACTIVATION_SIGMOID: return sigmoid;
    default: return ops->relu;
    }
}

static void activate(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    chord_activate_fn *const act = function_of(run->ops, run->op->activate.activation);
    for (int64_t row = u0; row < u1; row++)
        act(chord_run_row(run, run->op->out[0], row), run->op->activate.width);
}

const chord_op_cpu chord_op_cpu_activate = { .cut = cut, .run = activate };
