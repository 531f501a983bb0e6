/* generate.c: continues a prompt, with include/chord.h only.
 *   make native && cc -Iinclude examples/c/generate.c build/native/libchord.a -lm -lpthread -o generate
 *   ./generate model.gguf "The capital of France is" 32
 * The library computes; the host provides files, memory and threads. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "chord.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const chord_model *m, const char *what, chord_status status)
{
    char text[330] = "";
    chord_last_error(m, text, sizeof text);
    fprintf(stderr, "%s: %s\n", what, text[0] ? text : chord_status_text(status));
    exit(1);
}

static void *block(size_t bytes) { return aligned_alloc(CHORD_BLOCK_ALIGN, (bytes + 63) / 64 * 64); }

int main(int argc, char **argv)
{
    FILE *f = argc > 2 ? fopen(argv[1], "rb") : NULL;
    if (!f) return fprintf(stderr, "usage: generate MODEL.gguf PROMPT [TOKENS]\n"), 2;
    static char bytes[1 << 20];
    /* More than any header needs. Only the part in use is touched. */
    size_t const header = (size_t)64 << 20;
    chord_model *m = chord_model_init(block(header), header);
    chord_status st = CHORD_MORE;
    uint64_t at = 0;
    for (size_t n; st == CHORD_MORE && (n = fread(bytes, 1, sizeof bytes, f)); at += n)
        st = chord_model_push(m, 0, at, bytes, n);
    if (st != CHORD_DONE) fail(m, argv[1], st < 0 ? st : chord_model_end(m));

    chord_config const config = { .version = CHORD_ABI_VERSION,
                                  .size = sizeof config,
                                  .kv_type = CHORD_KV_F16 };
    chord_plan_info plan;
    if ((st = chord_model_plan(m, &config, &plan)) != CHORD_OK) fail(m, "plan", st);
    if (plan.bytes > (double)(SIZE_MAX / 2))
        fail(m, "more memory than can be addressed", CHORD_OUT_OF_MEMORY);
    st = chord_model_begin(m, block((size_t)plan.bytes), (size_t)plan.bytes);
    fseek(f, (long)(at = (uint64_t)plan.data_begin), SEEK_SET);
    for (size_t n; st == CHORD_MORE && (n = fread(bytes, 1, sizeof bytes, f)); at += n)
        st = chord_model_push(m, 0, at, bytes, n);
    if (st != CHORD_DONE) fail(m, argv[1], st < 0 ? st : chord_model_end(m));

    static int32_t ids[4096];
    size_t const n_text = strlen(argv[2]), scratch = chord_tokenize_bytes(m, n_text);
    int32_t const n_ids = chord_tokenize(m, argv[2], n_text, CHORD_ADD_SPECIAL | CHORD_PARSE_SPECIAL, ids,
                                         4096, malloc(scratch), scratch);
    chord_session *s = chord_session_open(m, block(chord_session_bytes(m)), chord_session_bytes(m));
    chord_sampling const greedy = { .version = CHORD_ABI_VERSION,
                                    .size = sizeof greedy,
                                    .top_p = 1,
                                    .typical_p = 1,
                                    .repetition_penalty = 1 };
    if (n_ids < 0 || n_ids > 4096 || (st = chord_session_push(s, ids, n_ids)) != CHORD_OK)
        fail(m, "prompt", n_ids < 0 ? n_ids : st);
    for (int left = argc > 3 ? atoi(argv[3]) : 64; left-- > 0;) {
        while ((st = chord_session_step(s, CHORD_NO_LIMIT)) == CHORD_NEED_MEMORY) {
            chord_session_state state;
            chord_session_get_state(s, &state);
            size_t const wanted = (size_t)state.wanted_bytes;
            if ((st = chord_model_give(m, block(wanted), wanted)) != CHORD_OK) fail(m, "pages", st);
        }
        int32_t const token = st == CHORD_DONE ? chord_session_sample(s, &greedy) : st;
        if (token < 0) fail(m, "step", token);
        if (chord_token_flags(m, token) & CHORD_TOKEN_EOG) break;
        char piece[256];
        int64_t const n = chord_detokenize(m, &token, 1, CHORD_SKIP_SPECIAL, piece, sizeof piece);
        fwrite(piece, 1, n > 0 && n <= 256 ? (size_t)n : 0, stdout);
        /* The context is full. */
        if (chord_session_push(s, &token, 1) != CHORD_OK) break;
    }
    puts("");
    return 0;
}
