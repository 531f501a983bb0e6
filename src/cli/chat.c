/* chat.c: the command `chat`: a conversation line by line, typed or piped. Answers go to stdout; the prompt
 * and figures go to stderr, and only at a terminal. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "chord_cli.h"
#include <stdlib.h>

/* Tokens that a full conversation leaves for an answer, as in the npm command. */
#define ROOM 256

typedef struct talk {
    cli *c;
    const cli_template *template;
    chord_session *session;
    void *stream;
    cli_message *messages; /* the system turn, and turns of user and assistant by turns */
    size_t n, cap, n_lead; /* n_lead: 1 with a system turn */
    size_t n_dropped;      /* messages behind the system turn that the model doesn't read any more */
    char *answer;
    size_t n_answer, answer_cap;
} talk;

static int add(talk *t, const char *role, const char *text, size_t n)
{
    if (t->n == t->cap) {
        size_t const cap = t->cap ? 2 * t->cap : 16;
        cli_message *const grown = realloc(t->messages, cap * sizeof *grown);
        if (!grown) return cli_fail("no memory for the conversation");
        t->messages = grown;
        t->cap = cap;
    }
    char *const copy = malloc(n + 1);
    if (!copy) return cli_fail("no memory for the conversation");
    memcpy(copy, text, n);
    t->messages[t->n++] = (cli_message){ role, copy, n };
    return 0;
}

static void take_last(talk *t) { free((void *)(uintptr_t)t->messages[--t->n].text); }

/* The ids of the conversation without its dropped messages. */
static int32_t *ids_of(talk *t, int32_t *n)
{
    size_t const lead = t->n_lead, kept = t->n - t->n_dropped;
    cli_message *const list = malloc(kept * sizeof *list);
    if (!list) {
        cli_fail("no memory for the conversation");
        return NULL;
    }
    memcpy(list, t->messages, lead * sizeof *list);
    memcpy(list + lead, t->messages + lead + t->n_dropped, (kept - lead) * sizeof *list);
    int32_t *const ids = cli_template_ids(t->c, t->template, list, kept, n);
    free(list);
    return ids;
}

/* The same, with the oldest turns dropped if they don't fit the context: as many as leave a quarter free, so
 * that the prompt's begin, and its keys and values, last for a while. The last question stays. */
static int32_t *fitting_ids(talk *t, int32_t *n)
{
    int32_t const n_ctx = t->c->loaded.plan.n_ctx, given = t->c->max_tokens,
                  room = given < 0 || given > ROOM ? ROOM : given,
                  limit = n_ctx - (room < n_ctx / 2 ? room : n_ctx / 2);
    int32_t most = limit;
    for (;;) {
        int32_t *const ids = ids_of(t, n);
        if (!ids || *n <= most || t->n - t->n_lead - t->n_dropped < 3) return ids;
        free(ids);
        t->n_dropped += 2;
        most = limit * 3 / 4;
    }
}

static void take_piece(cli *c, void *to, int32_t token, const char *text, size_t n)
{
    (void)token;
    talk *const t = to;
    if (t->n_answer + n > t->answer_cap) {
        size_t const cap = 2 * (t->n_answer + n);
        char *const grown = realloc(t->answer, cap);
        if (!grown) return; /* printed, but not remembered */
        t->answer = grown;
        t->answer_cap = cap;
    }
    if (n) memcpy(t->answer + t->n_answer, text, n);
    t->n_answer += n;
    if (c->json) return;
    cli_print(text, n);
    fflush(stdout);
}

static void print_answer(talk *t, const cli_figures *f)
{
    double const per_second = f->n_tokens > 1 ? 1e3 * (f->n_tokens - 1) / (f->decode_ms + 1e-9) : 0;
    if (t->c->json) {
        printf("{\"text\":");
        cli_print_json(t->answer, t->n_answer);
        printf(
            ",\"stats\":{\"promptTokens\":%d,\"cachedTokens\":%d,\"tokens\":%d,\"promptMs\":%.1f,\"decodeMs\":%.1f,"
            "\"tokensPerSecond\":%.1f,\"finishReason\":\"%s\"}",
            f->n_prompt, f->n_kept, f->n_tokens, f->prompt_ms, f->decode_ms, per_second,
            f->is_stopped ? "stop" : "length");
        if (t->n_dropped) printf(",\"droppedMessages\":%zu", t->n_dropped);
        printf("}\n");
    } else {
        putchar('\n');
    }
    fflush(stdout);
    if (isatty(0) && !t->c->json)
        fprintf(stderr, "\n%d tokens, %.0f per second%s\n\n", f->n_tokens, per_second,
                f->is_stopped ? "" : "; cut at the greatest length");
}

/* Asks a question. Returns the exit status; after an error the conversation is as before. */
static int ask(talk *t, const char *line, size_t n_line)
{
    int32_t n;
    cli_figures f;
    size_t const n_dropped = t->n_dropped;
    if (add(t, "user", line, n_line)) return 1;
    int32_t *const ids = fitting_ids(t, &n);
    t->n_answer = 0;
    int status = ids ? cli_continue(t->c, t->session, t->stream, ids, n, take_piece, t, &f) : 1;
    free(ids);
    if (!status) print_answer(t, &f);
    else t->n_dropped = n_dropped;
    if (!status && t->n_answer) status = add(t, "assistant", t->answer, t->n_answer);
    if (status || !t->n_answer) take_last(t);
    return status;
}

static int run(talk *t)
{
    char *line = NULL;
    size_t cap = 0;
    bool const is_terminal = isatty(0);
    int status = 0;
    while (!status) {
        if (is_terminal) fputs("> ", stderr);
        ssize_t n = getline(&line, &cap, stdin);
        if (n < 0) break;
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) n--;
        if ((size_t)n == strspn(line, " \t")) continue;
        status = ask(t, line, (size_t)n);
        if (is_terminal) status = 0; /* the complaint is read there, and the next question may do */
    }
    free(line);
    return status;
}

int cli_chat(cli *c)
{
    cli_template *const template = cli_template_open(c);
    if (!template) return 1;
    talk t = { .c = c, .template = template };
    const char *const system = cli_system(c);
    t.session = chord_load_session(&c->loaded);
    t.stream = chord_load_block(&c->loaded, chord_stream_bytes(0));
    int status = !t.session || !t.stream ? cli_fail("no memory for a session")
                 : system                ? add(&t, "system", system, strlen(system))
                                         : 0;
    t.n_lead = t.n;
    if (!status) status = run(&t);
    while (t.n) take_last(&t);
    free(t.messages);
    free(t.answer);
    cli_template_close(template);
    return status;
}
