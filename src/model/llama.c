/* llama.c: the architecture `llama`: LLaMA 1 to 3, Mistral, SmolLM2, TinyLlama and their kin.
 *
 * Pre-norm transformer: RMS norm, grouped-query attention with rotary embedding in adjacent pairs,
 * SwiGLU. Llama 3 scales the rotary frequencies by the tensor rope_freqs.weight.
 * Papers: arXiv 2302.13971 (LLaMA), 2305.13245 (GQA), 2104.09864 (RoPE), 2002.05202 (SwiGLU).
 * As in llama.cpp `attention.sliding_window` is ignored for this architecture. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

typedef struct llama_slots { int32_t x, h, q, k, v, attn, gate, up, last, logits; } llama_slots;

static int32_t rope_constants(chord_builder *b)
{
    const chord_hparams *h = b->hparams;
    int32_t const n_rot = chord_read_int(b, "rope.dimension_count", h->head_dim, 2, h->head_dim) & ~1;
    /* as llama.cpp: linear unless said otherwise, files of 2023 have the older key, 0 is none */
    float factor = 1;
    if (chord_read_is(b, "rope.scaling.type", "") || chord_read_is(b, "rope.scaling.type", "linear")) {
        float const scale = chord_read_float(b, "rope.scaling.factor", chord_read_float(b, "rope.scale_linear", 0));
        if (!(scale >= 0)) chord_build_fail(b, CHORD_INVALID_GGUF, "negative:", "llama.rope.scaling.factor", 25);
        if (scale > 0) factor = 1 / scale;
    } else if (!chord_read_is(b, "rope.scaling.type", "none")) {
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE, "a rope scaling other than linear:", "llama.rope.scaling.type", 23);
    }
    return chord_rope_new(b, (chord_rope){
        .style = CHORD_ROPE_NORM, .n_rot = n_rot, .factor = factor, .magnitude = 1,
        .base = chord_read_float(b, "rope.freq_base", 10000),
        .freqs = chord_bind(b, "rope_freqs.weight", 0, n_rot / 2, 0, CHORD_OPTIONAL),
    });
}

static void emit_rope(chord_builder *b, int32_t layer, int32_t rope, int32_t slot, int32_t n_head)
{
    chord_op *op = chord_emit(b, CHORD_OP_ROPE, layer);
    op->rope = rope;
    op->out[0] = slot;
    op->n_head = n_head;
    op->head_dim = b->hparams->head_dim;
}

static void attention(chord_builder *b, int32_t layer, const llama_slots *s, int32_t rope)
{
    const chord_hparams *h = b->hparams;
    int32_t const n_q = h->n_head * h->head_dim;

    chord_emit_norm(b, layer, s->x, s->h, chord_bind(b, "blk.%d.attn_norm.weight", layer, h->n_embd, 0, 0));
    chord_emit_qkv(b, layer, s->h, s->q, s->k, s->v);
    emit_rope(b, layer, rope, s->q, h->n_head);
    emit_rope(b, layer, rope, s->k, h->n_kv);

    chord_op *store = chord_emit(b, CHORD_OP_KV_STORE, layer);
    store->in[0] = s->k;
    store->in[1] = s->v;
    store->n_kv = h->n_kv;
    store->head_dim = h->head_dim;

    chord_op *attend = chord_emit(b, CHORD_OP_ATTEND, layer);
    attend->in[0] = s->q;
    attend->out[0] = s->attn;
    attend->n_head = h->n_head;
    attend->n_kv = h->n_kv;
    attend->head_dim = h->head_dim;
    attend->scale = 1 / __builtin_sqrtf((float)h->head_dim);

    chord_op *out = chord_emit_matmul(b, layer, s->attn, n_q, 1, &(chord_matrix){
        chord_bind(b, "blk.%d.attn_output.weight", layer, n_q, h->n_embd, 0),
        chord_bind(b, "blk.%d.attn_output.bias", layer, h->n_embd, 0, CHORD_OPTIONAL), s->x, h->n_embd, 0 });
    out->flags |= CHORD_FLAG_ADD;
}

static void feed_forward(chord_builder *b, int32_t layer, const llama_slots *s)
{
    const chord_hparams *h = b->hparams;
    chord_emit_norm(b, layer, s->x, s->h, chord_bind(b, "blk.%d.ffn_norm.weight", layer, h->n_embd, 0, 0));
    chord_emit_matmul(b, layer, s->h, h->n_embd, 2, (chord_matrix[]){
        { chord_bind(b, "blk.%d.ffn_gate.weight", layer, h->n_embd, h->n_ff, 0),
          chord_bind(b, "blk.%d.ffn_gate.bias", layer, h->n_ff, 0, CHORD_OPTIONAL), s->gate, h->n_ff, 0 },
        { chord_bind(b, "blk.%d.ffn_up.weight", layer, h->n_embd, h->n_ff, 0),
          chord_bind(b, "blk.%d.ffn_up.bias", layer, h->n_ff, 0, CHORD_OPTIONAL), s->up, h->n_ff, 0 } });

    chord_op *glu = chord_emit(b, CHORD_OP_GLU, layer);
    glu->in[0] = s->gate;
    glu->in[1] = s->up;
    glu->out[0] = s->gate;
    glu->n_in = glu->n_out[0] = h->n_ff;
    glu->activation = CHORD_ACTIVATION_SILU;

    chord_op *down = chord_emit_matmul(b, layer, s->gate, h->n_ff, 1, &(chord_matrix){
        chord_bind(b, "blk.%d.ffn_down.weight", layer, h->n_ff, h->n_embd, 0),
        chord_bind(b, "blk.%d.ffn_down.bias", layer, h->n_embd, 0, CHORD_OPTIONAL), s->x, h->n_embd, 0 });
    down->flags |= CHORD_FLAG_ADD;
}

void chord_build_llama(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    chord_read_hparams(b);
    h->norm_eps = chord_read_float(b, "attention.layer_norm_rms_epsilon", __builtin_nanf(""));
    if (chord_read_int(b, "expert_count", 0, 0, 65536))
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE, "a mixture of experts:", "llama.expert_count", 18);

    int32_t const n_q = h->n_head * h->head_dim, n_k = h->n_kv * h->head_dim;
    llama_slots const s = {
        .x = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH),  .h = chord_slot_new(b, h->n_embd, CHORD_ROWS_BATCH),
        .q = chord_slot_new(b, n_q, CHORD_ROWS_BATCH),        .k = chord_slot_new(b, n_k, CHORD_ROWS_BATCH),
        .v = chord_slot_new(b, n_k, CHORD_ROWS_BATCH),        .attn = chord_slot_new(b, n_q, CHORD_ROWS_BATCH),
        .gate = chord_slot_new(b, h->n_ff, CHORD_ROWS_BATCH), .up = chord_slot_new(b, h->n_ff, CHORD_ROWS_BATCH),
        .last = chord_slot_new(b, h->n_embd, CHORD_ROWS_OUTPUT),
        .logits = chord_slot_new(b, h->n_vocab, CHORD_ROWS_OUTPUT),
    };
    b->plan->program.logits_slot = s.logits;
    int32_t const rope = rope_constants(b);

    chord_op *embed = chord_emit(b, CHORD_OP_EMBED, CHORD_NONE);
    embed->weight[0] = chord_bind(b, "token_embd.weight", 0, h->n_embd, h->n_vocab, CHORD_LOOKUP);
    embed->out[0] = s.x;
    embed->n_out[0] = h->n_embd;
    embed->scale = 1;

    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) {
        chord_emit(b, CHORD_OP_ACQUIRE, layer);
        attention(b, layer, &s, rope);
        feed_forward(b, layer, &s);
        chord_emit(b, CHORD_OP_RELEASE, layer);
        chord_skip(b, "blk.%d.attn_rot_embd", layer, "rotary tables of very old conversions; computed here");
        chord_skip(b, "blk.%d.attn.rot_freqs", layer, "likewise");
    }
    chord_emit_output(b, s.x, s.last, s.logits);
}
