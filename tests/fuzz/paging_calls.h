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

/* Loads a page's rows of a tensor, in two parts, and what must be refused. */
static chord_status load_tensor(chord_model *m, const fuzz_files *f, int32_t i, const chord_tensor_info *t,
                                int32_t page)
{
    size_t const row = (size_t)row_of(t), n = (size_t)(t->file_bytes / t->n_pages);
    size_t const head = n > 4 * row ? 4 * row : n;
    double const begin = (double)n * (page - t->page);
    int64_t const first = (int64_t)(begin / (double)row);
    const uint8_t *bytes = bytes_of(f, t->file, t->file_off + begin, (double)n);
    if (!bytes) return CHORD_INVALID_GGUF;
    check(chord_model_load_rows(m, i, first + 1, bytes, row) == CHORD_INVALID_ARGUMENT);
    check(chord_model_load_rows(m, i, first, bytes, n + row) == CHORD_INVALID_ARGUMENT);
    check(chord_model_load_rows(m, i, -4, bytes, n) == CHORD_INVALID_ARGUMENT);
    chord_status const status = chord_model_load_rows(m, i, first, bytes, head);
    if (status != CHORD_OK || head == n) return status;
    return chord_model_load_rows(m, i, first + 4, bytes + head, n - head);
}

/* Loads every page that is wanted. */
static void load_pages(chord_model *m, const fuzz_files *f)
{
    chord_tensor_info t;
    char text[400];
    for (int32_t page; (page = chord_model_want_page(m)) >= 0;) {
        chord_status status = CHORD_OK;
        int32_t n_paged = 0;
        for (int32_t i = 0; status == CHORD_OK && chord_model_tensor(m, i, &t, NULL, 0) == CHORD_OK; i++) {
            if (page < t.page || page >= t.page + t.n_pages) continue;
            check(t.placement == CHORD_PLACE_PAGED);
            check(chord_model_page_loaded(m, page) == CHORD_INVALID_ARGUMENT); /* rows are missing */
            status = load_tensor(m, f, i, &t, page);
            n_paged++;
        }
        check(n_paged > 0 && (status == CHORD_OK || status == CHORD_INVALID_GGUF));
        check(chord_pager_error(m, text, sizeof text) == (int32_t)strlen(text));
        if (status == CHORD_OK) check(chord_model_page_loaded(m, page) == CHORD_OK);
        else check(chord_model_page_failed(m, page, status) == CHORD_OK);
        check(chord_model_page_failed(m, page, CHORD_INTERNAL) == CHORD_INVALID_ARGUMENT);
    }
}

/* What a step that returned NEED_WEIGHTS needs. OK: step again. CANCELLED: a row is missing or damaged. */
static chord_status serve(chord_model *m, chord_session *s, const fuzz_files *f)
{
    chord_session_state state;
    chord_tensor_info t;
    int32_t triple[3], left = 0;
    check(chord_session_get_state(s, &state) == CHORD_OK);
    if (state.layer >= 0) load_pages(m, f);
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
