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

int32_t chord_tokenize(const chord_model *m, const char *text, size_t n, int32_t flags, int32_t *ids,
                       int32_t cap, void *scratch, size_t scratch_bytes)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(m);
    const chord_vocab *v = vocab_of(m);
    if (!v) return chord_wrong_phase(m, "chord_tokenize");
    if ((n && !text) || cap < 0 || (cap && !ids))
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "text or ids is NULL, or cap is negative");
    int32_t const n_ids = chord_vocab_tokenize(v, text, n, flags, ids, cap, scratch, scratch_bytes);
    if (n_ids < 0)
        return chord_fail(
            e, n_ids, "a text of %u bytes got %u bytes of scratch; %u are needed (0: the text is too long)",
            (uint64_t)n, (uint64_t)scratch_bytes, (uint64_t)chord_vocab_scratch(v, n));
    return n_ids;
}

chord_tokenizer *chord_tokenizer_open(const chord_model *m, const char *text, size_t n, int32_t flags,
                                      void *block, size_t bytes)
{
    const chord_vocab *v = vocab_of(m);
    return v ? chord_vocab_open_tokenizer(v, text, n, flags, block, bytes) : NULL;
}

int64_t chord_detokenize(const chord_model *m, const int32_t *ids, int32_t n, int32_t flags, char *dst,
                         size_t cap)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(m);
    const chord_vocab *v = vocab_of(m);
    if (!v) return chord_wrong_phase(m, "chord_detokenize");
    if (n < 0 || (n && !ids) || (cap && !dst))
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "ids or dst is NULL, or n is negative");
    int64_t const bytes = chord_vocab_detokenize(v, ids, n, flags, dst, cap);
    for (int32_t i = 0; bytes < 0 && i < n; i++)
        if (ids[i] < 0 || ids[i] >= m->hparams.n_vocab)
            return chord_fail(e, (chord_status)bytes, "ids[%d] is %d, the vocabulary has %d tokens", i,
                              ids[i], m->hparams.n_vocab);
    return bytes;
}

int32_t chord_token_flags(const chord_model *m, int32_t id)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(m);
    const chord_vocab *v = vocab_of(m);
    if (!v) return chord_wrong_phase(m, "chord_token_flags");
    int32_t const flags = chord_vocab_flags(v, id);
    return flags < 0
               ? chord_fail(e, flags, "id %d is outside the vocabulary of %d tokens", id, m->hparams.n_vocab)
               : flags;
}
