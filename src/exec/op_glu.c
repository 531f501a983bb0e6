/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->glu.width, cut);
}

static void relu_glu(float *y, const float *gate, const float *up, int32_t n)
{
    for (int32_t i = 0; i < n; i++) y[i] = gate[i] < 0 ? 0 * up[i] : gate[i] * up[i];
}

static chord_glu_fn *function_of(const chord_ops *ops, int32_t activation)
{
    switch (activation) {
    case CHORD_ACTIVATION_SILU: return ops->silu_glu;
    case CHORD_ACTIVATION_RELU: return relu_glu;
    case CHORD_ACTIVATION_NONE: return ops->product;
    case CHORD_ACTIVATION_SIGMOID: return ops->sigmoid_glu;
    case CHORD_ACTIVATION_SWIGLU_OAI: return ops->oai_glu;
    default: return ops->gelu_glu;
    }
}

static void glu(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    chord_glu_fn *const act = function_of(run->ops, op->glu.activation);
    for (int64_t row = u0; row < u1; row++)
        act(chord_run_row(run, op->out[0], row), chord_run_row(run, op->in[0], row),
            chord_run_row(run, op->in[1], row) + op->glu.first, op->glu.width);
}

const chord_op_cpu chord_op_cpu_glu = { .cut = cut, .run = glu };
