/* split.h: a model in several files, as llama.cpp's llama-gguf-split writes them. The first file has all
 * metadata. Each file has a header with its own tensors and three keys: split.no (from 0), split.count and
 * split.tensors.count (the tensors of all files). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_MODEL_SPLIT_H
#define CHORD_MODEL_SPLIT_H
#include "../format/gguf.h"

/* What a complete header says about its file's data. */
typedef struct chord_split_file {
    uint64_t bytes;        /* the file's length, UINT64_MAX when unknown */
    uint64_t data_begin;   /* offset of the data section */
} chord_split_file;

typedef struct chord_split {
    int32_t n_files;       /* 1 until the first header is complete */
    int64_t n_tensors;     /* split.tensors.count of the first file, -1 when absent */
    chord_split_file files[CHORD_MAX_FILES];
} chord_split;

/* Checks `g`, the complete header of file g->file, and records its file. Errors: INVALID_ARGUMENT (the files
 * are in another order, or of different models), INVALID_GGUF; both name the key. */
chord_status chord_split_check(chord_split *s, const chord_gguf *g, chord_error *e);
/* Checks the number of tensors in all files. `first`: the first header, joined with all others. Error:
 * INVALID_GGUF. */
chord_status chord_split_end(const chord_split *s, const chord_gguf *first, chord_error *e);

#endif
