/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/host.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    chord_cut_rows(op, batch, plan->program.ropes[op->angles.rope].n_rot, cut);
}

/* Returns the position that rotates pair `pair` of the token. */
static int32_t position_of(const chord_run *run, const chord_rope *rope, int64_t row, int32_t pair)
{
    const chord_batch *b = run->batch;
    if (!b->positions) {
        const chord_batch_run *of = chord_batch_run_of(b, row);
        return of->first_pos + (int32_t)(row - of->first_row);
    }
    int32_t axis = b->n_axes == 3 && rope->is_interleaved ? chord_rope_place(rope, pair) % 3 : 0;
    if (b->n_axes == 3 && !rope->is_interleaved)
        for (int32_t end = rope->sections[0]; axis < 2 && rope->sections[axis + 1] && pair >= end;)
            end += rope->sections[++axis];
    return b->positions[row * b->n_axes + axis];
}

static void angles(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    int32_t const r = run->op->angles.rope;
    const chord_rope *rope = &run->plan->program.ropes[r];
    double const magnitude = (double)rope->magnitude;
    for (int64_t row = u0; row < u1; row++) {
        float *pair = chord_run_row(run, run->op->out[0], row);
        for (int32_t i = 0; i < rope->n_rot / 2; i++, pair += 2) {
            double const angle = (double)position_of(run, rope, row, i) * run->plan->rope_freqs[r][i];
            pair[0] = (float)(magnitude * chord_host_cos(angle));
            pair[1] = (float)(magnitude * chord_host_sin(angle));
        }
    }
}

const chord_op_cpu chord_op_cpu_angles = { .cut = cut, .run = angles };
