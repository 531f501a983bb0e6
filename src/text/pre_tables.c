/* pre_tables.c: the pre-tokenizers as data. The comment above an array of nodes is its regular expression.
 * The values of tokenizer.ggml.pre map to patterns as in llama.cpp's vocabulary loader: all 91 of version
 * 0.3.36 of llama-cpp-python. llama.cpp matches \p{Lu}, \p{Ll} and so on as \p{L}; so do these patterns. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "pre_words.h"

static const chord_pre_range blank[] = { { ' ', ' ' } }, newline[] = { { '\n', '\n' }, { '\r', '\r' } };
static const chord_pre_set blank_set = CHORD_PRE_SET(blank), newline_set = CHORD_PRE_SET(newline);

/* [A-Za-z] and so on: cased letters, as deepseek-llm lists them */
static const chord_pre_range cased[] = {
    { 0x41, 0x5a }, { 0x61, 0x7a }, { 0xb5, 0xb5 }, { 0xc0, 0xd6 }, { 0xd8, 0xf6 }, { 0xf8, 0x1ba },
    { 0x1bc, 0x1bf }, { 0x1c4, 0x293 }, { 0x295, 0x2af }, { 0x370, 0x373 }, { 0x376, 0x377 },
    { 0x37b, 0x37d }, { 0x37f, 0x37f }, { 0x386, 0x386 }, { 0x388, 0x38a }, { 0x38c, 0x38c },
    { 0x38e, 0x3a1 }, { 0x3a3, 0x3f5 }, { 0x3f7, 0x481 }, { 0x48a, 0x52f }, { 0x531, 0x556 },
    { 0x10a0, 0x10c5 }, { 0x13a0, 0x13f5 }, { 0x13f8, 0x13fd }, { 0x1c90, 0x1cba }, { 0x1cbd, 0x1cbf },
    { 0x1d00, 0x1d2b }, { 0x1d6b, 0x1d77 }, { 0x1d79, 0x1d9a }, { 0x1e00, 0x1f15 }, { 0x1f18, 0x1f1d },
    { 0x1f20, 0x1f45 }, { 0x1f48, 0x1f4d }, { 0x1f50, 0x1f57 }, { 0x1f59, 0x1f59 }, { 0x1f5b, 0x1f5b },
    { 0x1f5d, 0x1f5d }, { 0x1f5f, 0x1f7d }, { 0x1f80, 0x1fb4 }, { 0x1fb6, 0x1fbc }, { 0x1fbe, 0x1fbe },
    { 0x1fc2, 0x1fc4 }, { 0x1fc6, 0x1fcc }, { 0x1fd0, 0x1fd3 }, { 0x1fd6, 0x1fdb }, { 0x1fe0, 0x1fec },
    { 0x1ff2, 0x1ff4 }, { 0x1ff6, 0x1ffc }, { 0x2102, 0x2102 }, { 0x2107, 0x2107 }, { 0x210a, 0x2113 },
    { 0x2115, 0x2115 }, { 0x2119, 0x211d }, { 0x2124, 0x2124 }, { 0x2126, 0x2126 }, { 0x2128, 0x2128 },
    { 0x212a, 0x212d }, { 0x212f, 0x2134 }, { 0x2139, 0x2139 }, { 0x213c, 0x213f }, { 0x2145, 0x2149 },
    { 0x214e, 0x214e }, { 0x2183, 0x2184 }, { 0x2c00, 0x2c7b }, { 0x2c7e, 0x2ce4 }, { 0x2ceb, 0x2cee },
    { 0x2cf2, 0x2cf3 }, { 0xa640, 0xa66d }, { 0xa680, 0xa69b }, { 0xa722, 0xa76f }, { 0xa771, 0xa787 },
    { 0xa78b, 0xa78e }, { 0xab70, 0xabbf }, { 0xfb00, 0xfb06 }, { 0xfb13, 0xfb17 }, { 0xff21, 0xff3a },
    { 0xff41, 0xff5a }, { 0x10400, 0x1044f }, { 0x104b0, 0x104d3 }, { 0x104d8, 0x104fb },
    { 0x10c80, 0x10cb2 }, { 0x10cc0, 0x10cf2 }, { 0x118a0, 0x118df }, { 0x1e900, 0x1e943 },
};
/* ASCII and full-width punctuation, as deepseek-llm lists it */
static const chord_pre_range marks[] = {
    { 0x21, 0x2f }, { 0x3a, 0x7e }, { 0x2018, 0x201f }, { 0x3000, 0x3002 }, { 0xff01, 0xff0f },
    { 0xff1a, 0xff5e },
};
static const chord_pre_range han_kana[] = { { 0x3040, 0x30ff }, { 0x4e00, 0x9fa5 } },
                             asian[] = { { 0x800, 0x9fa5 }, { 0xac00, 0xd7ff } },
                             ascii_letters[] = { { 'A', 'Z' }, { 'a', 'z' } },
                             ascii_marks[] = { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } },
                             capitals[] = { { 'A', 'Z' } }, smalls[] = { { 'a', 'z' } },
                             newline_slash[] = { { '\n', '\n' }, { '\r', '\r' }, { '/', '/' } },
                             falcon_signs[] = { { '$', '$' }, { '+', '+' }, { '<', '>' }, { '^', '^' },
                                                { '`', '`' }, { '|', '|' }, { '~', '~' } },
                             default_signs[] = { { '$', '$' }, { '+', '+' }, { '<', '>' }, { '^', '^' },
                                                 { '|', '|' }, { '~', '~' } },
                             digits[] = { { '0', '9' } }, line_feed[] = { { '\n', '\n' } },
                             tab_line_feed[] = { { '\t', '\n' } }, letters_a_to_i[] = { { 'A', 'I' } },
                             /* (|.,!?…。，、।۔،) */
                             stops[] = { { '!', '!' }, { '(', ')' }, { ',', ',' }, { '.', '.' }, { '?', '?' },
                                         { '|', '|' }, { 0x60c, 0x60c }, { 0x6d4, 0x6d4 },
                                         { 0x964, 0x964 }, { 0x2026, 0x2026 }, { 0x3001, 0x3002 },
                                         { 0xff0c, 0xff0c } },
                             /* Han as llama.cpp lists it for Kimi K2 */
                             han[] = { { 0x3400, 0x4dbf }, { 0x4e00, 0x9fff }, { 0xf900, 0xfaff },
                                       { 0x20000, 0x2a6df }, { 0x2a700, 0x2b81f }, { 0x2b820, 0x2ebef },
                                       { 0x2f800, 0x2fa1f } },
                             hangul[] = { { 0x3131, 0x318e }, { 0xac00, 0xd7a3 } },
                             bopomofo[] = { { 0x3105, 0x312f } },
                             /* ！…“”‘’—：；，、-〿︰-﹏ */
                             cjk_marks[] = { { 0x2014, 0x2014 }, { 0x2018, 0x2019 }, { 0x201c, 0x201d },
                                             { 0x2026, 0x2026 }, { 0x3001, 0x303f }, { 0xfe30, 0xfe4f },
                                             { 0xff01, 0xff01 }, { 0xff0c, 0xff0c }, { 0xff1a, 0xff1b } },
                             /* scripts without blanks, as afmoe lists them */
                             asian_scripts[] = { { 0xe40, 0xeff }, { 0x1000, 0x109f }, { 0x1100, 0x11ff },
                                                 { 0x1780, 0x17ff }, { 0x2f00, 0x2fdf },
                                                 { 0x3040, 0x30ff }, { 0x3400, 0x4dbf },
                                                 { 0x4e00, 0x9fff }, { 0xa9e0, 0xa9ff },
                                                 { 0xaa60, 0xaa7f }, { 0xac00, 0xd7af },
                                                 { 0xf900, 0xfaff }, { 0xff65, 0xff9f } };
static const chord_pre_set cased_set = CHORD_PRE_SET(cased), marks_set = CHORD_PRE_SET(marks),
                           han_kana_set = CHORD_PRE_SET(han_kana), asian_set = CHORD_PRE_SET(asian),
                           ascii_letter_set = CHORD_PRE_SET(ascii_letters),
                           ascii_mark_set = CHORD_PRE_SET(ascii_marks), capital_set = CHORD_PRE_SET(capitals),
                           small_set = CHORD_PRE_SET(smalls),
                           newline_slash_set = CHORD_PRE_SET(newline_slash),
                           falcon_sign_set = CHORD_PRE_SET(falcon_signs), digit_set = CHORD_PRE_SET(digits),
                           line_feed_set = CHORD_PRE_SET(line_feed),
                           default_sign_set = CHORD_PRE_SET(default_signs),
                           tab_line_feed_set = CHORD_PRE_SET(tab_line_feed),
                           a_to_i_set = CHORD_PRE_SET(letters_a_to_i), stop_set = CHORD_PRE_SET(stops),
                           han_set = CHORD_PRE_SET(han), hangul_set = CHORD_PRE_SET(hangul),
                           bopomofo_set = CHORD_PRE_SET(bopomofo), cjk_mark_set = CHORD_PRE_SET(cjk_marks),
                           asian_script_set = CHORD_PRE_SET(asian_scripts);

enum {
    LETTER, NUMBER, WHITE, NOT_WHITE, BLANK, NEWLINE, SIGN, BEFORE_LETTER, LETTER_OR_MARK, SIGN_NOT_MARK,
    CASED, MARK, HAN_KANA, ASIAN, ASCII_LETTER, ASCII_MARK, NOT_SMALL, NOT_CAPITAL, NEWLINE_SLASH,
    PUNCTUATION, FALCON_SIGN, DIGIT, LINE_FEED, NOT_LINE_FEED, P_OR_S, BEFORE_WORD, SIGN_NOT_NEWLINE, ANY,
    DEFAULT_SIGN, NOT_NUMBER, NOT_DIGIT, TAB_LINE_FEED, A_TO_I, NOT_STOP, HAN, LETTER_NOT_HAN, HANGUL,
    BOPOMOFO, CJK_MARK, ASIAN_SCRIPT, CHAMELEON_SIGN, MARKED_NOT_SMALL, MARKED_NOT_CAPITAL
};
static const chord_pre_class classes[] = {
    [LETTER] = { .any = CHORD_IN_L },
    [NUMBER] = { .any = CHORD_IN_N },
    [WHITE] = { .any = CHORD_IN_WHITE },
    [NOT_WHITE] = { .any = CHORD_IN_ANY, .none = CHORD_IN_WHITE },
    [BLANK] = { .also = &blank_set },
    [NEWLINE] = { .also = &newline_set },
    /* [^\s\p{L}\p{N}] */
    [SIGN] = { .any = CHORD_IN_ANY, .none = CHORD_IN_WHITE | CHORD_IN_L | CHORD_IN_N },
    /* [^\r\n\p{L}\p{N}] */
    [BEFORE_LETTER] = { .any = CHORD_IN_ANY, .none = CHORD_IN_L | CHORD_IN_N, .but = &newline_set },
    [LETTER_OR_MARK] = { .any = CHORD_IN_L | CHORD_IN_M },
    [SIGN_NOT_MARK] = { .any = CHORD_IN_ANY, .none = CHORD_IN_WHITE | CHORD_IN_L | CHORD_IN_N | CHORD_IN_M },
    [CASED] = { .also = &cased_set },
    /* llama.cpp takes white space outside ASCII out of sets of ranges */
    [MARK] = { .none = CHORD_IN_WHITE, .also = &marks_set },
    [HAN_KANA] = { .also = &han_kana_set },
    [ASIAN] = { .none = CHORD_IN_WHITE, .also = &asian_set },
    [ASCII_LETTER] = { .also = &ascii_letter_set },
    [ASCII_MARK] = { .also = &ascii_mark_set },
    /* (?=[\p{L}])([^a-z]) and (?=[\p{L}])([^A-Z]): letters of other scripts are in both */
    [NOT_SMALL] = { .any = CHORD_IN_L, .but = &small_set },
    [NOT_CAPITAL] = { .any = CHORD_IN_L, .but = &capital_set },
    [NEWLINE_SLASH] = { .also = &newline_slash_set },
    [PUNCTUATION] = { .any = CHORD_IN_P },
    [FALCON_SIGN] = { .any = CHORD_IN_P, .also = &falcon_sign_set },
    [DIGIT] = { .also = &digit_set },
    [LINE_FEED] = { .also = &line_feed_set },
    [NOT_LINE_FEED] = { .any = CHORD_IN_ANY, .but = &line_feed_set },
    [P_OR_S] = { .any = CHORD_IN_P | CHORD_IN_S },
    /* [^\r\n\p{L}\p{P}\p{S}] */
    [BEFORE_WORD] = { .any = CHORD_IN_ANY,
                      .none = CHORD_IN_L | CHORD_IN_P | CHORD_IN_S,
                      .but = &newline_set },
    [SIGN_NOT_NEWLINE] = { .any = CHORD_IN_ANY,
                           .none = CHORD_IN_WHITE | CHORD_IN_L | CHORD_IN_N,
                           .but = &newline_set },
    [ANY] = { .any = CHORD_IN_ANY },
    [DEFAULT_SIGN] = { .any = CHORD_IN_P, .also = &default_sign_set },
    [NOT_NUMBER] = { .any = CHORD_IN_ANY, .none = CHORD_IN_N },
    [NOT_DIGIT] = { .any = CHORD_IN_ANY, .but = &digit_set },
    [TAB_LINE_FEED] = { .also = &tab_line_feed_set },
    [A_TO_I] = { .also = &a_to_i_set },
    [NOT_STOP] = { .any = CHORD_IN_ANY, .none = CHORD_IN_WHITE, .but = &stop_set },
    [HAN] = { .also = &han_set },
    [LETTER_NOT_HAN] = { .any = CHORD_IN_L, .but = &han_set },
    [HANGUL] = { .also = &hangul_set },
    [BOPOMOFO] = { .also = &bopomofo_set },
    [CJK_MARK] = { .also = &cjk_mark_set },
    [ASIAN_SCRIPT] = { .also = &asian_script_set },
    [CHAMELEON_SIGN] = { .any = CHORD_IN_P, .also = &ascii_mark_set },
    [MARKED_NOT_SMALL] = { .any = CHORD_IN_L | CHORD_IN_M, .but = &small_set },
    [MARKED_NOT_CAPITAL] = { .any = CHORD_IN_L | CHORD_IN_M, .but = &capital_set },
};

/* \s+(?!\S)|\s+ and \s*[\r\n]+|\s+(?!\S)|\s+: what most patterns end with */
#define WHITE_WORDS SOME(WHITE), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, OR, SOME(WHITE), END
#define SPACES RUN(WHITE), SOME(NEWLINE), OR, WHITE_WORDS

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static const chord_pre_node gpt2[] = {
    CONTRACTIONS(IS), OR,
    MAYBE(BLANK), SOME(LETTER), OR,
    MAYBE(BLANK), SOME(NUMBER), OR,
    MAYBE(BLANK), SOME(SIGN), OR,
    WHITE_WORDS,
};
/* \p{N} */
static const chord_pre_node one_digit[] = { ONE(NUMBER), END };
/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+
 * |\s+(?!\S)|\s+
 * (?i:) folds ASCII only, as in llama.cpp. qwen2 has \p{N} in place of \p{N}{1,3}. */
#define LLAMA3(digits, letter, sign)                                                                \
    CONTRACTIONS(FOLDED), OR,                                                                       \
    MAYBE(BEFORE_LETTER), SOME(letter), OR,                                                         \
    TIMES(NUMBER, 1, digits), OR,                                                                   \
    MAYBE(BLANK), SOME(sign), RUN(NEWLINE), OR,                                                     \
    SPACES
static const chord_pre_node llama3[] = { LLAMA3(3, LETTER, SIGN) };
static const chord_pre_node qwen2[] = { LLAMA3(1, LETTER, SIGN) };
/* as qwen2, with [\p{L}\p{M}]+ for \p{L}+ and [^\s\p{L}\p{M}\p{N}]+ for [^\s\p{L}\p{N}]+ */
static const chord_pre_node qwen35[] = { LLAMA3(1, LETTER_OR_MARK, SIGN_NOT_MARK) };

/* \p{N}{1,3} */
static const chord_pre_node three_digits[] = { TIMES(NUMBER, 1, 3), END };
/* \p{N}+ */
static const chord_pre_node digits_run[] = { SOME(NUMBER), END };
/* [一-龥぀-ゟ゠-ヿ]+ and [一-龥ࠀ-一가-퟿]+ */
static const chord_pre_node han_kana_run[] = { SOME(HAN_KANA), END }, asian_run[] = { SOME(ASIAN), END };
/* [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
 * | ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static const chord_pre_node deepseek3[] = {
    ONE(ASCII_MARK), SOME(ASCII_LETTER), OR,
    MAYBE(BEFORE_WORD), SOME(LETTER_OR_MARK), OR,
    MAYBE(BLANK), SOME(P_OR_S), RUN(NEWLINE), OR,
    SPACES,
};
/* [\r\n], \s?[A-Za-z...]+, \s?[!-/:-~...]+, \s+$ */
static const chord_pre_node one_newline[] = { ONE(NEWLINE), END };
static const chord_pre_node cased_word[] = { MAYBE(WHITE), SOME(CASED), END };
static const chord_pre_node marks_word[] = { MAYBE(WHITE), SOME(MARK), END };
static const chord_pre_node white_end[] = { SOME(WHITE), NOT_AHEAD, ONE(ANY), CLOSE, END };
/* \s?\p{L}+, \s?\p{P}+ */
static const chord_pre_node letters_word[] = { MAYBE(WHITE), SOME(LETTER), END };
static const chord_pre_node punctuation_word[] = { MAYBE(WHITE), SOME(PUNCTUATION), END };
/* [\p{P}\$\+<=>\^~\|`]+ and [0-9][0-9][0-9] */
static const chord_pre_node falcon_signs_run[] = { SOME(FALCON_SIGN), END };
static const chord_pre_node digit_triple[] = { TIMES(DIGIT, 3, 3), END };
/* [^\n]+|[\n]+ */
static const chord_pre_node lines[] = { SOME(NOT_LINE_FEED), OR, SOME(LINE_FEED), END };
/* [^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+END
 * |[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*END
 * |\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
#define TEKKEN(not_small, not_capital, digits, ...)                                                       \
    MAYBE(BEFORE_LETTER), RUN(not_small), SOME(not_capital), __VA_ARGS__          \
    MAYBE(BEFORE_LETTER), SOME(not_small), RUN(not_capital), __VA_ARGS__          \
    TIMES(NUMBER, 1, digits), OR,                                                 \
    MAYBE(BLANK), SOME(SIGN), RUN(NEWLINE_SLASH), OR,                             \
    SPACES
static const chord_pre_node tekken[] = { TEKKEN(NOT_SMALL, NOT_CAPITAL, 1, OR,) };
#define MAYBE_CONTRACTION MAYBE_GROUP, CONTRACTIONS(FOLDED), CLOSE, OR,
static const chord_pre_node gpt4o[] = { TEKKEN(NOT_SMALL, NOT_CAPITAL, 3, MAYBE_CONTRACTION) };
/* as gpt4o, with [\p{L}\p{M}] for \p{L} */
static const chord_pre_node granite97[] = {
    TEKKEN(MARKED_NOT_SMALL, MARKED_NOT_CAPITAL, 3, MAYBE_CONTRACTION)
};
/* as gpt4o, where \p{Lu}, \p{Ll} and so on are \p{L}: [\p{L}\p{M}]* and [\p{L}\p{M}]+ make one run */
#define MARKED_WORDS(digits)                                                      \
    MAYBE(BEFORE_LETTER), SOME(LETTER_OR_MARK), MAYBE_CONTRACTION                 \
    TIMES(NUMBER, 1, digits), OR,                                                 \
    MAYBE(BLANK), SOME(SIGN), RUN(NEWLINE_SLASH), OR,                             \
    SPACES
static const chord_pre_node tiny_aya[] = { MARKED_WORDS(3) }, youtu[] = { MARKED_WORDS(1) };
/* [가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+ */
static const chord_pre_node youtu_scripts[] = {
    SOME(HANGUL), OR, SOME(CJK_MARK), OR, SOME(BOPOMOFO), OR, SOME(HAN_KANA), END,
};
/* deepseek3's, with | ?[\p{P}\p{S}]+|[\r\n] for | ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+ */
static const chord_pre_node spark[] = {
    ONE(ASCII_MARK), SOME(ASCII_LETTER), OR,
    MAYBE(BEFORE_WORD), SOME(LETTER_OR_MARK), OR,
    MAYBE(BLANK), SOME(P_OR_S), OR,
    ONE(NEWLINE), OR,
    WHITE_WORDS,
};
/*  ?[^(\s|.,!?…。，、।۔،)]+ */
static const chord_pre_node bloom[] = { MAYBE(BLANK), SOME(NOT_STOP), END };
/* \S+ */
static const chord_pre_node not_white[] = { SOME(NOT_WHITE), END };
/* [\p{P}\$\+<=>\^~\|]+ */
static const chord_pre_node default_signs_run[] = { SOME(DEFAULT_SIGN), END };
/* as llama3, with \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s for \s+(?!\S)|\s+ */
#define WHITE_TIMES(min, max) TIMES(WHITE, min, max), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, OR
static const chord_pre_node jais2[] = {
    CONTRACTIONS(FOLDED), OR,
    MAYBE(BEFORE_LETTER), SOME(LETTER), OR,
    TIMES(NUMBER, 1, 3), OR,
    MAYBE(BLANK), SOME(SIGN), RUN(NEWLINE), OR,
    RUN(WHITE), SOME(NEWLINE), OR,
    WHITE_TIMES(512, 512), WHITE_TIMES(256, 256), WHITE_TIMES(128, 128), WHITE_TIMES(64, 64),
    WHITE_TIMES(32, 32), WHITE_TIMES(16, 16), WHITE_TIMES(8, 8), WHITE_TIMES(4, 4), WHITE_TIMES(1, 2),
    ONE(WHITE), END,
};
/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}
 * | ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+
 * Behind its first letter a word goes on with letters, marks, and a blank in front of a letter. */
static const chord_pre_node exaone_moe[] = {
    CONTRACTIONS(FOLDED), OR,
    MAYBE(BEFORE_LETTER), ONE(LETTER), GROUP_TIMES(0, CHORD_PRE_MANY),
        ONE(LETTER_OR_MARK), OR, ONE(BLANK), ONE(LETTER), CLOSE, OR,
    ONE(NUMBER), OR,
    MAYBE(BLANK), SOME(SIGN), MAYBE(NEWLINE_SLASH), OR,
    RUN(WHITE), ONE(NEWLINE), OR,
    WHITE_WORDS,
};
/* <sentinel:[0-9]+>, IMGIMG[A-I]{1,4}Z, [\t\n]|    |  , [\p{P}!-/:-@\[-`{-~] */
static const chord_pre_node sentinel[] = {
    IS('<'), IS('s'), IS('e'), IS('n'), IS('t'), IS('i'), IS('n'), IS('e'), IS('l'), IS(':'),
    SOME(DIGIT), IS('>'), END,
};
static const chord_pre_node image[] = {
    IS('I'), IS('M'), IS('G'), IS('I'), IS('M'), IS('G'), TIMES(A_TO_I, 1, 4), IS('Z'), END,
};
static const chord_pre_node tabs[] = {
    ONE(TAB_LINE_FEED), OR, TIMES(BLANK, 4, 4), OR, TIMES(BLANK, 2, 2), END,
};
static const chord_pre_node chameleon_sign[] = { ONE(CHAMELEON_SIGN), END };
/* [\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{L}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}
 * | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static const chord_pre_node kimi[] = {
    SOME(HAN), OR,
    MAYBE(BEFORE_LETTER), SOME(LETTER_NOT_HAN), MAYBE_CONTRACTION
    TIMES(NUMBER, 1, 3), OR,
    MAYBE(BLANK), SOME(SIGN), RUN(NEWLINE), OR,
    SPACES,
};
/* [一-鿿...]+, scripts that are written without blanks */
static const chord_pre_node asian_script_run[] = { SOME(ASIAN_SCRIPT), END };

/* Digits in groups of three from the right. llama.cpp's own code (afmoe) joins the first group, of one to
 * three digits, to the text in front of the digits. Three stages keep that linear; the look-ahead of the one
 * expression (\p{N}{3})*(?!\p{N}) at each group would be quadratic.
 *   \P{N}*\p{N}+                  text and digits
 *   \P{N}*\p{N}{1,2}(?=(\p{N}{3})+(?!\p{N}))|\P{N}+\p{N}{3}(?=(\p{N}{3})+(?!\p{N}))
 *   |(\p{N}{3})+(?!\p{N})|\P{N}*\p{N}*     the first group, then the others
 *   \P{N}+\p{N}*|\p{N}{1,3}       each of the others */
#define NUMBERS_IN_THREES                                                         \
    GROUP_TIMES(1, CHORD_PRE_MANY), TIMES(NUMBER, 3, 3), CLOSE, NOT_AHEAD, ONE(NUMBER), CLOSE
static const chord_pre_node text_and_digits[] = { RUN(NOT_NUMBER), SOME(NUMBER), END };
static const chord_pre_node first_group[] = {
    RUN(NOT_NUMBER), TIMES(NUMBER, 1, 2), AHEAD, NUMBERS_IN_THREES, CLOSE, OR,
    SOME(NOT_NUMBER), TIMES(NUMBER, 3, 3), AHEAD, NUMBERS_IN_THREES, CLOSE, OR,
    NUMBERS_IN_THREES, OR,
    RUN(NOT_NUMBER), RUN(NUMBER), END,
};
static const chord_pre_node next_groups[] = { SOME(NOT_NUMBER), RUN(NUMBER), OR, TIMES(NUMBER, 1, 3), END };

/* (?=(\d{3})+(?!\d)): SuperBPE cuts in front of each group of three digits, counted from the right. A word
 * goes on to the next cut, also past other characters. Two stages, for the same reason:
 *   (\d{3})+(?!\d)(?:\D|\d{1,2}(?!\d))*HEAD?|(?:\D|\d{1,2}(?!\d))+HEAD?|HEAD
 *   \d{3}(?=\d{3})|.+                where HEAD is \d{1,2}(?=(\d{3})+(?!\d)) */
#define DIGITS_IN_THREES                                                         \
    GROUP_TIMES(1, CHORD_PRE_MANY), TIMES(DIGIT, 3, 3), CLOSE, NOT_AHEAD, ONE(DIGIT), CLOSE
#define WITHOUT_CUT(min)                                                         \
    GROUP_TIMES(min, CHORD_PRE_MANY), ONE(NOT_DIGIT), OR,                         \
        TIMES(DIGIT, 1, 2), NOT_AHEAD, ONE(DIGIT), CLOSE, CLOSE
#define HEAD TIMES(DIGIT, 1, 2), AHEAD, DIGITS_IN_THREES, CLOSE
static const chord_pre_node super_runs[] = {
    DIGITS_IN_THREES, WITHOUT_CUT(0), MAYBE_GROUP, HEAD, CLOSE, OR,
    WITHOUT_CUT(1), MAYBE_GROUP, HEAD, CLOSE, OR,
    HEAD, END,
};
static const chord_pre_node super_groups[] = {
    TIMES(DIGIT, 3, 3), AHEAD, TIMES(DIGIT, 3, 3), CLOSE, OR, SOME(ANY), END,
};
/* as qwen2, with [^\s\p{L}\p{N}\r\n]+ for [^\s\p{L}\p{N}]+[\r\n]* */
static const chord_pre_node seed_coder[] = {
    CONTRACTIONS(FOLDED), OR,
    MAYBE(BEFORE_LETTER), SOME(LETTER), OR,
    ONE(NUMBER), OR,
    MAYBE(BLANK), SOME(SIGN_NOT_NEWLINE), OR,
    SPACES,
};
/* as qwen2, with \s*[\r\n] for \s*[\r\n]+ */
static const chord_pre_node bailingmoe[] = {
    CONTRACTIONS(FOLDED), OR,
    MAYBE(BEFORE_LETTER), SOME(LETTER), OR,
    ONE(NUMBER), OR,
    MAYBE(BLANK), SOME(SIGN), RUN(NEWLINE), OR,
    RUN(WHITE), ONE(NEWLINE), OR,
    WHITE_WORDS,
};
/* as qwen2, with \p{N}+ for \p{N} */
static const chord_pre_node minicpm5[] = { LLAMA3(CHORD_PRE_MANY, LETTER, SIGN) };
/* as qwen2, without contractions */
static const chord_pre_node ufakzeka[] = {
    MAYBE(BEFORE_LETTER), SOME(LETTER), OR,
    ONE(NUMBER), OR,
    MAYBE(BLANK), SOME(SIGN), RUN(NEWLINE), OR,
    SPACES,
};

static const chord_pre_stage of_gpt2[] = { { gpt2, classes } };
static const chord_pre_stage of_smollm[] = { { one_digit, classes }, { gpt2, classes } };
static const chord_pre_stage of_llama3[] = { { llama3, classes } };
static const chord_pre_stage of_qwen2[] = { { qwen2, classes } };
static const chord_pre_stage of_qwen35[] = { { qwen35, classes } };

static const chord_pre_stage of_deepseek3[] = { { three_digits, classes }, { han_kana_run, classes },
                                                { deepseek3, classes } };
static const chord_pre_stage of_deepseek_llm[] = { { one_newline, classes }, { cased_word, classes },
                                                   { marks_word, classes }, { white_end, classes },
                                                   { asian_run, classes }, { digits_run, classes } };
static const chord_pre_stage of_deepseek_coder[] = { { one_newline, classes }, { letters_word, classes },
                                                     { punctuation_word, classes }, { asian_run, classes },
                                                     { one_digit, classes } };
static const chord_pre_stage of_falcon[] = { { falcon_signs_run, classes }, { gpt2, classes },
                                             { digit_triple, classes } };
static const chord_pre_stage of_tekken[] = { { tekken, classes } };
static const chord_pre_stage of_gpt4o[] = { { gpt4o, classes } };
static const chord_pre_stage of_seed_coder[] = { { seed_coder, classes } };
static const chord_pre_stage of_bailingmoe[] = { { bailingmoe, classes } };
static const chord_pre_stage of_minicpm5[] = { { three_digits, classes }, { minicpm5, classes } };
static const chord_pre_stage of_ufakzeka[] = { { ufakzeka, classes } };
static const chord_pre_stage of_laguna[] = { { lines, classes }, { qwen2, classes } };
static const chord_pre_stage of_default[] = { { default_signs_run, classes }, { gpt2, classes },
                                              { digits_run, classes }, { digit_triple, classes } };
static const chord_pre_stage of_granite97[] = { { granite97, classes } };
static const chord_pre_stage of_tiny_aya[] = { { text_and_digits, classes }, { first_group, classes },
                                               { next_groups, classes }, { tiny_aya, classes } };
static const chord_pre_stage of_youtu[] = { { youtu_scripts, classes }, { youtu, classes } };
static const chord_pre_stage of_spark[] = { { three_digits, classes }, { han_kana_run, classes },
                                            { spark, classes }, { one_digit, classes } };
static const chord_pre_stage of_bloom[] = { { bloom, classes } };
static const chord_pre_stage of_viking[] = { { bloom, classes }, { one_digit, classes } };
static const chord_pre_stage of_white[] = { { not_white, classes } };
static const chord_pre_stage of_lines[] = { { lines, classes } };
static const chord_pre_stage of_jais2[] = { { jais2, classes } };
static const chord_pre_stage of_exaone_moe[] = { { exaone_moe, classes } };
static const chord_pre_stage of_chameleon[] = { { sentinel, classes }, { image, classes }, { tabs, classes },
                                                { one_digit, classes }, { chameleon_sign, classes },
                                                { gpt2, classes } };
static const chord_pre_stage of_kimi[] = { { kimi, classes } };
static const chord_pre_stage of_afmoe[] = { { text_and_digits, classes }, { first_group, classes },
                                            { next_groups, classes }, { asian_script_run, classes },
                                            { deepseek3, classes } };
static const chord_pre_stage of_superbpe[] = { { digits_run, classes }, { super_runs, classes },
                                               { super_groups, classes } };

#define PRE(name, pattern, flags) { name, pattern, (int32_t)(sizeof pattern / sizeof *pattern), flags }
#define PLAIN 0
#define WHOLE CHORD_PRE_WHOLE_WORDS
#define LLAMA (CHORD_PRE_WHOLE_WORDS | CHORD_PRE_ADD_BOS)
#define BLANKS (CHORD_PRE_RAW | CHORD_PRE_BLANKS)
#define GEMMA (BLANKS | CHORD_PRE_NEWLINES)

const chord_pre chord_pre_table[] = {
    PRE("smollm", of_smollm, PLAIN), PRE("starcoder", of_smollm, PLAIN), PRE("refact", of_smollm, PLAIN),
    PRE("command-r", of_smollm, PLAIN), PRE("codeshell", of_smollm, PLAIN), PRE("exaone", of_smollm, PLAIN),
    PRE("minerva-7b", of_smollm, PLAIN), PRE("mellum2", of_smollm, PLAIN),

    PRE("gpt-2", of_gpt2, PLAIN), PRE("phi-2", of_gpt2, PLAIN), PRE("gigachat", of_gpt2, PLAIN),
    PRE("a.x-4.0", of_gpt2, PLAIN), PRE("mellum", of_gpt2, PLAIN), PRE("exaone4", of_gpt2, PLAIN),
    PRE("mpt", of_gpt2, PLAIN), PRE("olmo", of_gpt2, PLAIN), PRE("jais", of_gpt2, PLAIN),
    PRE("trillion", of_gpt2, PLAIN), PRE("granite-docling", of_gpt2, PLAIN),

    PRE("llama-bpe", of_llama3, LLAMA), PRE("llama3", of_llama3, LLAMA),
    PRE("llama-v3", of_llama3, LLAMA), PRE("falcon3", of_llama3, LLAMA),
    PRE("falcon-h1", of_llama3, LLAMA), PRE("pixtral", of_llama3, LLAMA),
    PRE("midm-2.0", of_llama3, LLAMA), PRE("lfm2", of_llama3, LLAMA),
    PRE("dbrx", of_llama3, PLAIN), PRE("smaug-bpe", of_llama3, PLAIN),
    PRE("chatglm-bpe", of_llama3, CHORD_PRE_NO_BOS),
    PRE("glm4", of_llama3, WHOLE | CHORD_PRE_NO_BOS), PRE("glm5", of_llama3, WHOLE | CHORD_PRE_NO_BOS),

    PRE("qwen2", of_qwen2, PLAIN), PRE("deepseek-r1-qwen", of_qwen2, PLAIN), PRE("kormo", of_qwen2, PLAIN),
    PRE("f2llmv2", of_qwen2, PLAIN), PRE("megrez", of_qwen2, PLAIN), PRE("stablelm2", of_qwen2, PLAIN),
    PRE("hunyuan", of_qwen2, PLAIN), PRE("solar-open", of_qwen2, PLAIN),

    PRE("grok-2", of_qwen2, PLAIN), PRE("laguna", of_laguna, PLAIN), PRE("ufakzeka", of_ufakzeka, PLAIN),

    PRE("qwen35", of_qwen35, PLAIN),

    PRE("tekken", of_tekken, LLAMA),
    PRE("gpt-4o", of_gpt4o, PLAIN), PRE("llama4", of_gpt4o, PLAIN), PRE("kanana2", of_gpt4o, PLAIN),
    PRE("talkie", of_gpt4o, PLAIN), PRE("minimax-m2", of_gpt4o, PLAIN),

    PRE("deepseek-v3", of_deepseek3, PLAIN), PRE("hunyuan-dense", of_deepseek3, PLAIN),
    PRE("joyai-llm", of_deepseek3, PLAIN), PRE("hy_v4", of_deepseek3, PLAIN),
    PRE("deepseek-llm", of_deepseek_llm, PLAIN), PRE("deepseek-coder", of_deepseek_coder, PLAIN),
    PRE("falcon", of_falcon, PLAIN), PRE("seed-coder", of_seed_coder, PLAIN),
    PRE("bailingmoe", of_bailingmoe, PLAIN), PRE("bailingmoe2", of_bailingmoe, PLAIN),
    PRE("llada-moe", of_bailingmoe, PLAIN), PRE("minicpm5", of_minicpm5, WHOLE),

    PRE("default", of_default, PLAIN),
    PRE("jina-v5-nano", of_llama3, LLAMA),
    PRE("jina-es", of_gpt2, PLAIN), PRE("jina-de", of_gpt2, PLAIN), PRE("jina-v2-es", of_gpt2, PLAIN),
    PRE("jina-v2-de", of_gpt2, PLAIN), PRE("jina-v2-code", of_gpt2, PLAIN), PRE("jina-v1-en", of_gpt2, PLAIN),
    PRE("roberta-bpe", of_gpt2, PLAIN), PRE("modern-bert", of_gpt2, PLAIN),
    PRE("jais-2", of_jais2, PLAIN), PRE("exaone-moe", of_exaone_moe, PLAIN),
    PRE("spark2_5", of_spark, PLAIN), PRE("youtu", of_youtu, WHOLE),
    PRE("poro-chat", of_bloom, PLAIN), PRE("bloom", of_bloom, PLAIN), PRE("gpt3-finnish", of_bloom, PLAIN),
    PRE("viking", of_viking, PLAIN), PRE("chameleon", of_chameleon, CHORD_PRE_ADD_BOS),
    PRE("granite-embed-multi-97m", of_granite97, WHOLE),
    PRE("tiny_aya", of_tiny_aya, PLAIN), PRE("cohere2moe", of_tiny_aya, PLAIN),
    PRE("superbpe", of_superbpe, PLAIN), PRE("afmoe", of_afmoe, PLAIN),
    PRE("kimi-k2", of_kimi, CHORD_PRE_NO_MERGES),
    PRE("gemma4", of_lines, GEMMA), PRE("granite-embed-multi-311m", of_lines, GEMMA),
    PRE("sarvam-moe", of_lines, BLANKS), PRE("whitespace", of_white, CHORD_PRE_RAW),
};
int32_t const chord_n_pre_table = (int32_t)(sizeof chord_pre_table / sizeof *chord_pre_table);
