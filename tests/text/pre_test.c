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

TEST(gpt2_takes_the_blank_before_a_word_into_it)
{
    CHECK_SAYS(cut("gpt-2", "Hello  big world"), "Hello| | big| world");
    CHECK_SAYS(cut("gpt-2", "a 12 b!? c"), "a| 12| b|!?| c");
}

TEST(gpt2_cuts_contractions_in_lower_case_only)
{
    CHECK_SAYS(cut("gpt-2", "we've it's I'll he'd can't I'm you're"), "we|'ve| it|'s| I|'ll| he|'d| can|'t| I|'m| you|'re");
    CHECK_SAYS(cut("gpt-2", "IT'S 'x 'l"), "IT|'|S| '|x| '|l");
}

TEST(llama3_and_qwen2_cut_contractions_in_either_case)
{
    CHECK_SAYS(cut("llama-bpe", "IT'S We'Ve they'Ll"), "IT|'S| We|'Ve| they|'Ll");
    CHECK_SAYS(cut("llama-bpe", "IT'Sure x'Rex"), "IT|'S|ure| x|'Re|x");
    CHECK_SAYS(cut("qwen2", "IT'S x'Re"), "IT|'S| x|'Re");
    CHECK_SAYS(cut("llama-bpe", "x'\xC5\xBF"), "x|'\xC5\xBF"); /* long s folds to s in Unicode, not here */
}

TEST(white_space_before_a_word_leaves_its_last_blank_to_it)
{
    CHECK_SAYS(cut("gpt-2", "a    b"), "a|   | b");
    CHECK_SAYS(cut("gpt-2", "a \t\tb"), "a| \t|\t|b");
    CHECK_SAYS(cut("gpt-2", "a    "), "a|    "); /* \s+(?!\S) at the end takes all */
    CHECK_SAYS(cut("qwen2", "a    b"), "a|   | b");
}

TEST(llama3_ends_white_space_after_its_last_newline)
{
    CHECK_SAYS(cut("llama-bpe", "a \n  \n  b"), "a| \n  \n| | b");
    CHECK_SAYS(cut("llama-bpe", "a!\n\nb"), "a|!\n\n|b");
    CHECK_SAYS(cut("llama-bpe", "a  \r\nb"), "a|  \r\n|b");
    CHECK_SAYS(cut("gpt-2", "a \n  b"), "a| \n | b");
}

TEST(llama3_takes_one_sign_before_a_word_into_it)
{
    CHECK_SAYS(cut("llama-bpe", "(word) #tag\tx $1"), "(word|)| #|tag|\tx| $|1");
    CHECK_SAYS(cut("llama-bpe", "--word"), "--|word"); /* a run of signs comes first where two stand */
}

TEST(digits_come_in_ones_in_threes_or_all_together)
{
    CHECK_SAYS(cut("smollm", "x 12345 y"), "x| |1|2|3|4|5| y");
    CHECK_SAYS(cut("qwen2", "x 12345"), "x| |1|2|3|4|5");
    CHECK_SAYS(cut("llama-bpe", "x 12345"), "x| |123|45");
    CHECK_SAYS(cut("gpt-2", "x 12345"), "x| 12345");
    CHECK_SAYS(cut("smollm", "\xD9\xA1\xD9\xA2\xC2\xBD"), "\xD9\xA1|\xD9\xA2|\xC2\xBD"); /* Arabic digits, one half */
}

TEST(classes_reach_past_ascii)
{
    CHECK_SAYS(cut("gpt-2", "\xC3\xA9t\xC3\xA9 \xD0\xBC\xD0\xB8\xD1\x80 \xE6\x9D\xB1\xE4\xBA\xAC\xE3\x80\x82"),
               "\xC3\xA9t\xC3\xA9| \xD0\xBC\xD0\xB8\xD1\x80| \xE6\x9D\xB1\xE4\xBA\xAC|\xE3\x80\x82");
    CHECK_SAYS(cut("gpt-2", "a\xC2\xA0\xE3\x80\x80" "b"), "a|\xC2\xA0|\xE3\x80\x80|b"); /* no-break and ideographic space */
    CHECK_SAYS(cut("gpt-2", "e\xCC\x81g"), "e|\xCC\x81|g");                          /* a combining accent is no letter */
    CHECK_SAYS(cut("qwen35", "e\xCC\x81g"), "e\xCC\x81g");                           /* but here it is */
}

TEST(invalid_bytes_are_signs)
{
    CHECK_SAYS(cut("gpt-2", "a\xFF\x80 b"), "a|\xFF\x80| b");
    CHECK_SAYS(cut("llama-bpe", "\xE2\x28\xA1"), "\xE2(\xA1");
}

TEST(a_piece_ends_where_its_stage_ended_it)
{
    /* the digit ends the piece, so that (?!\S) doesn't see it and both blanks stay together */
    CHECK_SAYS(cut("smollm", "a  1"), "a|  |1");
    CHECK_SAYS(cut("gpt-2", "a  1"), "a| | 1");
}

TEST(words_cover_any_bytes_without_gaps)
{
    for (int round = 0; round < 2000; round++) {
        uint8_t text[64];
        size_t const n = 1 + test_random() % 64;
        for (size_t i = 0; i < n; i++) text[i] = (uint8_t)(test_random() % 3 ? " \n\ra1'\xC3\xA9s."[test_random() % 10] : (char)test_random());
        for (int32_t p = 0; p < chord_n_pre_table; p++) {
            size_t at = 0, begin, end;
            int64_t left = 1;
            chord_pre_walk walk;
            chord_pre_begin(&walk, 0, n);
            for (int32_t found; (found = chord_pre_next(&walk, &chord_pre_table[p], text, &begin, &end, &left)) != CHORD_PRE_OVER; left = 1) {
                if (found == CHORD_PRE_MORE) continue;
                CHECK(begin == at && end > begin);
                at = end;
            }
            CHECK_EQ(at, n);
        }
    }
}

TEST(stepping_back_undoes_decoding)
{
    for (int round = 0; round < 20000; round++) {
        uint8_t text[16];
        for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(test_random() % 4 ? "\x80\xBF\xC3\xE2\xED\xF0\xF4" "a"[test_random() % 8] : (char)test_random());
        for (const uint8_t *p = text; p < text + sizeof text;) {
            uint32_t code_point;
            uint32_t const n = chord_utf8_decode(p, text + sizeof text, &code_point);
            p += n;
            CHECK_EQ(chord_utf8_back(text, p), n);
        }
    }
}

TEST(unicode_ranges_ascend_and_agree_with_the_ascii_shortcut)
{
    for (int32_t i = 1; i < chord_n_unicode_ranges; i++)
        CHECK((chord_unicode_ranges[i - 1] & 0x1FFFFF) < (chord_unicode_ranges[i] & 0x1FFFFF));
    for (uint32_t c = 0; c < 128; c++) {
        uint32_t in_table = 0;
        for (int32_t i = 0; i < chord_n_unicode_ranges && (chord_unicode_ranges[i] & 0x1FFFFF) <= c; i++) in_table = chord_unicode_ranges[i] >> 21;
        CHECK_EQ(chord_unicode_class(c) & 63, in_table);
    }
    CHECK_EQ(chord_unicode_class(0x110000), CHORD_CLASS_OTHER);
    CHECK_EQ(chord_unicode_class(0x1F600), CHORD_CLASS_S);
    CHECK_EQ(chord_unicode_class(0x378), CHORD_CLASS_OTHER); /* unassigned */
}
