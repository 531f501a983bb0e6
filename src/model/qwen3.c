/* qwen3.c: the architecture `qwen3`: Qwen 3, dense. It is qwen2 without biases, and with an RMS norm over
 * each head of queries and keys before RoPE. head_dim isn't n_embd / n_head. Report: arXiv 2505.09388. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

void chord_build_qwen3(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    chord_read_hparams(b);
    h->norm_eps = chord_read_float(b, "attention.layer_norm_rms_epsilon", __builtin_nanf(""), CHORD_EPSILON);

    chord_slots const s = chord_slots_new(b);
    int32_t const rope = chord_rope_read(b, CHORD_ROPE_NEOX);

    chord_emit_embed(b, s.x, 1);
    chord_emit_layers(b, &s, rope, CHORD_QK_NORM);
    chord_emit_output(b, &s);
}
