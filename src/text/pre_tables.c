/* pre_tables.c: the pre-tokenizers as data. The comment above an array of nodes is its regular expression.
 * The values of tokenizer.ggml.pre map to patterns as in llama.cpp's vocabulary loader. Values that it
 * maps by guessing ("default", or no value at all) are left out on purpose. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "pre_words.h"

static const chord_pre_range blank[] = { { ' ', ' ' } }, newline[] = { { '\n', '\n' }, { '\r', '\r' } };
static const chord_pre_set blank_set = CHORD_PRE_SET(blank), newline_set = CHORD_PRE_SET(newline);

enum { LETTER, NUMBER, WHITE, NOT_WHITE, BLANK, NEWLINE, SIGN, BEFORE_LETTER, LETTER_OR_MARK, SIGN_NOT_MARK };
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

static const chord_pre_stage of_gpt2[] = { { gpt2, classes } };
static const chord_pre_stage of_smollm[] = { { one_digit, classes }, { gpt2, classes } };
static const chord_pre_stage of_llama3[] = { { llama3, classes } };
static const chord_pre_stage of_qwen2[] = { { qwen2, classes } };
static const chord_pre_stage of_qwen35[] = { { qwen35, classes } };

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

    PRE("qwen35", of_qwen35, PLAIN),
};
int32_t const chord_n_pre_table = (int32_t)(sizeof chord_pre_table / sizeof *chord_pre_table);
