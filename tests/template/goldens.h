/* goldens.h: reads the cases that tools/make_template_goldens.py wrote, and renders a template in a test. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEST_TEMPLATE_GOLDENS_H
#define CHORD_TEST_TEMPLATE_GOLDENS_H
#include "../../src/template/template.h"
#include "../harness/test.h"

typedef struct golden {
    const char *name, *template, *variables, *text;
    size_t n_name, n_template, n_variables, n_text;
    int is_error, is_raised;
} golden;

/* Moves *at past a case; 0 at the end. */
static inline int golden_next(const char **at, const char *end, golden *g)
{
    long n_template, n_variables, n_text;
    int head = 0;
    if (*at >= end) return 0;
    CHECK(sscanf(*at, "case %ld %ld %ld %n", &n_template, &n_variables, &n_text, &head) == 3 && head);
    *g = (golden){ .name = *at + head, .is_error = n_text == -1, .is_raised = n_text < -1 };
    while (g->name[g->n_name] != '\n') g->n_name++;
    g->template = g->name + g->n_name + 1;
    g->n_template = (size_t)n_template;
    g->variables = g->template + n_template + 1;
    g->n_variables = (size_t)n_variables;
    g->text = g->variables + n_variables + 1;
    g->n_text = (size_t)(n_text >= 0 ? n_text : n_text == -1 ? 0 : -2 - n_text);
    *at = g->text + g->n_text + 1;
    return 1;
}

typedef struct rendering {
    chord_status status;
    const char *text;
    size_t n;
    chord_error error;
    chord_template_run *run;
} rendering;

/* Memory of its own for each, so that the sanitizers see its ends. `steps` a call of chord_template_step. */
static inline rendering render(const char *source, size_t n, chord_template_input in, size_t bytes,
                               uint64_t steps)
{
    rendering out = { 0 };
    char *const copy = test_alloc(n + 1);
    memcpy(copy, source, n);
    chord_arena program = { test_alloc(n * 24 + 90000), 0, n * 24 + 90000 },
                values = { test_alloc(bytes), 0, bytes };
    chord_template *t = NULL;
    if (!in.now.year) in.now = (chord_template_time){ 2026, 3, 9, 7, 5, 3 };
    out.status = chord_template_compile(copy, n, &program, &t, &out.error);
    if (out.status != CHORD_OK) return out;
    out.status = chord_template_begin(t, &in, &values, &out.run, &out.error);
    if (out.status != CHORD_OK) return out;
    do out.status = chord_template_step(out.run, steps);
    while (out.status == CHORD_MORE);
    out.text = chord_template_text(out.run, &out.n);
    return out;
}

static inline rendering render_text(const char *source, const char *variables)
{
    chord_template_input const in = { .variables = variables, .n_variables = strlen(variables) };
    return render(source, strlen(source), in, 1 << 22, 1000);
}

#endif
