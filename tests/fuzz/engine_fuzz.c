/* engine_fuzz.c: every phase of chord.h on a file of arbitrary bytes: header, plan, data, a few tokens, text
 * to ids and back.
 *
 *   input   4 bytes of knobs, then the file. Its last 24 bytes are also the text to tokenise, and the
 *           calls of an executor outside the library (play_executor), which are made again after matrices
 *           were released. File k of a split model begins at the k-th later "GGUF" and goes on to the
 *           input's end
 *
 * A knob pages layers and makes lookup tensors lazy: they are then read from the input while steps run.
 *
 * No call may fault, whatever the file holds. Every error has a text. Loading never fails with INTERNAL.
 * The header's arena ends exactly where the model's requests end; the rest is poisoned, so AddressSanitizer
 * finds an access past the arena. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../include/chord.h"
#include "executor_calls.h"
#include "paging_calls.h"
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { HEADER_ROOM = 4 << 20, PLAN_ROOM = 16 << 20, MOST_BLOCKS = 64 };

static void *blocks[MOST_BLOCKS];
static int n_blocks;

static void *take(double bytes)
{
    if (n_blocks == MOST_BLOCKS) return NULL;
    return blocks[n_blocks++] = aligned_alloc(64, ((size_t)bytes + 63) / 64 * 64 + 64);
}

static void check_error(const chord_model *m, chord_status status)
{
    char text[512];
    check(chord_last_error(m, text, sizeof text) == (int32_t)strlen(text));
    check(status >= 0 || text[0]);
    check(chord_status_text(status)[0]);
}

static size_t begin_of(int32_t file, const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (file-- > 0)
        for (at++; at < n && (n - at < 4 || memcmp(bytes + at, "GGUF", 4));) at++;
    return at < n ? at : n;
}

static fuzz_files files = { .begin_of = begin_of };

/* Pushes the file in chunks of `chunk` bytes until the phase ends. */
static chord_status push(chord_model *m, uint8_t *header, size_t *given, const uint8_t *file, size_t n,
                         size_t chunk)
{
    for (;;) {
        int32_t const index = chord_model_file(m);
        check(index >= 0 && index < chord_model_files(m));
        size_t const begin = begin_of(index, file, n);
        uint64_t const at = chord_model_position(m);
        if (at >= n - begin) return chord_model_end(m);
        size_t const left = n - begin - (size_t)at;
        chord_status const status = chord_model_push(m, index, at, file + begin + at,
                                                     chunk < left ? chunk : left);
        if (status == CHORD_NEED_MEMORY) {
            size_t const more = chord_model_wanted(m);
            check(more > 0);
            if (*given + more > HEADER_ROOM) return CHORD_OUT_OF_MEMORY;
            __asan_unpoison_memory_region(header + *given, more);
            check(chord_model_give(m, header + *given, more) == CHORD_OK);
            *given += more;
        } else if (status != CHORD_MORE) {
            return status;
        } else {
            /* MORE without progress would loop for ever */
            check(chord_model_position(m) > at || chord_model_file(m) > index);
        }
    }
}

/* Gives a page, or what the session asks for where a state is larger. Returns whether there was a block. */
static int give(chord_model *m, const chord_session *s, double page_bytes)
{
    chord_session_state state;
    check(chord_session_get_state(s, &state) == CHORD_OK);
    double const bytes = state.wanted_bytes > page_bytes ? state.wanted_bytes : page_bytes;
    void *block = take(bytes);
    if (block) check(chord_model_give(m, block, ((size_t)bytes + 63) / 64 * 64) == CHORD_OK);
    return block != NULL;
}

static chord_status step(chord_model *m, chord_session *s, double page_bytes, uint64_t budget)
{
    for (int i = 0; i < 3000; i++) {
        chord_status const status = chord_session_step(s, budget);
        if (status == CHORD_NEED_MEMORY) {
            if (!give(m, s, page_bytes)) return status;
        } else if (status == CHORD_NEED_WEIGHTS) {
            chord_status const served = serve(m, s, &files);
            if (served != CHORD_OK) return served;
        } else if (status != CHORD_MORE) {
            return status;
        }
    }
    return CHORD_MORE; /* 3,000 steps of a long program are enough */
}

static void talk(chord_model *m, const chord_plan_info *plan, const uint8_t *knobs, const char *text,
                 size_t n_text)
{
    size_t const scratch_bytes = chord_tokenize_bytes(m, n_text);
    int32_t ids[64];
    char back[256];
    for (int32_t flags = 0; flags < 4; flags++) {
        int32_t const n_ids = chord_tokenize(m, text, n_text, flags, ids, 64, take((double)scratch_bytes),
                                             scratch_bytes);
        check_error(m, n_ids);
        if (n_ids > 0)
            chord_detokenize(m, ids, n_ids < 64 ? n_ids : 64, flags & 1 ? CHORD_SKIP_SPECIAL : 0, back,
                             sizeof back);
    }
    chord_session *s = chord_session_open(m, take((double)chord_session_bytes(m)), chord_session_bytes(m));
    check(s != NULL);
    chord_session_outputs(s, knobs[2] >> 7);
    int32_t const first[] = { 0, 1, 5, 261, 2 };
    chord_status status = chord_session_push(s, first, 1 + knobs[0] % 5);
    check_error(m, status);
    uint64_t const budget = knobs[1] & 1 ? CHORD_NO_LIMIT : (uint64_t)knobs[1] * 500;
    for (int i = 0; i < 3 && status >= 0; i++) {
        if (knobs[2] & 64) chord_session_cancel(s);
        status = step(m, s, plan->page_bytes, budget);
        if (status != CHORD_DONE) break;
        chord_sampling const sampling = { .version = CHORD_ABI_VERSION,
                                          .size = sizeof sampling,
                                          .top_k = knobs[3] % 50,
                                          .temperature = (float)(knobs[3] % 3),
                                          .top_p = 0.9f,
                                          .min_p = 0.05f,
                                          .typical_p = 1,
                                          .repetition_penalty = 1.1f };
        int32_t const token = chord_session_sample(s, &sampling);
        check_error(m, token);
        if (token < 0) break;
        check(chord_token_flags(m, token) >= 0);
        status = chord_session_push(s, &token, 1);
    }
    chord_session_state state;
    check(chord_session_get_state(s, &state) == CHORD_OK && state.n_past <= state.n_tokens &&
          state.n_tokens <= plan->n_ctx);
    chord_session *fork = NULL;
    void *block = take((double)chord_session_bytes(m));
    if (block && chord_session_fork(s, block, chord_session_bytes(m), &fork) == CHORD_OK)
        chord_session_close(fork);
    chord_session_truncate(s, knobs[1] % 4);
    chord_session_close(s);
}

/* Fills the batch's output rows as an executor outside the library would, or leaves the last row alone. */
static void compute(const chord_batch_info *batch, int leave_last)
{
    check(batch->n_tokens > 0 && batch->n_outputs >= 0 && batch->n_outputs <= batch->n_tokens);
    const int32_t *ids = (const int32_t *)(uintptr_t)batch->ids;
    const int32_t *rows = (const int32_t *)(uintptr_t)batch->rows;
    float *outputs = (float *)(uintptr_t)batch->outputs;
    for (int32_t i = 0; i < batch->n_tokens; i++) check(ids[i] >= -1);
    for (int32_t i = 0; i < batch->n_outputs - leave_last; i++) {
        check(rows[i] >= 0 && rows[i] < batch->n_tokens);
        for (int32_t j = 0; j < batch->n_width; j++)
            outputs[i * batch->stride + j] = (float)((rows[i] + j) % 17);
    }
}

/* A fork, what its executor must copy, and its end. */
static void fork_and_close(chord_model *m, const chord_plan_info *plan, chord_session *s)
{
    chord_session *fork = NULL;
    void *block = take((double)chord_session_bytes(m));
    if (!block) return;
    chord_status status = chord_session_fork(s, block, chord_session_bytes(m), &fork);
    if (status == CHORD_NEED_MEMORY && give(m, s, plan->page_bytes))
        status = chord_session_fork(s, block, chord_session_bytes(m), &fork);
    if (status != CHORD_OK) return;
    look_at_pages(m, fork, NULL, 1);
    look_at_random(fork, NULL, 1);
    chord_session_close(fork);
}

/* A session whose batches are computed outside the library, disturbed at every point: each byte of `plot`
 * is one call. */
static void play_executor(chord_model *m, const chord_plan_info *plan, const uint8_t *plot, size_t n_plot)
{
    static float rows[8192]; /* two embeddings, or one row of logits */
    static int32_t top[1 + CHORD_MAX_TOP];
    static double logprobs[1 + CHORD_MAX_TOP];
    chord_model_info info;
    if (chord_model_get_info(m, &info) != CHORD_OK || info.n_embd > 4096 || info.n_vocab > 8192) return;
    static int32_t const positions[2][3] = { { 3, 4, 5 }, { 9, 9, 9 } };
    chord_session *s = chord_session_open(m, take((double)chord_session_bytes(m)), chord_session_bytes(m));
    check(s != NULL);
    chord_sampling const sampling = { .version = CHORD_ABI_VERSION,
                                      .size = sizeof sampling,
                                      .top_k = 3,
                                      .temperature = 1,
                                      .top_p = 1,
                                      .typical_p = 1,
                                      .repetition_penalty = 1 };
    chord_batch_info batch = { 0 };
    int is_out = 0; /* the batch was handed out and is neither accepted nor dropped */
    for (size_t i = 0; i < n_plot; i++) {
        int32_t const id = plot[i] >> 4;
        chord_status status = CHORD_OK;
        switch (plot[i] & 15) {
        case 0: status = chord_session_push(s, &id, 1); break;
        case 1: status = chord_session_push(s, (const int32_t[]){ id, 1, 2, 3, 4, 5, 6, 7, 8 }, 9); break;
        case 2:
            status = chord_session_push_embeddings(s, rows, id & 1 ? positions[0] : NULL, 1 + (id >> 1) % 2);
            break;
        case 3:
        case 4:
        case 5:
            status = chord_session_next_batch(s, &batch);
            is_out = status == CHORD_OK || (is_out && status != CHORD_CANCELLED);
            if (status == CHORD_OK) {
                look_at_pages(m, s, &batch, id != 2);
                look_at_random(s, &batch, id);
                compute(&batch, id == 1);
            }
            if (status == CHORD_NEED_MEMORY) give(m, s, plan->page_bytes);
            break;
        case 6:
        case 7:
            status = chord_session_accept_batch(s);
            check((status == CHORD_OK) == is_out);
            is_out = 0;
            break;
        case 8: status = chord_session_drop_batch(s), is_out = 0; break;
        case 9: status = chord_session_accept_token(s, id); break;
        case 10:
            status = chord_session_sample(s, &sampling);
            if (status >= 0) check(chord_session_logprobs(s, status, id, top, logprobs) >= 1);
            break;
        case 11: status = chord_session_sample_row(s, &sampling, rows); break;
        case 12: status = chord_session_truncate(s, id), is_out &= status < 0; break;
        case 13:
            status = step(m, s, plan->page_bytes, (uint64_t)id * 300);
            /* a computation that failed, also by the file's numbers, takes the batch back */
            is_out &= status < 0 && status != CHORD_INTERNAL && status != CHORD_INVALID_GGUF;
            break;
        case 14: chord_session_cancel(s); break;
        default:
            if (id & 2) {
                look_at_pages(m, s, NULL, id & 4);
                fork_and_close(m, plan, s);
            } else {
                status = chord_session_outputs(s, id & 1);
            }
        }
        check_error(m, status);
        chord_session_state state;
        check(chord_session_get_state(s, &state) == CHORD_OK && state.n_past <= state.n_tokens &&
              state.n_tokens <= plan->n_ctx);
    }
    chord_session_close(s);
}

static void look_around(chord_model *m)
{
    char text[300];
    chord_model_info info;
    /* A model that failed behind its header has metadata and tensor table, but no program. */
    if (chord_model_get_info(m, &info) != CHORD_OK) return;
    for (int32_t i = 0; i < info.n_kv_pairs && i < 100; i++) {
        int64_t const n = chord_model_meta(m, NULL, -1 - i, text, sizeof text);
        if (n >= 0 && n <= (int64_t)sizeof text) {
            char key[300];
            memcpy(key, text, (size_t)n);
            chord_model_meta(m, key, (int32_t)n, text, sizeof text);
        }
    }
    for (int32_t i = -20; i < 12; i++) {
        int64_t const n = chord_model_chat_template(m, "tool_use.tem", i, text, sizeof text);
        check(n >= 0 || n == CHORD_INVALID_ARGUMENT || n == CHORD_INVALID_GGUF);
    }
    for (int32_t i = 0; i < info.n_tensors && i < 50; i++) {
        chord_tensor_info t;
        check(chord_model_tensor(m, i, &t, text, 20) == CHORD_OK);
        chord_model_row(m, i, 0, text, sizeof text);
        chord_model_row(m, i, (int64_t)t.ne[1] - 1, text, sizeof text);
    }
    int32_t n_ops;
    if (chord_model_program(m, &n_ops)) look_at_program(m, info.n_tensors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static uint8_t *header;
    if (n < 4) return 0;
    if (!header) header = aligned_alloc(64, HEADER_ROOM);
    uint8_t const knobs[4] = { data[0], data[1], data[2], data[3] };
    data += 4;
    n -= 4;
    size_t given = 64 << 10;
    __asan_unpoison_memory_region(header, given);
    __asan_poison_memory_region(header + given, HEADER_ROOM - given);
    chord_model *m = chord_model_init(header, given);
    check(m != NULL);
    if (knobs[2] & 1) check(chord_model_set_file_bytes(m, n) == CHORD_OK);

    size_t const chunk = knobs[3] & 1 ? n + 1 : 1 + knobs[3] * 16u;
    chord_status status = push(m, header, &given, data, n, chunk);
    check_error(m, status);
    check(status != CHORD_INTERNAL);
    chord_config const config = { .version = CHORD_ABI_VERSION,
                                  .size = sizeof config,
                                  .n_ctx = 64,
                                  .n_batch = 1 + knobs[0] / 5 % 8,
                                  .kv_type = knobs[2] & 2 ? CHORD_KV_F32 : CHORD_KV_F16,
                                  .n_threads = 1,
                                  .external = knobs[2] >> 2 & 1,
                                  .lazy = knobs[0] >= 200,
                                  .resident_bytes = knobs[0] >= 220 ? (knobs[0] - 219) * 2000. : 0,
                                  .isa = knobs[2] & 8 ? CHORD_ISA_SCALAR : CHORD_ISA_BEST };
    chord_plan_info plan;
    files.bytes = data;
    files.n = n;
    check(chord_model_want_page(m) == -1 && !chord_pager_word(m));
    check(chord_model_load_rows(m, 0, 0, data, n) == CHORD_INVALID_ARGUMENT);
    if (status == CHORD_DONE) {
        while ((status = chord_model_plan(m, &config, &plan)) == CHORD_NEED_MEMORY) {
            size_t const more = chord_model_wanted(m);
            check(more > 0);
            if (given + more > HEADER_ROOM) break;
            __asan_unpoison_memory_region(header + given, more);
            check(chord_model_give(m, header + given, more) == CHORD_OK);
            given += more;
        }
        check_error(m, status);
        check(status != CHORD_INTERNAL);
        look_around(m);
        void *arena = status == CHORD_OK && plan.bytes <= PLAN_ROOM ? take(plan.bytes) : NULL;
        if (arena) {
            status = chord_model_begin(m, arena, ((size_t)plan.bytes + 63) / 64 * 64);
            check(status != CHORD_INTERNAL);
            if (status == CHORD_MORE) status = push(m, header, &given, data, n, chunk);
            check_error(m, status);
            check(status != CHORD_INTERNAL);
            look_around(m);
            size_t const n_text = n < 24 ? n : 24;
            const uint8_t *const tail = data + n - n_text;
            if (status == CHORD_DONE) play_executor(m, &plan, tail, n_text);
            if (status == CHORD_DONE && !config.external) talk(m, &plan, knobs, (const char *)tail, n_text);
            decode_rows(tail, n_text, knobs[0]);
            if (status == CHORD_DONE && knobs[2] & 16 && !plan.n_paged && !plan.n_lazy) {
                release_matrices(m, plan.n_tensors, knobs[3] | 1u << 16);
                look_around(m);
                play_executor(m, &plan, tail, n_text);
                __asan_unpoison_memory_region(arena, ((size_t)plan.bytes + 63) / 64 * 64);
            }
        }
    }
    chord_model_push(m, 0, 0, data, n);
    chord_model_end(m);
    chord_model_plan(m, &config, &plan);
    while (n_blocks) free(blocks[--n_blocks]);
    return 0;
}
