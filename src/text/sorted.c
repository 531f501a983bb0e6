/* sorted.c: lists of token ids in an order, and the tokens that begin a text.
 *
 * A list sorted by text is a trie: the texts that begin with the bytes read so far are neighbours, and one
 * more byte narrows them by two binary searches. The search ends at the first byte that no token continues
 * with, so a walk is as long as the longest text that begins like a token. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

/* Returns -1, 0 or 1: the lexicographic order of the bytes. */
static int compare_texts(const chord_vocab *v, int32_t a, int32_t b)
{
    const uint8_t *p = token_text(v, a), *q = token_text(v, b);
    uint32_t const n_p = token_bytes(v, a), n_q = token_bytes(v, b);
    for (uint32_t i = 0; i < n_p && i < n_q; i++)
        if (p[i] != q[i]) return p[i] < q[i] ? -1 : 1;
    return n_p < n_q ? -1 : n_p > n_q;
}
bool vocab_text_before(const chord_vocab *v, int32_t a, int32_t b) { return compare_texts(v, a, b) < 0; }

static void sift(const chord_vocab *v, int32_t *list, int32_t at, int32_t n, vocab_before *before)
{
    int32_t const item = list[at];
    for (int32_t child; (child = at * 2 + 1) < n; at = child) {
        if (child + 1 < n && before(v, list[child], list[child + 1])) child++;
        if (!before(v, item, list[child])) break;
        list[at] = list[child];
    }
    list[at] = item;
}

void vocab_sort(const chord_vocab *v, int32_t *list, int32_t n, vocab_before *before)
{
    for (int32_t i = n / 2; i-- > 0;) sift(v, list, i, n, before);
    for (int32_t i = n; i-- > 1;) {
        int32_t const last = list[i];
        list[i] = list[0];
        list[0] = last;
        sift(v, list, 0, i, before);
    }
}

vocab_walk vocab_walk_begin(const vocab_list *list) { return (vocab_walk){ 0, list->n, 0 }; }

/* Returns the index of the first text in [low, high) whose byte `depth` is >= `byte`. All of them have more
 * than `depth` bytes. */
static int32_t lower_bound(const chord_vocab *v, const vocab_list *list, vocab_walk w, uint32_t byte)
{
    while (w.low < w.high) {
        int32_t const middle = w.low + (w.high - w.low) / 2;
        if (token_text(v, list->ids[middle])[w.depth] < byte) w.low = middle + 1;
        else w.high = middle;
    }
    return w.low;
}

bool vocab_walk_on(const chord_vocab *v, const vocab_list *list, vocab_walk *w, uint8_t byte)
{
    if (vocab_walk_token(v, list, w) >= 0) w->low++; /* the text that ends here comes first */
    w->low = lower_bound(v, list, *w, byte);
    w->high = lower_bound(v, list, *w, byte + 1u);
    w->depth++;
    return w->low < w->high;
}

int32_t vocab_walk_token(const chord_vocab *v, const vocab_list *list, const vocab_walk *w)
{
    if (w->low >= w->high) return -1;
    int32_t const id = list->ids[w->low];
    return token_bytes(v, id) == w->depth ? id : -1;
}

int32_t vocab_longest(chord_tokenizer *t, const uint8_t *bytes, uint32_t n)
{
    vocab_walk walk = vocab_walk_begin(&t->v->by_text);
    int32_t best = -1;
    for (uint32_t i = 0; i < n && vocab_walk_on(t->v, &t->v->by_text, &walk, bytes[i]); i++) {
        int32_t const id = vocab_walk_token(t->v, &t->v->by_text, &walk);
        if (id >= 0) best = id;
    }
    t->left -= walk.depth / 4;
    return best;
}
