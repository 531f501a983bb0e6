/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "golden.h"
#include "../harness/test.h"
#include <dirent.h>
#include <math.h>

static char *copy_text(const char *s)
{
    char *p = test_alloc(strlen(s) + 1);
    return strcpy(p, s);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int32_t golden_fixtures(const char *names[GOLDEN_FILES])
{
    DIR *d = opendir("tests/golden");
    if (!d) test_fail(__FILE__, __LINE__, "tests/golden isn't here: run the tests in the repository's root");
    int32_t n = 0;
    for (struct dirent *e; (e = readdir(d)) && n < GOLDEN_FILES;) {
        char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".gguf")) continue;
        *dot = 0;
        names[n++] = copy_text(e->d_name);
    }
    closedir(d);
    qsort(names, (size_t)n, sizeof *names, by_name);
    return n;
}

const char *golden_path(const char *name, const char *suffix)
{
    static char path[300];
    snprintf(path, sizeof path, "tests/golden/%s%s", name, suffix);
    return path;
}

/* ---- one line: a key, then words ---------------------------------------------------------------------- */

static int32_t count_words(const char *p)
{
    int32_t n = 0;
    for (; *p; p++)
        if (*p != ' ' && (p[1] == ' ' || !p[1])) n++;
    return n;
}

/* Allocates from a block of 16 bytes per byte of the file, which is enough for every line. */
static void *take(golden *g, size_t bytes)
{
    void *p = g->memory;
    g->memory += (bytes + 15) & ~(size_t)15;
    return p;
}

static int32_t read_ids(golden *g, char *p, int32_t **ids)
{
    int32_t const n = count_words(p);
    *ids = take(g, (size_t)n * sizeof **ids);
    for (int32_t i = 0; i < n; i++) (*ids)[i] = (int32_t)strtol(p, &p, 10);
    return n;
}

static void read_numbers(golden *g, char *p, double **x)
{
    int32_t const n = count_words(p);
    *x = take(g, (size_t)n * sizeof **x);
    for (int32_t i = 0; i < n; i++) (*x)[i] = strtod(p, &p);
}

static size_t read_hex(golden *g, const char *hex, size_t n, const char **text)
{
    if (n == 1) n = 0; /* "-" */
    char *p = take(g, n / 2 + 1);
    for (size_t i = 0; i < n / 2; i++)
        p[i] = (char)strtol((char[]){ hex[2 * i], hex[2 * i + 1], 0 }, NULL, 16);
    p[n / 2] = 0;
    *text = p;
    return n / 2;
}

static void read_text(golden *g, char *p)
{
    if (g->n_texts == GOLDEN_TEXTS) test_fail(__FILE__, __LINE__, "%s: too many texts", g->name);
    golden_text *t = &g->texts[g->n_texts++];
    t->flags = (int32_t)strtol(p, &p, 10);
    size_t const n = strcspn(++p, " ");
    t->n_text = read_hex(g, p, n, &t->text);
    t->n_ids = read_ids(g, p + n, &t->ids);
}

static void read_noise(golden *g, const char *p)
{
    double nmse, median, p90, regret;
    char label[40];
    int differ;
    if (sscanf(p, "%39s %lf %lf %lf %lf %d", label, &nmse, &median, &p90, &regret, &differ) != 6)
        test_fail(__FILE__, __LINE__, "%s: the line 'noise %s' has no label and five numbers", g->name, p);
    if (!strcmp(label, "kv16fa-prefill")) g->native_prefill = differ;
    if (!strcmp(label, "kv16fa-one-by-one")) g->native_steps = differ;
}

static void read_line(golden *g, const char *key, char *p)
{
    golden_prompt *prompt = g->n_prompts ? &g->prompts[g->n_prompts - 1] : NULL;
    if (!strcmp(key, "n_vocab")) g->n_vocab = (int32_t)strtol(p, NULL, 10);
    else if (!strcmp(key, "tolerance")) sscanf(p, "%lf %lf %lf", &g->nmse, &g->median, &g->regret);
    else if (!strcmp(key, "tolerance_kv8"))
        sscanf(p, "%lf %lf %lf", &g->kv8_nmse, &g->kv8_median, &g->kv8_regret);
    else if (!strcmp(key, "noise")) read_noise(g, p);
    else if (!strcmp(key, "sample")) sscanf(p, "%d %d", &g->every, &g->stride);
    else if (!strcmp(key, "end_tokens")) g->n_ends = read_ids(g, p, &g->ends);
    else if (!strcmp(key, "text")) read_text(g, p);
    else if (!strcmp(key, "prompt") && g->n_prompts < GOLDEN_PROMPTS) g->n_prompts++;
    else if (!strcmp(key, "rms") || !strcmp(key, "same_text")) return;
    else if (!prompt)
        test_fail(__FILE__, __LINE__, "%s: '%s' comes before a prompt, or is unknown", g->name, key);
    else if (!strcmp(key, "prompt_text")) prompt->n_text = read_hex(g, p, strlen(p), &prompt->text);
    else if (!strcmp(key, "ids")) prompt->n = read_ids(g, p, &prompt->ids);
    else if (!strcmp(key, "greedy")) prompt->n_greedy = read_ids(g, p, &prompt->greedy);
    else if (!strcmp(key, "margins")) read_numbers(g, p, &prompt->margins);
    else if (!strcmp(key, "rows")) prompt->n_rows = read_ids(g, p, &prompt->rows);
    else test_fail(__FILE__, __LINE__, "%s: unknown key '%s'", g->name, key);
}

golden *golden_read(const char *name)
{
    golden *g = test_alloc(sizeof *g);
    memset(g, 0, sizeof *g);
    g->name = copy_text(name);
    size_t n;
    char *text = (char *)test_read_file(golden_path(name, ".txt"), &n);
    g->logits = test_read_file(golden_path(name, ".logits"), &g->n_logits);
    if (!text || !g->logits) test_fail(__FILE__, __LINE__, "no golden %s", name);
    text[n] = 0;
    g->memory = test_alloc(16 * n + 4096);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (line[0] == '#') continue;
        char *p = line + strcspn(line, " ");
        if (*p) *p++ = 0;
        read_line(g, line, p);
    }
    const float *logits = (const float *)(const void *)g->logits;
    for (int32_t i = 0; i < g->n_prompts; i++) {
        golden_prompt *p = &g->prompts[i];
        p->n_sequence = p->n + p->n_greedy - 1;
        p->sequence = take(g, (size_t)p->n_sequence * sizeof *p->sequence);
        memcpy(p->sequence, p->ids, (size_t)p->n * sizeof *p->ids);
        memcpy(p->sequence + p->n, p->greedy, (size_t)(p->n_greedy - 1) * sizeof *p->greedy);
        p->logits = logits;
        logits += (size_t)p->n_rows * (size_t)g->n_vocab;
    }
    if (!g->every && (const uint8_t *)logits != g->logits + g->n_logits)
        test_fail(__FILE__, __LINE__, "%s.logits has the wrong size", name);
    return g;
}

/* ---- scores ------------------------------------------------------------------------------------------- */

int32_t golden_argmax(const float *x, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

void golden_add(golden_score *s, const float *logits, const float *exact, int32_t n_vocab)
{
    double error = 0, power = 0;
    for (int32_t i = 0; i < n_vocab; i++) {
        double const d = (double)logits[i] - (double)exact[i];
        error += d * d;
        power += (double)exact[i] * (double)exact[i];
    }
    int32_t const ours = golden_argmax(logits, n_vocab), best = golden_argmax(exact, n_vocab);
    double const regret = (double)exact[best] - (double)exact[ours];
    s->error += error;
    s->power += power;
    s->rows[s->n_rows++ % 512] = error / power;
    s->n_differ += ours != best;
    if (!(regret <= s->worst_regret)) s->worst_regret = regret;
}

double golden_nmse(const golden_score *s) { return s->error / s->power; }

static int by_size(const void *a, const void *b)
{
    double const x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double golden_median(golden_score *s)
{
    qsort(s->rows, (size_t)s->n_rows, sizeof *s->rows, by_size);
    return s->rows[s->n_rows / 2];
}

/* ---- SmolLM2 ------------------------------------------------------------------------------------------ */

double golden_step_regret(const golden *g, int32_t i, int32_t step, int32_t token)
{
    const uint8_t *pairs = g->logits + (size_t)(i * GOLDEN_STEPS + step) * GOLDEN_BEST * 8;
    for (int32_t k = 0; k < GOLDEN_BEST; k++) {
        int32_t id;
        float best, logit;
        memcpy(&id, pairs + 8 * k, 4);
        memcpy(&best, pairs + 4, 4);
        memcpy(&logit, pairs + 8 * k + 4, 4);
        if (id == token) return (double)best - (double)logit;
    }
    return INFINITY;
}

const float *golden_sample(const golden *g, int32_t i, int32_t step, int32_t *n)
{
    *n = (g->n_vocab + g->stride - 1) / g->stride;
    const float *samples = (const float *)(const void *)(g->logits + (size_t)g->n_prompts * GOLDEN_STEPS *
                                                                         GOLDEN_BEST * 8);
    return samples + (size_t)((i * GOLDEN_STEPS + step) / g->every) * (size_t)*n;
}
