/* tokenizer_test.c: tokenising in slices gives the same ids, in bounded memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

#define BLANK "\xE2\x96\x81"

typedef struct run {
    int32_t ids[8192], n;
    int32_t n_calls, n_given;
    size_t most_given;
} run;

/* Tokenises in steps of `budget` and `cap`. Each NEED_MEMORY gets a new block of exactly the wanted size. */
static run *in_slices(const tiny *t, int32_t flags, const char *text, size_t n, uint64_t budget, int32_t cap)
{
    static run r;
    r.n = r.n_calls = r.n_given = 0;
    r.most_given = 0;
    size_t const bytes = chord_tokenizer_bytes();
    char *block = malloc(bytes), *copy = malloc(n ? n : 1), *scratch = NULL;
    int32_t *ids = malloc((size_t)cap * 4);
    memcpy(copy, text, n);
    chord_tokenizer *z = chord_vocab_open_tokenizer(t->v, copy, n, flags, block, bytes);
    CHECK(z);
    uint64_t const least = chord_tokenizer_least(z);
    for (chord_status status = CHORD_MORE; status != CHORD_DONE;) {
        int32_t count = -1;
        status = chord_tokenizer_step(z, budget, ids, cap, &count);
        CHECK(count >= 0 && count <= cap && r.n + count <= 8192);
        memcpy(r.ids + r.n, ids, (size_t)count * 4);
        r.n += count;
        r.n_calls++;
        CHECK(status == CHORD_DONE || status == CHORD_MORE || status == CHORD_NEED_MEMORY);
        if (status != CHORD_NEED_MEMORY) continue;
        size_t const wanted = chord_tokenizer_wanted(z);
        char *larger = malloc(wanted);
        CHECK_EQ(chord_tokenizer_give(z, larger, wanted), CHORD_OK);
        free(scratch);
        scratch = larger;
        r.n_given++;
        if (wanted > r.most_given) r.most_given = wanted;
    }
    CHECK(least <= (uint64_t)r.n);
    CHECK_EQ(chord_tokenizer_least(z), r.n);
    int32_t more = -1;
    CHECK_EQ(chord_tokenizer_step(z, budget, ids, cap, &more), CHORD_DONE);
    CHECK_EQ(more, 0);
    free(scratch);
    free(ids);
    free(copy);
    free(block);
    return &r;
}

static void check_slices(const tiny *t, const char *text, size_t n)
{
    static int32_t whole[8192];
    for (int32_t flags = 0; flags < 4; flags++) {
        int32_t const count = tokenize(t, flags, text, n, whole, 8192);
        static uint64_t const budgets[] = { 0, 1, 2, 7, 100, UINT64_MAX };
        for (size_t i = 0; i < 6; i++) {
            const run *r = in_slices(t, flags, text, n, budgets[i], i % 2 ? CHORD_TOKENIZER_ROOM : 4096);
            CHECK_EQ(r->n, count);
            CHECK(!memcmp(r->ids, whole, (size_t)count * 4));
        }
    }
}

static tiny *spm_words(void)
{
    static const char *const texts[] = { "ab",  "bc", "abc", BLANK "a", BLANK "ab",  "aa",
                                         BLANK, "a",  "b",   "c",       BLANK BLANK, "b" BLANK };
    tiny *t = tiny_spm();
    for (int i = 0; i < 12; i++) put_token(t, texts[i], CHORD_TYPE_NORMAL, (float)(i * 7 % 5));
    put_token(t, "\n\n", CHORD_TYPE_USER, 0);
    put_token(t, "\nb", CHORD_TYPE_USER, 0);
    return t;
}

static tiny *bpe_words(const char *pre)
{
    tiny *t = tiny_bpe(pre);
    put_merged(t, "a b");
    put_merged(t, "b c");
    put_merged(t, "a a");
    put_merged(t, "\xC4\xA0 a");
    put_merged(t, "\xC4\xA0"
                  "a b");
    put_token(t, "\n\n", CHORD_TYPE_USER, 0);
    put_token(t, "<s>", CHORD_TYPE_CONTROL, 0);
    return t;
}

TEST(slices_of_any_size_give_the_ids_of_one_call)
{
    for (int k = 0; k < 8; k++) {
        static const char *const pres[] = { "smollm", "gpt-2", "llama-bpe", "qwen35" };
        tiny *t = k < 4 ? spm_words() : bpe_words(pres[k - 4]);
        t->s.strip_after_special = k == 1;
        if (k == 2) t->s.add_space_prefix = 0;
        build(t);
        for (int round = 0; round < 60; round++) {
            char text[200];
            size_t const n = test_random() % 200;
            for (size_t i = 0; i < n; i++)
                text[i] = (char)(test_random() % 20 ? "aabbc  \n1\xE2\x96\x81<s>x"[test_random() % 15]
                                                    : (char)test_random());
            check_slices(t, text, n);
        }
    }
}

/* llama.cpp's algorithm over the whole stretch: among the pairs that make a token, the pair with the
 * best score merges; on a tie, the leftmost pair. The text has one-byte characters only. */
static int32_t naive_spm(const tiny *t, const char *text, int32_t *ids)
{
    static char parts[400][64];
    int32_t n = 0;
    for (const char *p = text; *p; p++) snprintf(parts[n++], 64, "%s", *p == ' ' ? BLANK : (char[]){ *p, 0 });
    for (;;) {
        int32_t best = -1;
        uint32_t best_order = 0;
        char joined[130], best_text[130] = "";
        for (int32_t i = 0; i + 1 < n; i++) {
            snprintf(joined, sizeof joined, "%.63s%.63s", parts[i], parts[i + 1]);
            int32_t const id = vocab_find(t->v, joined, strlen(joined));
            if (id < 0 || (best >= 0 && t->v->order[id] >= best_order)) continue;
            best = i;
            best_order = t->v->order[id];
            strcpy(best_text, joined);
        }
        if (best < 0) break;
        memcpy(parts[best], best_text, sizeof *parts);
        memmove(parts[best + 1], parts[best + 2], (size_t)(n - best - 2) * sizeof *parts);
        n--;
    }
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t const id = vocab_find(t->v, parts[i], strlen(parts[i]));
        if (id >= 0) ids[count++] = id;
        else
            for (const char *p = parts[i]; *p; p++) ids[count++] = t->v->byte_ids[(uint8_t)*p];
    }
    return count;
}

TEST(spm_cuts_between_bytes_adjacent_in_no_token_change_no_ids)
{
    for (int round = 0; round < 400; round++) {
        tiny *t = tiny_spm();
        t->s.add_space_prefix = 0;
        for (int i = 0; i < 30; i++) { /* words of letters and blanks, in any order */
            char word[32] = "";
            int const n = 1 + (int)(test_random() % 4);
            for (int k = 0; k < n; k++)
                strcat(word, test_random() % 4 ? (char[]){ "abcde"[test_random() % 5], 0 } : BLANK);
            int is_new = 1;
            for (int32_t k = 259; k < t->s.n_tokens; k++) {
                const uint8_t *p = t->texts;
                for (int32_t skip = 0; skip < k; skip++) p += 8 + *p;
                is_new &= *p != strlen(word) || memcmp(p + 8, word, *p);
            }
            if (is_new) put_token(t, word, CHORD_TYPE_NORMAL, (float)(test_random() % 6));
        }
        build(t);
        for (int k = 0; k < 10; k++) {
            char text[80] = "";
            int32_t got[400], want[400];
            int const n = (int)(test_random() % 60);
            for (int i = 0; i < n; i++) text[i] = "abcdefg  "[test_random() % 9];
            int32_t const n_want = naive_spm(t, text, want);
            CHECK_EQ(tokenize(t, 0, text, (size_t)n, got, 400), n_want);
            CHECK(!memcmp(got, want, (size_t)n_want * 4));
        }
    }
}

TEST(a_step_spends_about_its_budget_and_writes_at_most_cap_ids)
{
    tiny *t = spm_words();
    build(t);
    static char text[4001];
    for (int i = 0; i < 4000; i++) text[i] = i % 5 == 4 ? ' ' : 'a';
    int32_t const few = in_slices(t, 0, text, 4000, 100, 4096)->n_calls,
                  many = in_slices(t, 0, text, 4000, 10, 4096)->n_calls;
    CHECK(few > 4000 / 100 && few < 4000 * 8 / 100);
    CHECK(many > few * 8 && many < few * 12);
    CHECK_EQ(in_slices(t, 0, text, 4000, UINT64_MAX, 4096)->n_calls, 1);
    CHECK(in_slices(t, 0, text, 4000, UINT64_MAX, CHORD_TOKENIZER_ROOM)->n_calls >=
          800 / CHORD_TOKENIZER_ROOM);
}

TEST(words_need_only_the_block_and_a_long_word_needs_20_bytes_per_character)
{
    enum { N = 6000 };
    static char text[N];
    for (int kind = 0; kind < 2; kind++) {
        tiny *t = kind ? bpe_words("qwen2") : spm_words();
        build(t);
        for (int i = 0; i < N; i++) text[i] = i % 8 == 7 ? ' ' : 'a';
        CHECK_EQ(in_slices(t, 0, text, N, 1000, 4096)->n_given, 0);
        memset(text, 'a', N);
        const run *r = in_slices(t, 0, text, N, 1000, 4096);
        CHECK_EQ(r->n_given, 1);
        CHECK(r->most_given < 21 * N + 200);
        memset(text, '\n', N); /* special tokens overlap everywhere */
        r = in_slices(t, 0, text, N, 1000, 4096);
        CHECK_EQ(r->n_given, 1);
        CHECK(r->most_given < 12 * N + 200);
    }
}

TEST(marks_survive_when_a_stretch_needs_memory)
{
    enum { N = 3000 };
    static char text[2 * N + 3];
    tiny *t = spm_words();
    build(t);
    memset(text, '\n', N);
    memset(text + N, 'a', N); /* a long cluster of newlines, then a long stretch */
    check_slices(t, text, 2 * N);
    text[N - 1] = 'b';
    check_slices(t, text, 2 * N);
    memset(text, 'a', N); /* the cluster is marked before the stretch in front of it needs memory */
    memset(text + N, '\n', 4);
    check_slices(t, text, N + 4);
}

TEST(invalid_arguments_of_open_step_and_give_are_refused)
{
    tiny *t = spm_words();
    build(t);
    char block[4096];
    int32_t ids[CHORD_TOKENIZER_ROOM], n = 0;
    CHECK(!chord_vocab_open_tokenizer(t->v, "a", 1, 0, block, 64));
    CHECK(!chord_vocab_open_tokenizer(t->v, "a", 1, 0, NULL, 4096));
    CHECK(!chord_vocab_open_tokenizer(t->v, NULL, 1, 0, block, sizeof block));
    CHECK(!chord_vocab_open_tokenizer(t->v, "a", (size_t)1 << 30, 0, block, sizeof block));
    chord_tokenizer *z = chord_vocab_open_tokenizer(t->v, "a", 1, 0, block + 3, sizeof block - 3);
    CHECK(z);
    CHECK_EQ(chord_tokenizer_step(z, 1, ids, CHORD_TOKENIZER_ROOM - 1, &n), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_tokenizer_step(z, 1, NULL, 100, &n), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_tokenizer_step(NULL, 1, ids, CHORD_TOKENIZER_ROOM, &n), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_tokenizer_give(z, NULL, 100), CHORD_INVALID_ARGUMENT);
    /* one id is written, and the end might not fit */
    CHECK_EQ(chord_tokenizer_step(z, 1000, ids, CHORD_TOKENIZER_ROOM, &n), CHORD_MORE);
    CHECK_EQ(n, 1);
}
