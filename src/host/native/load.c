/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "load.h"
#include "../../base/status.h"
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER_BYTES ((size_t)128 << 20) /* address space: the header's arena can't move when it grows */
#define PAGES_AT_ONCE 8

chord_config chord_config_default(void)
{
    return (chord_config){ .version = CHORD_ABI_VERSION,
                           .size = (int32_t)sizeof(chord_config),
                           .kv_type = CHORD_KV_F16 };
}

static chord_status fail(chord_loaded *l, chord_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(l->error, sizeof l->error, format, args);
    va_end(args);
    return status;
}

const char *chord_status_code(chord_status status)
{
#define CASE(name, value, code, text) \
    case value: return code;
    switch (status) {
        CHORD_ERROR_LIST(CASE)
    }
#undef CASE
    return "ok";
}

static chord_status fail_with_last(chord_loaded *l, chord_status status)
{
    char text[330];
    if (!chord_last_error(l->model, text, sizeof text))
        snprintf(text, sizeof text, "%s", chord_status_text(status));
    return fail(l, status, "%s: %s", chord_status_code(status), text);
}

void *chord_load_block(chord_loaded *l, size_t bytes)
{
    if (l->n_blocks == 256) return NULL;
    size_t const whole = (bytes + CHORD_BLOCK_ALIGN - 1) / CHORD_BLOCK_ALIGN * CHORD_BLOCK_ALIGN;
    void *p = aligned_alloc(CHORD_BLOCK_ALIGN, whole ? whole : CHORD_BLOCK_ALIGN);
    if (p) l->blocks[l->n_blocks++] = p;
    return p;
}

/* The model's files. Each is read as a stream, so that it may be a pipe. `chunk` holds the n bytes from
 * offset `at` on of file `file`. Of a model in several files, a file is closed when its header is complete,
 * and opened again for its data. */
typedef struct source {
    const char *path;             /* of the first file */
    FILE *f;                      /* file `file`, NULL between two files */
    uint8_t *chunk;
    size_t cap, n;
    uint64_t at;
    int32_t file;
} source;

static int next_chunk(source *s)
{
    s->at += s->n;
    s->n = fread(s->chunk, 1, s->cap, s->f);
    return s->n > 0;
}

/* Returns the "-00001-of-00003.gguf" of a shard's path, or NULL. */
#define SHARD_TAIL 20
static char *shard_tail(char *path)
{
    size_t const n = strlen(path);
    char *tail = n > SHARD_TAIL ? path + n - SHARD_TAIL : NULL;
    if (!tail || tail[0] != '-' || memcmp(tail + 6, "-of-", 4) || strcmp(tail + 15, ".gguf")) return NULL;
    for (int i = 1; i < 15; i++)
        if ((i < 6 || i > 9) && (tail[i] < '0' || tail[i] > '9')) return NULL;
    return tail;
}

/* Writes the path of file `file`: the other shards of a model are beside the given one. Returns 0 if they
 * can't be named. */
#define PATH_BYTES 4096
static int path_of(const source *s, int32_t file, char path[static PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s", s->path);
    char *tail = shard_tail(path);
    if (tail) snprintf(tail, SHARD_TAIL + 1, "-%05d%s", file + 1, s->path + strlen(path) - SHARD_TAIL + 6);
    return tail || !file;
}

/* Opens file `file` at offset `at`. */
static chord_status open_file(chord_loaded *l, source *s, int32_t file, uint64_t at)
{
    char path[PATH_BYTES];
    if (!path_of(s, file, path))
        return fail(l, CHORD_INVALID_ARGUMENT,
                    "the file is shard 1 of %d; the others are found by names like model-00001-of-%05d.gguf",
                    chord_model_files(l->model), chord_model_files(l->model));
    if (s->f) fclose(s->f);
    s->f = fopen(path, "rb");
    if (!s->f) return fail(l, CHORD_INVALID_ARGUMENT, "%s can't be opened: %s", path, strerror(errno));
    s->file = file;
    s->at = at;
    s->n = 0;
    if (at && fseeko(s->f, (off_t)at, SEEK_SET))
        return fail(l, CHORD_INVALID_ARGUMENT, "%s can't be read at offset %llu: %s", path,
                    (unsigned long long)at, strerror(errno));
    struct stat about;
    if (!at && !fstat(fileno(s->f), &about) && S_ISREG(about.st_mode)) /* the length of a pipe is unknown */
        chord_model_set_file_bytes(l->model, (uint64_t)about.st_size);
    return CHORD_OK;
}

static chord_status ended(chord_loaded *l, const source *s)
{
    if (!ferror(s->f)) return chord_model_end(l->model);
    return fail(l, CHORD_INVALID_ARGUMENT, "the file can't be read at offset %llu: %s",
                (unsigned long long)s->at, strerror(errno));
}

static chord_status load_header(chord_loaded *l, source *s)
{
    while (next_chunk(s)) {
        chord_status status = chord_model_push(l->model, s->file, s->at, s->chunk, s->n);
        if (status == CHORD_NEED_MEMORY)
            return fail(l, CHORD_OUT_OF_MEMORY, "out-of-memory: the header needs more than %zu bytes",
                        HEADER_BYTES);
        if (status != CHORD_MORE) return status;
        int32_t const next = chord_model_file(l->model);
        if (next != s->file && (status = open_file(l, s, next, 0)) != CHORD_OK) return status;
    }
    return ended(l, s);
}

/* Pushes the only file again from the current chunk on, in which the header ended; or every file of several
 * from its first tensor on. */
static chord_status load_data(chord_loaded *l, source *s, chord_load_progress *progress)
{
    int32_t open = chord_model_files(l->model) > 1 ? -1 : 0;
    double const all = open ? l->plan.file_weight_bytes : l->plan.data_end;
    uint64_t done = open ? 0 : s->at; /* bytes before the chunk */
    for (;;) {
        int32_t const file = chord_model_file(l->model);
        if (file != open) {
            CHORD_TRY(open_file(l, s, open = file, chord_model_position(l->model)));
            if (!next_chunk(s)) return ended(l, s);
        }
        chord_status const status = chord_model_push(l->model, file, s->at, s->chunk, s->n);
        done += s->n;
        if (progress) progress(done, (uint64_t)all);
        if (status != CHORD_MORE) return status;
        if (chord_model_file(l->model) == file && !next_chunk(s)) return ended(l, s);
    }
}

typedef struct joining {
    chord_model *model;
    int32_t index;
} joining;

static void *pool_thread(void *p)
{
    joining const j = *(joining *)p;
    free(p);
    chord_thread_join(j.model, j.index);
    return NULL;
}

static chord_status start_pool(chord_loaded *l, int32_t n_threads)
{
    for (int32_t i = 1; i < n_threads; i++) {
        joining *j = malloc(sizeof *j);
        if (!j) return fail(l, CHORD_OUT_OF_MEMORY, "out-of-memory: no memory for a thread");
        *j = (joining){ l->model, i };
        if (pthread_create(&l->threads[l->n_threads], NULL, pool_thread, j)) {
            free(j);
            return fail(l, CHORD_INTERNAL, "thread %d can't be started", i);
        }
        l->n_threads++;
    }
    while (chord_threads_ready(l->model) < l->n_threads) sched_yield();
    return CHORD_OK;
}

static chord_status start_reader(chord_loaded *l, const source *s)
{
    int32_t const n = chord_model_files(l->model);
    char (*paths)[PATH_BYTES] = malloc((size_t)n * PATH_BYTES), **list = malloc((size_t)n * sizeof *list);
    char error[300] = "no memory for reading layers";
    for (int32_t i = 0; paths && list && i < n; i++) {
        path_of(s, i, paths[i]);
        list[i] = paths[i];
    }
    if (paths && list) l->reader = chord_reader_open(l->model, list, n, error);
    free(paths);
    free(list);
    return l->reader ? CHORD_OK : fail(l, CHORD_INVALID_ARGUMENT, "%s", error);
}

/* Plans within `memory` bytes. A paged plan may have other activations than a resident one, so a second
 * paged plan may be needed. */
static chord_status plan_within(chord_loaded *l, chord_config config, double memory)
{
    chord_status status = chord_model_plan(l->model, &config, &l->plan);
    config.resident_bytes = l->plan.layer_bytes;
    for (int i = 0; memory > 0 && i < 3 && status == CHORD_OK && l->plan.bytes > memory; i++) {
        config.resident_bytes -= l->plan.bytes - memory;
        if (config.resident_bytes < 1) config.resident_bytes = 1;
        status = chord_model_plan(l->model, &config, &l->plan);
    }
    if (status == CHORD_NEED_MEMORY)
        return fail(l, CHORD_OUT_OF_MEMORY, "out-of-memory: the header needs more than %zu bytes",
                    HEADER_BYTES);
    if (status == CHORD_OK && memory > 0 && l->plan.bytes > memory)
        return fail(l, CHORD_OUT_OF_MEMORY,
                    "out-of-memory: the model needs %.0f bytes, also if its layers are paged", l->plan.bytes);
    return status;
}

static chord_status load(chord_loaded *l, source *s, const chord_config *config, double memory,
                         int only_header, chord_load_progress *progress)
{
    chord_status status = load_header(l, s);
    if (status != CHORD_DONE) return status;
    status = plan_within(l, *config, memory);
    if (status != CHORD_OK || only_header) return status;
    void *block = l->plan.bytes < (double)(SIZE_MAX / 2) ? chord_load_block(l, (size_t)l->plan.bytes) : NULL;
    if (!block)
        return fail(l, CHORD_OUT_OF_MEMORY,
                    "out-of-memory: the model needs %.0f bytes, which can't be allocated", l->plan.bytes);
    status = chord_model_begin(l->model, block, (size_t)l->plan.bytes);
    if (status >= 0 && (l->plan.n_paged || l->plan.n_lazy)) {
        chord_status const started = start_reader(l, s);
        if (started != CHORD_OK) return started;
    }
    if (status == CHORD_MORE) status = load_data(l, s, progress);
    if (status != CHORD_DONE) return status;
    return start_pool(l, l->plan.n_threads);
}

static chord_status load_file(chord_loaded *l, const char *path, const chord_config *config, double memory,
                              size_t chunk, int only_header, chord_load_progress *progress)
{
    memset(l, 0, sizeof *l);
    if (!chunk) chunk = (size_t)4 << 20;
    source s = { .path = path, .cap = chunk };
    s.chunk = malloc(chunk);
    void *header = chord_load_block(l, HEADER_BYTES);
    chord_status status;
    if (!s.chunk || !header) {
        status = fail(l, CHORD_OUT_OF_MEMORY, "no memory for the header of %s", path);
    } else {
        l->model = chord_model_init(header, HEADER_BYTES);
        status = open_file(l, &s, 0, 0);
        if (status == CHORD_OK) status = load(l, &s, config, memory, only_header, progress);
        if (status < 0 && !l->error[0]) fail_with_last(l, status);
    }
    free(s.chunk);
    if (s.f) fclose(s.f);
    return status;
}

chord_status chord_load_file(chord_loaded *l, const char *path, const chord_config *config, size_t chunk,
                             int only_header, chord_load_progress *progress)
{
    return load_file(l, path, config, 0, chunk, only_header, progress);
}

chord_status chord_load_within(chord_loaded *l, const char *path, const chord_config *config, double memory,
                               int only_header, chord_load_progress *progress)
{
    return load_file(l, path, config, memory, 0, only_header, progress);
}

chord_session *chord_load_session(chord_loaded *l)
{
    size_t const bytes = chord_session_bytes(l->model);
    void *block = chord_load_block(l, bytes);
    return block ? chord_session_open(l->model, block, bytes) : NULL;
}

chord_status chord_load_run(chord_loaded *l, chord_session *s, uint64_t budget)
{
    for (;;) {
        int32_t const look = chord_reader_look(l->reader);
        chord_status const status = chord_session_step(s, budget);
        if (status == CHORD_NEED_WEIGHTS && l->reader) {
            const char *error = NULL;
            chord_status const served = chord_reader_serve(l->reader, s, look, &error);
            if (served == CHORD_OK) continue;
            if (!error) fail_with_last(l, served);
            else fail(l, served, "%s: %s", chord_status_code(served), error);
            chord_session_drop_batch(s);
            return served;
        }
        if (status == CHORD_NEED_MEMORY) {
            chord_session_state state;
            chord_session_get_state(s, &state);
            size_t const bytes = (size_t)state.wanted_bytes + PAGES_AT_ONCE * (size_t)l->plan.page_bytes;
            void *block = chord_load_block(l, bytes);
            if (!block)
                return fail(l, CHORD_OUT_OF_MEMORY, "out-of-memory: %zu bytes of KV pages can't be allocated",
                            bytes);
            chord_model_give(l->model, block, bytes);
        } else if (status != CHORD_MORE) {
            return status < 0 ? fail_with_last(l, status) : status;
        }
    }
}

void chord_unload(chord_loaded *l)
{
    chord_reader_close(l->reader);
    if (l->model && l->n_threads) {
        chord_model_stop(l->model);
        while (l->n_threads) pthread_join(l->threads[--l->n_threads], NULL);
    }
    while (l->n_blocks) free(l->blocks[--l->n_blocks]);
    l->model = NULL;
}
