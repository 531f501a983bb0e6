/* spm.c: SentencePiece with scores. Blanks become U+2581; characters are symbols; of all neighbours
 * whose joined text is a token the pair with the highest score merges, the leftmost of equals; what is
 * no token in the end goes out byte by byte. A character is as long as its first byte says, valid or
 * not, as in llama.cpp. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"
#include "tables.h"

typedef struct line {
    const chord_vocab *v;
    const uint8_t *text; /* blanks escaped */
    uint32_t *begins;    /* m.n + 1 offsets of the characters */
    chord_merge m;
} line;

static uint32_t character_bytes(uint8_t first) { return first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4; }

/* A blank takes 3 bytes; it begins 1 character, or 2 when a stray first byte swallows one of its bytes. */
uint64_t spm_scratch(uint64_t n) { return 3 * (n + 1) + (MERGE_BYTES + 4) * (n + n / 2 + 3) + 16; }

static uint32_t escape(const uint8_t *text, uint32_t n, bool prefix, uint8_t *dst)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < n + prefix; i++) {
        uint8_t const c = prefix && i == 0 ? ' ' : text[i - prefix];
        if (c != ' ') { dst[at++] = c; continue; }
        chord_copy(dst + at, "\xE2\x96\x81", 3);
        at += 3;
    }
    return at;
}

static uint32_t count_characters(const uint8_t *text, uint32_t bytes)
{
    uint32_t n = 0;
    for (uint32_t at = 0; at < bytes; n++) at += character_bytes(text[at]);
    return n;
}

static int32_t token_at(const line *l, uint32_t from, uint32_t to)
{
    return vocab_find(l->v, l->text + l->begins[from], l->begins[to] - l->begins[from]);
}

static void set_pair(line *l, uint32_t left)
{
    uint32_t const right = merge_next(&l->m, left);
    int32_t const id = right < l->m.n ? token_at(l, left, merge_next(&l->m, right)) : -1;
    merge_set(&l->m, left, id < 0 ? MERGE_NONE : l->v->order[id]);
}

static void put_bytes(const line *l, uint32_t from, uint32_t to, chord_ids *out)
{
    for (uint32_t i = l->begins[from]; i < l->begins[to]; i++) {
        int32_t const id = l->v->byte_ids[l->text[i]];
        if (id >= 0 || l->v->unk >= 0) ids_put(out, id >= 0 ? id : l->v->unk);
    }
}

bool spm_tokenize(const chord_vocab *v, const uint8_t *text, uint32_t n, bool prefix, chord_ids *out, chord_arena scratch)
{
    uint64_t n_escaped = (uint64_t)n + (prefix ? 3 : 0);
    for (uint32_t i = 0; i < n; i++) n_escaped += text[i] == ' ' ? 2 : 0;
    uint8_t *escaped = chord_arena_take(&scratch, n_escaped, 4);
    if (!escaped) return false;
    uint32_t const bytes = escape(text, n, prefix, escaped);

    line l = { .v = v, .text = escaped };
    uint32_t const count = count_characters(escaped, bytes);
    l.begins = chord_arena_take(&scratch, ((uint64_t)count + 1) * 4, 4);
    if (!l.begins || !merge_init(&l.m, count, &scratch)) return false;
    for (uint32_t i = 0, at = 0; i < count; i++, at += character_bytes(escaped[at])) l.begins[i] = at;
    l.begins[count] = bytes; /* the last character may be cut */

    for (uint32_t i = 0; i < count; i++) set_pair(&l, i);
    for (uint32_t i; (i = merge_pop(&l.m)) < count;) {
        merge_join(&l.m, i);
        set_pair(&l, i);
        if (i) set_pair(&l, merge_previous(&l.m, i));
    }
    for (uint32_t i = 0; i < count; i = merge_next(&l.m, i)) {
        int32_t const id = token_at(&l, i, merge_next(&l.m, i));
        if (id >= 0) ids_put(out, id);
        else put_bytes(&l, i, merge_next(&l.m, i), out);
    }
    return true;
}
