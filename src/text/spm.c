/* spm.c: SentencePiece with scores. Blanks become U+2581, and characters are the first symbols. A pair of
 * neighbours can merge if its joined text is a token. The pair with the highest score merges first; on a
 * tie, the leftmost pair. A symbol that is no token in the end becomes byte tokens. The first byte of a
 * character sets its length, whether the character is valid or not, as in llama.cpp.
 *
 * llama.cpp merges over a whole stretch. Here the stretch is cut where no merge can cross: see joints.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"
#include "tables.h"

/* ---- the tables -------------------------------------------------------------------------------- */

static chord_status check(const chord_vocab_source *s, chord_error *error)
{
    (void)s;
    (void)error;
    return CHORD_OK;
}

static bool lay_out(chord_vocab *v, const chord_vocab_source *s, chord_arena *a)
{
    VOCAB_TAKE(v, order, s->n_tokens, 4, 4, a);
    VOCAB_TAKE(v, joints, JOINTS_WORDS, 4, 4, a);
    return true;
}

/* Maps a float to an integer in reverse order. Both zeros are equal; a NaN may have any place. */
static uint32_t order_of_score(float score)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &score, 4);
    if (score == 0) bits = 0;
    uint32_t const key = bits & 0x80000000u ? bits : ~bits & 0x7FFFFFFFu;
    return key == MERGE_NONE ? key - 1 : key;
}

static int32_t byte_token(const chord_vocab *v, uint8_t b)
{
    uint8_t const text[6] = {
        '<', '0', 'x', (uint8_t)"0123456789ABCDEF"[b >> 4], (uint8_t)"0123456789ABCDEF"[b & 15], '>'
    };
    int32_t const id = vocab_find(v, text, 6);
    return id >= 0 ? id : vocab_find(v, &b, 1);
}

static chord_status build(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    (void)error;
    joints_build(v);
    for (int32_t id = 0; id < v->n_tokens; id++)
        v->order[id] = order_of_score(s->scores ? chord_f32(s->scores + (size_t)id * 4) : 0);
    for (int32_t b = 0; b < 256; b++) v->byte_ids[b] = byte_token(v, (uint8_t)b);
    return CHORD_OK;
}

static void set_defaults(chord_vocab *v)
{
    v->bos = 1;
    v->eos = 2;
    v->unk = 0;
    v->add_bos = v->add_space_prefix = true;
}

/* ---- text to ids ------------------------------------------------------------------------------- */

/* A place in the escaped text: byte `sub` of the escaped form of text[i - has_prefix]. */
typedef struct place {
    uint32_t i, sub;
} place;

typedef struct line {
    uint32_t n;           /* bytes of the stretch, its prefix included */
    bool has_prefix;
    int32_t phase;
    place begin, end;     /* the part between two cuts; SCAN moves `end` */
    uint32_t last;        /* SCAN: the last byte of the character before `end` */
    uint32_t i, n_bytes;  /* characters done, and their bytes */
    uint32_t count;       /* characters of the part */
    uint32_t part_bytes;
    uint8_t *escaped;
    uint32_t *begins;     /* count + 1 offsets of the characters */
    chord_merge m;
} line;
_Static_assert(sizeof(line) <= TOKENIZER_STATE * 8, "a kind's state");

enum { SCAN, TAKE, FILL, PAIR, MERGE, PUT };

static uint64_t part_scratch(uint64_t bytes, uint64_t characters)
{
    return bytes + (MERGE_BYTES + 4) * characters + 16;
}
/* A blank has 3 escaped bytes. It begins 1 character, or 2 if an invalid first byte before it swallows one
 * of its bytes. */
static uint64_t most_scratch(const chord_vocab *v, uint64_t n)
{
    (void)v;
    return part_scratch(3 * (n + 1), n + n / 2 + 3);
}

/* Writes the character at `at` as escaped bytes, moves `at` behind it and returns the number of bytes. The
 * last character of a stretch may be cut off. */
static uint32_t next_character(const chord_tokenizer *t, const line *l, place *at, uint8_t *bytes)
{
    uint32_t n = 0;
    for (uint32_t wanted = 1; n < wanted && at->i < l->n;) {
        uint8_t const c = l->has_prefix && at->i == 0 ? ' ' : t->text[t->at + at->i - l->has_prefix];
        bytes[n] = c == ' ' ? (uint8_t)BLANK_LETTER[at->sub] : c;
        if (n++ == 0) wanted = lead_bytes(bytes[0]);
        if (c == ' ' && at->sub < 2) at->sub++;
        else *at = (place){ at->i + 1, 0 };
    }
    return n;
}

/* Moves l->end to the next cut. */
static bool scan(chord_tokenizer *t, line *l)
{
    while (l->end.i < l->n) {
        if (!tokenizer_spend(t)) return false;
        uint8_t bytes[4];
        place next = l->end;
        uint32_t const n = next_character(t, l, &next, bytes);
        bool const is_blank = n == 3 && is_blank_letter(bytes, 3);
        if (l->count && !is_joint(t->v, l->last, is_blank ? JOINT_BLANK : bytes[0])) break;
        l->last = is_blank ? JOINT_BLANK : bytes[n - 1];
        l->end = next;
        l->count++;
        l->part_bytes += n;
    }
    return true;
}

static bool take(chord_tokenizer *t, line *l)
{
    chord_arena scratch;
    if (!tokenizer_scratch(t, part_scratch((uint64_t)l->part_bytes, l->count), &scratch)) return false;
    l->escaped = chord_arena_take(&scratch, l->part_bytes, 4);
    l->begins = chord_arena_take(&scratch, ((uint64_t)l->count + 1) * 4, 4);
    return merge_take(&l->m, l->count, &scratch);
}

static bool fill(chord_tokenizer *t, line *l)
{
    for (; l->i < l->count; l->i++) {
        if (!tokenizer_spend(t)) return false;
        uint8_t bytes[4];
        uint32_t const n = next_character(t, l, &l->begin, bytes);
        l->begins[l->i] = l->n_bytes;
        chord_copy(l->escaped + l->n_bytes, bytes, n);
        l->n_bytes += n;
        merge_add(&l->m, l->i);
    }
    l->begins[l->count] = l->n_bytes;
    return true;
}

static int32_t token_at(const chord_vocab *v, const line *l, uint32_t from, uint32_t to)
{
    return vocab_find(v, l->escaped + l->begins[from], l->begins[to] - l->begins[from]);
}

static void set_pair(const chord_vocab *v, line *l, uint32_t left)
{
    uint32_t const right = merge_next(&l->m, left);
    int32_t const id = right < l->m.n ? token_at(v, l, left, merge_next(&l->m, right)) : -1;
    merge_set(&l->m, left, id < 0 ? MERGE_NONE : v->order[id]);
}

static bool pair(chord_tokenizer *t, line *l)
{
    for (; l->i < l->count; l->i++) {
        if (!tokenizer_spend(t)) return false;
        set_pair(t->v, l, l->i);
    }
    return true;
}

static bool merge(chord_tokenizer *t, line *l)
{
    for (;;) {
        if (!tokenizer_spend(t)) return false;
        uint32_t const i = merge_pop(&l->m);
        if (i == l->m.n) return true;
        merge_join(&l->m, i);
        set_pair(t->v, l, i);
        if (i) set_pair(t->v, l, merge_previous(&l->m, i));
    }
}

static void put_bytes(chord_tokenizer *t, const line *l, uint32_t from, uint32_t to)
{
    for (uint32_t i = l->begins[from]; i < l->begins[to]; i++) {
        int32_t const id = t->v->byte_ids[l->escaped[i]];
        if (id >= 0 || t->v->unk >= 0) ids_put(&t->out, id >= 0 ? id : t->v->unk);
    }
}

/* A merged symbol is a token. A symbol that didn't merge is one character of at most four bytes. */
static bool put(chord_tokenizer *t, line *l)
{
    for (; l->i < l->count; l->i = merge_next(&l->m, l->i)) {
        if (!tokenizer_spend(t) || !ids_have_room(&t->out)) return false;
        uint32_t const next = merge_next(&l->m, l->i);
        int32_t const id = token_at(t->v, l, l->i, next);
        if (id >= 0) ids_put(&t->out, id);
        else put_bytes(t, l, l->i, next);
    }
    return true;
}

static void begin(chord_tokenizer *t)
{
    bool const has_prefix = t->v->add_space_prefix && t->is_after_special;
    line *l = (line *)t->state;
    *l = (line){ .n = t->to - t->at + has_prefix, .has_prefix = has_prefix };
}

static int32_t step(chord_tokenizer *t)
{
    static bool (*const phases[])(chord_tokenizer *, line *) = { scan, take, fill, pair, merge, put };
    line *l = (line *)t->state;
    for (;;) {
        if (l->phase == SCAN && l->begin.i == l->n) return TOKENIZER_DONE;
        if (!phases[l->phase](t, l)) return l->phase == TAKE ? TOKENIZER_NEEDS_MEMORY : TOKENIZER_MORE;
        l->i = 0;
        if (l->phase++ < PUT) continue;
        *l = (line){ .n = l->n, .has_prefix = l->has_prefix, .begin = l->end, .end = l->end };
    }
}

const chord_text_kind chord_text_spm = {
    CHORD_VOCAB_SPM, "llama", check, lay_out,          build, set_defaults, NULL,
    most_scratch,    begin,   step,  bytes_put_blanks,
};
