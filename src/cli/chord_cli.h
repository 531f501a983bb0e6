/* chord_cli.h: the options that chord.c parses for commands.c, and the output functions of both. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_CLI_H
#define CHORD_CLI_H
#include "../host/native/load.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct cli {
    chord_loaded loaded;
    chord_config config;
    chord_sampling sampling;
    const char *text, *ids;       /* the text or --prompt; --ids as given */
    int32_t json, program, tensors, all, ignore_eos, no_special, no_parse;
    int32_t max_tokens, seed;
} cli;

/* Each returns the exit status. */
int cli_info(cli *c);
int cli_tokenize(cli *c);
int cli_generate(cli *c);
int cli_logits(cli *c);
/* Prints untrusted text without control characters.
 *   LINE  for names and errors: tabs stay, line ends are escaped
 *   TEXT  tabs and line ends stay
 *   JSON  the inside of a JSON string */
enum { CLI_LINE, CLI_TEXT, CLI_JSON };
void cli_show(FILE *out, const char *text, size_t n, int32_t form);
/* Prints "chord: " and the text on one line of stderr. */
void cli_complain(const char *text);
/* Prints a complaint and the usage to stderr. Returns 2. */
int cli_usage(const char *format, ...);

#endif
