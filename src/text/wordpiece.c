/* wordpiece.c: BERT's tokenizer, as llama.cpp's llm_tokenizer_wpm has it.
 *
 * White space ends a word. A punctuation mark, an ASCII symbol and a Chinese character are words of their
 * own. Control characters and, where the file says so, accents are left out; letters become lower case. A
 * word is U+2581 and its characters. The longest token that begins it is taken, again and again; if at some
 * point no token begins the rest, the whole word is the unknown token.
 *
 * A word is normalised twice: once to find its end and its size, once into scratch. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fold.h"
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
    VOCAB_TAKE(v, by_text.ids, s->n_tokens, 4, 4, a);
    return true;
}

static chord_status build(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    (void)error;
    v->lowers = s->lowercase != 0;
    v->strips_accents = s->strip_accents < 0 ? v->lowers : s->strip_accents;
    v->by_text.n = v->n_tokens;
    for (int32_t id = 0; id < v->n_tokens; id++) v->by_text.ids[id] = id;
    vocab_sort(v, v->by_text.ids, v->n_tokens, vocab_text_before);
    for (int32_t b = 0; b < 256; b++) v->byte_ids[b] = -1;
    return CHORD_OK;
}

static void set_defaults(chord_vocab *v)
{
    v->bos = 101;
    v->unk = 100;
    v->sep = 102;
    v->pad = 0;
    v->add_bos = true;
}

/* llama.cpp asks neither add_bos nor add_eos. */
static void set_ends(chord_vocab *v)
{
    v->first = v->bos;
    v->last = v->sep;
}

/* ---- characters -------------------------------------------------------------------------------- */

/* What a character does to the word before it. */
enum { IS_OMITTED, ENDS_WORD, IN_WORD, IS_WORD };

/* BERT's ranges of Chinese characters. U+2B820..2B91F are missing in them. */
static bool is_chinese(uint32_t c)
{
    static const uint32_t ranges[][2] = { { 0x3400, 0x4DBF },   { 0x4E00, 0x9FFF },   { 0xF900, 0xFAFF },
                                          { 0x20000, 0x2A6DF }, { 0x2A700, 0x2B73F }, { 0x2B740, 0x2B81F },
                                          { 0x2B920, 0x2CEAF }, { 0x2F800, 0x2FA1F } };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

#define CONTROLS (CHORD_IN(CHORD_CC) | CHORD_IN(CHORD_CF) | CHORD_IN(CHORD_CS) | CHORD_IN(CHORD_CO))

/* Normalises a code point and says what it is. */
static int32_t normalise(const chord_vocab *v, uint32_t *code_point)
{
    uint32_t const c = v->strips_accents ? chord_unicode_base(*code_point) : *code_point;
    uint32_t const bits = chord_unicode_bits(c);
    *code_point = v->lowers ? chord_unicode_lower(c) : c;
    if (bits & CHORD_IN_WHITE) return ENDS_WORD;
    if (c == 0 || c == 0xFFFD || c > 0x10FFFF || (bits & CONTROLS)) return IS_OMITTED;
    if (v->strips_accents && (bits & CHORD_IN_M)) return IS_OMITTED;
    bool const is_alone = (bits & CHORD_IN_P) || (c < 0x7F && (bits & CHORD_IN_S)) || is_chinese(c);
    return is_alone ? IS_WORD : IN_WORD;
}

/* ---- text to ids ------------------------------------------------------------------------------- */

typedef struct piece {
    int32_t phase;
    uint32_t begin, cursor;  /* the word's place in the text */
    uint32_t n;              /* bytes of the normalised word, U+2581 included; 0: none yet */
    uint32_t at;             /* FILL: bytes written; MATCH: bytes that have become ids */
    uint32_t i, n_ids;
    uint8_t *word;
    int32_t *ids;
} piece;
_Static_assert(sizeof(piece) <= TOKENIZER_STATE * 8, "a kind's state");

enum { SCAN, TAKE, FILL, MATCH, PUT };
enum { BLANK_BYTES = 3 };

static uint64_t word_scratch(uint64_t n) { return 5 * n + 16; }
/* Normalising makes 3 bytes of 2 (U+023A) and 4 of 3 (U+FA6C), but never more than twice the bytes. */
static uint64_t most_scratch(const chord_vocab *v, uint64_t n)
{
    (void)v;
    return word_scratch(2 * n + BLANK_BYTES);
}

/* Moves the cursor to the end of the next word. */
static bool scan(chord_tokenizer *t, piece *w)
{
    while (w->cursor < t->to) {
        if (!tokenizer_spend(t)) return false;
        uint32_t code_point;
        uint8_t bytes[4];
        uint32_t const size = chord_utf8_decode(t->text + w->cursor, t->text + t->to, &code_point);
        int32_t const what = normalise(t->v, &code_point);
        if (w->n && (what == IS_WORD || what == ENDS_WORD)) break;
        if (!w->n) w->begin = w->cursor;
        w->cursor += size;
        if (what == IN_WORD || what == IS_WORD)
            w->n += (w->n ? 0 : BLANK_BYTES) + chord_utf8_encode(code_point, bytes);
        if (what == IS_WORD) break;
    }
    return true;
}

static bool take(chord_tokenizer *t, piece *w)
{
    chord_arena scratch;
    if (!tokenizer_scratch(t, word_scratch(w->n), &scratch)) return false;
    w->ids = chord_arena_take(&scratch, (uint64_t)w->n * 4, 4);
    w->word = chord_arena_take(&scratch, w->n, 1);
    chord_copy(w->word, BLANK_LETTER, BLANK_BYTES);
    w->at = BLANK_BYTES;
    w->cursor = w->begin;
    return true;
}

static bool fill(chord_tokenizer *t, piece *w)
{
    while (w->at < w->n) {
        if (!tokenizer_spend(t)) return false;
        uint32_t code_point;
        w->cursor += chord_utf8_decode(t->text + w->cursor, t->text + t->to, &code_point);
        if (normalise(t->v, &code_point) != IS_OMITTED)
            w->at += chord_utf8_encode(code_point, w->word + w->at);
    }
    w->at = 0;
    return true;
}

static bool match(chord_tokenizer *t, piece *w)
{
    while (w->at < w->n) {
        if (!tokenizer_spend(t)) return false;
        int32_t const id = vocab_longest(t, w->word + w->at, w->n - w->at);
        w->at = id < 0 ? w->n : w->at + token_bytes(t->v, id);
        if (id < 0) w->n_ids = 0;
        if (id >= 0 || t->v->unk >= 0) w->ids[w->n_ids++] = id < 0 ? t->v->unk : id;
    }
    return true;
}

static bool put(chord_tokenizer *t, piece *w)
{
    for (; w->i < w->n_ids; w->i++) {
        if (!tokenizer_spend(t) || !ids_have_room(&t->out)) return false;
        ids_put(&t->out, w->ids[w->i]);
    }
    return true;
}

static void begin(chord_tokenizer *t) { *(piece *)t->state = (piece){ .cursor = t->at }; }

static int32_t step(chord_tokenizer *t)
{
    static bool (*const phases[])(chord_tokenizer *, piece *) = { scan, take, fill, match, put };
    piece *w = (piece *)t->state;
    for (;;) {
        if (!phases[w->phase](t, w)) return w->phase == TAKE ? TOKENIZER_NEEDS_MEMORY : TOKENIZER_MORE;
        if (w->phase == SCAN && !w->n) return TOKENIZER_DONE;
        if (w->phase++ == PUT) *w = (piece){ .cursor = w->cursor };
    }
}

const chord_text_kind chord_text_wordpiece = {
    CHORD_VOCAB_WORDPIECE, "bert", check, lay_out,          build, set_defaults, set_ends,
    most_scratch,          begin,  step,  bytes_put_blanks,
};
