/* bpe.c: byte-level BPE. The pre-tokenizer cuts the text into words, and the bytes of a word are its first
 * symbols. The pair of neighbours with the lowest rank merges first; on a tie, the leftmost pair. A byte
 * without a token is omitted, as in llama.cpp. An invalid byte is read as U+FFFD, an overlong form as
 * its value, so a word has at most three symbols per byte. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"
#include "tables.h"

/* ---- the tables -------------------------------------------------------------------------------- */

static chord_status check(const chord_vocab_source *s, chord_error *error)
{
    if (!s->merges) return chord_fail(error, CHORD_INVALID_GGUF, "tokenizer.ggml.merges is missing");
    if (!s->pre)
        return chord_fail(error, CHORD_UNSUPPORTED_TOKENIZER,
                          "the file names no pre-tokenizer (tokenizer.ggml.pre), and any guess may be wrong");
    if (chord_pre_find(s->pre, s->n_pre)) return CHORD_OK;
    return chord_fail(error, CHORD_UNSUPPORTED_TOKENIZER, "unknown pre-tokenizer %q (tokenizer.ggml.pre)",
                      s->pre, s->n_pre);
}

static bool lay_out(chord_vocab *v, const chord_vocab_source *s, chord_arena *a)
{
    uint64_t merge_slots;
    if (!vocab_slot_count((uint64_t)s->n_merges, &merge_slots)) return false;
    v->n_merge_slots = (uint32_t)merge_slots;
    VOCAB_TAKE(v, merges, s->n_merges, 12, 4, a);
    VOCAB_TAKE(v, merge_slots, merge_slots, 4, 4, a);
    return true;
}

static uint32_t hash_ids(int32_t left, int32_t right)
{
    return ((uint32_t)left * 0x9E3779B1u ^ (uint32_t)right) * 0x85EBCA77u;
}

static int32_t find_merge(const chord_vocab *v, int32_t left, int32_t right)
{
    if (left < 0 || right < 0) return -1;
    uint32_t slot = vocab_slot_of(hash_ids(left, right), v->n_merge_slots);
    for (; v->merge_slots[slot]; slot = slot + 1 == v->n_merge_slots ? 0 : slot + 1) {
        int32_t const rank = (int32_t)v->merge_slots[slot] - 1;
        if (v->merges[rank].left == left && v->merges[rank].right == right) return rank;
    }
    return -1;
}

static bool is_one_letter(const uint8_t *text, size_t n)
{
    uint32_t code_point;
    return n && chord_utf8_decode(text, text + n, &code_point) == n;
}

/* Merges work on ids, so the parts and the result of a merge must be tokens. A part that is neither a token
 * nor a single letter never occurs, so its merge is dropped. If a merge is given twice, the first counts. */
static chord_status build_merge(chord_vocab *v, int32_t rank, const uint8_t *text, size_t n,
                                chord_error *error)
{
    size_t blank = 1;
    while (blank < n && text[blank] != ' ') blank++;
    if (blank >= n)
        return chord_fail(error, CHORD_INVALID_GGUF, "merge %d: no blank in %q", rank, (const char *)text, n);
    const uint8_t *right = text + blank + 1;
    size_t const n_right = n - blank - 1;
    chord_merge_rule const rule = { vocab_find(v, text, blank), vocab_find(v, right, n_right),
                                    vocab_find_pair(v, text, blank, right, n_right) };
    v->merges[rank] = rule;
    bool const is_reachable = (rule.left >= 0 || is_one_letter(text, blank)) &&
                              (rule.right >= 0 || is_one_letter(right, n_right));
    if (is_reachable && (rule.left < 0 || rule.right < 0 || rule.id < 0))
        return chord_fail(error, CHORD_INVALID_GGUF,
                          "merge %d: %q needs a token that the vocabulary doesn't have", rank,
                          (const char *)text, n);
    if (!is_reachable) {
        v->merges[rank].left = -1;
        return CHORD_OK;
    }
    uint32_t slot = vocab_slot_of(hash_ids(rule.left, rule.right), v->n_merge_slots);
    for (int32_t probes = 0; v->merge_slots[slot]; slot = slot + 1 == v->n_merge_slots ? 0 : slot + 1)
        if (++probes == VOCAB_MAX_PROBES)
            return chord_fail(error, CHORD_INVALID_GGUF, "merge %d: the merges were made to collide", rank);
    v->merge_slots[slot] = (uint32_t)rank + 1;
    return CHORD_OK;
}

static chord_status build(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    vocab_records r = { s->merges, s->merges_bytes };
    v->pre = chord_pre_find(s->pre, s->n_pre);
    v->n_merges = s->n_merges;
    chord_zero(v->merge_slots, (size_t)v->n_merge_slots * 4);
    for (int32_t rank = 0; rank < v->n_merges; rank++) {
        const uint8_t *text;
        uint64_t n;
        if (!vocab_next_record(&r, &text, &n))
            return chord_fail(error, CHORD_INVALID_GGUF, "merge %d is cut off", rank);
        CHORD_TRY(build_merge(v, rank, text, (size_t)n, error));
    }
    for (int32_t b = 0; b < 256; b++) {
        uint8_t letter[4];
        v->byte_ids[b] = vocab_find(v, letter, chord_utf8_encode(byte_to_letter((uint8_t)b), letter));
    }
    return CHORD_OK;
}

static void set_defaults(chord_vocab *v)
{
    v->bos = v->pre->no_bos ? -1 : 11;
    v->eos = 11;
    v->unk = -1;
    v->add_bos = v->pre->add_bos;
    v->add_space_prefix = false;
}

/* ---- text to ids ------------------------------------------------------------------------------- */

typedef struct words {
    int32_t phase;
    bool is_over;      /* no words are left */
    uint32_t at, end;  /* the current word */
    uint32_t cursor;   /* the word's bytes before it are symbols */
    uint32_t i, n;     /* symbols done, symbols of the word */
    int32_t *ids;
    chord_merge m;
    chord_pre_walk walk;
} words;
_Static_assert(sizeof(words) <= TOKENIZER_STATE * 8, "a kind's state");

enum { WORD, WHOLE, COUNT, TAKE, FILL, PAIR, MERGE, PUT };

static uint64_t word_scratch(uint64_t n) { return (MERGE_BYTES + 4) * n + 16; }
/* Room for the longest token and one more letter. */
static uint64_t letters_scratch(const chord_vocab *v) { return (uint64_t)v->longest + 4; }
static uint64_t most_scratch(const chord_vocab *v, uint64_t n)
{
    uint64_t const word = word_scratch(3 * n), letters = letters_scratch(v);
    return word > letters ? word : letters;
}

static bool next_word(chord_tokenizer *t, words *w)
{
    size_t begin, end;
    int32_t const found = chord_pre_next(&w->walk, t->v->pre, t->text, &begin, &end, &t->left);
    w->is_over = found == CHORD_PRE_OVER;
    if (found != CHORD_PRE_WORD) return w->is_over;
    w->at = w->cursor = (uint32_t)begin;
    w->end = (uint32_t)end;
    return true;
}

/* Writes the character at `at` as bytes (U+FFFD for an invalid byte), moves `at` behind it and returns the
 * number of bytes. */
static uint32_t next_character(const chord_tokenizer *t, uint32_t *at, uint32_t end, uint8_t *bytes)
{
    uint32_t code_point;
    *at += chord_utf8_decode(t->text + *at, t->text + end, &code_point);
    return chord_utf8_encode(code_point, bytes);
}

/* Returns the token whose text is the whole word, -1 if there is none. */
static int32_t find_whole(const chord_tokenizer *t, const words *w, uint8_t *letters)
{
    uint8_t bytes[4];
    uint32_t n = 0;
    for (uint32_t at = w->at; at < w->end;) {
        uint32_t const n_bytes = next_character(t, &at, w->end, bytes);
        for (uint32_t i = 0; i < n_bytes; i++) {
            if (n >= t->v->longest) return -1;
            n += chord_utf8_encode(byte_to_letter(bytes[i]), letters + n);
        }
    }
    return vocab_find(t->v, letters, n);
}

/* With ignore_merges a word that is a token becomes that token. The word then has no symbols to merge. */
static bool whole(chord_tokenizer *t, words *w)
{
    chord_arena scratch;
    if (!t->v->pre->ignore_merges) return true;
    if (!tokenizer_scratch(t, letters_scratch(t->v), &scratch)) return false;
    int32_t const id = find_whole(t, w, chord_arena_take(&scratch, letters_scratch(t->v), 4));
    if (id < 0) return true;
    ids_put(&t->out, id);
    w->cursor = w->at = w->end;
    return true;
}

static bool count(chord_tokenizer *t, words *w)
{
    uint8_t bytes[4];
    while (w->cursor < w->end) {
        if (!tokenizer_spend(t)) return false;
        w->n += next_character(t, &w->cursor, w->end, bytes);
    }
    w->cursor = w->at;
    return true;
}

static bool take(chord_tokenizer *t, words *w)
{
    chord_arena scratch;
    if (!tokenizer_scratch(t, word_scratch(w->n), &scratch)) return false;
    w->ids = chord_arena_take(&scratch, (uint64_t)w->n * 4, 4);
    return merge_take(&w->m, w->n, &scratch);
}

static bool fill(chord_tokenizer *t, words *w)
{
    while (w->cursor < w->end) {
        if (!tokenizer_spend(t)) return false;
        uint8_t bytes[4];
        uint32_t const n_bytes = next_character(t, &w->cursor, w->end, bytes);
        for (uint32_t k = 0; k < n_bytes; k++, w->i++) {
            w->ids[w->i] = t->v->byte_ids[bytes[k]];
            merge_add(&w->m, w->i);
        }
    }
    return true;
}

static void set_pair(const chord_vocab *v, words *w, uint32_t left)
{
    uint32_t const right = merge_next(&w->m, left);
    int32_t const rank = right < w->n ? find_merge(v, w->ids[left], w->ids[right]) : -1;
    merge_set(&w->m, left, rank < 0 ? MERGE_NONE : (uint32_t)rank);
}

static bool pair(chord_tokenizer *t, words *w)
{
    for (; w->i < w->n; w->i++) {
        if (!tokenizer_spend(t)) return false;
        set_pair(t->v, w, w->i);
    }
    return true;
}

static bool merge(chord_tokenizer *t, words *w)
{
    for (;;) {
        if (!tokenizer_spend(t)) return false;
        uint32_t const i = merge_pop(&w->m);
        if (i == w->n) return true;
        w->ids[i] = t->v->merges[w->m.key[i]].id;
        merge_join(&w->m, i);
        set_pair(t->v, w, i);
        if (i) set_pair(t->v, w, merge_previous(&w->m, i));
    }
}

static bool put(chord_tokenizer *t, words *w)
{
    for (; w->i < w->n; w->i = merge_next(&w->m, w->i)) {
        if (!tokenizer_spend(t) || !ids_have_room(&t->out)) return false;
        if (w->ids[w->i] >= 0) ids_put(&t->out, w->ids[w->i]);
    }
    return true;
}

static void begin(chord_tokenizer *t)
{
    words *w = (words *)t->state;
    *w = (words){ 0 };
    chord_pre_begin(&w->walk, t->at, t->to);
}

static int32_t step(chord_tokenizer *t)
{
    static bool (*const phases[])(chord_tokenizer *, words *) = { next_word, whole, count, take,
                                                                  fill,      pair,  merge, put };
    words *w = (words *)t->state;
    for (;;) {
        if (w->phase == WORD && !ids_have_room(&t->out)) return TOKENIZER_MORE;
        if (!phases[w->phase](t, w))
            return w->phase == WHOLE || w->phase == TAKE ? TOKENIZER_NEEDS_MEMORY : TOKENIZER_MORE;
        if (w->is_over) return TOKENIZER_DONE;
        w->i = 0;
        bool const is_through = w->phase == PUT || (w->phase == WHOLE && w->at == w->end);
        w->phase = is_through ? WORD : w->phase + 1;
        if (is_through) w->n = 0;
    }
}

/* ---- ids to text ------------------------------------------------------------------------------- */

/* Converts letters of GPT-2's alphabet back to bytes. Other characters stay. */
static void put_text(chord_bytes_out *o, const uint8_t *text, uint32_t n)
{
    for (uint32_t i = 0, size; i < n; i += size) {
        uint32_t code_point;
        size = chord_utf8_decode(text + i, text + n, &code_point);
        int32_t const byte = letter_to_byte(code_point);
        uint8_t const b = (uint8_t)byte;
        bytes_put(o, byte < 0 ? text + i : &b, byte < 0 ? size : 1);
    }
}

const chord_text_kind chord_text_bpe = {
    CHORD_VOCAB_BPE, "gpt2", check, lay_out, build, set_defaults, NULL, most_scratch, begin, step, put_text,
};
