/* chord.c: the native command line: info, tokenize, generate, logits. It prints text, or JSON with --json.
 * Progress goes to stderr. The exit status is 0, 1 for a failure, 2 for wrong usage. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../host/native/load.h"
#include "chord_cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: chord COMMAND MODEL.gguf [options]\n"
    "  info                    print metadata and sizes; --program: the op records; --tensors: the tensor table\n"
    "  tokenize --text T       print the ids of a text\n"
    "  generate --prompt T     continue a prompt\n"
    "  logits --ids 1,2,3      print the logits after a prompt (--ids or --text); --all: after every position\n"
    "options (defaults in parentheses)\n"
    "  --json                  print one JSON object (generate: one per token, each on a line)\n"
    "  --threads N             threads that compute (1)\n"
    "  --ctx N                 context length (the trained length, at most 4096)\n"
    "  --kv f16|q8_0|f32       type of the KV cache (f16)\n"
    "  --isa scalar|vector     kernels (vector, where this machine has them)\n"
    "  --max-tokens N          (256)   --temperature X (0.8)  --top-k N (40)  --top-p X (0.95)  --min-p X (0.05)\n"
    "  --repetition-penalty X  (1)     --seed N (0)           --ignore-eos\n"
    "  --no-special            add no BOS or EOS   --no-parse: read special tokens as plain text\n";

static int text_arguments(cli *c, int argc, char **argv)
{
    for (int i = 3; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        int32_t *flag = !strcmp(name, "--json")         ? &c->json
                        : !strcmp(name, "--program")    ? &c->program
                        : !strcmp(name, "--tensors")    ? &c->tensors
                        : !strcmp(name, "--all")        ? &c->all
                        : !strcmp(name, "--ignore-eos") ? &c->ignore_eos
                        : !strcmp(name, "--no-special") ? &c->no_special
                        : !strcmp(name, "--no-parse")   ? &c->no_parse
                                                        : NULL;
        if (flag) {
            *flag = 1;
            continue;
        }
        if (!value) return cli_usage("%s needs a value", name);
        i++;
        char *end = NULL;
        int32_t *whole = !strcmp(name, "--threads")      ? &c->config.n_threads
                         : !strcmp(name, "--ctx")        ? &c->config.n_ctx
                         : !strcmp(name, "--max-tokens") ? &c->max_tokens
                         : !strcmp(name, "--top-k")      ? &c->sampling.top_k
                         : !strcmp(name, "--seed")       ? &c->seed
                                                         : NULL;
        float *real = !strcmp(name, "--temperature")          ? &c->sampling.temperature
                      : !strcmp(name, "--top-p")              ? &c->sampling.top_p
                      : !strcmp(name, "--min-p")              ? &c->sampling.min_p
                      : !strcmp(name, "--repetition-penalty") ? &c->sampling.repetition_penalty
                                                              : NULL;
        if (whole) *whole = (int32_t)strtol(value, &end, 10);
        else if (real) *real = strtof(value, &end);
        else if (!strcmp(name, "--text") || !strcmp(name, "--prompt")) c->text = value;
        else if (!strcmp(name, "--ids")) c->ids = value;
        else if (!strcmp(name, "--kv") &&
                 (!strcmp(value, "f16") || !strcmp(value, "f32") || !strcmp(value, "q8_0")))
            c->config.kv_type = value[0] == 'q'   ? CHORD_KV_Q8_0
                                : value[1] == '3' ? CHORD_KV_F32
                                                  : CHORD_KV_F16;
        else if (!strcmp(name, "--isa") && (!strcmp(value, "scalar") || !strcmp(value, "vector")))
            c->config.isa = !strcmp(value, "scalar") ? CHORD_ISA_SCALAR : CHORD_ISA_VECTOR;
        else return cli_usage("%s %s isn't known", name, value);
        if (end && (end == value || *end)) return cli_usage("%s %s isn't a number", name, value);
    }
    return 0;
}

int cli_usage(const char *format, const char *a, ...)
{
    va_list rest;
    va_start(rest, a);
    const char *b = va_arg(rest, const char *);
    va_end(rest);
    char text[400];
    snprintf(text, sizeof text, format, a, b);
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
        int only_header;
    } commands[] = {
        { "info", cli_info, 1 },
        { "tokenize", cli_tokenize, 0 },
        { "generate", cli_generate, 0 },
        { "logits", cli_logits, 0 },
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
                  .max_tokens = 256,
                  .sampling = { .version = CHORD_ABI_VERSION,
                                .size = (int32_t)sizeof(chord_sampling),
                                .top_k = 40,
                                .temperature = 0.8f,
                                .top_p = 0.95f,
                                .min_p = 0.05f,
                                .typical_p = 1,
                                .repetition_penalty = 1 } };
        int result = text_arguments(&c, argc, argv);
        if (result) return result;
        chord_status const status = chord_load_file(&c.loaded, argv[2], &c.config, 0, commands[i].only_header,
                                                    isatty(2) ? show_progress : NULL);
        if (status < 0) {
            char text[1000];
            snprintf(text, sizeof text, "%.500s: %s", argv[2], c.loaded.error);
            cli_complain(text);
            result = 1;
        } else {
            result = commands[i].run(&c);
        }
        chord_unload(&c.loaded);
        return result;
    }
    return cli_usage("there is no command '%s'%s", argv[1], "");
}
