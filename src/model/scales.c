/* scales.c: the tensors <matrix>.scale, one number by which a product is multiplied before its bias. NVFP4
 * files have them beside each matrix, and BitNet's. (A stack of experts has one number for each, moe.c.
 * <matrix>.input_scale, for kernels with inputs of 4 bits, is skipped, as in llama.cpp.) llama.cpp reads the
 * scales of every family, but in some doesn't multiply by those of feed-forwards, so that NVFP4 gives
 * nonsense there; here a product has its scale in every family. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/mem.h"

enum { FLAGS = CHORD_FLAG_OUTPUT | CHORD_FLAG_POOLED }; /* that the ops behind a product have too */

int chord_ends_with(const chord_tensor *t, const char *end)
{
    size_t const n = chord_strlen(end), n_name = (size_t)t->n_name;
    return n_name > n && chord_equal(t->name + n_name - n, end, n);
}

/* Returns the scale of a matrix that is bound, or CHORD_NONE. Gemma 4's ffn_gate_inp.scale is a norm's. */
static int32_t scale_of(chord_builder *b, const chord_tensor *matrix)
{
    enum { CAP = 96, N_WEIGHT = 6 };
    char name[CAP];
    size_t const n = (size_t)matrix->n_name - N_WEIGHT;
    if (!chord_ends_with(matrix, ".weight") || chord_ends_with(matrix, "_inp.weight") || n > CAP - N_WEIGHT)
        return CHORD_NONE;
    chord_copy(name, matrix->name, n);
    chord_copy(name + n, "scale", N_WEIGHT);
    return chord_bind(b, name, 0, 1, 0, CHORD_OPTIONAL);
}

static void emit_bias(chord_builder *b, const chord_op *product, int32_t i)
{
    int32_t const bias = product->weight[3 + i], width = product->matmul.n_out[i];
    const chord_tensor *t = &b->plan->tensors[bias];
    if (t->ne[0] != width)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "a scale beside the bias of a fused matrix isn't supported:", t->name,
                         (size_t)t->n_name);
    chord_op *op = chord_emit(b, CHORD_OP_ADD_ROW, product->layer);
    op->weight[0] = bias;
    op->out[0] = product->out[i];
    op->add_row.width = width;
    op->flags = product->flags & FLAGS;
}

/* A product that adds to its slot gets one of its own, which is scaled and then added. */
static int32_t slot_of(chord_builder *b, int32_t width)
{
    if (!b->scaled || b->plan->program.slots[b->scaled].width < width)
        b->scaled = chord_slot_new(b, width, CHORD_ROWS_BATCH);
    return b->scaled;
}

void chord_emit_scales(chord_builder *b)
{
    chord_program *p = &b->plan->program;
    int32_t const at = p->n_ops - 1;
    if (!b->has_scales || b->status != CHORD_OK || at < b->n_scaled) return;
    b->n_scaled = at + 1;
    if (p->ops[at].kind != CHORD_OP_MATMUL) return;
    chord_op product = p->ops[at];
    for (int32_t i = 0; i < product.matmul.n_weights && product.weight[i] >= 0; i++) {
        int32_t const scale = scale_of(b, &b->plan->tensors[product.weight[i]]),
                      width = product.matmul.n_out[i];
        if (scale == CHORD_NONE) continue;
        int32_t const sum = product.flags & CHORD_FLAG_ADD ? product.out[i] : CHORD_NONE;
        if (sum >= 0) p->ops[at].out[i] = product.out[i] = slot_of(b, width);
        p->ops[at].flags = product.flags &= ~CHORD_FLAG_ADD;
        p->ops[at].weight[3 + i] = CHORD_NONE;
        chord_op *op = chord_emit(b, CHORD_OP_SCALE, product.layer);
        op->weight[0] = scale;
        op->out[0] = product.out[i];
        op->flags = product.flags & FLAGS;
        op->scale = (chord_op_scale){ .width = width, .factor = 1 };
        if (product.weight[3 + i] >= 0) emit_bias(b, &product, i);
        if (sum < 0) continue;
        op = chord_emit(b, CHORD_OP_ADD, product.layer);
        op->in[0] = product.out[i];
        op->out[0] = sum;
        op->add.width = width;
    }
}
