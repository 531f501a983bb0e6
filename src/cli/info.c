/* info.c: the command `info`: metadata, sizes, the program, the tensor table. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../program/program.h"
#include "chord_cli.h"
#include <stdlib.h>

#define MOST_SHOWN 100 /* maximum bytes of a metadata value that are printed */

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

/* Prints the tensor types, each with its part of all elements. */
static void print_types(cli *c, double n_params)
{
    enum { TYPES = 256 };
    double elements[TYPES + 1] = { 0 }; /* the last: types above */
    chord_tensor_info t;
    for (int32_t i = 0; chord_model_tensor(c->loaded.model, i, &t, NULL, 0) == CHORD_OK; i++)
        elements[t.type >= 0 && t.type < TYPES ? t.type : TYPES] += t.ne[0] * t.ne[1] * t.ne[2] * t.ne[3];
    printf(c->json ? "\"types\":{" : "types\n ");
    const char *between = "";
    for (int32_t type = 0; type <= TYPES; type++) {
        if (elements[type] == 0) continue;
        const char *name = chord_type_name(type);
        char number[16];
        snprintf(number, sizeof number, "type %d", type);
        printf(c->json ? "%s\"%s\":%.6f" : "%s %s %.1f %%", between, name ? name : number,
               elements[type] / n_params * (c->json ? 1 : 100));
        between = ",";
    }
    printf(c->json ? "}" : "\n");
}

static void print_metadata(cli *c)
{
    printf(c->json ? "{\"metadata\":{" : "metadata\n");
    size_t n_key, n;
    char *key;
    for (int32_t i = 0; (key = meta(c, NULL, -1 - i, &n_key)); i++) {
        char *value = meta(c, key, (int32_t)n_key, &n);
        if (c->json) {
            if (i) putchar(',');
            cli_print_json(key, n_key);
            putchar(':');
            if (value) cli_print_json(value, n);
            else printf("null");
        } else {
            print_entry(key, n_key, value, n);
        }
        free(value);
        free(key);
    }
    if (c->json) printf("},");
}

int cli_info_of_refused(cli *c)
{
    chord_model_info info;
    if (chord_model_meta(c->loaded.model, NULL, -1, NULL, 0) < 0) return 0;
    print_metadata(c);
    if (chord_model_get_info(c->loaded.model, &info) == CHORD_OK) {
        print_types(c, info.n_params);
        printf(c->json ? ",\"tensors\":%d,\"parameters\":%.0f," : "%d tensors, %.0f parameters\n",
               info.n_tensors, info.n_params);
    }
    if (c->json) {
        printf("\"problem\":");
        cli_print_json(c->loaded.error, strlen(c->loaded.error));
        puts("}");
    }
    return 1;
}

int cli_info(cli *c)
{
    chord_model_info info;
    const chord_plan_info *p = &c->loaded.plan;
    if (chord_model_get_info(c->loaded.model, &info) != CHORD_OK)
        return cli_fail_with_last(c, CHORD_INTERNAL);
    if (c->program) {
        print_program(c);
        return 0;
    }
    if (c->tensors) {
        print_tensors(c);
        return 0;
    }
    print_metadata(c);
    print_types(c, info.n_params);
    printf(
        c->json
            ? ",\"tensors\":%d,\"parameters\":%.0f,\"n_vocab\":%d,\"n_embd\":%d,\"n_layer\":%d,\"n_head\":%d,\"n_kv\":%d,"
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
