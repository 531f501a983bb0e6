/* load.h: loads a GGUF file natively: reads it in chunks, allocates the memory that the library asks for,
 * and starts the pool. For the CLI and the tests; examples/c does the same with chord.h alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_HOST_NATIVE_LOAD_H
#define CHORD_HOST_NATIVE_LOAD_H
#include "../../../include/chord.h"
#include "reader.h"
#include <pthread.h>

#define CHORD_LOAD_THREADS 64
typedef struct chord_loaded {
    chord_model *model;           /* NULL when the first block couldn't be allocated */
    chord_plan_info plan;
    void *blocks[256];            /* header, plan, sessions, pages; freed by chord_unload() */
    int32_t n_blocks;
    int32_t n_threads;            /* helpers that run */
    pthread_t threads[CHORD_LOAD_THREADS];
    chord_reader *reader;         /* of paged layers and lazy rows; NULL: none are */
    char error[400];              /* code and text of the error */
} chord_loaded;

/* Returns the `code` that ChordError has for a status, such as "invalid-gguf". */
const char *chord_status_code(chord_status status);

/* Returns a chord_config of defaults, with version, size and an f16 KV cache. */
chord_config chord_config_default(void);

/* Called after each chunk of data with the bytes read so far. */
typedef void chord_load_progress(uint64_t done, uint64_t all);

/* Loads a model. OK: the model is ready and its pool has joined. Of a model in several files, `path` is any
 * shard, by llama-gguf-split's name NAME-00001-of-00003.gguf; the others are beside it. A file that can't be
 * read is INVALID_ARGUMENT. Call chord_unload() in any case. `chunk` is the number of bytes per push; 0: 4
 * MiB. With `only_header`, the load ends after chord_model_plan(). `progress` may be NULL. */
chord_status chord_load_file(chord_loaded *l, const char *path, const chord_config *config, size_t chunk,
                             int only_header, chord_load_progress *progress);
/* As chord_load_file(), with at most `memory` bytes for weights, vocabulary and activations: layers that
 * don't fit are read again for each batch. OUT_OF_MEMORY: not even two layers fit. */
chord_status chord_load_within(chord_loaded *l, const char *path, const chord_config *config, double memory,
                               int only_header, chord_load_progress *progress);
/* Opens a session. NULL: no memory. */
chord_session *chord_load_session(chord_loaded *l);
/* Calls chord_session_step() until it returns neither MORE, NEED_MEMORY nor NEED_WEIGHTS. Allocates the
 * missing pages, and waits for layers. */
chord_status chord_load_run(chord_loaded *l, chord_session *s, uint64_t budget);
/* Allocates a block owned by `l`, aligned for the library. NULL: no memory, or `blocks` is full. */
void *chord_load_block(chord_loaded *l, size_t bytes);
void chord_unload(chord_loaded *l);

#endif
