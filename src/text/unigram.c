/* unigram.c: SentencePiece's unigram model (T5, XLM-R), as llama.cpp's llm_tokenizer_ugm has it.
 *
 * The text is normalised by the file's own trie (charsmap.c). Blanks become U+2581, with one in front of the
 * text and runs of blanks as one where the file says so. Of all ways to spell the text with tokens, the one
 * with the highest sum of scores is taken (Viterbi). A character that is no token costs the lowest score
 * less 10; neighbours of that kind become one unknown token.
 *
 * The text is cut where no token reaches across (joints.c), mostly between words: every way goes through
 * there. The sum is carried over, so that it is rounded as in llama.cpp, which goes over the whole text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "charsmap.h"
#include "tables.h"
#include <float.h>

enum { MATCHABLE = ATTR_NORMAL | ATTR_USER | ATTR_UNUSED };

/* ---- the tables -------------------------------------------------------------------------------- */

static chord_status check(const chord_vocab_source *s, chord_error *error)
{
    if (!s->scores) return chord_fail(error, CHORD_INVALID_GGUF, "tokenizer.ggml.scores is missing");
    for (int32_t id = 0; id < s->n_tokens; id++)
        if (!__builtin_isfinite(chord_f32(s->scores + (size_t)id * 4)))
            return chord_fail(error, CHORD_INVALID_GGUF,
                              "tokenizer.ggml.scores: the score of token %d isn't finite", id);
    return charsmap_check(s->charsmap, s->charsmap_bytes, error);
}

static bool lay_out(chord_vocab *v, const chord_vocab_source *s, chord_arena *a)
{
    VOCAB_TAKE(v, scores, s->n_tokens, 4, 4, a);
    VOCAB_TAKE(v, by_text.ids, s->n_tokens, 4, 4, a);
    VOCAB_TAKE(v, users.ids, s->n_tokens, 4, 4, a);
    VOCAB_TAKE(v, joints, JOINTS_WORDS, 4, 4, a);
    return charsmap_lay_out(&v->charsmap, s->charsmap, s->charsmap_bytes, a);
}

static void add_to(vocab_list *list, int32_t id) { list->ids[list->n++] = id; }

static chord_status build(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    (void)error;
    float least = FLT_MAX;
    v->by_text.n = v->users.n = 0;
    for (int32_t id = 0; id < v->n_tokens; id++) {
        v->scores[id] = chord_f32(s->scores + (size_t)id * 4);
        if ((v->attrs[id] & ATTR_NORMAL) && v->scores[id] < least) least = v->scores[id];
        if (v->attrs[id] & MATCHABLE) add_to(&v->by_text, id);
        if (v->attrs[id] & ATTR_USER) add_to(&v->users, id);
    }
    v->unknown_score = least - 10.0f;
    v->joins_blanks = s->remove_extra_whitespaces == 1;
    vocab_sort(v, v->by_text.ids, v->by_text.n, vocab_text_before);
    vocab_sort(v, v->users.ids, v->users.n, vocab_text_before);
    joints_build(v);
    charsmap_build(&v->charsmap, s->charsmap, s->charsmap_bytes);
    for (int32_t b = 0; b < 256; b++) v->byte_ids[b] = -1;
    return CHORD_OK;
}

static void set_defaults(chord_vocab *v)
{
    v->eos = 1;
    v->unk = 2;
    v->pad = 0;
    v->add_eos = true;
}

/* ---- the normalised text ----------------------------------------------------------------------- */

/* A place in the normalised text: the bytes still to come of the piece that a prefix of the text became. */
typedef struct place {
    const uint8_t *piece;
    uint32_t left, at;        /* bytes of the piece; the text goes on at `at` */
    uint8_t blank;            /* bytes of U+2581 still to come */
    uint8_t waiting;          /* a byte that comes behind U+2581 */
    bool waits, is_prefixed, in_word;
} place;

/* Returns how many bytes of the text are the beginning of a user-defined token. They stay as they are, also
 * if they are no whole token, as in llama.cpp. */
static uint32_t user_prefix(chord_tokenizer *t, uint32_t at)
{
    vocab_walk walk = vocab_walk_begin(&t->v->users);
    uint32_t n = 0;
    while (at + n < t->to && vocab_walk_on(t->v, &t->v->users, &walk, t->text[at + n])) n++;
    return n;
}

/* Reads the next piece of the text. */
static void next_piece(chord_tokenizer *t, place *p)
{
    static const uint8_t replacement[] = "\xEF\xBF\xBD";
    uint32_t size = t->v->users.n ? user_prefix(t, p->at) : 0, code_point;
    p->piece = t->text + p->at;
    p->left = size;
    if (!size) size = charsmap_match(&t->v->charsmap, t->text + p->at, t->to - p->at, &p->piece, &p->left);
    if (!size) {
        size = p->left = chord_utf8_decode(t->text + p->at, t->text + t->to, &code_point);
        bool const is_invalid = size == 1 && t->text[p->at] >= 0x80;
        p->piece = is_invalid ? replacement : t->text + p->at;
        if (is_invalid) p->left = 3;
    }
    p->at += size;
    t->left -= size / 4;
}

/* Returns the next byte of the normalised text, -1 at its end. */
static int32_t next_byte(chord_tokenizer *t, place *p)
{
    for (;;) {
        if (p->blank) return (uint8_t)BLANK_LETTER[3 - p->blank--];
        if (p->waits) {
            p->waits = false;
            return p->waiting;
        }
        if (!p->left && p->at == t->to) return -1;
        if (!p->left) {
            next_piece(t, p);
            continue;
        }
        uint8_t const c = *p->piece++;
        bool const begins = !p->in_word;
        p->left--;
        p->in_word = c != ' ';
        if (c == ' ') {
            if (!t->v->joins_blanks) p->blank = 3;
        } else if (begins && (t->v->joins_blanks || (t->v->add_space_prefix && !p->is_prefixed))) {
            p->blank = 3;
            p->is_prefixed = p->waits = true;
            p->waiting = c;
        } else {
            return c;
        }
    }
}

/* Reads a character: as many bytes as its first byte says, fewer at the end. Returns their number. */
static uint32_t next_character(chord_tokenizer *t, place *p, uint8_t *bytes)
{
    uint32_t n = 0;
    for (uint32_t wanted = 1; n < wanted; n++) {
        int32_t const byte = next_byte(t, p);
        if (byte < 0) break;
        bytes[n] = (uint8_t)byte;
        if (n == 0) wanted = lead_bytes(bytes[0]);
    }
    return n;
}

/* ---- text to ids ------------------------------------------------------------------------------- */

typedef struct path {
    int32_t phase;
    bool is_unknown;          /* the last id was the unknown token */
    place begin, end;         /* the part between two cuts; SCAN moves `end` */
    uint32_t last;            /* SCAN: the last byte of the character before `end` */
    uint32_t n;               /* bytes of the part */
    uint32_t at;              /* bytes done */
    double sum;               /* of scores before the part */
    uint8_t *bytes;
    double *sums;             /* n + 1 each: the best sum of scores up to a byte, */
    int32_t *ids;             /* the token that ends there, */
    uint32_t *froms;          /* and where it begins; LINK turns them round */
} path;
_Static_assert(sizeof(path) <= TOKENIZER_STATE * 8, "a kind's state");

enum { SCAN, TAKE, FILL, SPELL, LINK, PUT };

static uint64_t part_scratch(uint64_t bytes) { return (bytes + 1) * 17 + 32; }
/* One byte becomes U+2581, or a replacement in which each blank becomes U+2581. */
static uint64_t most_scratch(const chord_vocab *v, uint64_t n)
{
    uint64_t const each = v->charsmap.longest > 1 ? v->charsmap.longest : 1;
    return part_scratch(3 * (n * each + 1));
}

/* Moves p->end to the next cut. */
static bool scan(chord_tokenizer *t, path *p)
{
    for (;;) {
        if (!tokenizer_spend(t)) return false;
        uint8_t bytes[4];
        place next = p->end;
        uint32_t const n = next_character(t, &next, bytes);
        if (!n) return true;
        bool const is_blank = is_blank_letter(bytes, n);
        if (p->n && !is_joint(t->v, p->last, is_blank ? JOINT_BLANK : bytes[0])) return true;
        p->last = is_blank ? JOINT_BLANK : bytes[n - 1];
        p->end = next;
        p->n += n;
    }
}

static bool take(chord_tokenizer *t, path *p)
{
    chord_arena scratch;
    uint64_t const n = (uint64_t)p->n + 1;
    if (!tokenizer_scratch(t, part_scratch(p->n), &scratch)) return false;
    p->sums = chord_arena_take(&scratch, n * 8, 8);
    p->ids = chord_arena_take(&scratch, n * 4, 4);
    p->froms = chord_arena_take(&scratch, n * 4, 4);
    p->bytes = chord_arena_take(&scratch, n, 1);
    return true;
}

static bool fill(chord_tokenizer *t, path *p)
{
    while (p->at < p->n) {
        if (!tokenizer_spend(t)) return false;
        uint32_t const n = next_character(t, &p->begin, p->bytes + p->at);
        for (uint32_t i = 0; i < n; i++) p->sums[p->at++] = -DBL_MAX;
    }
    p->sums[p->n] = -DBL_MAX;
    p->sums[0] = p->sum;
    return true;
}

static void offer(path *p, uint32_t to, int32_t id, double score)
{
    double const sum = p->sums[p->at] + score;
    if (!(sum > p->sums[to])) return;
    p->sums[to] = sum;
    p->ids[to] = id;
    p->froms[to] = p->at;
}

/* Offers all tokens at p->at to the places where they end. */
static bool spell(chord_tokenizer *t, path *p)
{
    const chord_vocab *v = t->v;
    for (uint32_t size; p->at < p->n; p->at += size) {
        if (!tokenizer_spend(t)) return false;
        vocab_walk walk = vocab_walk_begin(&v->by_text);
        uint32_t const lead = lead_bytes(p->bytes[p->at]);
        bool is_token = false;
        size = lead < p->n - p->at ? lead : p->n - p->at;
        for (uint32_t i = p->at; i < p->n && vocab_walk_on(v, &v->by_text, &walk, p->bytes[i]); i++) {
            int32_t const id = vocab_walk_token(v, &v->by_text, &walk);
            if (id < 0) continue;
            is_token |= i + 1 - p->at == size;
            offer(p, i + 1, id, v->attrs[id] & ATTR_USER ? 0 : (double)v->scores[id]);
        }
        if (!is_token) offer(p, p->at + size, v->unk, (double)v->unknown_score);
        t->left -= walk.depth / 4;
    }
    p->sum = p->sums[p->n];
    return true;
}

/* Turns the best way round: afterwards froms[i] is where the token ends that begins behind the one at i. */
static bool link(chord_tokenizer *t, path *p)
{
    (void)t;
    uint32_t next = p->n;
    for (uint32_t i = p->n; i;) {
        uint32_t const from = p->froms[i];
        p->froms[i] = next;
        next = i;
        i = from;
    }
    p->at = next;
    return true;
}

static bool put(chord_tokenizer *t, path *p)
{
    while (p->at) {
        if (!tokenizer_spend(t) || !ids_have_room(&t->out)) return false;
        int32_t const id = p->ids[p->at];
        bool const is_unknown = id == t->v->unk;
        if (id >= 0 && !(is_unknown && p->is_unknown)) ids_put(&t->out, id);
        p->is_unknown = is_unknown;
        p->at = p->at == p->n ? 0 : p->froms[p->at];
    }
    return true;
}

static void begin(chord_tokenizer *t)
{
    path *p = (path *)t->state;
    *p = (path){ .begin = { .at = t->at }, .end = { .at = t->at } };
}

static int32_t step(chord_tokenizer *t)
{
    static bool (*const phases[])(chord_tokenizer *, path *) = { scan, take, fill, spell, link, put };
    path *p = (path *)t->state;
    for (;;) {
        if (!phases[p->phase](t, p)) return p->phase == TAKE ? TOKENIZER_NEEDS_MEMORY : TOKENIZER_MORE;
        if (p->phase == SCAN && !p->n) return TOKENIZER_DONE;
        if (p->phase == FILL) p->at = 0;
        if (p->phase++ < PUT) continue;
        *p = (path){ .is_unknown = p->is_unknown, .begin = p->end, .end = p->end, .sum = p->sum };
    }
}

const chord_text_kind chord_text_unigram = {
    CHORD_VOCAB_UNIGRAM, "t5",  check, lay_out,          build, set_defaults, NULL,
    most_scratch,        begin, step,  bytes_put_blanks,
};
