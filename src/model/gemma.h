/* gemma.h: what Gemma 3n and Gemma 4 have in common: layers with and without a window, of which the last
 * ones read the keys and values of earlier ones; and each layer's own embedding of the token (`ple`). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_MODEL_GEMMA_H
#define CHORD_MODEL_GEMMA_H
#include "builder.h"

typedef struct chord_gemma {
    chord_slots s;
    int32_t window, period; /* period: of layers without a window, if the pattern is no array */
    int32_t rope, rope_local;
    int32_t n_own; /* layers that have keys and values; a cache has its layer's number */
    int32_t has_v; /* 0: a layer without attn_v has its keys, before their norm, as values */
    int32_t n_ple; /* width of a layer's embedding; 0: layers have none */
    int32_t ple, ple_gate; /* slots: [n_layer][n_ple], and n_ple */
} chord_gemma;

/* Returns whether a layer has a window. */
int chord_gemma_is_local(chord_builder *b, const chord_gemma *g, int32_t layer);
/* Checks that layers which share keys and values are of one kind. `key` says which ones share. */
void chord_gemma_check_shared(chord_builder *b, const chord_gemma *g, const char *key);
/* Declares both kinds of RoPE; n_rot is that of layers with a window. */
void chord_gemma_ropes(chord_builder *b, chord_gemma *g, chord_rope rope, int32_t n_rot);
/* Reads n_ple and makes the slots. */
void chord_gemma_read_ple(chord_builder *b, chord_gemma *g, int32_t fallback, int32_t least);
/* x, the scaled embedding of the token -> slot ple. */
void chord_gemma_emit_ple(chord_builder *b, const chord_gemma *g, int32_t x);
/* h = norm(proj (gelu(inp_gate in) * the layer's part of ple)) */
void chord_gemma_emit_ple_gate(chord_builder *b, const chord_gemma *g, int32_t layer, int32_t in);
/* h -> attn. The scale of scores is 1: the norms of queries and keys have it in their weights. */
void chord_gemma_emit_attention(chord_builder *b, const chord_gemma *g, int32_t layer);

#endif
