/* moe.c: mixtures of experts. A router chooses a few of many feed-forwards for each token; a shared one may
 * run for every token. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/mem.h"

/* ---- what the metadata says --------------------------------------------------------------------------- */

static void fail_groups(chord_builder *b, const char *why, int32_t n, int32_t groups)
{
    if (b->status == CHORD_OK)
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF,
                               "the key 'expert_group_count' of %q is %d: %s the %d experts", b->arch,
                               b->n_arch, groups, why, n);
}

static void read_groups(chord_builder *b, chord_mixture *m)
{
    m->n_groups = chord_read_int(b, "expert_group_count", 0, 0, m->n_expert);
    if (m->n_groups < 2) return;
    m->n_groups_used = chord_read_int(b, "expert_group_used_count", CHORD_REQUIRED, 1, m->n_groups);
    if (b->status != CHORD_OK) return;
    int32_t const size = m->n_expert / m->n_groups;
    if (size * m->n_groups != m->n_expert) fail_groups(b, "that doesn't divide", m->n_expert, m->n_groups);
    else if (size < 2) fail_groups(b, "a group needs two of", m->n_expert, m->n_groups);
    else if (size * m->n_groups_used < m->n_used)
        fail_groups(b, "the groups in use have fewer than expert_used_count of", m->n_expert, m->n_groups);
}

chord_mixture chord_mixture_read(chord_builder *b, uint64_t flags, int32_t activation)
{
    const chord_hparams *h = b->hparams;
    int32_t const widest = 1 << 20;
    chord_mixture m = { .activation = activation, .gating = CHORD_GATING_SOFTMAX, .scale = 1 };
    m.n_expert = flags & CHORD_MIX_ALWAYS
                     ? chord_read_int(b, "expert_count", CHORD_REQUIRED, 1, CHORD_MAX_EXPERTS)
                     : chord_read_int(b, "expert_count", 0, 0, CHORD_MAX_EXPERTS);
    if (b->status != CHORD_OK || !m.n_expert) return m;
    m.n_used = chord_read_int(b, "expert_used_count", CHORD_REQUIRED, 1,
                              m.n_expert < CHORD_MAX_EXPERTS_USED ? m.n_expert : CHORD_MAX_EXPERTS_USED);
    read_groups(b, &m);
    m.first = chord_read_int(b, "leading_dense_block_count", 0, 0, h->n_layer);
    m.n_ff = flags & CHORD_MIX_OWN_FF
                 ? h->n_ff
                 : chord_read_int(b, "expert_feed_forward_length", h->n_ff / m.n_used, 0, widest);
    if (!m.n_ff) m.n_ff = h->n_ff / m.n_used;
    int32_t const shared = chord_read_int(b, "expert_shared_feed_forward_length", 0, 0, widest);
    if (shared || flags & CHORD_MIX_SHARED) {
        int32_t const size = shared ? shared : flags & CHORD_MIX_SHARED_FF ? h->n_ff : m.n_ff;
        int32_t const n = chord_read_int(b, "expert_shared_count", 1, 0, widest / (size > 0 ? size : 1));
        m.n_shared_ff = size * n;
    }
    m.is_normalised = (flags & CHORD_MIX_NORM) != 0;
    if (flags & CHORD_MIX_CHOSEN) m.gating = CHORD_GATING_CHOSEN;
    if (flags & (CHORD_MIX_GATING | CHORD_MIX_KEYS))
        m.gating = chord_read_int(b, "expert_gating_func",
                                  flags & CHORD_MIX_GATING ? CHORD_REQUIRED : CHORD_GATING_SOFTMAX,
                                  CHORD_GATING_SOFTMAX, CHORD_GATING_CHOSEN);
    if (flags & CHORD_MIX_KEYS) {
        m.is_normalised = chord_read_int(b, "expert_weights_norm", 0, 0, 1);
        m.scale = chord_read_float(b, "expert_weights_scale", 0, CHORD_FINITE);
        if (m.scale == 0) m.scale = 1;
    }
    m.logits = chord_slot_new(b, m.n_expert, CHORD_ROWS_BATCH);
    m.chosen = chord_slot_new(b, 2 * m.n_used, CHORD_ROWS_BATCH);
    m.gate = chord_slot_new(b, m.n_used * m.n_ff, CHORD_ROWS_BATCH);
    m.is_plain = (flags & CHORD_NO_GATE) != 0;
    if (!m.is_plain) m.up = chord_slot_new(b, m.n_used * m.n_ff, CHORD_ROWS_BATCH);
    m.out = chord_slot_new(b, m.n_used * h->n_embd, CHORD_ROWS_BATCH);
    m.has_gate = m.n_shared_ff && chord_has(b, "blk.%d.ffn_gate_inp_shexp.weight", m.first);
    if (m.has_gate) {
        m.weight = chord_slot_new(b, 1, CHORD_ROWS_BATCH);
        m.shared_out = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH);
    }
    if (m.n_shared_ff) {
        m.shared_gate = chord_slot_new(b, m.n_shared_ff, CHORD_ROWS_BATCH);
        m.shared_up = chord_slot_new(b, m.n_shared_ff, CHORD_ROWS_BATCH);
    }
    return m;
}

/* ---- tensors ------------------------------------------------------------------------------------------ */

/* In memory four rows are a group, and no group may belong to two matrices. */
int32_t chord_bind_stack(chord_builder *b, int32_t layer, const char *stem, int32_t n, int64_t n_cols,
                         int64_t n_rows)
{
    int32_t const stack = chord_bind_part(b, layer, stem, ".weight", n_cols, n_rows * n, 0);
    if (b->status != CHORD_OK) return stack;
    const chord_tensor *t = &b->plan->tensors[stack];
    if (t->ne[1] != n_rows)
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF,
                               "tensor %q has %u rows per matrix, but the metadata requires %u", t->name,
                               (size_t)t->n_name, (uint64_t)t->ne[1], (uint64_t)n_rows);
    else if (n_rows % 4)
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "a stack of matrices whose rows aren't a multiple of 4 isn't supported:", t->name,
                         (size_t)t->n_name);
    return stack;
}

/* Binds the experts' <stem>.weight, and <stem>.bias and <stem>.scale (a number per expert) if the file has
 * them. */
static void bind_stack(chord_builder *b, int32_t layer, const char *stem, const chord_mixture *m,
                       int64_t n_cols, int64_t n_rows, int32_t stack[3])
{
    stack[0] = chord_bind_stack(b, layer, stem, m->n_expert, n_cols, n_rows);
    stack[1] = chord_bind_part(b, layer, stem, ".bias", n_rows, m->n_expert, CHORD_WIDE | CHORD_OPTIONAL);
    stack[2] = chord_bind_part(b, layer, stem, ".scale", m->n_expert, 0, CHORD_OPTIONAL);
}

/* ---- ops ---------------------------------------------------------------------------------------------- */

void chord_emit_router(chord_builder *b, int32_t layer, const chord_mixture *m, int32_t in)
{
    chord_emit_linear(b, layer, "blk.%d.ffn_gate_inp", in, b->hparams->n_embd, m->logits, m->n_expert, 0);
    int32_t const bias = chord_bind(b, "blk.%d.exp_probs_b.bias", layer, m->n_expert, 0, CHORD_OPTIONAL);
    int32_t const factor = chord_bind(b, "blk.%d.ffn_down_exps.scale", layer, m->n_expert, 0, CHORD_OPTIONAL);
    chord_op *op = chord_emit(b, CHORD_OP_ROUTE, layer);
    op->in[0] = m->logits;
    op->out[0] = m->chosen;
    op->weight[0] = bias;
    op->weight[1] = factor;
    op->route = (chord_op_route){ .n_expert = m->n_expert,
                                  .n_used = m->n_used,
                                  .gating = m->gating,
                                  .n_groups = m->n_groups,
                                  .n_groups_used = m->n_groups_used,
                                  .is_normalised = m->is_normalised,
                                  .scale = m->scale };
}

static chord_op *emit_experts(chord_builder *b, int32_t layer, const chord_mixture *m, int32_t in,
                              int32_t n_in)
{
    chord_op *op = chord_emit(b, CHORD_OP_EXPERTS, layer);
    op->in[0] = in;
    op->in[1] = m->chosen;
    op->experts = (chord_op_experts){ .n_in = n_in, .n_expert = m->n_expert, .n_used = m->n_used };
    return op;
}

/* The op multiplies with a stack too, the i-th. */
static void add_stack(chord_op *op, int32_t i, const int32_t stack[3], int32_t out, int32_t n_out)
{
    op->weight[i] = stack[0];
    op->weight[3 + i] = stack[1];
    op->weight[2 + 3 * i] = stack[2];
    op->out[i] = out;
    op->experts.n_out[i] = n_out;
    op->experts.n_weights = i + 1;
}

/* `in` -> slot gate: act(up in), where experts have no gates. */
static void emit_plain(chord_builder *b, int32_t layer, const chord_mixture *m, int32_t in)
{
    int32_t up[3];
    bind_stack(b, layer, "blk.%d.ffn_up_exps", m, b->hparams->n_embd, m->n_ff, up);
    chord_op *op = emit_experts(b, layer, m, in, b->hparams->n_embd);
    add_stack(op, 0, up, m->gate, m->n_ff);
    chord_emit_activate(b, layer, m->gate, m->n_used * m->n_ff, m->activation);
}

/* `in` -> slot gate: act(gate in) * (up in) */
static void emit_gated(chord_builder *b, int32_t layer, const chord_mixture *m, int32_t in)
{
    int32_t const n_embd = b->hparams->n_embd, n_ff = m->n_ff;
    int const is_fused = chord_has(b, "blk.%d.ffn_gate_up_exps.weight", layer);
    int32_t gate[3], up[3];
    if (is_fused) {
        bind_stack(b, layer, "blk.%d.ffn_gate_up_exps", m, n_embd, 2 * (int64_t)n_ff, gate);
        chord_copy(up, gate, sizeof up);
        if (n_ff % 4)
            chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                             "a fused matrix whose parts aren't multiples of 4 rows isn't supported:",
                             "ffn_gate_up_exps.weight", 23);
    } else {
        bind_stack(b, layer, "blk.%d.ffn_gate_exps", m, n_embd, n_ff, gate);
        bind_stack(b, layer, "blk.%d.ffn_up_exps", m, n_embd, n_ff, up);
    }
    chord_op *op = emit_experts(b, layer, m, in, n_embd);
    add_stack(op, 0, gate, m->gate, n_ff);
    add_stack(op, 1, up, m->up, n_ff);
    if (is_fused) op->experts.row[1] = n_ff;
    chord_emit_glu_of(b, layer, m->gate, m->up, m->gate, m->n_used * n_ff, m->activation);
}

/* `in` -> slot out: the chosen experts' results. */
static void emit_chosen(chord_builder *b, int32_t layer, const chord_mixture *m, int32_t in)
{
    int32_t const n_embd = b->hparams->n_embd, n_ff = m->n_ff;
    if (m->is_plain) emit_plain(b, layer, m, in);
    else emit_gated(b, layer, m, in);
    int32_t down[3];
    bind_stack(b, layer, "blk.%d.ffn_down_exps", m, n_ff, n_embd, down);
    down[2] = CHORD_NONE; /* ROUTE multiplies the weights by it */
    chord_op *op = emit_experts(b, layer, m, m->gate, n_ff);
    add_stack(op, 0, down, m->out, n_embd);
    op->experts.is_each = 1;
}

/* `in` -> slot shared_gate: the shared expert up to its last product; slot weight: its factor. */
static void emit_shared(chord_builder *b, int32_t layer, const chord_mixture *m, int32_t in)
{
    int32_t const n_embd = b->hparams->n_embd, n_ff = m->n_shared_ff;
    int32_t const gate = chord_bind(b, "blk.%d.ffn_gate_shexp.weight", layer, n_embd, n_ff, 0),
                  up = chord_bind(b, "blk.%d.ffn_up_shexp.weight", layer, n_embd, n_ff, 0);
    chord_emit_matmul(b, layer, in, n_embd, 2,
                      (chord_matrix[]){ { gate, CHORD_NONE, m->shared_gate, n_ff, 0 },
                                        { up, CHORD_NONE, m->shared_up, n_ff, 0 } });
    chord_emit_glu_of(b, layer, m->shared_gate, m->shared_up, m->shared_gate, n_ff, m->activation);
    if (m->has_gate) chord_emit_linear(b, layer, "blk.%d.ffn_gate_inp_shexp", in, n_embd, m->weight, 1, 0);
}

/* out += the shared expert's last product */
static void emit_shared_down(chord_builder *b, int32_t layer, const chord_mixture *m, int32_t out)
{
    int32_t const n_embd = b->hparams->n_embd, to = m->has_gate ? m->shared_out : out;
    chord_emit_linear(b, layer, "blk.%d.ffn_down_shexp", m->shared_gate, m->n_shared_ff, to, n_embd,
                      m->has_gate ? 0 : CHORD_FLAG_ADD);
    if (!m->has_gate) return;
    chord_op *op = chord_emit(b, CHORD_OP_GATE, layer);
    op->in[0] = m->weight;
    op->out[0] = to;
    op->gate.width = n_embd;
    chord_emit_add(b, layer, to, out);
}

void chord_emit_mixture(chord_builder *b, int32_t layer, const chord_mixture *m, int32_t in, int32_t out,
                        int32_t flags)
{
    emit_chosen(b, layer, m, in);
    if (m->n_shared_ff) emit_shared(b, layer, m, in);
    chord_op *op = chord_emit(b, CHORD_OP_COMBINE, layer);
    op->in[0] = m->out;
    op->in[1] = m->chosen;
    op->out[0] = out;
    op->flags = flags;
    op->combine = (chord_op_combine){ .width = b->hparams->n_embd, .n_used = m->n_used };
    if (m->n_shared_ff) emit_shared_down(b, layer, m, out);
}
