/* op.c: the table of ops, made from program/ops.def. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

#define INT(f)
#define INTS(f, n)
#define FLOAT(f)
#define OP(NAME, name, number, traits, fields, text) extern const chord_op_cpu chord_op_cpu_##name;
#include "../program/ops.def"

#define INT(f)
#define INTS(f, n)
#define FLOAT(f)
#define OP(NAME, name, number, traits, fields, text) [number] = &chord_op_cpu_##name,
static const chord_op_cpu *const table[CHORD_OP_KINDS] = {
#include "../program/ops.def"
};

const chord_op_cpu *chord_op_cpu_of(int32_t kind)
{
    return kind > 0 && kind < CHORD_OP_KINDS ? table[kind] : NULL;
}

chord_cut chord_op_cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch)
{
    chord_cut cut = { .n_units = 0 };
    const chord_op_cpu *cpu = chord_op_cpu_of(op->kind);
    if (cpu && cpu->cut) cpu->cut(plan, op, batch, &cut);
    return cut;
}

chord_stage chord_op_stage(const chord_op *op, const chord_cut *cut, int64_t unit)
{
    const chord_op_cpu *cpu = chord_op_cpu_of(op->kind);
    chord_stage stage = cpu->stage ? cpu->stage(op, cut, unit)
                                   : (chord_stage){ 0, cut->n_units, cut->unit_work };
    if (!stage.unit_work) stage.unit_work = 1; /* the walk divides by unit_work */
    return stage;
}

float *chord_run_row(const chord_run *run, int32_t slot, int64_t row)
{
    return run->plan->slots[slot] + row * chord_slot_stride(&run->plan->program.slots[slot]);
}

const float *chord_run_gathered(const chord_run *run, int64_t row)
{
    return chord_run_row(run, run->op->in[0],
                         run->op->flags & CHORD_FLAG_GATHER ? run->batch->rows[row] : row);
}

uint8_t *chord_run_scratch(const chord_run *run, int32_t thread)
{
    return run->plan->thread_scratch + (uint64_t)thread * run->plan->thread_scratch_bytes;
}

const float *chord_run_vector(const chord_run *run, int32_t tensor)
{
    return tensor < 0 ? NULL : (const float *)(const void *)run->plan->tensors[tensor].data;
}

void chord_cut_rows(const chord_op *op, const chord_batch *batch, int64_t work, chord_cut *cut)
{
    cut->n_units = chord_op_rows(op, batch);
    cut->unit_work = (uint64_t)work;
}

void chord_exec_measure(chord_plan *plan)
{
    chord_op_memory memory = { 0, 0 };
    for (int32_t i = 0; i < plan->program.n_all; i++) {
        const chord_op *op = &plan->program.ops[i];
        const chord_op_cpu *cpu = chord_op_cpu_of(op->kind);
        if (!cpu || !cpu->measure) continue;
        chord_op_memory of_op = { 0, 0 };
        cpu->measure(plan, op, &of_op);
        if (of_op.work_bytes > memory.work_bytes) memory.work_bytes = of_op.work_bytes;
        if (of_op.thread_bytes > memory.thread_bytes) memory.thread_bytes = of_op.thread_bytes;
    }
    plan->work_bytes = memory.work_bytes;
    /* at least 64 unused bytes separate two threads' scratch: no shared cache line */
    plan->thread_scratch_bytes = (memory.thread_bytes + 127) & ~63ull;
}

/* Not inline: 50 copies have 40 bytes each. */
