/* template.c: the template engine as a module of its own: src/template and src/base over one memory, which
 * the module exports. As in exports.c, only int32 and double cross the boundary. The host owns the memory
 * from `__heap_base` on. A rendering lives in one block of it: this file's state, the template's source and
 * the variables, which the host writes behind the state, and the arena. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../base/host.h"
#include "../../template/template.h"

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))

IMPORT(pow) double math_pow(double x, double y);
IMPORT(parse) double number_parse(const char *s, size_t n);
IMPORT(print) int32_t number_print(double v, int32_t digits, char *s);
double chord_host_parse(const char *s, size_t n) { return number_parse(s, n); }
int32_t chord_host_print(double v, int32_t digits, char s[static 400]) { return number_print(v, digits, s); }
double chord_host_pow(double x, double y) { return math_pow(x, y); }

typedef struct render_state {
    int32_t now[6]; /* the host writes it: year, month, day, hour, minute, second */
    int32_t merges_system;
    chord_error error;
    chord_arena arena;
    chord_template_run *run;
} render_state;

/* Where the source begins in a block. The variables follow it. */
enum { SOURCE_AT = (sizeof(render_state) + 63) / 64 * 64 };

/* JavaScript engines have strings of half a billion letters at most. */
enum { MAX_OUTPUT = 1 << 28 };

static render_state *at(double block) { return (render_state *)(uintptr_t)block; }
static double address(const void *p) { return (double)(uintptr_t)p; }

EXPORT(source_at) int32_t export_source_at(void) { return SOURCE_AT; }

/* Compiles the template and begins its run. A block of fewer bytes than its texts have is refused. */
EXPORT(begin) int32_t export_begin(double block, double bytes, double n_source, double n_variables)
{
    render_state *const s = at(block);
    const char *const source = (const char *)s + SOURCE_AT;
    const int32_t *const now = s->now;
    const chord_template_input input = { .variables = source + (size_t)n_source,
                                         .n_variables = (size_t)n_variables,
                                         .merge_system = s->merges_system != 0,
                                         .max_output = MAX_OUTPUT,
                                         .now = { now[0], now[1], now[2], now[3], now[4], now[5] } };
    s->arena = (chord_arena){ .base = (uint8_t *)s,
                              .used = SOURCE_AT + (uint64_t)n_source + (uint64_t)n_variables,
                              .cap = (uint64_t)bytes };
    s->run = NULL;
    s->error.length = 0;
    if (s->arena.used > s->arena.cap) return CHORD_OUT_OF_MEMORY;
    chord_template *t;
    const chord_status status = chord_template_compile(source, (size_t)n_source, &s->arena, &t, &s->error);
    return status < 0 ? status : chord_template_begin(t, &input, &s->arena, &s->run, &s->error);
}
EXPORT(step) int32_t export_step(double block, double steps)
{
    return chord_template_step(at(block)->run, (uint64_t)steps);
}

/* One of a rendering's texts: the text so far (0), the error's (1), what raise_exception was given (2).
 * Returns the address, which is 0 if there is no such text. */
static const char *text(const render_state *s, int32_t which, size_t *n)
{
    *n = (size_t)s->error.length;
    if (which == 1) return s->error.text;
    *n = 0;
    if (!s->run) return NULL;
    return which == 0 ? chord_template_text(s->run, n) : chord_template_raised(s->run, n);
}
EXPORT(text) double export_text(double block, int32_t which)
{
    size_t n;
    return address(text(at(block), which, &n));
}
EXPORT(text_bytes) double export_text_bytes(double block, int32_t which)
{
    size_t n;
    text(at(block), which, &n);
    return (double)n;
}
