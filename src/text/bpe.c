/* bpe.c: BPE over words. The pre-tokenizer cuts the text into words, and the bytes of a word are its first
 * symbols. The pair of neighbours with the lowest rank merges first; on a tie, the leftmost pair. A byte
 * without a token is omitted, as in llama.cpp. An invalid byte is read as U+FFFD, an overlong form as
 * its value, so a word has at most three symbols per byte.
 *
 * With RAW pre-tokenizers (Gemma 4) tokens are text, not letters of GPT-2's alphabet. The first symbols are
 * characters, and a blank is U+2581. A character without a token becomes its bytes' tokens <0xHH>. A word is
 * a whole line there, so it is cut further where no merge can cross (joints.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fold.h"
#include "merge.h"
#include "tables.h"

/* The model "whitespace" (jina-embeddings-v2-base-zh): as RAW, without the white space between words. */

/* ---- the tables -------------------------------------------------------------------------------- */

/* Returns NULL if the source names an unknown pre-tokenizer. */
static const chord_pre *pre_of(const chord_vocab_source *s)
{
    const chord_pre *pre = NULL;
    if (s->kind == CHORD_VOCAB_GEMMA4) return chord_pre_find("gemma4", 6);
    if (s->kind == CHORD_VOCAB_WHITESPACE) return chord_pre_find("whitespace", 10);
    if (s->pre && s->n_pre) pre = chord_pre_find(s->pre, s->n_pre);
    return pre || (s->pre && s->n_pre && !s->takes_any_pre) ? pre : chord_pre_find("default", 7);
}

static chord_status check(const chord_vocab_source *s, chord_error *error)
{
    const chord_pre *pre = pre_of(s);
    if (!pre)
        return chord_fail(error, CHORD_UNSUPPORTED_TOKENIZER, "unknown pre-tokenizer %q (tokenizer.ggml.pre)",
                          s->pre, s->n_pre);
    if (!s->merges && !(pre->flags & CHORD_PRE_NO_MERGES))
        return chord_fail(error, CHORD_INVALID_GGUF, "tokenizer.ggml.merges is missing");
    return CHORD_OK;
}

static bool lay_out(chord_vocab *v, const chord_vocab_source *s, chord_arena *a)
{
    uint64_t merge_slots;
    if (!vocab_slot_count((uint64_t)s->n_merges, &merge_slots)) return false;
    v->n_merge_slots = (uint32_t)merge_slots;
    VOCAB_TAKE(v, merges, s->n_merges, 12, 4, a);
    VOCAB_TAKE(v, merge_slots, merge_slots, 4, 4, a);
    const chord_pre *pre = pre_of(s);
    if (pre && (pre->flags & CHORD_PRE_RAW)) VOCAB_TAKE(v, joints, JOINTS_WORDS, 4, 4, a);
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

static bool is_raw(const chord_vocab *v) { return v->pre->flags & CHORD_PRE_RAW; }

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
    v->pre = pre_of(s);
    v->n_merges = s->n_merges;
    chord_zero(v->merge_slots, (size_t)v->n_merge_slots * 4);
    for (int32_t rank = 0; rank < v->n_merges; rank++) {
        const uint8_t *text;
        uint64_t n;
        if (!vocab_next_record(&r, &text, &n))
            return chord_fail(error, CHORD_INVALID_GGUF, "merge %d is cut off", rank);
        CHORD_TRY(build_merge(v, rank, text, (size_t)n, error));
    }
    v->lowers = s->kind == CHORD_VOCAB_WHITESPACE && s->lowercase == 1;
    if (is_raw(v)) joints_build(v);
    for (int32_t b = 0; b < 256; b++) {
        uint8_t letter[4];
        v->byte_ids[b] = is_raw(v)
                             ? vocab_find_byte(v, (uint8_t)b)
                             : vocab_find(v, letter, chord_utf8_encode(byte_to_letter((uint8_t)b), letter));
    }
    return CHORD_OK;
}

static void set_defaults(chord_vocab *v)
{
    bool const has_ids = v->kind->number != CHORD_VOCAB_GEMMA4;
    v->bos = has_ids && !(v->pre->flags & CHORD_PRE_NO_BOS) ? 11 : -1;
    v->eos = has_ids ? 11 : -1;
    v->add_bos = v->pre->flags & CHORD_PRE_ADD_BOS;
}

/* llama.cpp adds Gemma 4's BOS even if the file says not to. */
static void set_ends(chord_vocab *v)
{
    if (!(v->pre->flags & CHORD_PRE_NEWLINES)) return;
    v->add_bos = true;
    v->first = v->bos;
}

/* ---- text to ids ------------------------------------------------------------------------------- */

enum { BLANK_CODE = 0x2581 };

typedef struct words {
    int32_t phase;
    bool is_over;      /* no words are left */
    uint32_t at, end;  /* the current word, or the part of it between two cuts */
    uint32_t to;       /* end of the whole word */
    uint32_t cursor;   /* the word's bytes before it are symbols */
    uint32_t i, n;     /* symbols done, symbols of the word */
    uint32_t last;     /* COUNT: the last byte before the cursor */
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
    uint32_t code_point;
    bool const drops = t->v->kind->number == CHORD_VOCAB_WHITESPACE;
    do {
        int32_t const found = chord_pre_next(&w->walk, t->v->pre, t->text, &begin, &end, &t->left);
        w->is_over = found == CHORD_PRE_OVER;
        if (found != CHORD_PRE_WORD) return w->is_over;
        chord_utf8_decode(t->text + begin, t->text + end, &code_point);
    } while (drops && (chord_unicode_bits(code_point) & CHORD_IN_WHITE));
    w->at = w->cursor = (uint32_t)begin;
    w->end = w->to = (uint32_t)end;
    return true;
}

/* Writes the character at `at` as bytes (U+FFFD for an invalid byte, U+2581 for a blank that has no other
 * form), moves `at` behind it and returns the number of bytes. */
static uint32_t next_character(const chord_tokenizer *t, uint32_t *at, uint32_t end, uint8_t *bytes)
{
    uint32_t code_point;
    *at += chord_utf8_decode(t->text + *at, t->text + end, &code_point);
    if (t->v->lowers) code_point = chord_unicode_lower(code_point);
    if (code_point == ' ' && (t->v->pre->flags & CHORD_PRE_BLANKS)) code_point = BLANK_CODE;
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

/* With WHOLE_WORDS a word that is a token becomes that token. The word then has no symbols to merge. A line
 * of newlines has newlines only. */
static bool whole(chord_tokenizer *t, words *w)
{
    chord_arena scratch;
    int32_t const flags = t->v->pre->flags;
    bool const is_newlines = (flags & CHORD_PRE_NEWLINES) && t->text[w->at] == '\n';
    if (!(flags & CHORD_PRE_WHOLE_WORDS) && !is_newlines) return true;
    if (!tokenizer_scratch(t, letters_scratch(t->v), &scratch)) return false;
    int32_t const id = is_newlines ? vocab_find(t->v, t->text + w->at, w->end - w->at)
                                   : find_whole(t, w, chord_arena_take(&scratch, letters_scratch(t->v), 4));
    if (id < 0) return true;
    ids_put(&t->out, id);
    w->cursor = w->at = w->end;
    return true;
}

/* Counts symbols up to the end of the word or the next cut. */
static bool count(chord_tokenizer *t, words *w)
{
    uint8_t bytes[4];
    bool const cuts = is_raw(t->v);
    for (uint32_t next; w->cursor < w->to; w->cursor = next) {
        if (!tokenizer_spend(t)) return false;
        next = w->cursor;
        uint32_t const n = next_character(t, &next, w->to, bytes);
        bool const is_blank = is_blank_letter(bytes, n);
        if (cuts && w->n && !is_joint(t->v, w->last, is_blank ? JOINT_BLANK : bytes[0])) break;
        w->last = is_blank ? JOINT_BLANK : bytes[n - 1];
        w->n += cuts ? 1 : n;
    }
    w->end = w->cursor;
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

/* A character without a token: its code point as a negative id. Such a symbol never merges. */
enum { FIRST_CHARACTER = -2 };
static int32_t id_of_character(const chord_vocab *v, const uint8_t *bytes, uint32_t n)
{
    int32_t const id = vocab_find(v, bytes, n);
    uint32_t code_point;
    if (id >= 0) return id;
    chord_utf8_decode(bytes, bytes + n, &code_point);
    return FIRST_CHARACTER - (int32_t)code_point;
}

static bool fill(chord_tokenizer *t, words *w)
{
    while (w->cursor < w->end) {
        if (!tokenizer_spend(t)) return false;
        uint8_t bytes[4];
        uint32_t const n_bytes = next_character(t, &w->cursor, w->end, bytes);
        uint32_t const n_symbols = is_raw(t->v) ? 1 : n_bytes;
        for (uint32_t k = 0; k < n_symbols; k++, w->i++) {
            w->ids[w->i] = is_raw(t->v) ? id_of_character(t->v, bytes, n_bytes) : t->v->byte_ids[bytes[k]];
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

static void put_bytes(chord_tokenizer *t, int32_t id)
{
    uint8_t bytes[4];
    uint32_t const n = id > FIRST_CHARACTER ? 0 : chord_utf8_encode((uint32_t)(FIRST_CHARACTER - id), bytes);
    for (uint32_t i = 0; i < n; i++)
        if (t->v->byte_ids[bytes[i]] >= 0) ids_put(&t->out, t->v->byte_ids[bytes[i]]);
}

static bool put(chord_tokenizer *t, words *w)
{
    for (; w->i < w->n; w->i = merge_next(&w->m, w->i)) {
        if (!tokenizer_spend(t) || !ids_have_room(&t->out)) return false;
        if (w->ids[w->i] >= 0) ids_put(&t->out, w->ids[w->i]);
        else put_bytes(t, w->ids[w->i]);
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
        w->phase = !is_through ? w->phase + 1 : w->end < w->to ? COUNT : WORD;
        if (!is_through) continue;
        w->at = w->cursor = w->end;
        w->n = 0;
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
    CHORD_VOCAB_BPE, "gpt2",       check, lay_out, build,    set_defaults,
    set_ends,        most_scratch, begin, step,    put_text,
};
const chord_text_kind chord_text_gemma4 = {
    CHORD_VOCAB_GEMMA4, "gemma4", check, lay_out,          build, set_defaults, set_ends,
    most_scratch,       begin,    step,  bytes_put_blanks,
};
const chord_text_kind chord_text_whitespace = {
    CHORD_VOCAB_WHITESPACE, "whitespace", check, lay_out,          build, set_defaults, set_ends,
    most_scratch,           begin,        step,  bytes_put_blanks,
};
