/* prompt.c: makes a prompt of messages with the model's chat template (src/template). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../template/template.h"
#include "chord_cli.h"
#include <stdlib.h>
#include <time.h>

/* Memory of a rendering: values take a few times the bytes of the messages. */
#define LEAST_ARENA ((size_t)8 << 20)
#define MOST_ARENA ((size_t)512 << 20)

struct cli_template {
    char *source;
    void *memory; /* of the program */
    chord_template *program;
    char bos[256], eos[256];
    int adds_bos, adds_eos;
    bool knows_parts, must_have_parts; /* of a message's content; knows: it may read them */
};

/* A text that was rendered, malloc'd; NULL after an error. */
typedef struct rendered {
    char *text;
    size_t n;
    int is_raised; /* the template called raise_exception */
    chord_error error;
} rendered;

static void token_text(cli *c, int32_t id, char *text, size_t cap)
{
    int64_t const n = id < 0 ? 0 : chord_detokenize(c->loaded.model, &id, 1, 0, text, cap - 1);
    text[n < 0 || (size_t)n >= cap ? 0 : n] = 0;
}

static void put_json(FILE *f, const char *text, size_t n)
{
    putc('"', f);
    cli_show(f, text, n, CLI_JSON);
    putc('"', f);
}

/* The template's variables, JSON, malloc'd. What isn't given is null, as in transformers. */
static char *variables_of(const cli_template *t, const cli_message *m, size_t n_messages, bool as_parts,
                          size_t *n)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, n);
    if (!f) return NULL;
    fputs("{\"tools\":null,\"documents\":null,\"add_generation_prompt\":true,\"bos_token\":", f);
    put_json(f, t->bos, strlen(t->bos));
    fputs(",\"eos_token\":", f);
    put_json(f, t->eos, strlen(t->eos));
    fputs(",\"messages\":[", f);
    for (size_t i = 0; i < n_messages; i++) {
        fprintf(f, "%s{\"role\":\"%s\",\"content\":%s", i ? "," : "", m[i].role,
                as_parts ? "[{\"type\":\"text\",\"text\":" : "");
        put_json(f, m[i].text, m[i].n);
        fputs(as_parts ? "}]}" : "}", f);
    }
    fputs("]}", f);
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

static chord_template_time local_time(void)
{
    time_t const now = time(NULL);
    struct tm t = { 0 };
    localtime_r(&now, &t);
    return (chord_template_time){ t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec };
}

static rendered render(const cli_template *t, const char *variables, size_t n, bool merge_system)
{
    rendered out = { 0 };
    size_t const bytes = n < (MOST_ARENA - LEAST_ARENA) / 16 ? LEAST_ARENA + 16 * n : MOST_ARENA;
    chord_arena arena = { malloc(bytes), 0, bytes };
    chord_template_input const in = {
        .variables = variables, .n_variables = n, .now = local_time(), .merge_system = merge_system
    };
    chord_template_run *run = NULL;
    if (!arena.base) return out;
    chord_status status = chord_template_begin(t->program, &in, &arena, &run, &out.error);
    if (status == CHORD_OK) status = CHORD_MORE;
    while (status == CHORD_MORE) status = chord_template_step(run, UINT64_MAX);
    if (status == CHORD_DONE) {
        const char *const text = chord_template_text(run, &out.n);
        out.text = malloc(out.n + 1);
        if (out.text) {
            memcpy(out.text, text, out.n);
            out.text[out.n] = 0;
        }
    }
    size_t n_raised;
    out.is_raised = run && chord_template_raised(run, &n_raised);
    free(arena.base);
    return out;
}

static rendered render_messages(const cli_template *t, const cli_message *m, size_t n_messages, bool as_parts)
{
    size_t n;
    char *const variables = variables_of(t, m, n_messages, as_parts, &n);
    if (!variables) return (rendered){ 0 };
    rendered out = render(t, variables, n, false);
    /* Some templates refuse a system message. */
    if (out.is_raised && !strcmp(m[0].role, "system")) out = render(t, variables, n, true);
    free(variables);
    return out;
}

/* Whether a user's text appears in the prompt only as a part. A template that doesn't know parts prints the
 * list. */
static bool must_have_parts(const cli_template *t)
{
    static const char word[] = "kiesel";
    cli_message const ask = { "user", word, sizeof word - 1 };
    if (!t->knows_parts) return false;
    rendered const plain = render_messages(t, &ask, 1, false), parts = render_messages(t, &ask, 1, true);
    bool const takes_text = plain.text && strstr(plain.text, word),
               takes_parts = parts.text && strstr(parts.text, word) &&
                             !strstr(parts.text, "'type': 'text'") &&
                             !strstr(parts.text, "\"type\": \"text\"");
    free(plain.text);
    free(parts.text);
    return takes_parts && !takes_text;
}

static int compile(cli *c, cli_template *t)
{
    const char *const name = c->chat_template ? c->chat_template : "";
    int32_t const n_name = (int32_t)strlen(name);
    int64_t const length = chord_model_chat_template(c->loaded.model, name, n_name, NULL, 0);
    if (length < 0) return cli_fail_with_last(c, (chord_status)length);
    if (!length)
        return cli_fail("the model has no chat template (tokenizer.chat_template): it may be a base model");
    size_t const n = (size_t)length, bytes = n * 24 + 90000;
    t->source = malloc(n + 1);
    t->memory = malloc(bytes);
    if (!t->source || !t->memory) return cli_fail("no memory for the chat template");
    chord_model_chat_template(c->loaded.model, name, n_name, t->source, n);
    t->source[n] = 0;
    chord_arena arena = { t->memory, 0, bytes };
    chord_error error = { 0 };
    if (chord_template_compile(t->source, n, &arena, &t->program, &error) != CHORD_OK)
        return cli_fail(error.text);
    return 0;
}

cli_template *cli_template_open(cli *c)
{
    chord_model_info info;
    if (chord_model_get_info(c->loaded.model, &info) != CHORD_OK) {
        cli_fail_with_last(c, CHORD_INTERNAL);
        return NULL;
    }
    cli_template *const t = calloc(1, sizeof *t);
    if (!t || compile(c, t)) {
        cli_template_close(t);
        return NULL;
    }
    token_text(c, info.bos, t->bos, sizeof t->bos);
    token_text(c, info.eos, t->eos, sizeof t->eos);
    t->adds_bos = info.add_bos;
    t->adds_eos = info.add_eos;
    t->knows_parts = strstr(t->source, "type") != NULL;
    t->must_have_parts = must_have_parts(t);
    return t;
}

void cli_template_close(cli_template *t)
{
    if (!t) return;
    free(t->source);
    free(t->memory);
    free(t);
}

int32_t *cli_template_ids(cli *c, const cli_template *t, const cli_message *messages, size_t n_messages,
                          int32_t *n)
{
    rendered r = render_messages(t, messages, n_messages, t->must_have_parts);
    /* Gemma 3 1B's template reads the user's text, and the system's first part. */
    if (!r.text && !r.is_raised && t->knows_parts && !t->must_have_parts) {
        rendered const parts = render_messages(t, messages, n_messages, true);
        if (parts.text) r = parts;
    }
    if (!r.text) {
        cli_fail(r.error.length ? r.error.text : "no memory for the prompt");
        return NULL;
    }
    /* The tokenizer adds these, so the template's own go. */
    size_t const n_bos = t->adds_bos ? strlen(t->bos) : 0, n_eos = t->adds_eos ? strlen(t->eos) : 0;
    const char *text = r.text;
    size_t length = r.n;
    if (n_bos <= length && !memcmp(text, t->bos, n_bos)) text += n_bos, length -= n_bos;
    if (n_eos <= length && !memcmp(text + length - n_eos, t->eos, n_eos)) length -= n_eos;
    int32_t *const ids = cli_text_ids(c, text, length, CHORD_ADD_SPECIAL | CHORD_PARSE_SPECIAL, n);
    free(r.text);
    return ids;
}

const char *cli_system(cli *c)
{
    chord_model_info info;
    if (c->system) return c->system[0] ? c->system : NULL;
    bool const is_tiny = chord_model_get_info(c->loaded.model, &info) == CHORD_OK && info.n_params < 3e8;
    return is_tiny ? "You are a helpful assistant." : NULL;
}

int32_t *cli_turn_ids(cli *c, const char *text, int32_t *n)
{
    cli_template *const t = cli_template_open(c);
    if (!t) return NULL;
    const char *const texts[] = { cli_system(c), text }, *const roles[] = { "system", "user" };
    cli_message messages[2];
    size_t n_messages = 0;
    for (int i = 0; i < 2; i++)
        if (texts[i]) messages[n_messages++] = (cli_message){ roles[i], texts[i], strlen(texts[i]) };
    int32_t *const ids = cli_template_ids(c, t, messages, n_messages, n);
    cli_template_close(t);
    return ids;
}
