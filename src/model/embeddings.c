/* embeddings.c: what every program ends with for embeddings: the norm over all rows, pooling, the
 * projections and the classifier that a file may have. A decoder needs nothing of its own for it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../../include/chord.h"

/* A decoder's body ends before the norm that gathers the rows of the logits. Emits that norm over all rows,
 * in place, and returns its slot; CHORD_NONE if there is no such norm. */
static int32_t emit_last_norm(chord_builder *b, chord_program *p)
{
    int32_t at = p->n_ops - 1;
    while (at >= 0 && !(p->ops[at].flags & CHORD_FLAG_GATHER)) at--;
    if (at < 0) return CHORD_NONE;
    p->n_body = at;
    chord_op *op = chord_emit(b, p->ops[at].kind, CHORD_NONE);
    *op = p->ops[at];
    op->flags = 0;
    op->out[0] = op->in[0];
    return op->in[0];
}

static void emit_product(chord_builder *b, const char *stem, int32_t in, int32_t n_in, int32_t out,
                         int32_t n_out)
{
    chord_emit_linear(b, CHORD_NONE, stem, in, n_in, out, n_out, CHORD_FLAG_POOLED);
}

/* EmbeddingGemma's two projections. */
static void emit_dense(chord_builder *b, int32_t pooled)
{
    int32_t const n_embd = b->hparams->n_embd, most = 1 << 20;
    if (!chord_has(b, "dense_2.weight", 0)) return;
    int32_t const wide = chord_read_int(b, "dense_2_feat_out", CHORD_REQUIRED, 1, most);
    int32_t const slot = chord_slot_new(b, wide, CHORD_ROWS_BATCH);
    emit_product(b, "dense_2", pooled, n_embd, slot, wide);
    emit_product(b, "dense_3", slot, wide, pooled, n_embd);
}

/* cls, its activation and norm, then cls.output. A file may have either product. */
static void emit_classifier(chord_builder *b, chord_program *p, int32_t in)
{
    int32_t const n_embd = b->hparams->n_embd;
    int const has_output = chord_has(b, "cls.output.weight", 0), has_cls = chord_has(b, "cls.weight", 0);
    int const is_modern = chord_arch_is(b, "modern-bert");
    p->rank_slot = CHORD_NONE;
    if (!has_output && !has_cls) return;
    int32_t const n_labels = (int32_t)chord_read_count(b, "classifier.output_labels", 1, 1 << 16);
    if (has_cls) {
        int32_t const wide = has_output ? n_embd : n_labels, slot = chord_slot_new(b, wide, CHORD_ROWS_BATCH);
        emit_product(b, "cls", in, n_embd, slot, wide);
        chord_op *op = chord_emit(b, is_modern ? CHORD_OP_ACTIVATE : CHORD_OP_SOFTCAP, CHORD_NONE);
        op->flags = CHORD_FLAG_POOLED;
        op->out[0] = slot;
        if (is_modern)
            op->activate = (chord_op_activate){ .width = wide, .activation = CHORD_ACTIVATION_GELU };
        else op->softcap = (chord_op_softcap){ .width = wide, .cap = 1 };
        if (chord_has(b, "cls.norm.weight", 0))
            chord_emit_norm_of(b, CHORD_NONE, CHORD_NORM_LAYER, wide, slot, slot, "cls.norm")->flags =
                CHORD_FLAG_POOLED;
        in = slot;
    }
    p->rank_slot = in;
    p->n_labels = n_labels;
    p->is_softmax = chord_arch_is(b, "qwen3") || chord_arch_is(b, "qwen3vl");
    if (!has_output) return;
    p->rank_slot = chord_slot_new(b, n_labels, CHORD_ROWS_BATCH);
    emit_product(b, "cls.output", in, n_embd, p->rank_slot, n_labels);
}

/* llama.cpp pools nothing where the file names no pooling. Texts need one row, so the defaults are those of
 * the models that such files usually hold: the mean of an encoder's rows, a decoder's last row. */
static void read_pooling(chord_builder *b, chord_program *p)
{
    int32_t const usual = p->is_encoder ? CHORD_POOLING_MEAN : CHORD_POOLING_LAST;
    p->pooling = chord_read_int(b, "pooling_type", usual, CHORD_POOLING_NONE, CHORD_POOLING_RANK);
    if (p->pooling == CHORD_POOLING_NONE) p->pooling = usual;
}

void chord_emit_embeddings(chord_builder *b)
{
    chord_program *p = &b->plan->program;
    chord_emit_scales(b);
    int32_t const n_embd = b->hparams->n_embd, n_ops = p->n_ops;
    p->pooled_slot = p->rank_slot = CHORD_NONE;
    p->n_body = p->n_pooled = p->n_all = n_ops;
    if (b->status != CHORD_OK) return;
    p->is_encoder = b->encoded != CHORD_NONE;
    int32_t const x = p->is_encoder ? b->encoded : emit_last_norm(b, p);
    if (x == CHORD_NONE) return;
    read_pooling(b, p);
    p->pooled_slot = chord_slot_new(b, n_embd, CHORD_ROWS_BATCH);
    if (p->is_encoder) p->output_slot = p->pooled_slot;
    int32_t const usual = chord_arch_is(b, "modern-bert") ? CHORD_POOLING_MEAN : CHORD_POOLING_CLS;
    int32_t const rank = chord_read_int(b, "classifier.pooling_type", usual, -1, CHORD_POOLING_RANK);
    chord_op *op = chord_emit(b, CHORD_OP_POOL, CHORD_NONE);
    op->flags = CHORD_FLAG_POOLED;
    op->in[0] = x;
    op->out[0] = p->pooled_slot;
    op->pool = (chord_op_pool){ .width = n_embd,
                                .rank = rank == CHORD_POOLING_MEAN ? CHORD_POOLING_MEAN
                                        : p->is_encoder            ? CHORD_POOLING_CLS
                                                                   : CHORD_POOLING_LAST };
    emit_dense(b, p->pooled_slot);
    chord_emit_scales(b);
    p->n_pooled = p->n_ops;
    emit_classifier(b, p, p->pooled_slot);
    chord_emit_scales(b);
    p->n_all = p->n_ops;
    p->n_ops = n_ops;
}
