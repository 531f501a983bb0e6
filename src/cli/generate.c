/* generate.c: the command `generate`, and one continuation of a prompt, which `chat` shares. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "chord_cli.h"
#include <stdlib.h>
#include <time.h>

static double milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

void cli_print(const char *text, size_t n)
{
    if (isatty(1)) cli_show(stdout, text, n, CLI_TEXT);
    else fwrite(text, 1, n, stdout);
}

/* Passes on what the stream has ready after `token`, or at its end. */
static void pass_on(cli *c, chord_stream *stream, int32_t token, cli_piece *piece, void *to)
{
    char bytes[CHORD_STREAM_PUSH];
    const char *text;
    int64_t n = token < 0
                    ? 0
                    : chord_detokenize(c->loaded.model, &token, 1, CHORD_SKIP_SPECIAL, bytes, sizeof bytes);
    if (n > (int64_t)sizeof bytes) n = sizeof bytes;
    int32_t const ready = token < 0 ? chord_stream_end(stream, &text)
                                    : chord_stream_push(stream, bytes, n < 0 ? 0 : (size_t)n, &text);
    piece(c, to, token, text, (size_t)(ready > 0 ? ready : 0));
}

/* Makes the session hold `ids`. The last is evaluated again, for its logits. */
static chord_status begin(chord_session *s, const int32_t *ids, int32_t n, int32_t *n_kept)
{
    int32_t const same = chord_session_match(s, ids, n);
    int32_t const kept = chord_session_truncate(s, same < n ? same : n - 1);
    *n_kept = kept;
    return kept < 0 ? kept : chord_session_push(s, ids + kept, n - kept);
}

int cli_continue(cli *c, chord_session *s, void *block, const int32_t *ids, int32_t n, cli_piece *piece,
                 void *to, cli_figures *out)
{
    if (!n) return cli_fail("the prompt has no tokens");
    int32_t const n_ctx = c->loaded.plan.n_ctx, most = c->max_tokens < 0 ? n_ctx : c->max_tokens;
    *out = (cli_figures){ .n_prompt = n };
    chord_stream *stream = chord_stream_open(block, chord_stream_bytes(0), NULL, 0);
    double const start = milliseconds();
    double first = start;
    chord_session_seed(s, (uint64_t)c->seed);
    chord_status status = begin(s, ids, n, &out->n_kept);
    while (status >= 0 && out->n_tokens < most) {
        status = chord_load_run(&c->loaded, s, CHORD_NO_LIMIT);
        if (status != CHORD_DONE) break;
        if (!out->n_tokens) first = milliseconds();
        int32_t const token = chord_session_sample(s, &c->sampling);
        if (token < 0) {
            status = token;
            break;
        }
        out->is_stopped = !c->ignore_eos && chord_token_flags(c->loaded.model, token) & CHORD_TOKEN_EOG;
        if (out->is_stopped) break;
        status = chord_session_push(s, &token, 1);
        if (status == CHORD_CONTEXT_FULL && !out->n_tokens) break; /* the prompt leaves no room */
        if (status == CHORD_CONTEXT_FULL) { /* a normal end */
            status = CHORD_DONE;
            break;
        }
        out->n_tokens++;
        pass_on(c, stream, token, piece, to);
    }
    if (status < 0) return cli_fail_with_last(c, status);
    pass_on(c, stream, -1, piece, to);
    out->prompt_ms = first - start;
    out->decode_ms = milliseconds() - first;
    return 0;
}

static void print_piece(cli *c, void *to, int32_t token, const char *text, size_t n)
{
    (void)to;
    if (c->json) {
        printf("{\"token\":%d,\"text\":", token);
        cli_print_json(text, n);
        printf("}\n");
    } else {
        cli_print(text, n);
    }
    fflush(stdout);
}

/* Prints what paging cost: `n` batches were evaluated in `ms`. */
static void print_paging(const cli *c, double n, double ms)
{
    const chord_plan_info *p = &c->loaded.plan;
    if (!c->loaded.reader) return;
    const chord_reader_figures f = c->loaded.reader->figures;
    fprintf(stderr, "%d layers are paged", p->n_paged);
    if (p->n_ring) fprintf(stderr, " through %d slots", p->n_ring);
    if (p->n_experts) fprintf(stderr, ", %d experts of each in memory", p->n_experts);
    fprintf(
        stderr,
        " (%.1f MB); %.1f MB read in %.0f batches, %.1f MB each: read %.0f ms, repack %.0f ms; %.0f waits, "
        "%.0f of %.0f ms\n",
        p->ring_bytes / 1e6, (double)(f.bytes + f.lazy_bytes) / 1e6, n,
        (double)(f.bytes + f.lazy_bytes) / 1e6 / n, f.read_ms, f.repack_ms, (double)f.waits, f.waited_ms, ms);
}

int cli_generate(cli *c)
{
    int32_t n;
    int status;
    int32_t *ids = cli_prompt_ids(c, &n, &status);
    if (!ids) return status;
    if (c->max_tokens < 0) c->max_tokens = 256;
    chord_session *s = chord_load_session(&c->loaded);
    void *stream = chord_load_block(&c->loaded, chord_stream_bytes(0));
    if (!s || !stream) {
        free(ids);
        return cli_fail("no memory for a session");
    }
    cli_figures f;
    status = cli_continue(c, s, stream, ids, n, print_piece, NULL, &f);
    free(ids);
    if (status) return status;
    fprintf(stderr, "\n%d prompt tokens in %.2f s (%.1f/s), %d tokens in %.2f s (%.1f/s)\n", n,
            f.prompt_ms / 1e3, n / (f.prompt_ms / 1e3 + 1e-9), f.n_tokens, f.decode_ms / 1e3,
            (f.n_tokens ? f.n_tokens - 1 : 0) / (f.decode_ms / 1e3 + 1e-9));
    int32_t const n_batch = c->loaded.plan.n_batch;
    print_paging(c, (n + n_batch - 1) / n_batch + f.n_tokens - 1, f.prompt_ms + f.decode_ms);
    return 0;
}
