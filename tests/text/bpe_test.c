/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

#define BLANK "\xC4\xA0"   /* the alphabet's letter for 0x20 */
#define NEWLINE "\xC4\x8A" /* its letter for 0x0A */

TEST(bpe_merges_by_rank_not_by_position)
{
    tiny *t = tiny_bpe("gpt-2");
    put_merged(t, "b c");
    put_merged(t, "a b");
    put_merged(t, "a bc");
    build(t);
    CHECK_SAYS(show(t, 0, "abc"), "abc"); /* b c first, then a bc */
    CHECK_SAYS(show(t, 0, "ab"), "ab");
    CHECK_SAYS(show(t, 0, "abab"), "ab|ab");
}

TEST(bpe_merges_the_leftmost_of_equal_pairs)
{
    tiny *t = tiny_bpe("gpt-2");
    put_merged(t, "a a");
    build(t);
    CHECK_SAYS(show(t, 0, "aaa"), "aa|a");
}

TEST(bpe_uses_the_first_of_two_equal_merges)
{
    tiny *t = tiny_bpe("gpt-2");
    put_merged(t, "a b");
    put_merged(t, "b c");
    put_merge(t, "a b");
    build(t);
    CHECK_SAYS(show(t, 0, "abc"), "ab|c");
}

TEST(bpe_never_merges_across_words)
{
    tiny *t = tiny_bpe("gpt-2");
    put_merged(t, "a " BLANK);
    put_merged(t, BLANK " b");
    build(t);
    CHECK_SAYS(show(t, 0, "a b"), "a|" BLANK "b");
    CHECK_SAYS(show(t, 0, "a  b"), "a|" BLANK "|" BLANK "b");
}

TEST(bpe_writes_bytes_in_its_alphabet)
{
    tiny *t = tiny_bpe("gpt-2");
    put_merged(t, "\xC3\x83 \xC2\xA9"); /* the bytes C3 A9 of an accented e */
    build(t);
    CHECK_SAYS(show(t, 0, "\xC3\xA9"), "\xC3\x83\xC2\xA9");
    CHECK_SAYS(show(t, 0, "\n"), NEWLINE);
    int32_t ids[256];
    for (int b = 1; b < 128; b++) { /* ids of tiny_bpe are bytes */
        char const text[1] = { (char)b };
        CHECK_EQ(tokenize(t, 0, text, 1, ids, 256), 1);
        CHECK_EQ(ids[0], b);
    }
}

TEST(bpe_reads_invalid_bytes_as_replacement_characters)
{
    tiny *t = tiny_bpe("gpt-2");
    build(t);
    int32_t ids[16];
    CHECK_EQ(tokenize(t, 0, "a\xFF", 2, ids, 16), 4);
    CHECK(ids[0] == 'a' && ids[1] == 0xEF && ids[2] == 0xBF && ids[3] == 0xBD);
    CHECK_EQ(tokenize(t, 0, "\xF4\x90\x80\x80", 4, ids, 16), 12); /* past U+10FFFF: U+FFFD four times */
    CHECK_EQ(tokenize(t, 0, "\xF8\x80\x80\x80", 4, ids, 16), 12); /* no such first byte */
    CHECK_EQ(tokenize(t, 0, "\xC1\x81", 2, ids, 16), 1);          /* overlong A */
    CHECK_EQ(ids[0], 'A');
    CHECK_EQ(tokenize(t, 0, "\xED\xA0\x80", 3, ids, 16), 3); /* a surrogate stays */
    CHECK(ids[0] == 0xED && ids[1] == 0xA0 && ids[2] == 0x80);
}

TEST(bpe_makes_a_whole_word_one_token_only_if_merges_are_ignored)
{
    for (int k = 0; k < 2; k++) {
        tiny *t = tiny_bpe(k ? "llama-bpe" : "qwen2");
        put_token(t, BLANK "abc", CHORD_TYPE_NORMAL, 0);
        put_merged(t, "a b");
        build(t);
        CHECK_SAYS(show(t, 0, "x abc"), k ? "x|" BLANK "abc" : "x|" BLANK "|ab|c");
        /* longer than any token */
        CHECK_SAYS(show(t, 0, "abcdabcdabcdabcd"), "ab|c|d|ab|c|d|ab|c|d|ab|c|d");
    }
}

TEST(bpe_omits_bytes_without_a_token)
{
    tiny *t = tiny_new(CHORD_VOCAB_BPE);
    t->s.merges = t->merges;
    t->s.pre = "gpt-2";
    t->s.n_pre = 5;
    put_token(t, "a", CHORD_TYPE_NORMAL, 0);
    put_token(t, "b", CHORD_TYPE_NORMAL, 0);
    put_merged(t, "a b");
    build(t);
    CHECK_SAYS(show(t, 0, "azab"), "a|ab");
}

TEST(bpe_adds_bos_if_the_pre_tokenizer_or_the_file_asks_for_it)
{
    tiny *t = tiny_bpe("llama-bpe");
    t->s.bos = put_token(t, "<bos>", CHORD_TYPE_CONTROL, 0);
    build(t);
    CHECK_SAYS(show(t, CHORD_ADD_SPECIAL, "a"), "<bos>|a");
    CHECK_SAYS(show(t, 0, "a"), "a");
    t = tiny_bpe("qwen2");
    t->s.bos = put_token(t, "<bos>", CHORD_TYPE_CONTROL, 0);
    build(t);
    CHECK_SAYS(show(t, CHORD_ADD_SPECIAL, "a"), "a");
    t->s.add_bos = 1;
    t->s.eos = t->s.bos;
    t->s.add_eos = 1;
    build(t);
    CHECK_SAYS(show(t, CHORD_ADD_SPECIAL, "a"), "<bos>|a|<bos>");
}

/* The definition of BPE: as long as any pair merges, merge the pair with the lowest rank; on a tie, the
 * leftmost pair. */
static int32_t naive(const tiny *t, const char *text, size_t n, int32_t *ids)
{
    int32_t count = 0;
    for (size_t i = 0; i < n; i++) ids[count++] = (uint8_t)text[i];
    for (;;) {
        int32_t best = INT32_MAX, at = 0;
        for (int32_t i = 0; i + 1 < count; i++)
            for (int32_t rank = 0; rank < t->v->n_merges && rank < best; rank++)
                if (t->v->merges[rank].left == ids[i] && t->v->merges[rank].right == ids[i + 1]) {
                    best = rank;
                    at = i;
                }
        if (best == INT32_MAX) return count;
        ids[at] = t->v->merges[best].id;
        memmove(ids + at + 1, ids + at + 2, (size_t)(count - at - 2) * 4);
        count--;
    }
}

TEST(bpe_with_a_heap_equals_a_naive_search_of_all_pairs)
{
    for (int round = 0; round < 60; round++) {
        tiny *t = tiny_bpe("gpt-2");
        const char *parts[64] = { "a", "b", "c" };
        int n_parts = 3;
        for (int i = 0; i < 40; i++) {
            char merge[64], *text = test_alloc(64);
            const char *left = parts[test_random() % (uint64_t)n_parts],
                       *right = parts[test_random() % (uint64_t)n_parts];
            if (strlen(left) + strlen(right) > 12) continue;
            snprintf(merge, sizeof merge, "%s %s", left, right);
            snprintf(text, 64, "%s%s", left, right);
            int is_new = 1;
            for (int k = 0; k < n_parts; k++) is_new &= strcmp(parts[k], text) != 0;
            if (is_new) {
                put_merged(t, merge);
                parts[n_parts++] = text;
            } else put_merge(t, merge); /* another merge with the same result, or the same merge again */
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

TEST(bpe_tokenizes_a_long_run_in_about_linear_time)
{
    tiny *t = tiny_bpe("smollm"); /* a quadratic algorithm would need minutes */
    put_merged(t, "a a");
    put_merged(t, "aa aa");
    put_merged(t, BLANK " " BLANK);
    build(t);
    enum { N = 200000 };
    char *text = test_alloc(N);
    int32_t *ids = test_alloc((size_t)N * 12);
    memset(text, 'a', N);
    CHECK_EQ(tokenize(t, 0, text, N, ids, N), N / 4);
    memset(text, ' ', N);
    CHECK_EQ(tokenize(t, 0, text, N, ids, N), N / 2);
    memset(text, '\xFF', N);
    CHECK_EQ(tokenize(t, 0, text, N, ids, 3 * N), 3 * N);
    for (int i = 0; i < N; i++) text[i] = " \n"[i % 2];
    CHECK_EQ(tokenize(t, 0, text, N, ids, N), N);
}

TEST(tokenizing_counts_ids_past_cap_and_refuses_too_little_scratch)
{
    tiny *t = tiny_bpe("llama-bpe");
    t->s.add_bos = 0;
    build(t);
    int32_t ids[4] = { -7, -7, -7, -7 };
    CHECK_EQ(tokenize(t, 0, "abcdef", 6, ids, 3), 6);
    CHECK(ids[0] == 'a' && ids[2] == 'c' && ids[3] == -7);
    char scratch[4096];
    size_t const enough = chord_vocab_scratch(t->v, 6);
    int n_short = 0;
    for (size_t bytes = 0; bytes <= enough; bytes++) { /* a size is enough if a smaller one is */
        int32_t const got = chord_vocab_tokenize(t->v, "abcdef", 6, 0, ids, 3, scratch + 1, bytes);
        CHECK(got == 6 || (got == CHORD_OUT_OF_MEMORY && n_short == (int)bytes));
        n_short += got < 0;
    }
    CHECK(n_short > 6 * 4);
    CHECK_EQ(chord_vocab_tokenize(t->v, "", 0, 0, NULL, 0, NULL, 0), 0);
    CHECK_EQ(chord_vocab_tokenize(t->v, "a", SIZE_MAX / 2, 0, NULL, 0, scratch, sizeof scratch),
             CHORD_INVALID_ARGUMENT);
}
