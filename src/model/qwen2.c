/* qwen2.c: the architecture `qwen2`: Qwen 2 and 2.5. It is llama's layer with biases for queries, keys and
 * values (bound if the file has them) and with rotary pairs half a head apart. Report: arXiv 2412.15115. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

void chord_build_qwen2(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    chord_read_hparams(b);
    h->norm_eps = chord_read_float(b, "attention.layer_norm_rms_epsilon", __builtin_nanf(""), CHORD_EPSILON);

    chord_slots const s = chord_slots_new(b);
    int32_t const rope = chord_rope_read(b, CHORD_ROPE_NEOX);

    chord_emit_embed(b, s.x, 1);
    chord_emit_layers(b, &s, rope, 0);
    chord_emit_output(b, &s);
}
