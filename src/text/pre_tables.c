/* pre_tables.c: the pre-tokenizers as data. Above each stage stands the regular expression it spells.
 * Which name of tokenizer.ggml.pre means which pattern is what llama.cpp's vocabulary reader says;
 * names it maps by guessing ("default", none at all) are left out on purpose. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "pre.h"

#define LETTER CHORD_CLASS_L
#define NUMBER CHORD_CLASS_N
#define MARK CHORD_CLASS_M
#define WHITE CHORD_CLASS_WHITE
#define NEWLINE CHORD_CLASS_NEWLINE
#define ANY CHORD_CLASS_ANY

#define SOME(any, none) { CHORD_PRE_CLASS, 0, 1, CHORD_PRE_MANY, any, none }
#define RUN(any, none) { CHORD_PRE_CLASS, 0, 0, CHORD_PRE_MANY, any, none }
#define MAYBE(any, none) { CHORD_PRE_CLASS, 0, 0, 1, any, none }
#define UP_TO(n, any) { CHORD_PRE_CLASS, 0, 1, n, any, 0 }
#define NOT_BEFORE(any, none) { CHORD_PRE_NOT_BEFORE, 0, 0, 0, any, none }
#define EXACTLY(c) { CHORD_PRE_LITERAL, c, 1, 1, 0, 0 }
#define EITHER_CASE(c) { CHORD_PRE_FOLDED, c, 1, 1, 0, 0 }
#define BLANK MAYBE(CHORD_CLASS_BLANK, 0)

#define CONTRACTIONS(letter)                                                                        \
    { EXACTLY('\''), letter('s') }, { EXACTLY('\''), letter('t') },                                 \
    { EXACTLY('\''), letter('r'), letter('e') }, { EXACTLY('\''), letter('v'), letter('e') },       \
    { EXACTLY('\''), letter('m') }, { EXACTLY('\''), letter('l'), letter('l') },                    \
    { EXACTLY('\''), letter('d') }

typedef chord_pre_atom alternative[CHORD_PRE_ATOMS];

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static const alternative gpt2[] = {
    CONTRACTIONS(EXACTLY),
    { BLANK, SOME(LETTER, 0) },
    { BLANK, SOME(NUMBER, 0) },
    { BLANK, SOME(ANY, WHITE | LETTER | NUMBER) },
    { SOME(WHITE, 0), NOT_BEFORE(ANY, WHITE) },
    { SOME(WHITE, 0) },
};
/* \p{N} */
static const alternative one_digit[] = { { UP_TO(1, NUMBER) } };
/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * where (?i:) folds ASCII only, as in llama.cpp; the second with \p{N} alone */
#define LLAMA3(digits, letters)                                                                     \
    CONTRACTIONS(EITHER_CASE),                                                                      \
    { MAYBE(ANY, NEWLINE | LETTER | NUMBER), SOME(letters, 0) },                                    \
    { UP_TO(digits, NUMBER) },                                                                      \
    { BLANK, SOME(ANY, WHITE | NUMBER | (letters)), RUN(NEWLINE, 0) },                              \
    { RUN(WHITE, 0), SOME(NEWLINE, 0) },                                                            \
    { SOME(WHITE, 0), NOT_BEFORE(ANY, WHITE) },                                                     \
    { SOME(WHITE, 0) }
static const alternative llama3[] = { LLAMA3(3, LETTER) };
static const alternative qwen2[] = { LLAMA3(1, LETTER) };
/* the same with [\p{L}\p{M}] for \p{L} in words and in what isn't punctuation */
static const alternative qwen35[] = { LLAMA3(1, LETTER | MARK) };

#define STAGE(a) { (int32_t)(sizeof (a) / sizeof *(a)), a }
static const chord_pre_stage of_gpt2[] = { STAGE(gpt2) };
static const chord_pre_stage of_smollm[] = { STAGE(one_digit), STAGE(gpt2) };
static const chord_pre_stage of_llama3[] = { STAGE(llama3) };
static const chord_pre_stage of_qwen2[] = { STAGE(qwen2) };
static const chord_pre_stage of_qwen35[] = { STAGE(qwen35) };

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
