/* reader.h: reads the pages (layers, experts) and lazy rows of a loaded model from its files, with pread. A
 * thread reads pages ahead of the step; the step's own thread reads lazy rows. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_HOST_NATIVE_READER_H
#define CHORD_HOST_NATIVE_READER_H
#include "../../../include/chord.h"
#include <pthread.h>

typedef struct chord_reader_figures {
    uint64_t pages, bytes; /* read by the thread */
    uint64_t lazy_bytes;
    uint64_t waits; /* of a step for a page */
    double waited_ms, read_ms, repack_ms;
} chord_reader_figures;

typedef struct chord_reader {
    chord_model *model;
    chord_tensor_info *tensors; /* a copy of the table: the thread may not ask the model */
    int32_t n_tensors, n_files;
    int *fds; /* one per file */
    uint8_t *buffer, *row;
    size_t cap; /* bytes of `buffer` */
    pthread_t thread;
    int32_t is_running, quit; /* quit: atomic */
    chord_reader_figures figures; /* the thread's fields are atomic, or complete when it has ended */
} chord_reader;

/* Opens the files `paths` and starts the thread. Returns NULL and the cause in `error`. Call it after
 * chord_model_begin(). The caller frees `paths`. */
chord_reader *chord_reader_open(chord_model *m, char *const *paths, int32_t n_files, char error[static 300]);
/* Ends the thread. chord_reader_serve() then reads pages itself. */
void chord_reader_stop(chord_reader *r);
void chord_reader_close(chord_reader *r);

/* Call before a step; returns what chord_reader_serve() needs. */
int32_t chord_reader_look(const chord_reader *r);
/* Call after a step of `s` returned NEED_WEIGHTS. Returns OK: step again. Otherwise the error of a lazy
 * row; *error is set to a text unless chord_last_error() has the cause. */
chord_status chord_reader_serve(chord_reader *r, chord_session *s, int32_t look, const char **error);

#endif
