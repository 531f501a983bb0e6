/* wordpiece_test.c: BERT's tokenizer. The words and ids were compared with llama.cpp's for 1,279 texts over
 * bge's vocabulary, and for the vocabularies in tests/golden/vocab. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/text/fold.h"
#include "tiny.h"

#define B "\xE2\x96\x81" /* begins a word */

static tiny *bert(void)
{
    static const char *const texts[] = {
        B "a", B "ab", B "abc", "b",   "bc",         "c",   B "!", B "$", B "\xE4\xB8\x80",
        B "e", "e",    "!",     B "d", B "\xC3\xA9", B "E", B
    };
    tiny *t = tiny_new(CHORD_VOCAB_WORDPIECE);
    put_token(t, "[UNK]", CHORD_TYPE_CONTROL, 0);
    put_token(t, "[CLS]", CHORD_TYPE_CONTROL, 0);
    put_token(t, "[SEP]", CHORD_TYPE_CONTROL, 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) put_token(t, texts[i], CHORD_TYPE_NORMAL, 0);
    t->s.unk = 0;
    t->s.bos = 1;
    t->s.sep = 2;
    return t;
}

TEST(wordpiece_takes_the_longest_token_again_and_again)
{
    tiny *t = bert();
    build(t);
    CHECK_SAYS(show(t, 0, "abc abbc"), B "abc|" B "ab|bc");
    CHECK_SAYS(show(t, 0, "  a\t\nb  "), B "a|" B "|b");
}

TEST(wordpiece_a_word_that_tokens_dont_spell_is_one_unknown_token)
{
    tiny *t = bert();
    build(t);
    CHECK_SAYS(show(t, 0, "abx a"), "[UNK]|" B "a");
    CHECK_SAYS(show(t, 0, "axb"), "[UNK]");
}

TEST(wordpiece_marks_and_chinese_characters_are_words)
{
    tiny *t = bert();
    build(t);
    CHECK_SAYS(show(t, 0, "a!!$b"), B "a|" B "!|" B "!|" B "$|" B "|b");
    CHECK_SAYS(show(t, 0,
                    "a\xE4\xB8\x80"
                    "a"),
               B "a|" B "\xE4\xB8\x80|" B "a");
    CHECK_SAYS(show(t, 0, "\xC2\xB1"), "[UNK]"); /* a symbol outside ASCII is part of a word */
}

TEST(wordpiece_lowers_letters_and_strips_accents_as_the_file_says)
{
    for (int32_t k = 0; k < 9; k++) {
        tiny *t = bert();
        t->s.lowercase = k % 3 - 1;
        t->s.strip_accents = k / 3 - 1;
        build(t);
        bool const lowers = t->s.lowercase != 0,
                   strips = t->s.strip_accents < 0 ? lowers : t->s.strip_accents;
        CHECK_SAYS(show(t, 0, "\xC3\x89"), strips && lowers ? B "e"
                                           : strips         ? B "E"
                                           : lowers         ? B "\xC3\xA9"
                                                            : "[UNK]");
        CHECK_SAYS(show(t, 0, "e\xCC\x81"), strips ? B "e" : "[UNK]"); /* a combining accent */
    }
}

TEST(wordpiece_omits_control_characters_and_invalid_bytes)
{
    tiny *t = bert();
    build(t);
    CHECK_SAYS(show_bytes(t, 0, "a\0b", 3), B "ab");
    CHECK_SAYS(show(t, 0,
                    "a\xE2\x80\x8B"
                    "b"),
               B "ab"); /* U+200B */
    CHECK_SAYS(show(t, 0,
                    "\xFF"
                    "a\xC3"
                    "b\xF5\x90\x80\x80"
                    "c"),
               B "abc");
}

TEST(wordpiece_puts_bos_and_separator_around_a_text_whatever_the_keys_say)
{
    tiny *t = bert();
    t->s.add_bos = t->s.add_eos = 0;
    build(t);
    CHECK_SAYS(show(t, CHORD_ADD_SPECIAL, "a"), "[CLS]|" B "a|[SEP]");
    CHECK_SAYS(show(t, CHORD_PARSE_SPECIAL, "a[SEP]a"), B "a|[SEP]|" B "a");
}

TEST(wordpiece_ids_are_those_of_one_call_in_slices_of_any_size)
{
    tiny *t = bert();
    build(t);
    for (int round = 0; round < 200; round++) {
        char text[120], block[65536];
        int32_t whole[256], part[CHORD_TOKENIZER_ROOM], n_part, at = 0;
        size_t const n = test_random() % 120;
        for (size_t i = 0; i < n; i++) text[i] = "abcABC!  \n\xC3\x89\xE4\xB8\x80"[test_random() % 15];
        int32_t const count = tokenize(t, 3, text, n, whole, 256);
        chord_tokenizer *z = chord_vocab_open_tokenizer(t->v, text, n, 3, block, sizeof block);
        for (chord_status status = CHORD_MORE; status != CHORD_DONE; at += n_part) {
            status = chord_tokenizer_step(z, (uint64_t)(round % 7), part, CHORD_TOKENIZER_ROOM, &n_part);
            CHECK(status >= 0 && at + n_part <= count && !memcmp(whole + at, part, (size_t)n_part * 4));
        }
        CHECK_EQ(at, count);
    }
}

TEST(lower_case_and_base_letters_of_some_code_points)
{
    static const uint32_t cases[][3] = {
        /* code point, lower case, base */
        { 'A', 'a', 'A' },
        { 'z', 'z', 'z' },
        { 0xC9, 0xE9, 'E' },
        { 0x130, 'i', 'I' },
        { 0x178, 0xFF, 'Y' },
        { 0x1C5, 0x1C6, 0x1C5 },
        { 0x23A, 0x2C65, 0x23A },
        { 0x1E9E, 0xDF, 0x1E9E },
        { 0x212B, 0xE5, 'A' },
        { 0xAC01, 0xAC01, 0x1100 },
        { 0xD7A3, 0xD7A3, 0x1112 },
        { 0x1E921, 0x1E943, 0x1E921 },
        { 0x2FA1D, 0x2FA1D, 0x2A600 },
        { 0x2FA1E, 0x2FA1E, 0x2FA1E },
        { 0x10FFFF, 0x10FFFF, 0x10FFFF },
        { 0xFA6C, 0xFA6C, 0x242EE },
    };
    uint32_t n_lower = 0, n_base = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_EQ(chord_unicode_lower(cases[i][0]), cases[i][1]);
        CHECK_EQ(chord_unicode_base(cases[i][0]), cases[i][2]);
    }
    for (uint32_t c = 0; c < 0x110000; c++) {
        n_lower += chord_unicode_lower(c) != c;
        n_base += chord_unicode_base(c) != c;
    }
    CHECK_EQ(n_lower, 1433); /* entries of llama.cpp's tables */
    CHECK_EQ(n_base, 13233);
}
