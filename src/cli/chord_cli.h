/* chord_cli.h: what the files of the command line share.
 *
 *   chord.c     options, and the commands by name
 *   info.c      info
 *   tokens.c    tokenize, logits; text to ids
 *   generate.c  generate; one continuation of a prompt
 *   prompt.c    messages to a prompt, by the model's chat template
 *   chat.c      chat
 *   show.c      text from a file or a model, made harmless
 *   fail.c      complaints */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_CLI_H
#define CHORD_CLI_H
#include "../host/native/load.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct cli {
    chord_loaded loaded;
    chord_config config;
    chord_sampling sampling;
    const char *text, *ids; /* the text or --prompt; --ids as given */
    const char *system, *chat_template;
    int32_t json, program, tensors, all, chat, ignore_eos, no_special, no_parse;
    double memory; /* --memory; 0: no limit */
    int32_t max_tokens, seed; /* max_tokens -1: not given */
} cli;

/* Each returns the exit status. */
int cli_info(cli *c);
/* Prints what the header of a file has whose load failed, if it is complete. Returns whether it is. */
int cli_info_of_refused(cli *c);
int cli_tokenize(cli *c);
int cli_generate(cli *c);
int cli_logits(cli *c);
int cli_chat(cli *c);

/* ---- tokens.c --------------------------------------------------------------------------------------- */

/* The ids of a text, malloc'd. Complains and returns NULL on an error. */
int32_t *cli_text_ids(cli *c, const char *text, size_t n_text, int32_t flags, int32_t *n);
/* The same of the command's text, with --chat in the chat template, or of --ids. *status is the exit status
 * of an error. */
int32_t *cli_prompt_ids(cli *c, int32_t *n, int *status);

/* ---- prompt.c --------------------------------------------------------------------------------------- */

typedef struct cli_message {
    const char *role, *text;
    size_t n;
} cli_message;

/* A model's chat template, compiled. */
typedef struct cli_template cli_template;
/* Complains and returns NULL if the model has no template, or one that can't be read. */
cli_template *cli_template_open(cli *c);
void cli_template_close(cli_template *t);
/* The ids of the prompt that asks for an answer to the messages, malloc'd, as llama.cpp's server makes them:
 * special tokens are added and parsed, and BOS isn't doubled. Complains and returns NULL on an error. */
int32_t *cli_template_ids(cli *c, const cli_template *t, const cli_message *messages, size_t n_messages,
                          int32_t *n);
/* The same for a conversation of one question, with the template that it opens. */
int32_t *cli_turn_ids(cli *c, const char *text, int32_t *n);
/* The system turn: --system, or for a tiny model a standard one, as the npm command does; NULL: none. */
const char *cli_system(cli *c);

/* ---- generate.c ------------------------------------------------------------------------------------- */

typedef struct cli_figures {
    int32_t n_prompt, n_kept, n_tokens; /* kept: of the prompt, from the call before */
    double prompt_ms, decode_ms;        /* decode: the tokens after the first */
    int is_stopped;                     /* the model ended its turn */
} cli_figures;
/* Called for each token, and with token -1 for what the stream held back. */
typedef void cli_piece(cli *c, void *to, int32_t token, const char *text, size_t n);

/* Continues `ids` in the session, which keeps the keys and values of what it shares with them. Complains and
 * returns 1 on an error. `stream` is a block of chord_stream_bytes(0) bytes. */
int cli_continue(cli *c, chord_session *s, void *stream, const int32_t *ids, int32_t n, cli_piece *piece,
                 void *to, cli_figures *out);
/* Prints a model's text: to a terminal without control characters. */
void cli_print(const char *text, size_t n);

/* ---- show.c, fail.c, chord.c ------------------------------------------------------------------------ */

/* Prints untrusted text without control characters.
 *   LINE  for names and errors: tabs stay, line ends are escaped
 *   TEXT  tabs and line ends stay
 *   JSON  the inside of a JSON string */
enum { CLI_LINE, CLI_TEXT, CLI_JSON };
void cli_show(FILE *out, const char *text, size_t n, int32_t form);
/* Prints a JSON string to stdout. */
void cli_print_json(const char *text, size_t n);
/* Prints "chord: " and the text on one line of stderr. */
void cli_complain(const char *text);
/* Complains. Returns 1. */
int cli_fail(const char *text);
/* Complains with the model's last error. Returns 1. */
int cli_fail_with_last(cli *c, chord_status status);
/* Prints a complaint and the usage to stderr. Returns 2. */
int cli_usage(const char *format, ...);

#endif
