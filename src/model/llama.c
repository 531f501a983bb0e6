/* llama.c: the architecture `llama`: LLaMA 1 to 3, Mistral, SmolLM2, TinyLlama and similar models.
 *
 * Pre-norm transformer: RMS norm, grouped-query attention with rotary embedding of adjacent pairs, SwiGLU.
 * Llama 3 scales the rotary frequencies by the tensor rope_freqs.weight. As in llama.cpp, the key
 * `attention.sliding_window` is ignored for this architecture.
 * Papers: arXiv 2302.13971 (LLaMA), 2305.13245 (GQA), 2104.09864 (RoPE), 2002.05202 (SwiGLU). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

void chord_build_llama(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    chord_read_hparams(b);
    h->norm_eps = chord_read_float(b, "attention.layer_norm_rms_epsilon", __builtin_nanf(""), CHORD_EPSILON);
    if (chord_read_int(b, "expert_count", 0, 0, 65536))
        chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                         "a mixture of experts isn't supported:", "llama.expert_count", 18);

    chord_slots const s = chord_slots_new(b);
    int32_t const rope = chord_rope_read(b, CHORD_ROPE_NORM);

    chord_emit_embed(b, s.x, 1);
    chord_emit_layers(b, &s, rope, 0);
    for (int32_t layer = 0; layer < h->n_layer && b->status == CHORD_OK; layer++) {
        chord_skip(b, "blk.%d.attn_rot_embd", layer,
                   "a rotary table of very old conversions; ANGLES computes it");
        chord_skip(b, "blk.%d.attn.rot_freqs", layer,
                   "a rotary table of very old conversions; ANGLES computes it");
    }
    chord_emit_output(b, &s);
}
