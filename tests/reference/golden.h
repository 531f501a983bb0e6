/* golden.h: reads the files of tests/golden (described in its README.md). All memory belongs to the running
 * test. A file that can't be read or parsed fails the test. Paths are relative to the repository's root. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_GOLDEN_H
#define CHORD_TESTS_GOLDEN_H
#include <stddef.h>
#include <stdint.h>

enum { GOLDEN_PROMPTS = 16, GOLDEN_TEXTS = 128, GOLDEN_FILES = 64 };

typedef struct golden_prompt {
    const char *text;             /* SmolLM2 only */
    size_t n_text;
    int32_t n, n_greedy, n_rows;
    int32_t *ids, *greedy, *rows;
    double *margins;
    int32_t n_sequence, *sequence; /* ids, then greedy without its last token */
    const float *logits;          /* fixtures: [n_rows][n_vocab] */
} golden_prompt;

typedef struct golden_text {
    int32_t flags, n_ids, *ids;
    const char *text;
    size_t n_text;
} golden_text;

typedef struct golden {
    const char *name;
    int32_t n_vocab, n_prompts, n_texts, n_ends, *ends;
    double nmse, median, regret;  /* tolerances */
    double kv8_nmse, kv8_median, kv8_regret; /* q8_0 KV cache; 0: llama.cpp has none for this head size */
    /* SmolLM2: steps where the argmax of llama.cpp's kv16fa run isn't exact's: prefilled, one by one */
    int32_t native_prefill, native_steps;
    int32_t every, stride;        /* SmolLM2: the sample has every stride-th logit of every every-th step */
    golden_prompt prompts[GOLDEN_PROMPTS];
    golden_text texts[GOLDEN_TEXTS];
    const uint8_t *logits;        /* the whole NAME.logits */
    size_t n_logits;
    uint8_t *memory;              /* free rest of the block that the lines are read into */
} golden;

/* Lists the names of the fixtures (tests/golden/NAME.gguf), sorted. Returns their number. */
int32_t golden_fixtures(const char *names[GOLDEN_FILES]);
/* Returns tests/golden/<name><suffix> in a static buffer. */
const char *golden_path(const char *name, const char *suffix);
golden *golden_read(const char *name);

/* Distance of rows of logits from exact's rows. */
typedef struct golden_score {
    int32_t n_rows, n_differ;     /* n_differ: rows whose argmax differs */
    double error, power, worst_regret;
    double rows[512];             /* NMSE of each row */
} golden_score;
void golden_add(golden_score *s, const float *logits, const float *exact, int32_t n_vocab);
double golden_nmse(const golden_score *s);
double golden_median(golden_score *s); /* sorts the rows */
int32_t golden_argmax(const float *x, int32_t n);

enum { GOLDEN_STEPS = 64, GOLDEN_BEST = 32 };
/* SmolLM2: returns the regret of `token` at a step of prompt `i`; INFINITY if it isn't in exact's best. */
double golden_step_regret(const golden *g, int32_t i, int32_t step, int32_t token);
/* SmolLM2: returns every golden.stride-th of exact's logits at a step that is a multiple of golden.every. */
const float *golden_sample(const golden *g, int32_t i, int32_t step, int32_t *n);

#endif
