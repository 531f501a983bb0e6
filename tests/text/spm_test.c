/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

#define BLANK "\xE2\x96\x81"

/* a, b, c, the blank, and some words of these. Earlier tokens have better scores, as in a trained model. */
static tiny *words(void)
{
    static const char *const texts[] = {
        "ab", "bc", "abc", BLANK "a", BLANK "ab", "aa", BLANK, "a", "b", "c"
    };
    tiny *t = tiny_spm();
    for (int i = 0; i < 10; i++) put_token(t, texts[i], CHORD_TYPE_NORMAL, (float)-i);
    return t;
}

TEST(spm_merges_the_pair_with_the_highest_score_first)
{
    tiny *t = words();
    t->s.add_space_prefix = 0;
    build(t);
    CHECK_SAYS(show(t, 0, "abc"), "abc");
    CHECK_SAYS(show(t, 0, "aabc"), "a|abc"); /* "ab" before "aa" */
    CHECK_SAYS(show(t, 0, "bcb"), "bc|b");
}

TEST(spm_merges_the_leftmost_of_equal_scores)
{
    tiny *t = words();
    t->s.add_space_prefix = 0;
    build(t);
    CHECK_SAYS(show(t, 0, "aaa"), "aa|a");
    CHECK_SAYS(show(t, 0, "aaaaa"), "aa|aa|a");
    t = tiny_spm();
    t->s.add_space_prefix = 0;
    put_token(t, "ab", CHORD_TYPE_NORMAL, -0.0f);
    put_token(t, "bc", CHORD_TYPE_NORMAL, 0.0f);
    build(t);
    CHECK_SAYS(show(t, 0, "abc"), "ab|<0x63>"); /* both zeros are equal */
}

TEST(spm_reaches_a_token_only_through_tokens)
{
    tiny *t = tiny_spm();
    t->s.add_space_prefix = 0;
    put_token(t, "x", CHORD_TYPE_NORMAL, -2);
    put_token(t, "xyz", CHORD_TYPE_NORMAL, -1);
    build(t);
    CHECK_SAYS(show(t, 0, "xyz"), "x|<0x79>|<0x7A>");
}

TEST(spm_puts_a_blank_before_text_at_the_beginning_and_after_a_special_token)
{
    tiny *t = words();
    build(t);
    CHECK_SAYS(show(t, 0, "ab"), BLANK "ab");
    CHECK_SAYS(show(t, 0, " ab"), BLANK "|" BLANK "ab");
    CHECK_SAYS(show(t, 2, "ab</s>ab<s>"), BLANK "ab|</s>|" BLANK "ab|<s>");
    CHECK_SAYS(show(t, 0, ""), "");
}

TEST(spm_omits_the_blank_if_the_file_asks_for_it)
{
    tiny *t = words();
    t->s.add_space_prefix = 0;
    build(t);
    CHECK_SAYS(show(t, 0, "ab"), "ab");
    CHECK_SAYS(show(t, 0, " ab"), BLANK "ab");
}

TEST(spm_adds_bos_by_default_and_eos_if_the_file_asks_for_it)
{
    tiny *t = words();
    build(t);
    CHECK_SAYS(show(t, CHORD_ADD_SPECIAL, ""), "<s>");
    CHECK_SAYS(show(t, CHORD_ADD_SPECIAL, "ab"), "<s>|" BLANK "ab");
    t = words();
    t->s.add_bos = 0;
    t->s.add_eos = 1;
    build(t);
    CHECK_SAYS(show(t, CHORD_ADD_SPECIAL, "ab"), BLANK "ab|</s>");
}

TEST(spm_falls_back_to_bytes_then_to_single_letters_then_to_unknown)
{
    tiny *t = words();
    t->s.add_space_prefix = 0;
    build(t);
    CHECK_SAYS(show(t, 0,
                    "\xC3\xA9"
                    "a"),
               "<0xC3>|<0xA9>|a");
    t = tiny_new(CHORD_VOCAB_SPM); /* without byte tokens */
    t->s.add_space_prefix = 0;
    put_token(t, "<unk>", CHORD_TYPE_UNKNOWN, 0);
    put_token(t, "a", CHORD_TYPE_NORMAL, 0);
    build(t);
    put_token(t, "\xC3", CHORD_TYPE_NORMAL, 0);
    build(t);
    CHECK_SAYS(show(t, 0, "aza"), "a|<unk>|a");
    CHECK_SAYS(show(t, 0, "a\xC3\xA9"), "a|\xC3|<unk>");
}

TEST(spm_reads_invalid_bytes_as_characters_whose_first_byte_sets_the_length)
{
    tiny *t = words();
    t->s.add_space_prefix = 0;
    build(t);
    CHECK_SAYS(show(t, 0,
                    "\xFF"
                    "a"),
               "<0xFF>|<0x61>");              /* 0xFF swallows the a */
    /* 0xC3 swallows a byte of the escaped blank */
    CHECK_SAYS(show(t, 0, "\xC3 a"), "<0xC3>|<0xE2>|<0x96>|<0x81>|a");
    CHECK_SAYS(show(t, 0, "a\xE2\x96"), "a|<0xE2>|<0x96>");
    char text[400]; /* maximum characters per byte: the scratch is large enough */
    for (int i = 0; i < 400; i++) text[i] = "\xC3 "[i % 2];
    int32_t ids[800];
    CHECK_EQ(tokenize(t, 0, text, 400, ids, 800), 800);
}

/* The naive algorithm: tries all pairs for each merge. */
static int32_t naive(const tiny *t, const char *text, size_t n, int32_t *ids)
{
    const char *parts[512];
    size_t sizes[512];
    int32_t n_parts = 0, n_ids = 0;
    for (size_t i = 0; i < n; i++, n_parts++) {
        parts[n_parts] = text + i;
        sizes[n_parts] = 1;
    }
    for (;;) {
        int32_t best = -1;
        float best_score = 0;
        for (int32_t i = 0; i + 1 < n_parts; i++) {
            int32_t const id = vocab_find(t->v, parts[i], sizes[i] + sizes[i + 1]);
            if (id < 0) continue;
            float score;
            memcpy(&score, t->scores + id * 4, 4);
            if (best < 0 || score > best_score) {
                best = i;
                best_score = score;
            }
        }
        if (best < 0) break;
        sizes[best] += sizes[best + 1];
        for (int32_t i = best + 1; i + 1 < n_parts; i++) {
            parts[i] = parts[i + 1];
            sizes[i] = sizes[i + 1];
        }
        n_parts--;
    }
    for (int32_t i = 0; i < n_parts; i++) {
        int32_t const id = vocab_find(t->v, parts[i], sizes[i]);
        ids[n_ids++] = id >= 0 ? id : 3 + (uint8_t)parts[i][0];
    }
    return n_ids;
}

TEST(spm_with_a_heap_equals_a_naive_search_of_all_pairs)
{
    for (int round = 0; round < 60; round++) {
        tiny *t = tiny_spm();
        t->s.add_space_prefix = 0;
        for (int i = 0; i < 60; i++) {
            char text[8] = { 0 };
            int const n = 1 + (int)(test_random() % 5);
            for (int k = 0; k < n; k++) text[k] = (char)('a' + test_random() % 3);
            int is_new = 1;
            for (uint64_t at = 0, length; at < t->s.texts_bytes; at += 8 + length) {
                memcpy(&length, t->texts + at, 8);
                if (length == (uint64_t)n && !memcmp(t->texts + at + 8, text, length)) is_new = 0;
            }
            /* scores: some equal, both signs */
            if (is_new) put_token(t, text, CHORD_TYPE_NORMAL, (float)(test_random() % 9) - 4);
        }
        build(t);
        for (int k = 0; k < 20; k++) {
            char text[300];
            size_t const n = 1 + test_random() % 300;
            for (size_t i = 0; i < n; i++) text[i] = (char)('a' + test_random() % 3);
            int32_t got[300], want[300];
            int32_t const n_got = tokenize(t, 0, text, n, got, 300), n_want = naive(t, text, n, want);
            CHECK_EQ(n_got, n_want);
            CHECK(!memcmp(got, want, (size_t)n_got * 4));
        }
    }
}

TEST(spm_tokenizes_a_long_run_in_about_linear_time)
{
    tiny *t = words(); /* a quadratic algorithm would need minutes */
    for (int n = 2; n <= 16; n *= 2) {
        char blanks[64] = "";
        for (int i = 0; i < n; i++) strcat(blanks, BLANK);
        put_token(t, blanks, CHORD_TYPE_NORMAL, (float)n);
    }
    build(t);
    enum { N = 200000 };
    char *text = test_alloc(N);
    int32_t *ids = test_alloc((size_t)N * 4);
    memset(text, ' ', N);
    /* one blank is added; the last is a token of its own */
    CHECK_EQ(tokenize(t, 0, text, N, ids, N), (N + 1) / 16 + 1);
    memset(text, 'a', N);
    /* the blank and the first a, then pairs, then one */
    CHECK_EQ(tokenize(t, 0, text, N, ids, N), N / 2 + 1);
}
