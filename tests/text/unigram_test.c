/* unigram_test.c: SentencePiece's unigram model and its normaliser. llama.cpp's ids of whole texts are in
 * tests/golden/vocab. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

#define B BLANK_LETTER
enum { UNITS = 512, VALUE = 31, LEAF = 8, TRIE = 4 };

/* A normaliser that makes "x" of "ab", two blanks of "b", and nothing of "c". */
static uint8_t *charsmap(uint64_t *n)
{
    static uint8_t bytes[TRIE + UNITS * 4 + 6];
    uint32_t units[UNITS], size = sizeof units;
    for (int i = 0; i < UNITS; i++) units[i] = 1u << VALUE;
    units[0] = 1 << 10;
    units[1 ^ 'a'] = ((1 ^ 'a') ^ 256) << 10 | 'a';
    units[256 ^ 'b'] = ((256 ^ 'b') ^ 2) << 10 | 1 << LEAF | 'b';
    units[2] = 1u << VALUE;
    units[1 ^ 'b'] = ((1 ^ 'b') ^ 3) << 10 | 1 << LEAF | 'b';
    units[3] = 1u << VALUE | 2;
    units[1 ^ 'c'] = ((1 ^ 'c') ^ 4) << 10 | 1 << LEAF | 'c';
    units[4] = 1u << VALUE | 1;
    memcpy(bytes, &size, 4);
    memcpy(bytes + TRIE, units, sizeof units);
    memcpy(bytes + TRIE + sizeof units, "x\0  ", 5);
    *n = TRIE + sizeof units + 5;
    return bytes;
}

static tiny *unigram(void)
{
    static const struct {
        const char *text;
        float score;
    } tokens[] = { { "x", -3 },  { "a", -4 },      { B, -2 },        { "y", -1 },     { "xy", -1.5f },
                   { "yx", -2 }, { "xyx", -3.4f }, { B "x", -4.5f }, { B "a", -5.5f } };
    tiny *t = tiny_new(CHORD_VOCAB_UNIGRAM);
    t->s.scores = t->scores;
    put_token(t, "<pad>", CHORD_TYPE_CONTROL, 0);
    put_token(t, "</s>", CHORD_TYPE_CONTROL, 0);
    put_token(t, "<unk>", CHORD_TYPE_UNKNOWN, 0);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        put_token(t, tokens[i].text, CHORD_TYPE_NORMAL, tokens[i].score);
    return t;
}

TEST(unigram_spells_a_text_with_the_best_sum_of_scores)
{
    tiny *t = unigram();
    build(t);
    CHECK_SAYS(show(t, 0, "xyx"), "xyx");      /* -3.4; xy x has -4.5, x yx -5 */
    CHECK_SAYS(show(t, 0, "xyxy"), "xy|xy");   /* -3; xyx y has -4.4 */
    CHECK_SAYS(show(t, 0, "x a"), "x|" B "a"); /* B and a have -6 */
}

TEST(unigram_characters_without_a_token_become_one_unknown_token)
{
    tiny *t = unigram();
    build(t);
    CHECK_SAYS(show(t, 0, "xqq\xC3\xA9y"), "x|<unk>|y");
    CHECK_SAYS(show(t, 0, "q q"), "<unk>|" B "|<unk>"); /* also where the text is cut */
    CHECK_SAYS(show(t, 0, "\xFFq\xE2"), "<unk>");
}

TEST(unigram_blanks_are_prefixed_joined_and_dropped_as_the_file_says)
{
    static const char *const wants[] = { B "|" B "x|" B "|" B "x|" B, B "|" B "|" B "x|" B "|" B "x|" B,
                                         B "x|" B "x", B "x|" B "x" };
    for (int i = 0; i < 4; i++) {
        tiny *t = unigram();
        t->s.add_space_prefix = i & 1;
        t->s.remove_extra_whitespaces = i >> 1;
        build(t);
        CHECK_SAYS(show(t, 0, "  x  x "), wants[i]);
    }
}

TEST(unigram_normalises_by_the_trie_of_the_file)
{
    tiny *t = unigram();
    t->s.charsmap = charsmap(&t->s.charsmap_bytes);
    build(t);
    CHECK_SAYS(show(t, 0, "abacax"), "x|a|a|x");
    CHECK_SAYS(show(t, 0, "ybx"), "y|" B "|" B "x");
    CHECK_SAYS(show(t, 0, "cc"), "");
}

TEST(unigram_keeps_the_beginning_of_a_user_defined_token_as_it_is)
{
    tiny *t = unigram();
    t->s.charsmap = charsmap(&t->s.charsmap_bytes);
    put_token(t, "aq", CHORD_TYPE_USER, 0);
    build(t);
    CHECK_SAYS(show(t, 0, "ab"), "a|" B "|" B); /* "a" begins "aq", so "ab" isn't found; then b */
    CHECK_SAYS(show(t, 0, "aqx"), "aq|x");
}

TEST(unigram_adds_the_end_alone)
{
    tiny *t = unigram();
    build(t);
    CHECK_SAYS(show(t, CHORD_ADD_SPECIAL, "x"), "x|</s>");
    CHECK_SAYS(show(t, CHORD_ADD_SPECIAL, ""), "</s>");
}

static const char *refusal(tiny *t)
{
    CHECK_EQ(try_build(t), CHORD_INVALID_GGUF);
    return t->error.text;
}
#define CHECK_NAMES(t, words) CHECK(strstr(refusal(t), words))

TEST(unigram_names_a_score_that_is_no_number)
{
    static const float scores[] = { __builtin_nanf(""), __builtin_inff(), -__builtin_inff() };
    for (int i = 0; i < 3; i++) {
        tiny *t = unigram();
        memcpy(t->scores + 16, &scores[i], 4);
        CHECK_NAMES(t, "tokenizer.ggml.scores: the score of token 4 isn't finite");
    }
    tiny *t = unigram();
    t->s.scores = NULL;
    CHECK_NAMES(t, "tokenizer.ggml.scores is missing");
}

TEST(unigram_names_what_is_wrong_with_a_normaliser)
{
    for (int i = 0; i < 8; i++) {
        tiny *t = unigram();
        uint8_t *bytes = charsmap(&t->s.charsmap_bytes);
        uint32_t unit;
        t->s.charsmap = bytes;
        switch (i) {
        case 0: t->s.charsmap_bytes = 3; break;
        case 1: t->s.charsmap_bytes = TRIE + UNITS * 4; break; /* no replacements */
        case 2: bytes[3] = 0xFF; break;                        /* a trie of 4 GB */
        case 3: memset(bytes, 0, 4); break;
        case 4: t->s.charsmap_bytes--; break; /* the last replacement has no end */
        case 5: bytes[TRIE + 1] = 0xFC; break; /* the root's children are at 63 ^ c: fine */
        case 6:
            unit = 0x1FFFFFu << 10 | 'b';
            memcpy(bytes + TRIE + 4 * 77, &unit, 4);
            break;
        default: unit = 1u << VALUE | 5; memcpy(bytes + TRIE + 4 * 2, &unit, 4);
        }
        if (i == 5) CHECK_EQ(try_build(t), CHORD_OK);
        else CHECK_NAMES(t, "tokenizer.ggml.precompiled_charsmap");
        if (i == 6) CHECK(strstr(t->error.text, "unit 77 leads to"));
        if (i == 7) CHECK(strstr(t->error.text, "leads to replacement 5, but they have 5 bytes"));
    }
}

TEST(unigram_a_trie_that_runs_in_a_circle_takes_linear_time)
{
    enum { N = 200000 };
    tiny *t = unigram();
    uint8_t *bytes = charsmap(&t->s.charsmap_bytes);
    uint32_t unit = ((1 ^ 'q') ^ 1) << 10 | 'q'; /* the children of q are those of the root */
    memcpy(bytes + TRIE + 4 * (1 ^ 'q'), &unit, 4);
    t->s.charsmap = bytes;
    build(t);
    char *text = malloc(N), *block = malloc(chord_tokenizer_bytes());
    int32_t ids[CHORD_TOKENIZER_ROOM], n;
    memset(text, 'q', N);
    chord_tokenizer *z = chord_vocab_open_tokenizer(t->v, text, N, 0, block, chord_tokenizer_bytes());
    for (int i = 0; i < 3; i++) { /* scanning ends with the text; then memory is asked for */
        chord_status const status = chord_tokenizer_step(z, N * 100, ids, CHORD_TOKENIZER_ROOM, &n);
        CHECK(status == CHORD_MORE || status == CHORD_NEED_MEMORY || status == CHORD_DONE);
    }
    free(block);
    free(text);
}
