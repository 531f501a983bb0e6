/* paging_calls.h: the loader of a paged model, and rows of lazy tensors, from the fuzzer's file.
 * engine_fuzz.c includes it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_FUZZ_PAGING_CALLS_H
#define CHORD_TESTS_FUZZ_PAGING_CALLS_H
#include "executor_calls.h"

/* The model's files: file k begins at begin_of(k) of the input. */
typedef struct fuzz_files {
    const uint8_t *bytes;
    size_t n;
    size_t (*begin_of)(int32_t file, const uint8_t *bytes, size_t n);
} fuzz_files;

/* Returns the address of bytes [at, at + n) of a file; NULL: the file is shorter. */
static const uint8_t *bytes_of(const fuzz_files *f, int32_t file, double at, double n)
{
    size_t const begin = f->begin_of(file, f->bytes, f->n);
    return at + n <= (double)(f->n - begin) ? f->bytes + begin + (size_t)at : NULL;
}

static double row_of(const chord_tensor_info *t) { return t->file_bytes / (t->ne[1] * t->ne[2] * t->ne[3]); }

/* Loads all rows of a paged tensor, in two parts, and what must be refused. */
static chord_status load_tensor(chord_model *m, const fuzz_files *f, int32_t i, const chord_tensor_info *t)
{
    const uint8_t *bytes = bytes_of(f, t->file, t->file_off, t->file_bytes);
    if (!bytes) return CHORD_INVALID_GGUF;
    size_t const row = (size_t)row_of(t), n = (size_t)t->file_bytes, head = n > 4 * row ? 4 * row : n;
    check(chord_model_load_rows(m, i, 1, bytes, row) == CHORD_INVALID_ARGUMENT);
    check(chord_model_load_rows(m, i, 0, bytes, n + row) == CHORD_INVALID_ARGUMENT);
    check(chord_model_load_rows(m, i, -4, bytes, n) == CHORD_INVALID_ARGUMENT);
    chord_status const status = chord_model_load_rows(m, i, 0, bytes, head);
    if (status != CHORD_OK || head == n) return status;
    return chord_model_load_rows(m, i, 4, bytes + head, n - head);
}

/* Loads every layer that is wanted. */
static void load_layers(chord_model *m, const fuzz_files *f)
{
    chord_tensor_info t;
    char text[400];
    for (int32_t layer; (layer = chord_model_want_layer(m)) >= 0;) {
        chord_status status = CHORD_OK;
        int32_t n_paged = 0;
        for (int32_t i = 0; status == CHORD_OK && chord_model_tensor(m, i, &t, NULL, 0) == CHORD_OK; i++) {
            if (t.placement != CHORD_PLACE_PAGED || t.layer != layer) continue;
            check(chord_model_layer_loaded(m, layer) == CHORD_INVALID_ARGUMENT); /* rows are missing */
            status = load_tensor(m, f, i, &t);
            n_paged++;
        }
        check(n_paged > 0 && (status == CHORD_OK || status == CHORD_INVALID_GGUF));
        check(chord_pager_error(m, text, sizeof text) == (int32_t)strlen(text));
        if (status == CHORD_OK) check(chord_model_layer_loaded(m, layer) == CHORD_OK);
        else check(chord_model_layer_failed(m, layer, status) == CHORD_OK);
        check(chord_model_layer_failed(m, layer, CHORD_INTERNAL) == CHORD_INVALID_ARGUMENT);
    }
}

/* What a step that returned NEED_WEIGHTS needs. OK: step again. CANCELLED: a row is missing or damaged. */
static chord_status serve(chord_model *m, chord_session *s, const fuzz_files *f)
{
    chord_session_state state;
    chord_tensor_info t;
    int32_t triple[3], left = 0;
    check(chord_session_get_state(s, &state) == CHORD_OK);
    if (state.layer >= 0) load_layers(m, f);
    for (int32_t n; state.layer < 0 && (n = chord_session_lazy_rows(s, triple, 1)) > 0; left = n) {
        check(!left || n == left - 1);
        check(chord_model_tensor(m, triple[0], &t, NULL, 0) == CHORD_OK && triple[2] >= 0);
        const uint8_t *row = bytes_of(f, t.file, t.file_off + row_of(&t) * triple[2], row_of(&t));
        chord_status const status = row ? chord_session_load_row(s, triple[0], triple[1], row,
                                                                 (size_t)row_of(&t))
                                        : CHORD_INVALID_GGUF;
        check(status == CHORD_OK || status == CHORD_INVALID_GGUF);
        if (status == CHORD_OK) continue;
        chord_session_drop_batch(s); /* clears the error's text, so the caller gets no error */
        return CHORD_CANCELLED;
    }
    return CHORD_OK;
}

#endif
