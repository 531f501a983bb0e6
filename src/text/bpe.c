/* bpe.c: byte-level BPE. The pre-tokenizer cuts the text into words; in each, bytes are symbols and of
 * all neighbours that merge the pair with the lowest rank does, the leftmost of equals. A byte without
 * a token is left out, as in llama.cpp. Invalid bytes are read as U+FFFD, overlong forms as what they
 * stand for: a word has at most three symbols a byte. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"
#include "tables.h"

typedef struct words {
    const chord_vocab *v;
    const uint8_t *text;
    chord_ids *out;
    chord_arena scratch;
    uint8_t *letters; /* ignore_merges: room for the longest token and one letter more */
} words;

uint64_t bpe_scratch(const chord_vocab *v, uint64_t n)
{
    return (MERGE_BYTES + 4) * 3 * n + (v->pre->ignore_merges ? v->longest + 4 : 0) + 16;
}

static uint32_t symbol_count(const uint8_t *p, const uint8_t *end)
{
    uint32_t n = 0;
    uint8_t bytes[4];
    for (uint32_t code_point; p < end; n += chord_utf8_encode(code_point, bytes)) p += chord_utf8_decode(p, end, &code_point);
    return n;
}

/* The token whose text is the whole word, -1 when there is none. */
static int32_t whole_word(const words *w, const uint8_t *p, const uint8_t *end)
{
    uint8_t bytes[4];
    uint32_t n = 0;
    while (p < end) {
        uint32_t code_point;
        p += chord_utf8_decode(p, end, &code_point);
        uint32_t const n_bytes = chord_utf8_encode(code_point, bytes);
        for (uint32_t i = 0; i < n_bytes; i++) {
            if (n >= w->v->longest) return -1;
            n += chord_utf8_encode(byte_to_letter(bytes[i]), w->letters + n);
        }
    }
    return vocab_find(w->v, w->letters, n);
}

static void set_pair(const chord_vocab *v, chord_merge *m, const int32_t *ids, uint32_t left)
{
    uint32_t const right = merge_next(m, left);
    int32_t const rank = right < m->n ? vocab_find_merge(v, ids[left], ids[right]) : -1;
    merge_set(m, left, rank < 0 ? MERGE_NONE : (uint32_t)rank);
}

static bool merge_word(const words *w, const uint8_t *p, const uint8_t *end, uint32_t n)
{
    chord_arena scratch = w->scratch;
    chord_merge m;
    int32_t *ids = chord_arena_take(&scratch, (uint64_t)n * 4, 4);
    if (!ids || !merge_init(&m, n, &scratch)) return false;
    uint8_t bytes[4];
    for (uint32_t i = 0; p < end;) {
        uint32_t code_point;
        p += chord_utf8_decode(p, end, &code_point);
        uint32_t const n_bytes = chord_utf8_encode(code_point, bytes);
        for (uint32_t k = 0; k < n_bytes; k++) ids[i++] = w->v->byte_ids[bytes[k]];
    }
    for (uint32_t i = 0; i < n; i++) set_pair(w->v, &m, ids, i);
    for (uint32_t i; (i = merge_pop(&m)) < n;) {
        ids[i] = w->v->merges[m.key[i]].id;
        merge_join(&m, i);
        set_pair(w->v, &m, ids, i);
        if (i) set_pair(w->v, &m, ids, merge_previous(&m, i));
    }
    for (uint32_t i = 0; i < n; i = merge_next(&m, i))
        if (ids[i] >= 0) ids_put(w->out, ids[i]);
    return true;
}

static bool put_word(void *context, size_t begin, size_t end)
{
    words *w = context;
    const uint8_t *p = w->text + begin, *q = w->text + end;
    if (w->v->pre->ignore_merges) {
        int32_t const id = whole_word(w, p, q);
        if (id >= 0) {
            ids_put(w->out, id);
            return true;
        }
    }
    return merge_word(w, p, q, symbol_count(p, q));
}

bool bpe_tokenize(const chord_vocab *v, const uint8_t *text, uint32_t n, chord_ids *out, chord_arena scratch)
{
    words w = { v, text, out, scratch, NULL };
    if (v->pre->ignore_merges && !(w.letters = chord_arena_take(&w.scratch, (uint64_t)v->longest + 4, 4))) return false;
    return chord_pre_split(v->pre, text, 0, n, put_word, &w);
}
