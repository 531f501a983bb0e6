/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, (int64_t)op->head_norm.n_head * op->head_norm.head_dim, cut);
}

static void head_norm(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op_head_norm *n = &run->op->head_norm;
    const float *w = chord_run_vector(run, run->op->weight[0]);
    for (int64_t row = u0; row < u1; row++) {
        float *x = chord_run_row(run, run->op->out[0], row);
        for (int32_t h = 0; h < n->n_head; h++, x += n->head_dim) {
            chord_layer_norm const a = { .y = x,
                                         .x = x,
                                         .w = w && n->is_each ? w + h * n->head_dim : w,
                                         .n = n->head_dim,
                                         .eps = n->eps };
            float const power = n->is_centred ? run->ops->layer_norm(&a)
                                              : run->ops->rms_norm(x, x, a.w, a.n, a.eps);
            if (!chord_is_finite(power)) chord_run_fault(run, CHORD_FAULT_NORM);
        }
    }
}

const chord_op_cpu chord_op_cpu_head_norm = { .cut = cut, .run = head_norm };
