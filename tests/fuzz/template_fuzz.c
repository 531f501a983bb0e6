/* template_fuzz.c: arbitrary bytes as a chat template and as its variables.
 *
 * The first byte chooses the length of a step, the memory and merge_system; a zero byte ends the template,
 * and the rest is the variables' JSON. Without a zero byte the variables are a fixed conversation.
 *
 * Checked, apart from crashes:
 *   every end is DONE, or an error that has a text;
 *   a text rendered in steps of one is the same as in one step, and so is an error;
 *   the program and the variables are the same afterwards. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/template/template.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(int holds)
{
    if (!holds) abort();
}

static const char conversation[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\" Be\\n\"},{\"role\":\"user\",\"content\":\"h\xc3\xa9 \\\"x\\\"\"},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,true]}}}]}],"
    "\"tools\":[{\"name\":\"f\"}],\"bos_token\":\"<s>\",\"add_generation_prompt\":true,\"n\":7,\"l\":[3,1,2],\"s\":\"a,b,c\"}";

typedef struct result {
    chord_status status;
    chord_error error;
    char *text;
    size_t n;
} result;

static result render(const chord_template *t, const char *variables, size_t n, uint64_t steps, uint8_t choice)
{
    size_t const bytes = choice & 1 ? 1 << 20 : 100000 + (size_t)choice * 997;
    result r = { .error = { 0 } };
    chord_arena arena = { malloc(bytes), 0, bytes };
    chord_template_input const in = { .variables = variables,
                                      .n_variables = n,
                                      .now = { 2026, 3, 9, 7, 5, 3 },
                                      .max_steps = 200000,
                                      .max_output = 100000,
                                      .merge_system = choice & 2 };
    chord_template_run *run;
    r.status = chord_template_begin(t, &in, &arena, &run, &r.error);
    if (r.status == CHORD_OK) {
        do r.status = chord_template_step(run, steps);
        while (r.status == CHORD_MORE);
        const char *const text = chord_template_text(run, &r.n);
        r.text = malloc(r.n + 1);
        memcpy(r.text, text, r.n);
    }
    check(r.status == CHORD_DONE || (r.status < 0 && r.error.length > 0));
    free(arena.base);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1) return 0;
    uint8_t const choice = data[0];
    const char *const source = (const char *)data + 1;
    const char *const zero = memchr(source, 0, n - 1);
    size_t const n_source = zero ? (size_t)(zero - source) : n - 1;
    const char *const variables = zero ? zero + 1 : conversation;
    size_t const n_variables = zero ? n - 2 - n_source : sizeof conversation - 1;

    /* Copies of the exact size, so that the sanitizer sees their ends. */
    char *const s = malloc(n_source), *const v = malloc(n_variables);
    memcpy(s, source, n_source);
    memcpy(v, variables, n_variables);
    chord_arena arena = { malloc(n_source * 40 + 90000), 0, n_source * 40 + 90000 };
    chord_error error = { 0 };
    chord_template *t = NULL;
    chord_status const status = chord_template_compile(s, n_source, &arena, &t, &error);
    check(status == CHORD_OK ? t != NULL : status < 0 && error.length > 0);
    if (status == CHORD_OK) {
        result const a = render(t, v, n_variables, 1, choice);
        result const b = render(t, v, n_variables, 1 + (uint64_t)choice * 100, choice);
        check(a.status == b.status && a.n == b.n && (!a.n || !memcmp(a.text, b.text, a.n)) &&
              !strcmp(a.error.text, b.error.text));
        free(a.text);
        free(b.text);
    }
    check(!memcmp(s, source, n_source) && !memcmp(v, variables, n_variables));
    free(arena.base);
    free(s);
    free(v);
    return 0;
}
