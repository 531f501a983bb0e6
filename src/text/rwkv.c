/* rwkv.c: RWKV's vocabulary: at each place the longest token. Its texts have escapes, because tokens are any
 * bytes; they are taken out when the vocabulary is built. As in llama.cpp, a text gets no other tokens in
 * front or behind, and the tokens of the vocabulary that are special spell texts too. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

static chord_status check(const chord_vocab_source *s, chord_error *error)
{
    (void)s, (void)error;
    return CHORD_OK;
}

static bool lay_out(chord_vocab *v, const chord_vocab_source *s, chord_arena *a)
{
    VOCAB_TAKE(v, by_text.ids, s->n_tokens, 4, 4, a);
    return true;
}

/* \t \n \r and \xhh, with small letters; \ before any other byte means that byte. Returns the length. */
static uint32_t unescape(uint8_t *to, const uint8_t *from, uint32_t n)
{
    uint32_t length = 0, left = 0; /* left: digits still to come */
    bool is_escape = false;
    uint8_t value = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t c = from[i];
        if (left) {
            value = (uint8_t)(value * 16 + (c >= 'a' ? c - 'a' + 10 : c - '0'));
            if (--left) continue;
            c = value;
        } else if (is_escape) {
            is_escape = false;
            if (c == 'x') left = 2;
            if (left) continue;
            c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        } else if (c == '\\') {
            is_escape = true;
            continue;
        }
        to[length++] = c;
    }
    return length;
}

/* Of tokens with one text the last comes first: it is the one that counts. */
static bool before(const chord_vocab *v, int32_t a, int32_t b)
{
    return vocab_text_before(v, a, b) || (a > b && !vocab_text_before(v, b, a));
}

static chord_status build(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    (void)s, (void)error;
    int32_t *ids = v->by_text.ids, n = 0;
    uint32_t from = 0;
    for (int32_t id = 0; id < v->n_tokens; id++) {
        uint32_t const end = v->offsets[id + 1], at = v->offsets[id];
        v->offsets[id + 1] = at + unescape(v->texts + at, v->texts + from, end - from);
        from = end;
        ids[id] = id;
    }
    vocab_sort(v, ids, v->n_tokens, before);
    for (int32_t i = 0; i < v->n_tokens; i++)
        if (!i || vocab_text_before(v, ids[n - 1], ids[i])) ids[n++] = ids[i];
    v->by_text.n = n;
    for (int32_t b = 0; b < 256; b++) v->byte_ids[b] = -1;
    return CHORD_OK;
}

static void set_defaults(chord_vocab *v) { (void)v; }
static void set_ends(chord_vocab *v) { v->first = v->last = -1; }

static uint64_t most_scratch(const chord_vocab *v, uint64_t n)
{
    (void)v, (void)n;
    return 0;
}

static void begin(chord_tokenizer *t) { t->state[0] = t->at; }

static int32_t step(chord_tokenizer *t)
{
    while (t->state[0] < t->to) {
        if (!tokenizer_spend(t) || !ids_have_room(&t->out)) return TOKENIZER_MORE;
        uint32_t const at = (uint32_t)t->state[0];
        int32_t const id = vocab_longest(t, t->text + at, t->to - at), put = id < 0 ? t->v->unk : id;
        if (put >= 0) ids_put(&t->out, put);
        t->state[0] += id < 0 ? 1 : token_bytes(t->v, id);
    }
    return TOKENIZER_DONE;
}

const chord_text_kind chord_text_rwkv = {
    CHORD_VOCAB_RWKV, "rwkv", check, lay_out, build, set_defaults, set_ends, most_scratch, begin, step, NULL,
};
