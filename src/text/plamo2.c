/* plamo2.c: PLaMo 2's vocabulary, as llama.cpp's llm_tokenizer_plamo2 has it. Of all ways to spell the text,
 * the one with the highest sum of scores is taken, from the text's end to its beginning; of equal ones that
 * with the longest token in front. Scores are rounded to whole numbers. A character that is no token costs
 * UNKNOWN and becomes its bytes.
 *
 * llama.cpp walks backwards through the texts that are the end of a token. `held` is how many bytes from the
 * place on are such a text, the longest one. A token whose score is just UNKNOWN ends its search for shorter
 * ones: tokens that pad a vocabulary have that score, so it can be seen.
 *
 * The text is cut where no token reaches across and none with that score begins (joints.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

static const double UNKNOWN = 1e7, NEVER = 2e7; /* costs */

/* ---- the tables -------------------------------------------------------------------------------- */

static chord_status check(const chord_vocab_source *s, chord_error *error)
{
    return s->scores ? CHORD_OK : chord_fail(error, CHORD_INVALID_GGUF, "tokenizer.ggml.scores is missing");
}

static bool lay_out(chord_vocab *v, const chord_vocab_source *s, chord_arena *a)
{
    VOCAB_TAKE(v, scores, s->n_tokens, 4, 4, a);
    VOCAB_TAKE(v, by_text.ids, s->n_tokens, 4, 4, a);
    VOCAB_TAKE(v, users.ids, s->n_tokens, 4, 4, a);
    VOCAB_TAKE(v, joints, JOINTS_WORDS, 4, 4, a);
    return true;
}

/* Compares the token's bytes with n bytes from the last on. Returns 0 if they are its end. */
static int compare_end(const chord_vocab *v, int32_t id, const uint8_t *bytes, uint32_t n)
{
    uint32_t const size = token_bytes(v, id);
    const uint8_t *text = token_text(v, id) + size;
    for (uint32_t i = 1; i <= n; i++) {
        if (i > size) return -1;
        int const difference = *--text - bytes[n - i];
        if (difference) return difference;
    }
    return 0;
}

static bool end_before(const chord_vocab *v, int32_t a, int32_t b)
{
    return compare_end(v, a, token_text(v, b), token_bytes(v, b)) < 0;
}

/* NaN and infinity: never. */
static double cost_of(const chord_vocab *v, int32_t id)
{
    double const cost = -(double)v->scores[id] * 1e4;
    return cost < NEVER && cost > -1e9 ? (double)(int64_t)(cost + (cost < 0 ? -0.5 : 0.5)) : NEVER;
}

static chord_status build(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    joints_build(v);
    v->by_text.n = 0;
    for (int32_t id = 0; id < v->n_tokens; id++) {
        v->scores[id] = chord_f32(s->scores + (size_t)id * 4);
        if (v->attrs[id] & ATTR_BYTE) continue;
        v->users.ids[v->by_text.n] = v->by_text.ids[v->by_text.n] = id;
        v->by_text.n++;
        uint32_t const first = *token_text(v, id);
        for (uint32_t left = 0; left < 256 && cost_of(v, id) == UNKNOWN; left++)
            v->joints[left * 8 + first / 32] |= 1u << first % 32;
    }
    v->users.n = v->by_text.n;
    vocab_sort(v, v->by_text.ids, v->by_text.n, vocab_text_before);
    vocab_sort(v, v->users.ids, v->by_text.n, end_before);
    for (int32_t b = 0; b < 256; b++) {
        int32_t const id = vocab_find_byte(v, (uint8_t)b);
        if (id <= 0 || !(v->attrs[id] & ATTR_BYTE)) /* as in llama.cpp token 0 counts as none */
            return chord_fail(error, CHORD_INVALID_GGUF, "tokenizer.ggml.tokens lacks a token for byte %d",
                              b);
        v->byte_ids[b] = id;
    }
    return CHORD_OK;
}

static void set_defaults(chord_vocab *v)
{
    v->bos = 1;
    v->eos = 2;
    v->unk = 0;
    v->pad = 3;
}
static void set_ends(chord_vocab *v) { v->first = v->last = -1; }

/* ---- text to ids ------------------------------------------------------------------------------- */

typedef struct path {
    int32_t phase;
    uint32_t begin, end;      /* the part of the text between two cuts; SCAN moves `end`, FILL `begin` */
    uint32_t last;            /* SCAN: the last byte before `end` */
    uint32_t n, at;           /* bytes of the part, and done */
    uint32_t held, kept;      /* bytes at `at`: see the file's head; and of a token that costs UNKNOWN */
    double *sums;             /* n + 1 each: the least cost from a byte on, */
    int32_t *ids;             /* the token that begins there, -1: a character of no token, */
    uint32_t *tos;            /* and where it ends */
    uint8_t *bytes;
} path;
_Static_assert(sizeof(path) <= TOKENIZER_STATE * 8, "a kind's state");

enum { SCAN, TAKE, FILL, SPELL, PUT };

static uint64_t part_scratch(uint64_t bytes) { return (bytes + 1) * 17 + 32; }
/* An invalid byte becomes U+FFFD. */
static uint64_t most_scratch(const chord_vocab *v, uint64_t n)
{
    (void)v;
    return part_scratch(3 * n);
}

/* Reads a character of the text; writes at most 4 bytes. */
static uint32_t next(chord_tokenizer *t, uint32_t *at, uint8_t *bytes)
{
    uint32_t code_point;
    *at += chord_utf8_decode(t->text + *at, t->text + t->to, &code_point);
    return chord_utf8_encode(code_point, bytes);
}

static bool scan(chord_tokenizer *t, path *p)
{
    while (p->end < t->to) {
        if (!tokenizer_spend(t)) return false;
        uint8_t bytes[4];
        uint32_t to = p->end;
        uint32_t const n = next(t, &to, bytes);
        if (p->n && !is_joint(t->v, p->last, bytes[0])) break;
        p->last = bytes[n - 1];
        p->end = to;
        p->n += n;
    }
    return true;
}

static bool take(chord_tokenizer *t, path *p)
{
    chord_arena scratch;
    uint64_t const n = (uint64_t)p->n + 1;
    if (!tokenizer_scratch(t, part_scratch(p->n), &scratch)) return false;
    p->sums = chord_arena_take(&scratch, n * 8, 8);
    p->ids = chord_arena_take(&scratch, n * 4, 4);
    p->tos = chord_arena_take(&scratch, n * 4, 4);
    p->bytes = chord_arena_take(&scratch, n, 1);
    p->sums[p->n] = 0;
    return true;
}

static bool fill(chord_tokenizer *t, path *p)
{
    while (p->at < p->n) {
        if (!tokenizer_spend(t)) return false;
        uint8_t bytes[4];
        uint32_t const n = next(t, &p->begin, bytes);
        chord_copy(p->bytes + p->at, bytes, n);
        p->at += n;
    }
    return true;
}

/* Returns whether n bytes are the end of a token. */
static bool is_end(const chord_vocab *v, const uint8_t *bytes, uint32_t n)
{
    int32_t low = 0, high = v->users.n;
    while (low < high) {
        int32_t const middle = low + (high - low) / 2;
        int const order = compare_end(v, v->users.ids[middle], bytes, n);
        if (!order) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

static bool spell(chord_tokenizer *t, path *p)
{
    const chord_vocab *v = t->v;
    while (p->at) {
        if (!tokenizer_spend(t)) return false;
        uint32_t const to = p->at, at = to - chord_utf8_back(p->bytes, p->bytes + to);
        uint32_t held = p->held;
        bool is_held;
        while (!(is_held = is_end(v, p->bytes + at, to - at + held)) && held > p->kept) held--;
        t->left -= p->held - held;
        p->held = is_held ? to - at + held : 0;
        p->kept = 0;
        p->at = at;
        p->sums[at] = p->sums[to] + UNKNOWN;
        p->ids[at] = -1;
        p->tos[at] = to;
        vocab_walk walk = vocab_walk_begin(&v->by_text);
        for (uint32_t i = at; i < at + p->held && vocab_walk_on(v, &v->by_text, &walk, p->bytes[i]); i++) {
            int32_t const id = vocab_walk_token(v, &v->by_text, &walk);
            double const cost = id < 0 ? NEVER : cost_of(v, id);
            if (cost == UNKNOWN) p->kept = i + 1 - at;
            else if (cost == NEVER || p->sums[i + 1] + cost > p->sums[at]) continue;
            p->sums[at] = p->sums[i + 1] + cost;
            p->ids[at] = id;
            p->tos[at] = i + 1;
        }
    }
    return true;
}

static bool put(chord_tokenizer *t, path *p)
{
    for (; p->at < p->n; p->at = p->tos[p->at]) {
        if (!tokenizer_spend(t) || !ids_have_room(&t->out)) return false;
        int32_t const id = p->ids[p->at];
        if (id >= 0) ids_put(&t->out, id);
        for (uint32_t i = p->at; id < 0 && i < p->tos[p->at]; i++)
            ids_put(&t->out, t->v->byte_ids[p->bytes[i]]);
    }
    return true;
}

static void begin(chord_tokenizer *t)
{
    path *p = (path *)t->state;
    *p = (path){ .begin = t->at };
    if (t->to - t->at >= 3 && chord_equal(t->text + t->at, "\xEF\xBB\xBF", 3)) p->begin += 3;
    p->end = p->begin;
}

static int32_t step(chord_tokenizer *t)
{
    static bool (*const phases[])(chord_tokenizer *, path *) = { scan, take, fill, spell, put };
    path *p = (path *)t->state;
    for (;;) {
        if (!phases[p->phase](t, p)) return p->phase == TAKE ? TOKENIZER_NEEDS_MEMORY : TOKENIZER_MORE;
        if (p->phase == SCAN && !p->n) return TOKENIZER_DONE;
        if (p->phase++ == PUT) *p = (path){ .begin = p->end, .end = p->end };
    }
}

const chord_text_kind chord_text_plamo2 = {
    CHORD_VOCAB_PLAMO2, "plamo2",     check, lay_out, build, set_defaults,
    set_ends,           most_scratch, begin, step,    NULL,
};
