/* SPDX-License-Identifier: Apache-2.0 */
#include "../program/program.h"
#include "chord_cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_SHOWN 100 /* maximum bytes of a metadata value that are printed */

static int fail(const char *text)
{
    cli_complain(text);
    return 1;
}

static int fail_with_last(cli *c, chord_status status)
{
    char last[330], text[400];
    chord_last_error(c->loaded.model, last, sizeof last);
    snprintf(text, sizeof text, "%s: %s", chord_status_code(status),
             last[0] ? last : chord_status_text(status));
    return fail(text);
}

static void print_json_string(const char *s, size_t n)
{
    putchar('"');
    cli_show(stdout, s, n, CLI_JSON);
    putchar('"');
}

/* Returns a metadata value, malloc'd; NULL when the key is absent. */
static char *meta(cli *c, const char *key, int32_t n_key, size_t *n)
{
    int64_t const length = chord_model_meta(c->loaded.model, key, n_key, NULL, 0);
    if (length < 0) return NULL;
    char *text = malloc((size_t)length + 1);
    if (!text) return NULL;
    chord_model_meta(c->loaded.model, key, n_key, text, (size_t)length);
    text[length] = 0;
    *n = (size_t)length;
    return text;
}

/* ---- info --------------------------------------------------------------------------------------------- */

static const char *op_name(int32_t kind)
{
    const chord_op_kind *known = chord_op_kind_of(kind);
    return known ? known->name : "?";
}

/* Prints the fields of the op's own part. */
static void print_part(const chord_op *op)
{
    switch (op->kind) {
#define INT(f) printf(" " #f " %d", part->f);
#define INTS(f, n)              \
    for (int k = 0; k < n; k++) \
        if (part->f[k]) printf(" " #f "[%d] %d", k, part->f[k]);
#define FLOAT(f) printf(" " #f " %g", (double)part->f);
#define OP(NAME, name, number, traits, fields, text) \
    case number: {                                   \
        const chord_op_##name *part = &op->name;     \
        fields break;                                \
    }
#include "../program/ops.def"
    default: break;
    }
}

static void print_program(cli *c)
{
    int32_t n;
    const chord_op *ops = chord_model_program(c->loaded.model, &n);
    for (int32_t i = 0; i < n; i++) {
        const chord_op *op = &ops[i];
        printf("%4d  %-9s", i, op_name(op->kind));
        if (op->layer >= 0) printf(" layer %-3d", op->layer);
        if (op->cache >= 0) printf(" cache %d", op->cache);
        for (int k = 0; k < 3; k++)
            if (op->in[k] >= 0) printf(" in s%d", op->in[k]);
        for (int k = 0; k < 3; k++)
            if (op->out[k] >= 0) printf(" out s%d", op->out[k]);
        print_part(op);
        for (int k = 0; k < CHORD_OP_WEIGHTS; k++) {
            chord_tensor_info t;
            char name[256];
            if (op->weight[k] >= 0 &&
                chord_model_tensor(c->loaded.model, op->weight[k], &t, name, sizeof name) == CHORD_OK) {
                putchar(' ');
                cli_show(stdout, name, strlen(name), CLI_LINE);
            }
        }
        printf("%s%s%s\n", op->flags & CHORD_FLAG_ADD ? " add" : "",
               op->flags & CHORD_FLAG_GATHER ? " gather" : "",
               op->flags & CHORD_FLAG_OUTPUT ? " output rows" : "");
    }
}

static void print_tensors(cli *c)
{
    chord_tensor_info t;
    char name[256];
    for (int32_t i = 0; chord_model_tensor(c->loaded.model, i, &t, name, sizeof name) == CHORD_OK; i++) {
        printf("%4d  type %-3d %8.0f x %-8.0f %12.0f bytes  ", i, t.type, t.ne[0],
               t.ne[1] * t.ne[2] * t.ne[3], t.file_bytes);
        cli_show(stdout, name, strlen(name), CLI_LINE);
        putchar('\n');
    }
}

/* Prints a key and the start of its value. Values are aligned after keys of at most 42 characters. */
static void print_entry(const char *key, size_t n_key, const char *value, size_t n)
{
    size_t shown = n < MOST_SHOWN ? n : MOST_SHOWN;
    /* don't cut inside a character */
    while (shown < n && shown && ((unsigned char)value[shown] & 0xc0) == 0x80) shown--;
    printf("  ");
    cli_show(stdout, key, n_key, CLI_LINE);
    printf("%*s ", n_key < 42 ? 42 - (int)n_key : 0, "");
    if (value) cli_show(stdout, value, shown, CLI_LINE);
    puts(!value ? "(long, not kept)" : shown < n ? " ..." : "");
}

int cli_info(cli *c)
{
    chord_model_info info;
    const chord_plan_info *p = &c->loaded.plan;
    if (chord_model_get_info(c->loaded.model, &info) != CHORD_OK) return fail_with_last(c, CHORD_INTERNAL);
    if (c->program) {
        print_program(c);
        return 0;
    }
    if (c->tensors) {
        print_tensors(c);
        return 0;
    }
    printf(c->json ? "{\"metadata\":{" : "metadata\n");
    size_t n_key, n;
    char *key;
    for (int32_t i = 0; (key = meta(c, NULL, -1 - i, &n_key)); i++) {
        char *value = meta(c, key, (int32_t)n_key, &n);
        if (c->json) {
            if (i) putchar(',');
            print_json_string(key, n_key);
            putchar(':');
            if (value) print_json_string(value, n);
            else printf("null");
        } else {
            print_entry(key, n_key, value, n);
        }
        free(value);
        free(key);
    }
    printf(
        c->json
            ? "},\"tensors\":%d,\"parameters\":%.0f,\"n_vocab\":%d,\"n_embd\":%d,\"n_layer\":%d,\"n_head\":%d,\"n_kv\":%d,"
              "\"head_dim\":%d,\"n_ff\":%d,\"n_ctx\":%d,\"ops\":%d,\"weight_bytes\":%.0f,\"vocabulary_bytes\":%.0f,"
              "\"activation_bytes\":%.0f,\"page_bytes\":%.0f,\"context_bytes\":%.0f,\"multiply_adds_per_token\":%.0f}\n"
            : "model\n  %d tensors, %.0f parameters, %d tokens; width %d, %d layers, %d heads over %d KV heads of %d, "
              "feed-forward %d\n  context %d, %d ops; bytes: weights %.0f, vocabulary %.0f, activations %.0f, KV page %.0f, a full context %.0f\n"
              "  %.0f multiply-adds per token\n",
        info.n_tensors, info.n_params, info.n_vocab, info.n_embd, info.n_layer, info.n_head, info.n_kv,
        info.head_dim, info.n_ff, p->n_ctx, p->n_ops, p->weight_bytes, p->vocabulary_bytes,
        p->activation_bytes, p->page_bytes, p->context_bytes, p->madds_per_token);
    return 0;
}

/* ---- tokens ---------------------------------------------------------------------------------------- */

/* Returns the ids of --ids or of the text, malloc'd. Prints a complaint and returns NULL on an error. */
static int32_t *prompt_ids(cli *c, int32_t *n)
{
    *n = 0;
    if (c->ids) {
        int32_t *ids = malloc((strlen(c->ids) + 1) * sizeof *ids);
        for (const char *s = c->ids; ids && *s;) {
            char *end;
            ids[(*n)++] = (int32_t)strtol(s, &end, 10);
            s = *end == ',' ? end + 1 : end;
            if (end == s && *end) {
                free(ids);
                fail("--ids isn't a list of numbers");
                return NULL;
            }
        }
        return ids;
    }
    if (!c->text) {
        cli_usage("a text or --ids is needed");
        return NULL;
    }
    size_t const n_text = strlen(c->text), scratch_bytes = chord_tokenize_bytes(c->loaded.model, n_text);
    int32_t const cap = (int32_t)n_text + 8,
                  flags = (c->no_special ? 0 : CHORD_ADD_SPECIAL) | (c->no_parse ? 0 : CHORD_PARSE_SPECIAL);
    int32_t *ids = malloc((size_t)cap * sizeof *ids);
    void *scratch = malloc(scratch_bytes + 1);
    *n = ids && scratch
             ? chord_tokenize(c->loaded.model, c->text, n_text, flags, ids, cap, scratch, scratch_bytes)
             : -1;
    free(scratch);
    if (*n >= 0 && *n <= cap) return ids;
    free(ids);
    fail_with_last(c, *n < 0 ? *n : CHORD_INTERNAL);
    return NULL;
}

static void print_token(cli *c, int32_t id)
{
    char text[1024];
    int64_t const n = chord_detokenize(c->loaded.model, &id, 1, 0, text, sizeof text);
    print_json_string(text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text);
}

int cli_tokenize(cli *c)
{
    int32_t n;
    int32_t *ids = prompt_ids(c, &n);
    if (!ids) return 2;
    if (c->json) printf("{\"ids\":[");
    for (int32_t i = 0; i < n; i++) {
        if (c->json) {
            printf("%s%d", i ? "," : "", ids[i]);
            continue;
        }
        printf("%8d  ", ids[i]);
        print_token(c, ids[i]);
        putchar('\n');
    }
    if (c->json) printf("]}\n");
    free(ids);
    return 0;
}

/* ---- generate -------------------------------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void print_piece(cli *c, chord_stream *stream, int32_t token)
{
    char bytes[1024];
    const char *text;
    int64_t n = token < 0
                    ? 0
                    : chord_detokenize(c->loaded.model, &token, 1, CHORD_SKIP_SPECIAL, bytes, sizeof bytes);
    if (n > (int64_t)sizeof bytes) n = sizeof bytes;
    int32_t const ready = token < 0 ? chord_stream_end(stream, &text)
                                    : chord_stream_push(stream, bytes, n < 0 ? 0 : (size_t)n, &text);
    if (c->json) {
        printf("{\"token\":%d,\"text\":", token);
        print_json_string(text, (size_t)(ready > 0 ? ready : 0));
        printf("}\n");
    } else if (ready > 0) {
        if (isatty(1)) cli_show(stdout, text, (size_t)ready, CLI_TEXT);
        else fwrite(text, 1, (size_t)ready, stdout);
    }
    fflush(stdout);
}

int cli_generate(cli *c)
{
    int32_t n;
    int32_t *ids = prompt_ids(c, &n);
    if (!ids) return 2;
    size_t const stream_bytes = chord_stream_bytes(0);
    chord_session *s = chord_load_session(&c->loaded);
    chord_stream *stream = chord_stream_open(chord_load_block(&c->loaded, stream_bytes), stream_bytes, NULL,
                                             0);
    if (!s || !stream) {
        free(ids);
        return fail("no memory for a session");
    }
    chord_session_seed(s, (uint64_t)c->seed);
    chord_status status = chord_session_push(s, ids, n);
    free(ids);
    double const begin = seconds();
    double first = begin;
    int32_t tokens = 0;
    while (status >= 0 && tokens < c->max_tokens) {
        status = chord_load_run(&c->loaded, s, CHORD_NO_LIMIT);
        if (status != CHORD_DONE) break;
        if (!tokens) first = seconds();
        int32_t const token = chord_session_sample(s, &c->sampling);
        if (token < 0) {
            status = token;
            break;
        }
        if (!c->ignore_eos && chord_token_flags(c->loaded.model, token) & CHORD_TOKEN_EOG) break;
        tokens++;
        print_piece(c, stream, token);
        status = chord_session_push(s, &token, 1);
    }
    if (status == CHORD_CONTEXT_FULL && tokens) status = CHORD_DONE; /* a full context is a normal end */
    if (status < 0) return fail_with_last(c, status);
    print_piece(c, stream, -1);
    double const end = seconds();
    fprintf(stderr, "\n%d prompt tokens in %.2f s (%.1f/s), %d tokens in %.2f s (%.1f/s)\n", n, first - begin,
            n / (first - begin + 1e-9), tokens, end - first,
            (tokens ? tokens - 1 : 0) / (end - first + 1e-9));
    return 0;
}

/* ---- logits ---------------------------------------------------------------------------------------- */

static void print_row(cli *c, const float *logits, int32_t n_vocab, int32_t position)
{
    if (c->json) {
        printf("{\"position\":%d,\"logits\":[", position);
        for (int32_t i = 0; i < n_vocab; i++) printf("%s%.9g", i ? "," : "", (double)logits[i]);
        printf("]}\n");
        return;
    }
    printf("position %d\n", position);
    int32_t shown[10];
    for (int32_t k = 0; k < 10 && k < n_vocab; k++) {
        int32_t best = -1;
        for (int32_t i = 0; i < n_vocab; i++) {
            int is_shown = 0;
            for (int32_t j = 0; j < k; j++) is_shown |= shown[j] == i;
            if (!is_shown && (best < 0 || logits[i] > logits[best])) best = i;
        }
        shown[k] = best;
        printf("  %9.4f %8d  ", (double)logits[best], best);
        print_token(c, best);
        putchar('\n');
    }
}

int cli_logits(cli *c)
{
    int32_t n;
    int32_t *ids = prompt_ids(c, &n);
    if (!ids) return 2;
    chord_model_info info;
    chord_session *s = chord_load_session(&c->loaded);
    if (!s || chord_model_get_info(c->loaded.model, &info) != CHORD_OK) {
        free(ids);
        return fail("no memory for a session");
    }
    chord_session_outputs(s, c->all ? CHORD_OUTPUT_ALL : CHORD_OUTPUT_LAST);
    chord_status status = chord_session_push(s, ids, n);
    free(ids);
    for (int32_t shown = 0; status >= 0 && shown < n;) {
        status = chord_load_run(&c->loaded, s, CHORD_NO_LIMIT);
        if (status != CHORD_DONE) break;
        chord_session_state state;
        chord_session_get_state(s, &state);
        for (int32_t row = 0; row < state.n_rows; row++)
            print_row(c, chord_session_logits(s, row), info.n_vocab, state.first_row + row);
        shown = state.n_past;
    }
    return status < 0 ? fail_with_last(c, status) : 0;
}
