/* load.h: a GGUF file by path, natively: reads it in chunks, gives the memory that is asked for, starts
 * the pool. What the CLI and the tests use; examples/c shows the same with chord.h alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_HOST_NATIVE_LOAD_H
#define CHORD_HOST_NATIVE_LOAD_H
#include "../../../include/chord.h"
#include <pthread.h>

#define CHORD_LOAD_THREADS 64
typedef struct chord_loaded {
    chord_model *model;           /* NULL when not even the first block could be had */
    chord_plan_info plan;
    void *blocks[256];            /* header, plan, sessions, pages; freed by chord_unload() */
    int32_t n_blocks;
    int32_t n_threads;            /* pool threads running */
    pthread_t threads[CHORD_LOAD_THREADS];
    char error[400];              /* what went wrong, with its code */
} chord_loaded;

/* "invalid-gguf" and the like: the `code` of ChordError. */
const char *chord_status_code(chord_status status);

/* chord_config with version and size set, everything else default, KV f16. */
chord_config chord_config_default(void);

/* Called now and then with the file's bytes taken so far; may be NULL. */
typedef void chord_load_progress(uint64_t done, uint64_t all);

/* OK: the model is ready and its pool has joined. Otherwise an error (also for a file that can't be
 * read: INVALID_ARGUMENT); chord_unload() is to be called in any case. `chunk` bytes are pushed at a
 * time, 0 for 4 MiB. With only_header nothing after chord_model_plan() is done. */
chord_status chord_load_file(chord_loaded *l, const char *path, const chord_config *config, size_t chunk, int only_header,
                             chord_load_progress *progress);
/* A session, or NULL. */
chord_session *chord_load_session(chord_loaded *l);
/* chord_session_step to the end of its batch run; pages are given as they are asked for. */
chord_status chord_load_run(chord_loaded *l, chord_session *s, uint64_t budget);
/* A block owned by `l`, aligned for the library; NULL: none left. */
void *chord_load_block(chord_loaded *l, size_t bytes);
void chord_unload(chord_loaded *l);

#endif
