/* tokens.c: text to ids, and the commands `tokenize` and `logits`. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "chord_cli.h"
#include <stdlib.h>

int32_t *cli_text_ids(cli *c, const char *text, size_t n_text, int32_t flags, int32_t *n)
{
    size_t const scratch_bytes = chord_tokenize_bytes(c->loaded.model, n_text);
    int32_t const cap = n_text < 1 << 29 ? (int32_t)n_text + 8 : 8;
    int32_t *ids = malloc((size_t)cap * sizeof *ids);
    void *scratch = malloc(scratch_bytes + 1);
    *n = ids && scratch
             ? chord_tokenize(c->loaded.model, text, n_text, flags, ids, cap, scratch, scratch_bytes)
             : CHORD_OUT_OF_MEMORY;
    free(scratch);
    if (*n >= 0 && *n <= cap) return ids;
    free(ids);
    cli_fail_with_last(c, *n < 0 ? *n : CHORD_INTERNAL);
    return NULL;
}

static int32_t *listed_ids(const char *list, int32_t *n)
{
    int32_t *ids = malloc((strlen(list) + 1) * sizeof *ids);
    *n = 0;
    for (const char *s = list; ids && *s;) {
        char *end;
        ids[(*n)++] = (int32_t)strtol(s, &end, 10);
        s = *end == ',' ? end + 1 : end;
        if (end == s && *end) {
            free(ids);
            cli_fail("--ids isn't a list of numbers");
            return NULL;
        }
    }
    return ids;
}

int32_t *cli_prompt_ids(cli *c, int32_t *n, int *status)
{
    *status = 2;
    if (c->ids) return listed_ids(c->ids, n);
    if (!c->text) {
        cli_usage("a text or --ids is needed");
        return NULL;
    }
    *status = 1;
    if (c->chat) return cli_turn_ids(c, c->text, n);
    return cli_text_ids(c, c->text, strlen(c->text),
                        (c->no_special ? 0 : CHORD_ADD_SPECIAL) | (c->no_parse ? 0 : CHORD_PARSE_SPECIAL), n);
}

static void print_token(cli *c, int32_t id)
{
    char text[1024];
    int64_t const n = chord_detokenize(c->loaded.model, &id, 1, 0, text, sizeof text);
    cli_print_json(text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text);
}

int cli_tokenize(cli *c)
{
    int32_t n;
    int status;
    int32_t *ids = cli_prompt_ids(c, &n, &status);
    if (!ids) return status;
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
    int result;
    int32_t *ids = cli_prompt_ids(c, &n, &result);
    if (!ids) return result;
    chord_model_info info;
    chord_session *s = chord_load_session(&c->loaded);
    if (!s || chord_model_get_info(c->loaded.model, &info) != CHORD_OK) {
        free(ids);
        return cli_fail("no memory for a session");
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
    return status < 0 ? cli_fail_with_last(c, status) : 0;
}
