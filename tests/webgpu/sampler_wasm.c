/* sampler_wasm.c: the CPU's sampler as a wasm module of its own (build/test/sampler.wasm), with any
 * vocabulary and any random number: what the GPU's draws are compared with.
 *
 *   sampler_draw(n_vocab, ids, n_ids, logits, sampling, bias, scratch, random)
 *       as chord_session_sample_row() of a session with these n_ids tokens, whose generator gives `random`,
 *       a multiple of 2^-32
 *   sampler_error(dst)  copies the last error's text, at most CHORD_ERROR_BYTES, and returns its length */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/session/sequence.h"

#define EXPORT(name) __attribute__((export_name(#name)))

static chord_error error;

static void *at(double address) { return (void *)(uintptr_t)address; }

/* Returns a state of PCG32 that gives `number` next: one without the final rotation. */
static uint64_t state_before(uint32_t number)
{
    uint64_t const mixed = (uint64_t)number << 27;
    return mixed ^ mixed >> 18 ^ mixed >> 36 ^ mixed >> 54;
}

EXPORT(sampler_draw)
int32_t sampler_draw(int32_t n_vocab, double ids, int32_t n_ids, double logits, double sampling, double bias,
                     double scratch, double random)
{
    static chord_sequence q;
    q.config.n_vocab = n_vocab;
    q.ids = at(ids);
    q.n_past = q.n_tokens = n_ids;
    q.random[0] = state_before((uint32_t)(random * 0x1p32));
    q.random[1] = 1;
    error = (chord_error){ 0 };
    return chord_sequence_sample(&q, at(logits), at(sampling), at(bias), at(scratch), &error);
}

EXPORT(sampler_error) int32_t sampler_error(double dst)
{
    char *text = at(dst);
    for (int32_t i = 0; i < error.length; i++) text[i] = error.text[i];
    return error.length;
}
