/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "reader.h"
#include "../../base/host.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES ((size_t)1 << 20)
#define LOAD(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define ADD(p, v) __atomic_add_fetch((p), (v), __ATOMIC_RELAXED)

static uint64_t row_bytes(const chord_tensor_info *t)
{
    return (uint64_t)(t->file_bytes / (t->ne[1] * t->ne[2] * t->ne[3]));
}

static int read_whole(int fd, uint8_t *dst, size_t n, uint64_t at)
{
    while (n) {
        ssize_t const got = pread(fd, dst, n, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        dst += got;
        n -= (size_t)got;
        at += (uint64_t)got;
    }
    return 1;
}

/* Reads a page's rows of a tensor in whole groups of four, about READ_BYTES at a time. */
static chord_status read_tensor(chord_reader *r, int32_t tensor, int32_t page)
{
    const chord_tensor_info *t = &r->tensors[tensor];
    uint64_t const row = row_bytes(t), group = 4 * row;
    uint64_t const all = (uint64_t)t->file_bytes / (uint64_t)t->n_pages,
                   first = (uint64_t)(page - t->page) * all;
    uint64_t const step = r->cap / group * group;
    for (uint64_t at = 0; at < all; at += step) {
        size_t const n = (size_t)(all - at < step ? all - at : step);
        double const begin = chord_host_now();
        if (!read_whole(r->fds[t->file], r->buffer, n, (uint64_t)t->file_off + first + at))
            return CHORD_INVALID_ARGUMENT;
        double const middle = chord_host_now();
        chord_status const status = chord_model_load_rows(r->model, tensor, (int64_t)((first + at) / row),
                                                          r->buffer, n);
        if (status != CHORD_OK) return status;
        r->figures.read_ms += middle - begin;
        r->figures.repack_ms += chord_host_now() - middle;
        ADD(&r->figures.bytes, n);
    }
    return CHORD_OK;
}

static void read_page(chord_reader *r, int32_t page)
{
    chord_status status = CHORD_OK;
    for (int32_t i = 0; i < r->n_tensors && status == CHORD_OK; i++)
        if (page >= r->tensors[i].page && page < r->tensors[i].page + r->tensors[i].n_pages)
            status = read_tensor(r, i, page);
    if (status == CHORD_OK) chord_model_page_loaded(r->model, page);
    else chord_model_page_failed(r->model, page, status);
    ADD(&r->figures.pages, 1);
}

/* Reads pages until none is wanted. */
static void read_wanted(chord_reader *r)
{
    for (int32_t page; !LOAD(&r->quit) && (page = chord_model_want_page(r->model)) >= 0;) read_page(r, page);
}

static void *reader_thread(void *p)
{
    chord_reader *r = p;
    while (!LOAD(&r->quit) && chord_model_wait_page(r->model, 50) == CHORD_OK) read_wanted(r);
    return NULL;
}

/* Copies the tensor table and sizes the buffers: a group of the widest paged tensor, at least READ_BYTES. */
static int copy_table(chord_reader *r)
{
    chord_tensor_info t;
    while (chord_model_tensor(r->model, r->n_tensors, &t, NULL, 0) == CHORD_OK) r->n_tensors++;
    r->tensors = calloc((size_t)r->n_tensors, sizeof *r->tensors);
    uint64_t row = 1;
    r->cap = READ_BYTES;
    for (int32_t i = 0; r->tensors && i < r->n_tensors; i++) {
        chord_model_tensor(r->model, i, &r->tensors[i], NULL, 0);
        uint64_t const bytes = row_bytes(&r->tensors[i]);
        if (r->tensors[i].placement == CHORD_PLACE_PAGED && 4 * bytes > r->cap) r->cap = (size_t)(4 * bytes);
        if (r->tensors[i].placement == CHORD_PLACE_LAZY && bytes > row) row = bytes;
    }
    r->buffer = malloc(r->cap);
    r->row = malloc((size_t)row);
    return r->tensors && r->buffer && r->row;
}

/* Tells the model the first bytes of each matrix that it doesn't hold, for the fingerprint of saves. Returns
 * the file that couldn't be read, or -1. */
static int32_t sample_tensors(const chord_reader *r)
{
    for (int32_t i = 0; i < r->n_tensors; i++) {
        const chord_tensor_info *t = &r->tensors[i];
        if (t->placement != CHORD_PLACE_PAGED && t->placement != CHORD_PLACE_LAZY) continue;
        size_t const n = row_bytes(t) < 256 ? (size_t)row_bytes(t) : 256;
        if (!read_whole(r->fds[t->file], r->buffer, n, (uint64_t)t->file_off) ||
            chord_model_sample(r->model, i, r->buffer, n) != CHORD_OK)
            return t->file;
    }
    return -1;
}

chord_reader *chord_reader_open(chord_model *m, char *const *paths, int32_t n_files, char error[static 300])
{
    chord_reader *r = calloc(1, sizeof *r);
    if (r) r->fds = malloc((size_t)n_files * sizeof *r->fds);
    if (!r || !r->fds) {
        free(r);
        snprintf(error, 300, "no memory for reading layers");
        return NULL;
    }
    r->model = m;
    for (; r->n_files < n_files; r->n_files++) {
        struct stat about;
        int const fd = r->fds[r->n_files] = open(paths[r->n_files], O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && !fstat(fd, &about) && S_ISREG(about.st_mode)) continue;
        snprintf(error, 300, "%.200s: %s", paths[r->n_files],
                 fd < 0 ? strerror(errno) : "layers can't be read again from something that isn't a file");
        r->n_files += fd >= 0;
        chord_reader_close(r);
        return NULL;
    }
    if (!copy_table(r)) {
        snprintf(error, 300, "no memory for reading layers");
        chord_reader_close(r);
        return NULL;
    }
    int32_t const bad = sample_tensors(r);
    if (bad >= 0) {
        snprintf(error, 300, "%.200s: it couldn't be read", paths[bad]);
        chord_reader_close(r);
        return NULL;
    }
    r->is_running = chord_pager_word(m) && !pthread_create(&r->thread, NULL, reader_thread, r);
    return r;
}

void chord_reader_stop(chord_reader *r)
{
    if (!r->is_running) return;
    __atomic_store_n(&r->quit, 1, __ATOMIC_SEQ_CST);
    pthread_join(r->thread, NULL);
    r->is_running = r->quit = 0;
}

void chord_reader_close(chord_reader *r)
{
    if (!r) return;
    chord_reader_stop(r);
    while (r->n_files) close(r->fds[--r->n_files]);
    free(r->fds);
    free(r->tensors);
    free(r->buffer);
    free(r->row);
    free(r);
}

int32_t chord_reader_look(const chord_reader *r)
{
    const int32_t *word = r ? chord_pager_word(r->model) : NULL;
    return word ? LOAD(word) : 0;
}

static chord_status read_lazy(chord_reader *r, chord_session *s, const char **error)
{
    for (int32_t triple[3]; chord_session_lazy_rows(s, triple, 1) > 0;) {
        const chord_tensor_info *t = &r->tensors[triple[0]];
        uint64_t const n = row_bytes(t);
        if (!read_whole(r->fds[t->file], r->row, (size_t)n,
                        (uint64_t)t->file_off + n * (uint64_t)triple[2])) {
            *error = "a row of an embedding can't be read";
            return CHORD_INVALID_ARGUMENT;
        }
        chord_status const status = chord_session_load_row(s, triple[0], triple[1], r->row, (size_t)n);
        if (status != CHORD_OK) return status;
        r->figures.lazy_bytes += n;
    }
    return CHORD_OK;
}

chord_status chord_reader_serve(chord_reader *r, chord_session *s, int32_t look, const char **error)
{
    chord_session_state state;
    chord_session_get_state(s, &state);
    if (state.layer < 0) return read_lazy(r, s, error);
    double const begin = chord_host_now();
    r->figures.waits++;
    if (!r->is_running) read_wanted(r);
    else
        for (int i = 0; i < 100 && LOAD(chord_pager_word(r->model)) == look; i++)
            chord_host_wait(chord_pager_word(r->model), look, 100);
    r->figures.waited_ms += chord_host_now() - begin;
    return CHORD_OK;
}
