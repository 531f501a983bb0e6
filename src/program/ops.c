/* ops.c: the table of ops, made from ops.def. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"
#include "plan.h"
#include <stddef.h>

static const chord_op_kind kinds[CHORD_OP_KINDS] = {
#define INT(f)
#define INTS(f, n)
#define FLOAT(f)
#define OP(NAME, name, number, traits, fields, text) [number] = { #NAME, traits },
#include "ops.def"
};

const chord_op_kind *chord_op_kind_of(int32_t kind)
{
    return kind > 0 && kind < CHORD_OP_KINDS && kinds[kind].name ? &kinds[kind] : NULL;
}

const chord_batch_run *chord_batch_run_of(const chord_batch *b, int64_t row)
{
    int32_t i = 0;
    while (i + 1 < b->n_runs && row >= b->runs[i + 1].first_row) i++;
    return &b->runs[i];
}

chord_stacks *chord_tensor_stacks(const chord_plan *plan, const chord_tensor *t)
{
    return plan->n_stacks && t->stacks >= 0 ? &plan->stacks[t->stacks] : NULL;
}

int32_t chord_batch_next(const chord_batch *b, const chord_program *p, int32_t op)
{
    return b->is_texts && op + 1 == p->n_body ? p->n_ops : op + 1;
}

int chord_op_is_in_place(const chord_op *op)
{
    return (op->flags & CHORD_FLAG_ADD) || (chord_op_kind_of(op->kind)->traits & CHORD_TRAIT_IN_PLACE);
}
