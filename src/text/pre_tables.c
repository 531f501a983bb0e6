/* pre_tables.c: the pre-tokenizers as data. The comment above an array of nodes is its regular expression.
 * The values of tokenizer.ggml.pre map to patterns as in llama.cpp's vocabulary loader. Values that it
 * maps by guessing ("default", or no value at all) are left out on purpose. */
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
                             digits[] = { { '0', '9' } }, line_feed[] = { { '\n', '\n' } };
static const chord_pre_set cased_set = CHORD_PRE_SET(cased), marks_set = CHORD_PRE_SET(marks),
                           han_kana_set = CHORD_PRE_SET(han_kana), asian_set = CHORD_PRE_SET(asian),
                           ascii_letter_set = CHORD_PRE_SET(ascii_letters),
                           ascii_mark_set = CHORD_PRE_SET(ascii_marks), capital_set = CHORD_PRE_SET(capitals),
                           small_set = CHORD_PRE_SET(smalls),
                           newline_slash_set = CHORD_PRE_SET(newline_slash),
                           falcon_sign_set = CHORD_PRE_SET(falcon_signs), digit_set = CHORD_PRE_SET(digits),
                           line_feed_set = CHORD_PRE_SET(line_feed);

enum {
    LETTER, NUMBER, WHITE, NOT_WHITE, BLANK, NEWLINE, SIGN, BEFORE_LETTER, LETTER_OR_MARK, SIGN_NOT_MARK,
    CASED, MARK, HAN_KANA, ASIAN, ASCII_LETTER, ASCII_MARK, NOT_SMALL, NOT_CAPITAL, NEWLINE_SLASH,
    PUNCTUATION, FALCON_SIGN, DIGIT, LINE_FEED, NOT_LINE_FEED, P_OR_S, BEFORE_WORD, SIGN_NOT_NEWLINE, ANY
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
};

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static const chord_pre_node gpt2[] = {
    CONTRACTIONS(IS), OR,
    MAYBE(BLANK), SOME(LETTER), OR,
    MAYBE(BLANK), SOME(NUMBER), OR,
    MAYBE(BLANK), SOME(SIGN), OR,
    SOME(WHITE), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, OR,
    SOME(WHITE), END,
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
    RUN(WHITE), SOME(NEWLINE), OR,                                                                  \
    SOME(WHITE), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, OR,                                              \
    SOME(WHITE), END
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
    RUN(WHITE), SOME(NEWLINE), OR,
    SOME(WHITE), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, OR,
    SOME(WHITE), END,
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
#define TEKKEN(digits, ...)                                                       \
    MAYBE(BEFORE_LETTER), RUN(NOT_SMALL), SOME(NOT_CAPITAL), __VA_ARGS__          \
    MAYBE(BEFORE_LETTER), SOME(NOT_SMALL), RUN(NOT_CAPITAL), __VA_ARGS__          \
    TIMES(NUMBER, 1, digits), OR,                                                 \
    MAYBE(BLANK), SOME(SIGN), RUN(NEWLINE_SLASH), OR,                             \
    RUN(WHITE), SOME(NEWLINE), OR,                                                \
    SOME(WHITE), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, OR,                            \
    SOME(WHITE), END
static const chord_pre_node tekken[] = { TEKKEN(1, OR,) };
static const chord_pre_node gpt4o[] = { TEKKEN(3, MAYBE_GROUP, CONTRACTIONS(FOLDED), CLOSE, OR,) };
/* as qwen2, with [^\s\p{L}\p{N}\r\n]+ for [^\s\p{L}\p{N}]+[\r\n]* */
static const chord_pre_node seed_coder[] = {
    CONTRACTIONS(FOLDED), OR,
    MAYBE(BEFORE_LETTER), SOME(LETTER), OR,
    ONE(NUMBER), OR,
    MAYBE(BLANK), SOME(SIGN_NOT_NEWLINE), OR,
    RUN(WHITE), SOME(NEWLINE), OR,
    SOME(WHITE), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, OR,
    SOME(WHITE), END,
};
/* as qwen2, with \s*[\r\n] for \s*[\r\n]+ */
static const chord_pre_node bailingmoe[] = {
    CONTRACTIONS(FOLDED), OR,
    MAYBE(BEFORE_LETTER), SOME(LETTER), OR,
    ONE(NUMBER), OR,
    MAYBE(BLANK), SOME(SIGN), RUN(NEWLINE), OR,
    RUN(WHITE), ONE(NEWLINE), OR,
    SOME(WHITE), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, OR,
    SOME(WHITE), END,
};
/* as qwen2, with \p{N}+ for \p{N} */
static const chord_pre_node minicpm5[] = { LLAMA3(CHORD_PRE_MANY, LETTER, SIGN) };
/* as qwen2, without contractions */
static const chord_pre_node ufakzeka[] = {
    MAYBE(BEFORE_LETTER), SOME(LETTER), OR,
    ONE(NUMBER), OR,
    MAYBE(BLANK), SOME(SIGN), RUN(NEWLINE), OR,
    RUN(WHITE), SOME(NEWLINE), OR,
    SOME(WHITE), NOT_AHEAD, ONE(NOT_WHITE), CLOSE, OR,
    SOME(WHITE), END,
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

#define PRE(name, pattern, ...) { name, pattern, (int32_t)(sizeof pattern / sizeof *pattern), __VA_ARGS__ }
#define PLAIN false, false, false
#define WHOLE_WORDS true, true, false /* ignore_merges, add_bos */

const chord_pre chord_pre_table[] = {
    PRE("smollm", of_smollm, PLAIN), PRE("starcoder", of_smollm, PLAIN), PRE("refact", of_smollm, PLAIN),
    PRE("command-r", of_smollm, PLAIN), PRE("codeshell", of_smollm, PLAIN), PRE("exaone", of_smollm, PLAIN),
    PRE("minerva-7b", of_smollm, PLAIN), PRE("mellum2", of_smollm, PLAIN),

    PRE("gpt-2", of_gpt2, PLAIN), PRE("phi-2", of_gpt2, PLAIN), PRE("gigachat", of_gpt2, PLAIN),
    PRE("a.x-4.0", of_gpt2, PLAIN), PRE("mellum", of_gpt2, PLAIN), PRE("exaone4", of_gpt2, PLAIN),
    PRE("mpt", of_gpt2, PLAIN), PRE("olmo", of_gpt2, PLAIN), PRE("jais", of_gpt2, PLAIN),
    PRE("trillion", of_gpt2, PLAIN), PRE("granite-docling", of_gpt2, PLAIN),

    PRE("llama-bpe", of_llama3, WHOLE_WORDS), PRE("llama3", of_llama3, WHOLE_WORDS),
    PRE("llama-v3", of_llama3, WHOLE_WORDS), PRE("falcon3", of_llama3, WHOLE_WORDS),
    PRE("falcon-h1", of_llama3, WHOLE_WORDS), PRE("pixtral", of_llama3, WHOLE_WORDS),
    PRE("midm-2.0", of_llama3, WHOLE_WORDS), PRE("lfm2", of_llama3, WHOLE_WORDS),
    PRE("dbrx", of_llama3, PLAIN), PRE("smaug-bpe", of_llama3, PLAIN),
    PRE("chatglm-bpe", of_llama3, false, false, true),
    PRE("glm4", of_llama3, true, false, true), PRE("glm5", of_llama3, true, false, true),

    PRE("qwen2", of_qwen2, PLAIN), PRE("deepseek-r1-qwen", of_qwen2, PLAIN), PRE("kormo", of_qwen2, PLAIN),
    PRE("f2llmv2", of_qwen2, PLAIN), PRE("megrez", of_qwen2, PLAIN), PRE("stablelm2", of_qwen2, PLAIN),
    PRE("hunyuan", of_qwen2, PLAIN), PRE("solar-open", of_qwen2, PLAIN),

    PRE("grok-2", of_qwen2, PLAIN), PRE("laguna", of_laguna, PLAIN), PRE("ufakzeka", of_ufakzeka, PLAIN),

    PRE("qwen35", of_qwen35, PLAIN),

    PRE("tekken", of_tekken, WHOLE_WORDS),
    PRE("gpt-4o", of_gpt4o, PLAIN), PRE("llama4", of_gpt4o, PLAIN), PRE("kanana2", of_gpt4o, PLAIN),
    PRE("talkie", of_gpt4o, PLAIN), PRE("minimax-m2", of_gpt4o, PLAIN),

    PRE("deepseek-v3", of_deepseek3, PLAIN), PRE("hunyuan-dense", of_deepseek3, PLAIN),
    PRE("joyai-llm", of_deepseek3, PLAIN), PRE("hy_v4", of_deepseek3, PLAIN),
    PRE("deepseek-llm", of_deepseek_llm, PLAIN), PRE("deepseek-coder", of_deepseek_coder, PLAIN),
    PRE("falcon", of_falcon, PLAIN), PRE("seed-coder", of_seed_coder, PLAIN),
    PRE("bailingmoe", of_bailingmoe, PLAIN), PRE("bailingmoe2", of_bailingmoe, PLAIN),
    PRE("llada-moe", of_bailingmoe, PLAIN), PRE("minicpm5", of_minicpm5, true, false, false),
};
int32_t const chord_n_pre_table = (int32_t)(sizeof chord_pre_table / sizeof *chord_pre_table);
