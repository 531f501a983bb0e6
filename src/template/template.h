/* template.h: chat templates. A template of a model file is Jinja text; this room renders it as Python's
 * Jinja2 does with the settings of Hugging Face transformers (trim_blocks, lstrip_blocks, loop controls,
 * generation blocks, the immutable sandbox, their own tojson).
 *
 *   chord_template *t;
 *   chord_template_compile(source, n, &program_arena, &t, &error);      // once a model
 *   chord_template_input in = { .variables = json, .n_variables = n, .now = { 2026, 1, 31, 12, 0, 0 } };
 *   chord_template_run *run;
 *   chord_template_begin(t, &in, &arena, &run, &error);                 // once a prompt
 *   while ((status = chord_template_step(run, 20000)) == CHORD_MORE) { } // or do other things
 *   if (status == CHORD_DONE) text = chord_template_text(run, &n_text);
 *
 * The parts: lex.c cuts the source into tokens, parse.c and expression.c make a program of small
 * instructions (program.h), vm.c runs it over values (value.h). names.def lists all filters, tests, methods
 * and global functions. Nothing recurses on the C stack except the parser, which counts its depth.
 *
 * A template is foreign code. Four bounds end a hostile one with an error that names the line: the steps of
 * the whole rendering, the arena (memory of values), the bytes of output, and the depth of values and calls.
 *
 * Known differences from Jinja2:
 *   integers have 64 bits, and a result outside is an error;
 *   a filter or test that doesn't exist is an error when it is used, not before;
 *   printing a value whose text holds an address in Python (a generator, a function) is an error;
 *   upper, lower and the like know the letters of ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic;
 *   escape and safe give plain strings; urlencode takes strings alone;
 *   keys of mappings are no tuples; a slice of a literal that has none is an error, as of any other value;
 *   in `{% set a %}{{ a }}{% endset %}` the inner a may be a variable of the caller, as in `set a = a`;
 *   inheritance, include, import, autoescape and async don't exist. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEMPLATE_TEMPLATE_H
#define CHORD_TEMPLATE_TEMPLATE_H
#include "../base/arena.h"
#include "../base/status.h"

typedef struct chord_template chord_template;
typedef struct chord_template_run chord_template_run;

/* Templates of model files have 1 to 30 kB. */
#define CHORD_TEMPLATE_MAX_SOURCE (1u << 20)

/* Makes a program of the template `source`, UTF-8. The program is in `arena` and names bytes of `source`,
 * so both must outlive it. 90 kB of arena and 24 bytes a byte of source are enough. Time is linear in n.
 * Errors: INVALID_ARGUMENT (the text isn't a template; `error` names the line), OUT_OF_MEMORY. */
chord_status chord_template_compile(const char *source, size_t n, chord_arena *arena, chord_template **out,
                                    chord_error *error);

/* Local time, for strftime_now: month 1 to 12, day 1 to 31. */
typedef struct chord_template_time {
    int32_t year, month, day, hour, minute, second;
} chord_template_time;

typedef struct chord_template_input {
    const char *variables; /* JSON text of an object; it must outlive the run, whose strings point into it */
    size_t n_variables;
    chord_template_time now;
    /* Units of work: about one per instruction, element or 16 bytes. 0: 50 million, a second or so. */
    uint64_t max_steps;
    uint64_t max_output; /* bytes; 0: no bound but the arena */
    /* For a template that raises an exception on a system message (chord_template_raised). If the first of
     * `messages` is a system message, the user's message behind it gets its text and a line end: in front of
     * a string or of the first part's text, otherwise as a part before the parts. Without a user's message
     * there it becomes one itself. */
    bool merge_system;
} chord_template_input;

/* Reads the variables and makes a run at the template's first instruction. The run takes what is left of
 * `arena` as it needs it: some 200 kB, and a few times the bytes of variables and text. It changes neither
 * the program nor the variables. `error` also takes the text of a later failure: it must outlive the run.
 * Errors: INVALID_ARGUMENT (not a JSON object, or nested too deep), OUT_OF_MEMORY. */
chord_status chord_template_begin(const chord_template *t, const chord_template_input *input,
                                  chord_arena *arena, chord_template_run **out, chord_error *error);

/* Goes on for about `steps` units of work; one instruction isn't cut, so a long filter may take more, at
 * most four million.
 * Results: DONE, MORE, or an error that names the line and ends the run: INVALID_ARGUMENT (the template
 * fails, calls raise_exception or has spent max_steps), OUT_OF_MEMORY (arena or max_output). */
chord_status chord_template_step(chord_template_run *run, uint64_t steps);

/* The text, UTF-8, and its bytes; valid while the arena is. Complete after DONE. */
const char *chord_template_text(const chord_template_run *run, size_t *n);

/* The text that the template passed to raise_exception, whole and without a line; NULL if it didn't. */
const char *chord_template_raised(const chord_template_run *run, size_t *n);

#endif
