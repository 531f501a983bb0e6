/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/mem.h"

/* Scratch: one row in file form, used if the matrix is in x4 order. */
static void measure(const chord_plan *plan, const chord_op *op, chord_op_memory *memory)
{
    memory->thread_bytes = plan->tensors[op->weight[0]].row_bytes;
}

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->embed.width, cut);
}

static void look_up(const chord_run *run, int64_t row, float *out, int32_t thread)
{
    const chord_op *op = run->op;
    const chord_tensor *t = &run->plan->tensors[op->weight[0]];
    const chord_format *f = chord_format_of(t->type);
    int32_t const n = op->embed.width;
    int32_t const token = run->batch->ids[row];
    int64_t const id = t->placement == CHORD_PLACE_LAZY ? row : token < 0 ? 0 : token;
    const void *source = t->data + (uint64_t)id * t->row_bytes;
    if (t->layout == CHORD_LAYOUT_X4) {
        void *plain = chord_run_scratch(run, thread);
        chord_format_unpack(f, plain, t->data + (uint64_t)(id / 4) * chord_x4_bytes(f, n), (int32_t)(id % 4),
                            n);
        source = plain;
    }
    f->decode(out, source, n);
    if (op->embed.scale != 1) run->ops->scale(out, out, op->embed.scale, n);
}

static void embed(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    for (int64_t row = u0; row < u1; row++) {
        float *out = chord_run_row(run, run->op->out[0], row);
        const float *embedding = run->batch->embeddings ? run->batch->embeddings[row] : NULL;
        if (embedding && !run->op->embed.is_padded)
            chord_copy(out, embedding, (size_t)run->op->embed.width * 4);
        else look_up(run, row, out, thread);
    }
}

const chord_op_cpu chord_op_cpu_embed = { .measure = measure, .cut = cut, .run = embed };
