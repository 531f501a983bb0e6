/* pre_form_test.c: patterns of llama.cpp that aren't built in yet can be written as nodes: groups,
 * lookahead, categories, Han, kana and literal sets.
 *
 * The expected splits are those of Python's `regex` (2026.11.19). Each stage works on the pieces of the
 * stage before. The text between two matches is a piece of its own, and empty matches are left out:
 *
 *   for m in regex.finditer(pattern, piece, flags=regex.V1): ... */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/text/pre_words.h"
#include "tiny.h"

static const char *cut(const chord_pre *p, const char *text)
{
    static char words[1024];
    chord_pre_walk walk;
    size_t begin, end, at = 0;
    int64_t left = 1; /* one step per call: the walk pauses wherever it can */
    chord_pre_begin(&walk, 0, strlen(text));
    for (int32_t found;
         (found = chord_pre_next(&walk, p, (const uint8_t *)text, &begin, &end, &left)) != CHORD_PRE_OVER;
         left = 1) {
        if (found == CHORD_PRE_MORE) continue;
        if (at) words[at++] = '|';
        memcpy(words + at, text + begin, end - begin);
        at += end - begin;
    }
    words[at] = 0;
    return words;
}
#define CHECK_CASES(pre, cases)                                     \
    for (size_t i_ = 0; i_ < sizeof(cases) / sizeof *(cases); i_++) \
    CHECK_SAYS(cut(&(pre), (cases)[i_][0]), (cases)[i_][1])
#define PATTERN(stages) { "test", stages, (int32_t)(sizeof(stages) / sizeof *(stages)), 0 }

#define UPPER (CHORD_IN(CHORD_LU) | CHORD_IN(CHORD_LT) | CHORD_IN(CHORD_LM) | CHORD_IN(CHORD_LO) | CHORD_IN_M)
#define LOWER (CHORD_IN(CHORD_LL) | CHORD_IN(CHORD_LM) | CHORD_IN(CHORD_LO) | CHORD_IN_M)
#define WORD_CHARACTER (CHORD_IN_L | CHORD_IN_M | CHORD_IN_N | CHORD_IN(CHORD_PC))

static const chord_pre_range blank_ranges[] = { { ' ', ' ' } },
                             newline_ranges[] = { { '\n', '\n' }, { '\r', '\r' } };
static const chord_pre_range newline_slash_ranges[] = { { '\n', '\n' }, { '\r', '\r' }, { '/', '/' } };
static const chord_pre_range cjk_ranges[] = { { 0x3040, 0x309F }, { 0x30A0, 0x30FF }, { 0x4E00, 0x9FA5 } };
static const chord_pre_range punctuation_ranges[] = {
    { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' }
};
static const chord_pre_range latin_ranges[] = { { 'A', 'Z' }, { 'a', 'z' } };
static const chord_pre_range sdmt_ranges[] = { { 'D', 'D' }, { 'M', 'M' }, { 'S', 'T' },
                                               { 'd', 'd' }, { 'm', 'm' }, { 's', 't' } };
static const chord_pre_range han_ranges[] = {
    { 0x3005, 0x3005 }, { 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF }, { 0xF900, 0xFAD9 }
};
static const chord_pre_set blanks = CHORD_PRE_SET(blank_ranges), newlines = CHORD_PRE_SET(newline_ranges),
                           newline_slash = CHORD_PRE_SET(newline_slash_ranges),
                           cjk = CHORD_PRE_SET(cjk_ranges), punctuation = CHORD_PRE_SET(punctuation_ranges),
                           latin = CHORD_PRE_SET(latin_ranges), sdmt = CHORD_PRE_SET(sdmt_ranges),
                           han = CHORD_PRE_SET(han_ranges);

/* the first row: classes of several patterns */
enum {
    A_LETTER,
    A_NUMBER,
    A_BLANK,
    A_NEWLINE,
    A_WHITE,
    NO_WHITE,
    A_SIGN,
    BEFORE_WORD,
    A_DIGIT,
    IN_WORD,
    AN_UPPER,
    A_LOWER,
    NEWLINE_SLASH,
    CJK,
    PUNCTUATION,
    LATIN,
    BEFORE_MARKED,
    LETTER_MARK,
    SIGNS,
    SDMT,
    HAN,
    UPPER_NOT_HAN,
    LOWER_NOT_HAN
};
static const chord_pre_class of[] = {
    [A_LETTER] = { .any = CHORD_IN_L },
    [A_NUMBER] = { .any = CHORD_IN_N },
    [A_BLANK] = { .also = &blanks },
    [A_NEWLINE] = { .also = &newlines },
    [A_WHITE] = { .any = CHORD_IN_WHITE },
    [NO_WHITE] = { .any = CHORD_IN_ANY, .none = CHORD_IN_WHITE },
    [A_SIGN] = { .any = CHORD_IN_ANY, .none = CHORD_IN_WHITE | CHORD_IN_L | CHORD_IN_N },
    [BEFORE_WORD] = { .any = CHORD_IN_ANY, .none = CHORD_IN_L | CHORD_IN_N, .but = &newlines },
    [A_DIGIT] = { .any = CHORD_IN(CHORD_ND) },
    [IN_WORD] = { .any = WORD_CHARACTER },
    [AN_UPPER] = { .any = UPPER },
    [A_LOWER] = { .any = LOWER },
    [NEWLINE_SLASH] = { .also = &newline_slash },
    [CJK] = { .also = &cjk },
    [PUNCTUATION] = { .also = &punctuation },
    [LATIN] = { .also = &latin },
    [BEFORE_MARKED] = { .any = CHORD_IN_ANY, .none = CHORD_IN_L | CHORD_IN_P | CHORD_IN_S, .but = &newlines },
    [LETTER_MARK] = { .any = CHORD_IN_L | CHORD_IN_M },
    [SIGNS] = { .any = CHORD_IN_P | CHORD_IN_S },
    [SDMT] = { .also = &sdmt },
    [HAN] = { .also = &han },
    [UPPER_NOT_HAN] = { .any = UPPER, .but = &han },
    [LOWER_NOT_HAN] = { .any = LOWER, .but = &han },
};

#define SPACES \
    RUN(A_WHITE), SOME(A_NEWLINE), OR, SOME(A_WHITE), NOT_AHEAD, ONE(NO_WHITE), CLOSE, OR, SOME(A_WHITE), END
#define CASED(upper, lower)                                                                    \
    MAYBE(BEFORE_WORD), RUN(upper), SOME(lower), MAYBE_GROUP, CONTRACTIONS(FOLDED), CLOSE, OR, \
        MAYBE(BEFORE_WORD), SOME(upper), RUN(lower), MAYBE_GROUP, CONTRACTIONS(FOLDED), CLOSE, OR

/* [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
 * |[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
 * |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static const chord_pre_node gpt4o[] = {
    CASED(AN_UPPER, A_LOWER),
    TIMES(A_NUMBER, 1, 3),
    OR,
    MAYBE(A_BLANK),
    SOME(A_SIGN),
    RUN(NEWLINE_SLASH),
    OR,
    SPACES,
};
/* as gpt4o, with \p{Han}+ first, &&[^\p{Han}] in both sets, and without / */
static const chord_pre_node kimi[] = {
    SOME(HAN),
    OR,
    CASED(UPPER_NOT_HAN, LOWER_NOT_HAN),
    TIMES(A_NUMBER, 1, 3),
    OR,
    MAYBE(A_BLANK),
    SOME(A_SIGN),
    RUN(A_NEWLINE),
    OR,
    SPACES,
};
/* \p{N}{1,3}, then [一-龥぀-ゟ゠-ヿ]+, then
 * [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
 * | ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static const chord_pre_node deepseek3_numbers[] = { TIMES(A_NUMBER, 1, 3), END },
                            deepseek3_cjk[] = { SOME(CJK), END };
static const chord_pre_node deepseek3[] = {
    ONE(PUNCTUATION),
    SOME(LATIN),
    OR,
    MAYBE(BEFORE_MARKED),
    SOME(LETTER_MARK),
    OR,
    MAYBE(A_BLANK),
    SOME(SIGNS),
    RUN(A_NEWLINE),
    OR,
    SPACES,
};
/* \d{1,3}(?=(?:\d{3})*(?!\w)) */
static const chord_pre_node tiny_aya_digits[] = {
    TIMES(A_DIGIT, 1, 3),
    AHEAD,
    GROUP_TIMES(0, CHORD_PRE_MANY),
    TIMES(A_DIGIT, 3, 3),
    CLOSE,
    NOT_AHEAD,
    ONE(IN_WORD),
    CLOSE,
    CLOSE,
    END,
};
/* '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+ */
static const chord_pre_node bailing[] = {
    IS('\''),
    GROUP,
    ONE(SDMT),
    OR,
    FOLDED('l'),
    FOLDED('l'),
    OR,
    FOLDED('v'),
    FOLDED('e'),
    OR,
    FOLDED('r'),
    FOLDED('e'),
    CLOSE,
    OR,
    MAYBE(BEFORE_WORD),
    SOME(A_LETTER),
    OR,
    ONE(A_NUMBER),
    OR,
    MAYBE(A_BLANK),
    SOME(A_SIGN),
    RUN(A_NEWLINE),
    OR,
    RUN(A_WHITE),
    ONE(A_NEWLINE),
    OR,
    SOME(A_WHITE),
    NOT_AHEAD,
    ONE(NO_WHITE),
    CLOSE,
    OR,
    SOME(A_WHITE),
    END,
};

static const char *const gpt4o_cases[][2] = {
    { "HelloWorld isn't HTMLParser's", "Hello|World| isn't| HTMLParser's" },
    { "\xC7\x85ungla \xCE\x94\xCE\xB5\xCE\xBB\xCF\x84\xCE\xB1 \xCA\xB0"
      "a",
      "\xC7\x85ungla| \xCE\x94\xCE\xB5\xCE\xBB\xCF\x84\xCE\xB1| \xCA\xB0"
      "a" },
    { "e\xCC\x81te\xCC\x81 E\xCC\x81TE\xCC\x81", "e\xCC\x81te\xCC\x81| E\xCC\x81TE\xCC\x81" },
    { "\xE6\x9D\xB1\xE4\xBA\xAC\xE3\x81\xAB\xE8\xA1\x8C\xE3\x81\x8F 12345 a/b//\n\n c",
      "\xE6\x9D\xB1\xE4\xBA\xAC\xE3\x81\xAB\xE8\xA1\x8C\xE3\x81\x8F| |123|45| a|/b|//\n\n| c" },
    { "  x\t\tY  \n z", " | x|\t|\tY|  \n| z" },
    { "'S it'LL WE'VE", "'S| it'LL| WE'VE" },
    { "\xE0\xA4\x95\xE0\xA5\x8D\xE0\xA4\xB7 \xE1\xBA\x9E\xC3\x9F",
      "\xE0\xA4\x95\xE0\xA5\x8D\xE0\xA4\xB7| \xE1\xBA\x9E\xC3\x9F" },
};
static const char *const deepseek3_cases[][2] = {
    { "abc\xE6\x9D\xB1\xE4\xBA\xAC\xE3\x82\xAB\xE3\x82\xBF\xE3\x82\xAB\xE3\x83\x8A\xE3\x81\xB2\xE3\x82\x89x",
      "abc|\xE6\x9D\xB1\xE4\xBA\xAC\xE3\x82\xAB\xE3\x82\xBF\xE3\x82\xAB\xE3\x83\x8A\xE3\x81\xB2\xE3\x82\x89|x" },
    { "12345 f(x)=y;\n\n  z", "123|45| f|(x|)=|y|;\n\n| | z" },
    { "(abc .def!!ghi", "(abc| .|def|!!|ghi" },
    { "a \n  \n b  ", "a| \n  \n| b|  " },
    { "\xC3\xA9\xCC\x81 \xE2\x80\x94\xE2\x82\xAC\xE2\x80\x94x",
      "\xC3\xA9\xCC\x81| \xE2\x80\x94\xE2\x82\xAC\xE2\x80\x94|x" },
    { "x\xE3\x81\x81\xE9\xBE\xA6\xE4\xB8\x80 1\xC2\xBD"
      "2",
      "x|\xE3\x81\x81|\xE9\xBE\xA6|\xE4\xB8\x80| |1\xC2\xBD"
      "2" },
};
static const char *const tiny_aya_digits_cases[][2] = {
    { "1234567", "1|234|567" },
    { "12 1234 123456 x1234", "12| |1|234| |123|456| x|1|234" },
    { "1234x", "1234x" },
    { "12345.6789", "12|345|.|6|789" },
};
static const char *const bailing_cases[][2] = {
    { "it's we'LL I'x 'dog \n\n a", "it|'s| we|'LL| I|'x| '|dog| \n\n| a" },
    { "12 ab!\n\nc", "1|2| ab|!\n\n|c" },
};
static const char *const kimi_cases[][2] = {
    { "abc\xE6\x9D\xB1\xE4\xBA\xAC"
      "Def \xE3\x81\x82\xE6\x9D\xB1",
      "abc|\xE6\x9D\xB1\xE4\xBA\xAC|Def| \xE3\x81\x82|\xE6\x9D\xB1" },
    { "HTMLParser's \xE6\x9D\xB1's 1234", "HTMLParser's| |\xE6\x9D\xB1|'s| |123|4" },
};

static const chord_pre_stage gpt4o_stages[] = { { gpt4o, of } }, kimi_stages[] = { { kimi, of } },
                             deepseek3_stages[] = { { deepseek3_numbers, of },
                                                    { deepseek3_cjk, of },
                                                    { deepseek3, of } },
                             digit_stages[] = { { tiny_aya_digits, of } },
                             bailing_stages[] = { { bailing, of } };

TEST(gpt4o_words_begin_with_upper_case_and_end_with_lower_case_and_a_contraction)
{
    chord_pre const pre = PATTERN(gpt4o_stages);
    CHECK_CASES(pre, gpt4o_cases);
}
TEST(deepseek3_cuts_numbers_then_chinese_and_kana_then_words)
{
    chord_pre const pre = PATTERN(deepseek3_stages);
    CHECK_CASES(pre, deepseek3_cases);
}
TEST(kimi_excludes_han_from_the_classes_of_words)
{
    chord_pre const pre = PATTERN(kimi_stages);
    CHECK_CASES(pre, kimi_cases);
}
TEST(tiny_aya_groups_digits_from_the_right_by_looking_ahead)
{
    chord_pre const pre = PATTERN(digit_stages);
    CHECK_CASES(pre, tiny_aya_digits_cases);
}
TEST(a_group_in_the_middle_tries_each_alternative_with_the_nodes_behind_it)
{
    chord_pre const pre = PATTERN(bailing_stages);
    CHECK_CASES(pre, bailing_cases);
    /* (?:a|ab)c matches abc by its second alternative, although the first one matches a */
    static const chord_pre_node either[] = { GROUP, IS('a'), OR, IS('a'), IS('b'), CLOSE, IS('c'), END };
    static const chord_pre_node nested[] = { GROUP, MAYBE_GROUP, IS('x'), OR,      IS('y'), CLOSE,   IS('a'),
                                             OR,    IS('b'),     CLOSE,   IS('c'), OR,      IS('d'), END };
    static const chord_pre_stage either_stages[] = { { either, of } }, nested_stages[] = { { nested, of } };
    chord_pre const of_either = PATTERN(either_stages), of_nested = PATTERN(nested_stages);
    CHECK_SAYS(cut(&of_either, "abcac-abacb"), "abc|ac|-ab|ac|b");
    CHECK_SAYS(cut(&of_nested, "xacyacacbcdxc"), "xac|yac|ac|bc|d|xc");
}
TEST(no_built_in_pattern_has_more_stages_than_a_walk)
{
    for (int32_t i = 0; i < chord_n_pre_table; i++)
        CHECK(chord_pre_table[i].n_stages >= 1 && chord_pre_table[i].n_stages <= CHORD_PRE_STAGES);
}
