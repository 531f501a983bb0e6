/* vocab_test.c: building the tables: their sizes, and errors that name the culprit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

static const char *refused(tiny *t, chord_status status)
{
    CHECK_EQ(try_build(t), status);
    return t->error.text;
}

TEST(every_text_is_found_and_no_other)
{
    tiny *t = tiny_spm();
    char text[16];
    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "t%d", i);
        put_token(t, text, CHORD_TYPE_NORMAL, 0);
    }
    build(t);
    for (int i = 0; i < 3000; i++) {
        int const n = snprintf(text, sizeof text, "t%d", i);
        CHECK_EQ(vocab_find(t->v, text, (size_t)n), 259 + i);
    }
    CHECK_EQ(vocab_find(t->v, "t3000", 5), -1);
    CHECK_EQ(vocab_find(t->v, "t", 1), -1);
    CHECK_EQ(vocab_find(t->v, "", 0), -1);
}

TEST(an_empty_token_gets_a_text_of_its_own)
{
    tiny *t = tiny_spm();
    put_token(t, "", CHORD_TYPE_NORMAL, 0);
    put_token(t, "", CHORD_TYPE_NORMAL, 0);
    build(t);
    CHECK_EQ(id_of(t, "[EMPTY_259]"), 259);
    CHECK_EQ(id_of(t, "[EMPTY_260]"), 260);
}

TEST(an_unknown_pre_tokenizer_is_named)
{
    CHECK_TEXT(refused(tiny_bpe("martian-2"), CHORD_UNSUPPORTED_TOKENIZER),
               "unknown pre-tokenizer 'martian-2'");
    CHECK_TEXT(refused(tiny_bpe("qwen"), CHORD_UNSUPPORTED_TOKENIZER), "'qwen'");
    tiny *t = tiny_spm();
    t->s.kind = 77;
    CHECK_TEXT(refused(t, CHORD_UNSUPPORTED_TOKENIZER), "kind of vocabulary 77");
}

TEST(no_pre_tokenizer_and_one_that_may_be_unknown_are_read_as_default)
{
    static const char *const pres[] = { "default", NULL, "", "martian-2" };
    for (int i = 0; i < 4; i++) {
        tiny *t = tiny_bpe("gpt-2");
        t->s.pre = pres[i];
        t->s.n_pre = pres[i] ? strlen(pres[i]) : 0;
        t->s.takes_any_pre = i == 3;
        put_merged(t, "1 2");
        put_merged(t, "12 3");
        put_merged(t, "3 4");
        put_merged(t, "! a");
        build(t);
        CHECK_SAYS(show(t, 0, "1234!a"), "123|4|!|a"); /* gpt-2 would keep 1234 whole: 123|4, and so !a */
    }
    tiny *t = tiny_bpe("gpt-2");
    t->s.takes_any_pre = 1;
    put_merged(t, "3 4");
    build(t);
    CHECK_SAYS(show(t, 0, "1234"), "1|2|34"); /* a known one stays what it is */
}

TEST(two_tokens_with_the_same_text_are_named)
{
    tiny *t = tiny_spm();
    put_token(t, "twin", CHORD_TYPE_NORMAL, 0);
    put_token(t, "x", CHORD_TYPE_NORMAL, 0);
    put_token(t, "twin", CHORD_TYPE_NORMAL, 0);
    CHECK_TEXT(refused(t, CHORD_INVALID_GGUF), "tokens 259 and 261 have the same text 'twin'");
}

TEST(a_byte_token_that_names_no_byte_is_refused)
{
    static const char *const texts[] = { "<0x-1>", "<0x1G>", "<0x123>", "0x12", "<0x1>", "" };
    for (int i = 0; i < 6; i++) {
        tiny *t = tiny_new(CHORD_VOCAB_SPM);
        put_token(t, texts[i], CHORD_TYPE_BYTE, 0);
        CHECK_TEXT(refused(t, CHORD_INVALID_GGUF), "token 0 is a byte");
    }
}

TEST(a_bad_merge_is_named)
{
    tiny *t = tiny_bpe("gpt-2");
    put_merged(t, "a b");
    put_merge(t, "ab");
    CHECK_TEXT(refused(t, CHORD_INVALID_GGUF), "merge 1: no blank in 'ab'");
    t = tiny_bpe("gpt-2");
    put_merge(t, " ab"); /* a blank in front is part of the left text */
    CHECK_TEXT(refused(t, CHORD_INVALID_GGUF), "merge 0: no blank");
    t = tiny_bpe("gpt-2");
    put_merge(t, "a b");
    CHECK_TEXT(refused(t, CHORD_INVALID_GGUF), "merge 0: 'a b' needs a token");
    t = tiny_bpe("gpt-2");
    put_token(t, "axy", CHORD_TYPE_NORMAL, 0);
    put_merge(t, "a xy"); /* xy never occurs: it is no token and no merge makes it */
    build(t);
    CHECK_SAYS(show(t, 0, "axy"), "a|x|y");
}

TEST(a_special_id_outside_the_vocabulary_is_named)
{
    tiny *t = tiny_spm();
    t->s.bos = 259;
    CHECK_TEXT(refused(t, CHORD_INVALID_GGUF),
               "tokenizer.ggml.bos_token_id is 259, the vocabulary has 259 tokens");
    t = tiny_spm();
    t->s.fim_sep = -2;
    CHECK_TEXT(refused(t, CHORD_INVALID_GGUF), "fim_sep_token_id is -2");
}

TEST(arrays_that_are_cut_off_are_refused)
{
    tiny *whole = tiny_bpe("gpt-2");
    put_merged(whole, "a b");
    put_token(whole, "", CHORD_TYPE_NORMAL, 0);
    uint64_t const texts_bytes = whole->s.texts_bytes, merges_bytes = whole->s.merges_bytes;
    for (uint64_t n = 0; n < texts_bytes; n++) {
        whole->s.texts_bytes = n;
        CHECK_EQ(try_build(whole), CHORD_OUT_OF_MEMORY); /* what try_build() returns if there is no size */
    }
    whole->s.texts_bytes = texts_bytes;
    for (uint64_t n = 0; n < merges_bytes; n++) {
        whole->s.merges_bytes = n;
        CHECK_TEXT(refused(whole, CHORD_INVALID_GGUF), "merge 0 is cut off");
    }
    whole->s.merges_bytes = merges_bytes;
    build(whole);
}

TEST(building_in_a_block_that_is_too_small_is_refused)
{
    tiny *t = tiny_bpe("gpt-2");
    uint64_t bytes;
    CHECK(chord_vocab_bytes(&t->s, &bytes));
    void *block = test_alloc(bytes);
    for (uint64_t n = 0; n < bytes; n += n < 64 ? 1 : 97)
        CHECK(chord_vocab_build(&t->v, block, n, &t->s, &t->error) == CHORD_INVALID_GGUF);
    CHECK_EQ(chord_vocab_build(&t->v, block, bytes - 1, &t->s, &t->error), CHORD_INVALID_GGUF);
    CHECK_EQ(chord_vocab_build(&t->v, block, bytes, &t->s, &t->error), CHORD_OK);
}

static uint32_t fnv(uint32_t hash, const uint8_t *p, int n)
{
    for (int i = 0; i < n; i++) hash = (hash ^ p[i]) * 0x01000193u;
    return hash;
}

/* A text is eleven pieces, with two choices of equal hash for each: 2,048 texts that all have one slot. */
TEST(a_vocabulary_made_to_collide_is_refused)
{
    enum { PLACES = 11, SIZE = 8, N = 1 << PLACES, TABLE = 1 << 18 };
    uint8_t choice[PLACES][2][SIZE];
    uint32_t hash = 0x811c9dc5u;
    uint64_t *seen = test_alloc(TABLE * 8);
    for (int place = 0; place < PLACES; place++) {
        memset(seen, 0, TABLE * 8);
        for (;;) {
            uint64_t const i = test_random() | 1;
            uint8_t block[SIZE], other[SIZE];
            memcpy(block, &i, SIZE);
            uint32_t const h = fnv(hash, block, SIZE), at = h % TABLE;
            memcpy(other, &seen[at], SIZE);
            if (seen[at] && seen[at] != i && fnv(hash, other, SIZE) == h) {
                memcpy(choice[place][0], block, SIZE);
                memcpy(choice[place][1], other, SIZE);
                hash = h;
                break;
            }
            seen[at] = i;
        }
    }
    tiny *t = tiny_spm();
    t->s.types = t->s.scores = NULL;
    uint8_t *texts = test_alloc((size_t)N * (8 + PLACES * SIZE)), *to = texts;
    for (uint32_t i = 0; i < N; i++) {
        uint64_t const length = PLACES * SIZE;
        memcpy(to, &length, 8);
        to += 8;
        for (int place = 0; place < PLACES; place++, to += SIZE)
            memcpy(to, choice[place][i >> place & 1], SIZE);
    }
    t->s.texts = texts;
    t->s.texts_bytes = (uint64_t)(to - texts);
    t->s.n_tokens = 1000;
    build(t); /* slow to search, but correct */
    CHECK_EQ(vocab_find(t->v, texts + 8, PLACES * SIZE), 0);
    t->s.n_tokens = N;
    CHECK_TEXT(refused(t, CHORD_INVALID_GGUF), "made to collide");
}

TEST(counts_out_of_range_have_no_size)
{
    tiny *t = tiny_spm();
    uint64_t bytes;
    t->s.n_tokens = 0;
    CHECK(!chord_vocab_bytes(&t->s, &bytes));
    t->s.n_tokens = -5;
    CHECK(!chord_vocab_bytes(&t->s, &bytes));
    t = tiny_bpe("gpt-2");
    t->s.n_merges = -1;
    CHECK(!chord_vocab_bytes(&t->s, &bytes));
}
