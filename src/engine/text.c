/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

static const chord_vocab *vocab_of(const chord_model *m)
{
    return m && m->phase >= PHASE_DATA && m->phase != PHASE_FAILED ? m->vocab : NULL;
}

size_t chord_tokenize_bytes(const chord_model *m, size_t n)
{
    const chord_vocab *v = vocab_of(m);
    return v ? chord_vocab_scratch(v, n) : 0;
}

int32_t chord_tokenize(const chord_model *m, const char *text, size_t n, int32_t flags, int32_t *ids, int32_t cap,
                       void *scratch, size_t scratch_bytes)
{
    const chord_vocab *v = vocab_of(m);
    if (!v || (n && !text) || cap < 0 || (cap && !ids)) return CHORD_INVALID_ARGUMENT;
    return chord_vocab_tokenize(v, text, n, flags, ids, cap, scratch, scratch_bytes);
}

int64_t chord_detokenize(const chord_model *m, const int32_t *ids, int32_t n, int32_t flags, char *dst, size_t cap)
{
    const chord_vocab *v = vocab_of(m);
    if (!v || n < 0 || (n && !ids) || (cap && !dst)) return CHORD_INVALID_ARGUMENT;
    return chord_vocab_detokenize(v, ids, n, flags, dst, cap);
}

int32_t chord_token_flags(const chord_model *m, int32_t id)
{
    const chord_vocab *v = vocab_of(m);
    return v ? chord_vocab_flags(v, id) : CHORD_INVALID_ARGUMENT;
}
