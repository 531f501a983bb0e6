/* chord.c: the native command line: info, tokenize, generate, logits, chat. It prints text, or JSON with
 * --json. Progress goes to stderr. The exit status is 0, 1 for a failure, 2 for wrong usage. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../host/native/load.h"
#include "chord_cli.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: chord COMMAND MODEL.gguf [options]\n"
    "  info                    print metadata and sizes; --program: the op records; --tensors: the tensor table\n"
    "  tokenize TEXT           print the ids of a text\n"
    "  generate PROMPT         continue a prompt\n"
    "  chat                    answer stdin line by line, by the model's chat template\n"
    "  logits TEXT             print the logits after a text; --all: after every position\n"
    "A text that starts with - needs --text TEXT or --prompt PROMPT. --ids 1,2,3 replaces the text.\n"
    "options (defaults in parentheses)\n"
    "  --json                  print one JSON object (generate: one a token; chat: one an answer)\n"
    "  --chat                  the text is a user's turn in the model's chat template\n"
    "  --system TEXT           a chat's system turn; '': none (a standard one below 300 million parameters)\n"
    "  --chat-template NAME    one of the file's further chat templates, by its name\n"
    "  --threads N             threads that compute (1)\n"
    "  --ctx N                 context length (the trained length, at most 4096)\n"
    "  --kv f16|q8_0|f32       type of the KV cache (f16)\n"
    "  --memory BYTES          for weights, vocabulary and activations; layers that don't fit are read again and again\n"
    "  --any-pre               read a file with an unknown pre-tokenizer as one that names 'default'\n"
    "  --isa scalar|vector     kernels (vector, where this machine has them)\n"
    "  --max-tokens N          (256; chat: the context)\n"
    "  --temperature X (0.8)  --top-k N (40)  --top-p X (0.95)  --min-p X (0.05)\n"
    "  --repetition-penalty X  (1)     --seed N (0)           --ignore-eos\n"
    "  --no-special            add no BOS or EOS   --no-parse: read special tokens as plain text\n";

static int32_t *flag_of(cli *c, const char *name)
{
    return !strcmp(name, "--json")         ? &c->json
           : !strcmp(name, "--program")    ? &c->program
           : !strcmp(name, "--tensors")    ? &c->tensors
           : !strcmp(name, "--all")        ? &c->all
           : !strcmp(name, "--chat")       ? &c->chat
           : !strcmp(name, "--ignore-eos") ? &c->ignore_eos
           : !strcmp(name, "--no-special") ? &c->no_special
           : !strcmp(name, "--no-parse")   ? &c->no_parse
           : !strcmp(name, "--any-pre")    ? &c->config.any_pre
                                           : NULL;
}

static int32_t *integer_of(cli *c, const char *name)
{
    return !strcmp(name, "--threads")      ? &c->config.n_threads
           : !strcmp(name, "--ctx")        ? &c->config.n_ctx
           : !strcmp(name, "--max-tokens") ? &c->max_tokens
           : !strcmp(name, "--top-k")      ? &c->sampling.top_k
           : !strcmp(name, "--seed")       ? &c->seed
                                           : NULL;
}

static float *real_of(cli *c, const char *name)
{
    return !strcmp(name, "--temperature")          ? &c->sampling.temperature
           : !strcmp(name, "--top-p")              ? &c->sampling.top_p
           : !strcmp(name, "--min-p")              ? &c->sampling.min_p
           : !strcmp(name, "--repetition-penalty") ? &c->sampling.repetition_penalty
                                                   : NULL;
}

static const char **text_of(cli *c, const char *name)
{
    return !strcmp(name, "--text") || !strcmp(name, "--prompt") ? &c->text
           : !strcmp(name, "--ids")                             ? &c->ids
           : !strcmp(name, "--system")                          ? &c->system
           : !strcmp(name, "--chat-template")                   ? &c->chat_template
                                                                : NULL;
}

/* Sets the KV type or the isa. Returns 0 if `value` isn't one of the option's words. */
static int set_word(cli *c, int is_kv, const char *value)
{
    static const struct {
        const char *text;
        int32_t is_kv, value;
    } words[] = { { "f16", 1, CHORD_KV_F16 },
                  { "f32", 1, CHORD_KV_F32 },
                  { "q8_0", 1, CHORD_KV_Q8_0 },
                  { "scalar", 0, CHORD_ISA_SCALAR },
                  { "vector", 0, CHORD_ISA_VECTOR } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (words[i].is_kv != is_kv || strcmp(words[i].text, value)) continue;
        *(is_kv ? &c->config.kv_type : &c->config.isa) = words[i].value;
        return 1;
    }
    return 0;
}

/* Sets an option that has a value. `value` is NULL at the end of the command line. Returns 0, or 2 after a
 * complaint. */
static int set_option(cli *c, const char *name, const char *value)
{
    int32_t *integer = integer_of(c, name);
    float *real = real_of(c, name);
    const char **text = text_of(c, name);
    int const is_kv = !strcmp(name, "--kv"), is_memory = !strcmp(name, "--memory");
    if (!integer && !real && !text && !is_kv && !is_memory && strcmp(name, "--isa"))
        return cli_usage("'%s' isn't an option", name);
    if (!value) return cli_usage("%s needs a value", name);
    if (integer || real || is_memory) {
        char *end = NULL;
        if (is_memory) c->memory = strtod(value, &end);
        else if (integer) *integer = (int32_t)strtol(value, &end, 10);
        else *real = strtof(value, &end);
        return end == value || *end ? cli_usage("%s %s isn't a number", name, value) : 0;
    }
    if (text) *text = value;
    else if (!set_word(c, is_kv, value)) return cli_usage("%s %s isn't known", name, value);
    return 0;
}

/* Parses the arguments after the model: options, and one text if the command takes one. */
static int parse_arguments(cli *c, int argc, char **argv, int has_text)
{
    const char *word = NULL;
    for (int i = 3; i < argc; i++) {
        int32_t *flag = flag_of(c, argv[i]);
        if (flag) {
            *flag = 1;
        } else if (argv[i][0] == '-') {
            int const result = set_option(c, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
            if (result) return result;
            i++;
        } else {
            if (word || !has_text) return cli_usage("the argument '%s' is one too many", argv[i]);
            word = argv[i];
        }
    }
    if (word && (c->text || c->ids))
        return cli_usage("the argument '%s' can't be combined with --prompt, --text or --ids", word);
    if (word) c->text = word;
    return 0;
}

/* Refuses options of a chat where there is none. */
static int check_arguments(const cli *c, int (*run)(cli *c))
{
    bool const is_chat = run == cli_chat;
    if (c->chat && (is_chat || run == cli_info))
        return cli_usage("--chat is an option of generate, tokenize and logits");
    if (c->chat && c->ids) return cli_usage("--chat takes a text, not --ids");
    if (c->system && !is_chat && !c->chat) return cli_usage("--system needs --chat");
    if (c->chat_template && !is_chat && !c->chat) return cli_usage("--chat-template needs --chat");
    if (is_chat && (c->text || c->ids)) return cli_usage("chat reads its questions from stdin");
    if ((is_chat || c->chat) && (c->no_special || c->no_parse))
        return cli_usage("a chat's special tokens are added and read");
    return 0;
}

int cli_usage(const char *format, ...)
{
    char text[400];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    cli_complain(text);
    fputs(usage, stderr);
    return 2;
}

static void show_progress(uint64_t done, uint64_t all)
{
    fprintf(stderr, "\rloading %3.0f%%", 100.0 * (double)done / (double)(all ? all : 1));
    if (done >= all) fprintf(stderr, "\r\033[K");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(cli *c);
        int has_text; /* the command takes a text */
    } commands[] = {
        { "info", cli_info, 0 },     { "tokenize", cli_tokenize, 1 }, { "generate", cli_generate, 1 },
        { "logits", cli_logits, 1 }, { "chat", cli_chat, 0 },
    };
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 3) {
        fputs(usage, stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name)) continue;
        cli c = { .config = chord_config_default(),
                  .max_tokens = -1,
                  .sampling = { .version = CHORD_ABI_VERSION,
                                .size = (int32_t)sizeof(chord_sampling),
                                .top_k = 40,
                                .temperature = 0.8f,
                                .top_p = 0.95f,
                                .min_p = 0.05f,
                                .typical_p = 1,
                                .repetition_penalty = 1 } };
        int result = parse_arguments(&c, argc, argv, commands[i].has_text);
        if (!result) result = check_arguments(&c, commands[i].run);
        if (result) return result;
        chord_status const status = chord_load_within(&c.loaded, argv[2], &c.config, c.memory,
                                                      commands[i].run == cli_info,
                                                      isatty(2) ? show_progress : NULL);
        if (status < 0) {
            char text[1000];
            if (commands[i].run == cli_info && c.loaded.model) cli_info_of_refused(&c);
            fflush(stdout);
            snprintf(text, sizeof text, "%.500s: %s", argv[2], c.loaded.error);
            cli_complain(text);
            result = 1;
        } else {
            result = commands[i].run(&c);
        }
        chord_unload(&c.loaded);
        return result;
    }
    return cli_usage("there is no command '%s'", argv[1]);
}
