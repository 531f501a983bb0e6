/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/text/pre.h"
#include "tiny.h"

static char cut_text[4096];
/* The words of a text, joined with |. */
static const char *cut(const char *pre, const char *text)
{
    const chord_pre *p = chord_pre_find(pre, strlen(pre));
    CHECK(p);
    *cut_text = 0;
    chord_pre_walk walk;
    size_t begin, end;
    int64_t left = INT64_MAX;
    chord_pre_begin(&walk, 0, strlen(text));
    while (chord_pre_next(&walk, p, (const uint8_t *)text, &begin, &end, &left) == CHORD_PRE_WORD) {
        strncat(cut_text, *cut_text ? "|" : "", 2);
        strncat(cut_text, text + begin, end - begin);
    }
    return cut_text;
}

TEST(gpt2_joins_the_blank_before_a_word_to_the_word)
{
    CHECK_SAYS(cut("gpt-2", "Hello  big world"), "Hello| | big| world");
    CHECK_SAYS(cut("gpt-2", "a 12 b!? c"), "a| 12| b|!?| c");
}

TEST(gpt2_cuts_contractions_in_lower_case_only)
{
    CHECK_SAYS(cut("gpt-2", "we've it's I'll he'd can't I'm you're"),
               "we|'ve| it|'s| I|'ll| he|'d| can|'t| I|'m| you|'re");
    CHECK_SAYS(cut("gpt-2", "IT'S 'x 'l"), "IT|'|S| '|x| '|l");
}

TEST(llama3_and_qwen2_cut_contractions_in_either_case)
{
    CHECK_SAYS(cut("llama-bpe", "IT'S We'Ve they'Ll"), "IT|'S| We|'Ve| they|'Ll");
    CHECK_SAYS(cut("llama-bpe", "IT'Sure x'Rex"), "IT|'S|ure| x|'Re|x");
    CHECK_SAYS(cut("qwen2", "IT'S x'Re"), "IT|'S| x|'Re");
    CHECK_SAYS(cut("llama-bpe", "x'\xC5\xBF"), "x|'\xC5\xBF"); /* long s folds to s in Unicode, not here */
}

TEST(white_space_leaves_its_last_blank_to_the_next_word)
{
    CHECK_SAYS(cut("gpt-2", "a    b"), "a|   | b");
    CHECK_SAYS(cut("gpt-2", "a \t\tb"), "a| \t|\t|b");
    CHECK_SAYS(cut("gpt-2", "a    "), "a|    "); /* at the end \s+(?!\S) matches all blanks */
    CHECK_SAYS(cut("qwen2", "a    b"), "a|   | b");
}

TEST(llama3_ends_white_space_after_its_last_newline)
{
    CHECK_SAYS(cut("llama-bpe", "a \n  \n  b"), "a| \n  \n| | b");
    CHECK_SAYS(cut("llama-bpe", "a!\n\nb"), "a|!\n\n|b");
    CHECK_SAYS(cut("llama-bpe", "a  \r\nb"), "a|  \r\n|b");
    CHECK_SAYS(cut("gpt-2", "a \n  b"), "a| \n | b");
}

TEST(llama3_joins_one_sign_before_a_word_to_the_word)
{
    CHECK_SAYS(cut("llama-bpe", "(word) #tag\tx $1"), "(word|)| #|tag|\tx| $|1");
    CHECK_SAYS(cut("llama-bpe", "--word"), "--|word"); /* two signs are a run of signs */
}

TEST(digits_are_cut_into_ones_or_threes_or_stay_together)
{
    CHECK_SAYS(cut("smollm", "x 12345 y"), "x| |1|2|3|4|5| y");
    CHECK_SAYS(cut("qwen2", "x 12345"), "x| |1|2|3|4|5");
    CHECK_SAYS(cut("llama-bpe", "x 12345"), "x| |123|45");
    CHECK_SAYS(cut("gpt-2", "x 12345"), "x| 12345");
    /* Arabic digits, one half */
    CHECK_SAYS(cut("smollm", "\xD9\xA1\xD9\xA2\xC2\xBD"), "\xD9\xA1|\xD9\xA2|\xC2\xBD");
}

/* The ids of 1,250 texts were compared with llama.cpp's for each value of tokenizer.ggml.pre here, over
 * SmolLM2's merges; these texts show what sets a pattern apart. */
TEST(tekken_and_gpt4o_cut_words_where_capitals_begin)
{
    CHECK_SAYS(cut("tekken", "fooBar HTTPServer X'LL 123"), "foo|Bar| HTTPServer| X|'LL| |1|2|3");
    CHECK_SAYS(cut("gpt-4o", "fooBar don't X'LL 1234"), "foo|Bar| don't| X'LL| |123|4");
    CHECK_SAYS(cut("gpt-4o", "a./\n/b"), "a|./\n/|b");
    /* letters without case are both small and capital */
    CHECK_SAYS(cut("tekken", "A\xE6\x97\xA5Z b"), "A\xE6\x97\xA5|Z| b");
}

TEST(deepseek_patterns_cut_scripts_and_signs_apart)
{
    CHECK_SAYS(cut("deepseek-v3", "#tag -- x1234 \xE6\xBC\xA2\xE3\x81\x8Bq"),
               "#tag| --| x|123|4| |\xE6\xBC\xA2\xE3\x81\x8B|q");
    CHECK_SAYS(cut("hunyuan-dense", "a!\n\nb"), "a|!\n\n|b");
    CHECK_SAYS(cut("deepseek-llm", "ab 12!? \xE6\xBC\xA2  "), "ab| |12|!?| |\xE6\xBC\xA2|  ");
    CHECK_SAYS(cut("deepseek-coder", "ab 12!?\n\n"), "ab| |1|2|!?|\n|\n");
    /* U+3000, a blank, isn't in the range U+0800 to U+4E00 */
    CHECK_SAYS(cut("deepseek-coder", " \xE3\x80\x80"), " \xE3\x80\x80");
}

TEST(falcon_cuts_signs_first_and_digits_into_threes)
{
    CHECK_SAYS(cut("falcon", "a$b it's 12345 c"), "a|$|b| it|'|s| |123|45| c");
}

TEST(variants_of_qwen2_differ_in_one_part_each)
{
    CHECK_SAYS(cut("qwen2", "a!\nb\n\n"), "a|!\n|b|\n\n");
    CHECK_SAYS(cut("seed-coder", "a!\nb\n\n"), "a|!|\n|b|\n\n");
    CHECK_SAYS(cut("bailingmoe", "a\n\nb"), "a|\n\n|b");
    CHECK_SAYS(cut("minicpm5", "x 12345"), "x| |123|45");
    CHECK_SAYS(cut("ufakzeka", "IT's"), "IT|'s");
    CHECK_SAYS(cut("laguna", "a  \n b"), "a|  |\n| b");
}

TEST(classes_include_code_points_beyond_ascii)
{
    CHECK_SAYS(cut("gpt-2",
                   "\xC3\xA9t\xC3\xA9 \xD0\xBC\xD0\xB8\xD1\x80 \xE6\x9D\xB1\xE4\xBA\xAC\xE3\x80\x82"),
               "\xC3\xA9t\xC3\xA9| \xD0\xBC\xD0\xB8\xD1\x80| \xE6\x9D\xB1\xE4\xBA\xAC|\xE3\x80\x82");
    /* no-break and ideographic space */
    CHECK_SAYS(cut("gpt-2", "a\xC2\xA0\xE3\x80\x80"
                            "b"),
               "a|\xC2\xA0|\xE3\x80\x80|b");
    /* a combining accent is no letter in gpt-2, and part of a word in qwen35 */
    CHECK_SAYS(cut("gpt-2", "e\xCC\x81g"), "e|\xCC\x81|g");
    CHECK_SAYS(cut("qwen35", "e\xCC\x81g"), "e\xCC\x81g");
}

TEST(invalid_bytes_are_signs)
{
    CHECK_SAYS(cut("gpt-2", "a\xFF\x80 b"), "a|\xFF\x80| b");
    CHECK_SAYS(cut("llama-bpe", "\xE2\x28\xA1"), "\xE2(\xA1");
}

TEST(lookahead_stops_at_the_end_of_a_piece)
{
    /* the first stage cuts before the digit, so (?!\S) doesn't see it and both blanks stay together */
    CHECK_SAYS(cut("smollm", "a  1"), "a|  |1");
    CHECK_SAYS(cut("gpt-2", "a  1"), "a| | 1");
}

TEST(words_cover_any_bytes_without_gaps)
{
    for (int round = 0; round < 2000; round++) {
        uint8_t text[64];
        size_t const n = 1 + test_random() % 64;
        for (size_t i = 0; i < n; i++)
            text[i] = (uint8_t)(test_random() % 3 ? " \n\ra1'\xC3\xA9s."[test_random() % 10]
                                                  : (char)test_random());
        for (int32_t p = 0; p < chord_n_pre_table; p++) {
            size_t at = 0, begin, end;
            int64_t left = 1;
            chord_pre_walk walk;
            chord_pre_begin(&walk, 0, n);
            for (int32_t found; (found = chord_pre_next(&walk, &chord_pre_table[p], text, &begin, &end,
                                                        &left)) != CHORD_PRE_OVER;
                 left = 1) {
                if (found == CHORD_PRE_MORE) continue;
                CHECK(begin == at && end > begin);
                at = end;
            }
            CHECK_EQ(at, n);
        }
    }
}

TEST(utf8_back_undoes_decoding)
{
    for (int round = 0; round < 20000; round++) {
        uint8_t text[16];
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (uint8_t)(test_random() % 4 ? "\x80\xBF\xC3\xE2\xED\xF0\xF4"
                                                    "a"[test_random() % 8]
                                                  : (char)test_random());
        for (const uint8_t *p = text; p < text + sizeof text;) {
            uint32_t code_point;
            uint32_t const n = chord_utf8_decode(p, text + sizeof text, &code_point);
            p += n;
            CHECK_EQ(chord_utf8_back(text, p), n);
        }
    }
}

/* The counts per category are those of
 *   python3 -c "import unicodedata2 as u, collections as c
 *   print(c.Counter(u.category(chr(i)) for i in range(0x110000)))"
 * with unicodedata2 15.1.0. `some` has up to three code points of each category, from the same module. */
TEST(every_code_point_has_its_general_category)
{
    static const uint32_t counts[CHORD_N_CATEGORIES] = { 1831, 2233, 31,  397,  132234, 1985,  452, 13,
                                                         680,  236,  915, 10,   26,     79,    77,  12,
                                                         10,   628,  948, 63,   125,    6639,  17,  1,
                                                         1,    65,   170, 2048, 137468, 824718 };
    uint32_t got[CHORD_N_CATEGORIES] = { 0 };
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint32_t const bits = chord_unicode_bits(c) & ~CHORD_IN_WHITE;
        CHECK(bits && !(bits & (bits - 1)));
        got[__builtin_ctz(bits)]++;
    }
    for (int i = 0; i < CHORD_N_CATEGORIES; i++) CHECK_EQ(got[i], counts[i]);
    static const struct {
        uint32_t code_point;
        uint32_t category;
    } some[] = { { 0xC0, CHORD_LU },    { 0x118AC, CHORD_LU },  { 0x1E921, CHORD_LU }, { 0xB5, CHORD_LL },
                 { 0x2CA3, CHORD_LL },  { 0x1E943, CHORD_LL },  { 0x1C5, CHORD_LT },   { 0x1FAB, CHORD_LT },
                 { 0x1FFC, CHORD_LT },  { 0x2B0, CHORD_LM },    { 0x3005, CHORD_LM },  { 0x1E94B, CHORD_LM },
                 { 0xAA, CHORD_LO },    { 0x4294, CHORD_LO },   { 0x323AF, CHORD_LO }, { 0x300, CHORD_MN },
                 { 0x1E136, CHORD_MN }, { 0xE01EF, CHORD_MN },  { 0x903, CHORD_MC },   { 0xA9BB, CHORD_MC },
                 { 0x1D172, CHORD_MC }, { 0x488, CHORD_ME },    { 0xA672, CHORD_ME },  { 0x660, CHORD_ND },
                 { 0x1BB5, CHORD_ND },  { 0x1FBF9, CHORD_ND },  { 0x16EE, CHORD_NL },  { 0x12429, CHORD_NL },
                 { 0x1246E, CHORD_NL }, { 0xB2, CHORD_NO },     { 0xF33, CHORD_NO },   { 0x1F10C, CHORD_NO },
                 { 0x203F, CHORD_PC },  { 0x2054, CHORD_PC },   { 0xFF3F, CHORD_PC },  { 0x58A, CHORD_PD },
                 { 0x1806, CHORD_PD },  { 0x10EAD, CHORD_PD },  { 0xF3A, CHORD_PS },   { 0x3008, CHORD_PS },
                 { 0xFF62, CHORD_PS },  { 0xF3B, CHORD_PE },    { 0xFE3C, CHORD_PE },  { 0xFF63, CHORD_PE },
                 { 0xAB, CHORD_PI },    { 0x201C, CHORD_PI },   { 0x2E20, CHORD_PI },  { 0xBB, CHORD_PF },
                 { 0x2E0A, CHORD_PF },  { 0x2E21, CHORD_PF },   { 0xA1, CHORD_PO },    { 0x11B05, CHORD_PO },
                 { 0x1E95F, CHORD_PO }, { 0xAC, CHORD_SM },     { 0x2236, CHORD_SM },  { 0x1EEF1, CHORD_SM },
                 { 0xA2, CHORD_SC },    { 0x20B5, CHORD_SC },   { 0x1ECB0, CHORD_SC }, { 0xA8, CHORD_SK },
                 { 0x2F0, CHORD_SK },   { 0x1F3FF, CHORD_SK },  { 0xA6, CHORD_SO },    { 0x19FD, CHORD_SO },
                 { 0x1FBCA, CHORD_SO }, { 0xA0, CHORD_ZS },     { 0x2004, CHORD_ZS },  { 0x3000, CHORD_ZS },
                 { 0x2028, CHORD_ZL },  { 0x2029, CHORD_ZP },   { 0x80, CHORD_CC },    { 0x8B, CHORD_CC },
                 { 0x9F, CHORD_CC },    { 0xAD, CHORD_CF },     { 0xE0039, CHORD_CF }, { 0xE007F, CHORD_CF },
                 { 0xD800, CHORD_CS },  { 0xDA8D, CHORD_CS },   { 0xDFFF, CHORD_CS },  { 0xE000, CHORD_CO },
                 { 0xF30A8, CHORD_CO }, { 0x10FFFD, CHORD_CO }, { 0x378, CHORD_CN },   { 0x4A189, CHORD_CN },
                 { 0x10FFFF, CHORD_CN } };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        CHECK_EQ(chord_unicode_bits(some[i].code_point) & ~CHORD_IN_WHITE, CHORD_IN(some[i].category));
}

TEST(white_space_equals_unicodes_property)
{
    static const uint32_t white[] = { 9,      10,     11,     12,     13,     0x20,   0x85,   0xA0,   0x1680,
                                      0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
                                      0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000 };
    size_t n = 0;
    for (uint32_t c = 0; c < 0x110000; c++)
        if (chord_unicode_bits(c) & CHORD_IN_WHITE) {
            CHECK(n < 25 && white[n] == c);
            n++;
        }
    CHECK_EQ(n, 25);
    CHECK_EQ(chord_unicode_bits(0x110000), CHORD_IN(CHORD_CN));
}

TEST(digits_in_threes_from_the_right_take_linear_time)
{
    enum { N = 300000 };
    static const char *const names[] = { "afmoe", "tiny_aya", "superbpe" };
    char *digits = malloc(N);
    memset(digits, '7', N);
    for (int i = 0; i < 9; i++) {
        const chord_pre *p = chord_pre_find(names[i / 3], strlen(names[i / 3]));
        chord_pre_walk walk;
        size_t begin, end, n_words = 0, n = N + (size_t)(i % 3);
        int64_t left = INT64_MAX;
        n -= 3;
        chord_pre_begin(&walk, 0, n);
        for (; chord_pre_next(&walk, p, (const uint8_t *)digits, &begin, &end, &left) == CHORD_PRE_WORD;
             n_words++)
            CHECK_EQ(end - begin, begin == 0 && i % 3 ? i % 3 : 3);
        CHECK_EQ(n_words, n / 3 + (i % 3 != 0));
    }
    free(digits);
}

TEST(afmoe_joins_the_first_digits_to_the_text_before_them_and_superbpe_the_last_to_the_text_behind)
{
    CHECK_SAYS(cut("superbpe", "12345\xC2\xBD"
                               "1"),
               "12|345\xC2\xBD"
               "1");
    CHECK_SAYS(cut("superbpe", "12\xC2\xBD"
                               "123456"),
               "12\xC2\xBD|123|456");
    CHECK_SAYS(cut("tiny_aya", "a 1234"), "a| |1|234");
    CHECK_SAYS(cut("afmoe", "\xC2\xBD\x01"
                            "12 12345"),
               "\xC2\xBD|\x01"
               "12| |12|345");
}

TEST(exaone_moe_joins_words_by_single_blanks)
{
    CHECK_SAYS(cut("exaone-moe", "two words  more"), "two words| | more");
}
