/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

static tiny *chat(void)
{
    tiny *t = tiny_bpe("qwen2");
    put_token(t, "<|im_start|>", CHORD_TYPE_CONTROL, 0);
    put_token(t, "<|im_end|>", CHORD_TYPE_CONTROL, 0);
    put_token(t, "<tool>", CHORD_TYPE_USER, 0);
    put_token(t, "<unk>", CHORD_TYPE_UNKNOWN, 0);
    build(t);
    return t;
}

TEST(special_tokens_are_found_in_text_only_with_parse_special)
{
    tiny *t = chat();
    CHECK_SAYS(show(t, CHORD_PARSE_SPECIAL, "<|im_start|>a<|im_end|><unk>"),
               "<|im_start|>|a|<|im_end|>|<unk>");
    CHECK_SAYS(show(t, 0, "<unk>"), "<|u|n|k|>");
    CHECK_SAYS(show(t, CHORD_PARSE_SPECIAL, "<|im_start"), "<|||i|m|_|s|t|a|r|t");
}

TEST(user_defined_tokens_are_always_found)
{
    tiny *t = chat();
    CHECK_SAYS(show(t, 0, "a<tool>b"), "a|<tool>|b");
    CHECK_SAYS(show(t, CHORD_PARSE_SPECIAL, "<tool><tool>"), "<tool>|<tool>");
}

TEST(the_longest_special_token_wins_anywhere_in_the_text)
{
    tiny *t = tiny_bpe("qwen2");
    put_token(t, "ab", CHORD_TYPE_USER, 0);
    put_token(t, "bcd", CHORD_TYPE_USER, 0);
    put_token(t, "bc", CHORD_TYPE_USER, 0);
    put_token(t, "abc", CHORD_TYPE_CONTROL, 0);
    build(t);
    CHECK_SAYS(show(t, 0, "abcd"), "a|bcd");                   /* not ab, the leftmost */
    CHECK_SAYS(show(t, 0, "abc"), "ab|c");                     /* equal length: the lower id */
    CHECK_SAYS(show(t, CHORD_PARSE_SPECIAL, "abcd"), "a|bcd"); /* equal length again */
    CHECK_SAYS(show(t, CHORD_PARSE_SPECIAL, "abcabcd"), "abc|a|bcd");
}

TEST(a_special_token_whose_end_is_taken_gives_way_to_a_shorter_one)
{
    tiny *t = tiny_bpe("qwen2");
    put_token(t, "xy", CHORD_TYPE_USER, 0);
    put_token(t, "xyz", CHORD_TYPE_USER, 0);
    put_token(t, "zzzz", CHORD_TYPE_USER, 0);
    build(t);
    CHECK_SAYS(show(t, 0, "xyzzzz"), "xy|zzzz");
    CHECK_SAYS(show(t, 0, "xyzzzzz"), "xy|zzzz|z");
}

/* llama.cpp's algorithm: token by token, the longest first, over all text that is still free. */
static void naive_marks(const chord_vocab *v, const char *text, uint32_t n, bool parse, uint32_t *marks)
{
    memset(marks, 0, n * sizeof *marks);
    for (int32_t k = 0; k < v->n_specials; k++) {
        int32_t const id = v->specials[k];
        uint32_t const size = token_bytes(v, id);
        if (!parse && (v->attrs[id] & ATTR_HIDDEN)) continue;
        for (uint32_t at = 0; at + size <= n; at++) {
            bool is_free = !memcmp(text + at, token_text(v, id), size);
            for (uint32_t i = 0; i < size; i++) is_free &= marks[at + i] == 0;
            if (!is_free) continue;
            for (uint32_t i = 0; i < size; i++) marks[at + i] = MARK_COVERED;
            marks[at] = (uint32_t)id + 1;
            if (v->attrs[id] & ATTR_STRIP_AFTER)
                for (uint32_t i = at + size; i < n && !marks[i] && (text[i] == ' ' || text[i] == '\n'); i++)
                    marks[i] = MARK_COVERED;
        }
    }
}

/* The algorithm of special.c: cluster by cluster, one small step per call. */
static void cluster_marks(const chord_vocab *v, const char *text, uint32_t n, bool parse, uint32_t *marks)
{
    size_t const bytes = chord_tokenizer_bytes();
    chord_tokenizer *t = chord_vocab_open_tokenizer(v, text, n, parse ? CHORD_PARSE_SPECIAL : 0,
                                                    malloc(bytes), bytes);
    memset(marks, 0, n * sizeof *marks);
    for (uint32_t at = 0; at < n; at++) {
        if (!special_begins(t, at)) continue;
        int32_t result;
        do t->left = 1;
        while ((result = special_mark(t)) == TOKENIZER_MORE);
        CHECK_EQ(result, TOKENIZER_DONE);
        CHECK(t->special.end > at && t->special.end <= n);
        for (; at < t->special.end; at++) marks[at] = special_mark_at(t, at);
        at--;
    }
    free(t);
}

TEST(finding_special_tokens_with_a_heap_equals_a_search_token_by_token)
{
    for (int round = 0; round < 300; round++) {
        tiny *t = tiny_bpe("qwen2");
        t->s.strip_after_special = round % 2;
        char texts[40][8] = { { 0 } };
        for (int i = 0; i < 40; i++) {
            int const n = 2 + (int)(test_random() % 5);
            for (int k = 0; k < n; k++) texts[i][k] = (char)("ab\n "[test_random() % 4]);
            int is_new = 1;
            for (int k = 0; k < i; k++) is_new &= strcmp(texts[k], texts[i]) != 0;
            if (is_new) put_token(t, texts[i], test_random() % 2 ? CHORD_TYPE_USER : CHORD_TYPE_CONTROL, 0);
        }
        build(t);
        for (int k = 0; k < 20; k++) {
            char text[200];
            uint32_t got[200], want[200];
            uint32_t const n = 1 + (uint32_t)(test_random() % 200);
            for (uint32_t i = 0; i < n; i++) text[i] = "ab\n x"[test_random() % 5];
            cluster_marks(t->v, text, n, k % 2, got);
            naive_marks(t->v, text, n, k % 2, want);
            CHECK(!memcmp(got, want, n * sizeof *got));
        }
    }
}

TEST(phi3_swallows_white_space_after_a_special_token)
{
    for (int strip = 0; strip < 2; strip++) {
        tiny *t = tiny_spm();
        put_token(t, "<|end|>", CHORD_TYPE_CONTROL, 0);
        t->s.strip_after_special = strip;
        build(t);
        CHECK_SAYS(
            show(t, CHORD_PARSE_SPECIAL, "<|end|> \n\t<s> </s> "),
            strip
                ? "<|end|>|<s>|<0xE2>|<0x96>|<0x81>|<0xE2>|<0x96>|<0x81>|</s>"
                : "<|end|>|<0xE2>|<0x96>|<0x81>|<0xE2>|<0x96>|<0x81>|<0x0A>|<0x09>|<s>|<0xE2>|<0x96>|<0x81>|<0xE2>|<0x96>|<0x81>|</s>|<0xE2>|<0x96>|<0x81>|<0xE2>|<0x96>|<0x81>");
    }
}

TEST(many_overlapping_special_tokens_take_about_linear_time)
{
    tiny *t = tiny_bpe("qwen2");
    char text[40] = { 0 };
    for (int n = 0; n < 31; n++) {
        text[n] = '\n';
        put_token(t, text, CHORD_TYPE_USER, 0);
    }
    build(t);
    enum { N = 200000 };
    char *long_text = test_alloc(N);
    int32_t *ids = test_alloc((size_t)N * 4);
    memset(long_text, '\n', N);
    CHECK_EQ(tokenize(t, 0, long_text, N, ids, N), (N + 30) / 31);
}

/* ---- what a token is --------------------------------------------------------------------------- */

static int32_t flags_of(const tiny *t, const char *text) { return chord_vocab_flags(t->v, id_of(t, text)); }

TEST(flags_follow_the_token_types)
{
    tiny *t = tiny_spm();
    put_token(t, "word", CHORD_TYPE_NORMAL, 0);
    put_token(t, "[user]", CHORD_TYPE_USER, 0);
    put_token(t, "[unused1]", CHORD_TYPE_CONTROL, 0);
    put_token(t, "gone", CHORD_TYPE_UNUSED, 0);
    put_token(t, "what", 77, 0);
    build(t);
    CHECK_EQ(flags_of(t, "word"), 0);
    CHECK_EQ(flags_of(t, "[user]"), CHORD_TOKEN_USER);
    CHECK_EQ(flags_of(t, "[unused1]"), CHORD_TOKEN_CONTROL | CHORD_TOKEN_UNUSED);
    CHECK_EQ(flags_of(t, "gone"), CHORD_TOKEN_UNUSED);
    CHECK_EQ(flags_of(t, "what"), 0);
    CHECK_EQ(flags_of(t, "<unk>"), CHORD_TOKEN_UNKNOWN);
    CHECK_EQ(flags_of(t, "<0x0A>"), CHORD_TOKEN_BYTE);
    CHECK_EQ(chord_vocab_flags(t->v, -1), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_vocab_flags(t->v, t->s.n_tokens), CHORD_INVALID_ARGUMENT);
}

TEST(a_token_ends_a_generation_by_its_text_or_by_its_id_in_the_file)
{
    tiny *t = tiny_bpe("qwen2");
    int32_t const end = CHORD_TOKEN_EOG | CHORD_TOKEN_CONTROL;
    put_token(t, "<|im_end|>", CHORD_TYPE_NORMAL, 0); /* its type isn't control */
    put_token(t, "<|endoftext|>", CHORD_TYPE_CONTROL, 0);
    put_token(t, "<|file_sep|>", CHORD_TYPE_USER, 0);
    put_token(t, "<|fim_pad|>", CHORD_TYPE_CONTROL, 0);
    put_token(t, "<|fim_prefix|>", CHORD_TYPE_NORMAL, 0);
    t->s.eos = put_token(t, "stop", CHORD_TYPE_NORMAL, 0);
    t->s.eot = put_token(t, "turn", CHORD_TYPE_CONTROL, 0);
    t->s.eom = put_token(t, "message", CHORD_TYPE_CONTROL, 0);
    t->s.fim_rep = put_token(t, "repo", CHORD_TYPE_CONTROL, 0);
    put_token(t, "<|eot_id", CHORD_TYPE_CONTROL, 0);
    build(t);
    CHECK_EQ(flags_of(t, "<|im_end|>"), end);
    CHECK_EQ(flags_of(t, "<|endoftext|>"), end);
    CHECK_EQ(flags_of(t, "<|file_sep|>"), end | CHORD_TOKEN_USER);
    CHECK_EQ(flags_of(t, "<|fim_pad|>"), end);
    CHECK_EQ(flags_of(t, "<|fim_prefix|>"), CHORD_TOKEN_CONTROL);
    CHECK_EQ(flags_of(t, "stop"), CHORD_TOKEN_EOG);
    CHECK_EQ(flags_of(t, "turn"), end);
    CHECK_EQ(flags_of(t, "message"), end);
    CHECK_EQ(flags_of(t, "repo"), end);
    CHECK_EQ(flags_of(t, "<|eot_id"), CHORD_TOKEN_CONTROL);
    int32_t n_ends = 0;
    for (int32_t id = 0; id < t->s.n_tokens; id++)
        n_ends += (chord_vocab_flags(t->v, id) & CHORD_TOKEN_EOG) != 0;
    CHECK_EQ(n_ends, 8);
}

TEST(default_ids_depend_on_the_kind)
{
    tiny *t = tiny_spm();
    build(t);
    chord_vocab_specials s = chord_vocab_get_specials(t->v);
    CHECK(s.n_tokens == 259 && s.bos == 1 && s.eos == 2 && s.unk == 0 && s.pad == -1 && s.add_bos == 1 &&
          s.add_eos == 0);
    t = tiny_bpe("gpt-2");
    build(t);
    s = chord_vocab_get_specials(t->v);
    CHECK(s.bos == 11 && s.eos == 11 && s.unk == -1 && s.add_bos == 0);
    CHECK(chord_vocab_flags(t->v, 11) == CHORD_TOKEN_EOG);
    t = tiny_bpe("glm4");
    build(t);
    CHECK(chord_vocab_get_specials(t->v).bos == -1);
    t = tiny_new(CHORD_VOCAB_SPM);
    put_token(t, "a", CHORD_TYPE_NORMAL, 0);
    build(t);
    s = chord_vocab_get_specials(t->v);
    CHECK(s.bos == -1 && s.eos == -1 && s.unk == 0); /* the vocabulary has no ids 1 and 2 */
    CHECK_SAYS(show(t, CHORD_ADD_SPECIAL, ""), "");
}

TEST(the_old_end_is_a_normal_token_beside_a_tool_response)
{
    for (int k = 0; k < 2; k++) {
        tiny *t = tiny_spm();
        put_token(t, k ? "<|tool_response>" : "<|tool_request>", CHORD_TYPE_CONTROL, 0);
        t->s.eos = put_token(t, "<eos>", CHORD_TYPE_CONTROL, 0);
        build(t);
        CHECK_EQ(flags_of(t, "</s>"), k ? 0 : CHORD_TOKEN_CONTROL | CHORD_TOKEN_EOG);
    }
}

TEST(the_end_token_ends_no_generation_in_harmony)
{
    static const char *const texts[] = { "<|return|>", "<|call|>", "<|end|>", "<|channel|>" };
    for (int n = 2; n <= 4; n++) {
        tiny *t = tiny_bpe("qwen2");
        for (int i = 4 - n; i < 4; i++) put_token(t, texts[i], CHORD_TYPE_CONTROL, 0);
        build(t);
        CHECK_EQ(flags_of(t, "<|end|>"), n == 4 ? CHORD_TOKEN_USER : CHORD_TOKEN_CONTROL | CHORD_TOKEN_EOG);
        CHECK_EQ(flags_of(t, "<|channel|>"), CHORD_TOKEN_USER); /* always rendered */
    }
}
