/* gguf.h: reads GGUF v2 and v3 headers as a stream: bytes in chunks of any size become metadata and tensor
 * table.
 *
 * The bytes that are kept are appended to one log, an arena that the host grows. A key-value pair appends a
 * chord_gguf_kv record, the key and the value. A tensor appends a chord_gguf_tensor record and its name.
 * Long values and arrays of strings are skipped, except those of `wanted` keys; their records are kept. A
 * hostile count costs no memory before its bytes have arrived. The format is specified in ggml's docs.
 *
 * A model may be split into several files. Each file has a header of its own, and so a chord_gguf. They
 * share one log and one chain of tensors. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_FORMAT_GGUF_H
#define CHORD_FORMAT_GGUF_H
#include "../base/arena.h"
#include "../base/status.h"
#include "limits.h"

enum {
    CHORD_GGUF_U8,
    CHORD_GGUF_I8,
    CHORD_GGUF_U16,
    CHORD_GGUF_I16,
    CHORD_GGUF_U32,
    CHORD_GGUF_I32,
    CHORD_GGUF_F32,
    CHORD_GGUF_BOOL,
    CHORD_GGUF_STRING,
    CHORD_GGUF_ARRAY,
    CHORD_GGUF_U64,
    CHORD_GGUF_I64,
    CHORD_GGUF_F64,
    CHORD_GGUF_TYPES
};

typedef struct chord_gguf_kv {
    uint64_t next;         /* log offset of the next record, 0: last */
    uint64_t key, data;    /* log offsets */
    uint64_t data_bytes;   /* a string's text; each string of an array: u64 length, then its bytes */
    uint64_t count;        /* elements, 1 for a scalar */
    int32_t n_key;
    uint32_t hash;         /* of the key */
    int32_t type;          /* CHORD_GGUF_* of the value, or of an array's elements */
    int16_t is_array, is_kept;
} chord_gguf_kv;

typedef struct chord_gguf_tensor {
    uint64_t next, name;   /* log offsets */
    int32_t n_name;
    uint32_t hash;
    int32_t type, n_dims;
    int64_t ne[4];         /* dimensions past n_dims are 1 */
    uint64_t offset;       /* from the start of the data section */
    int32_t file, reserved; /* index of the model's file that holds the tensor */
} chord_gguf_tensor;

typedef struct chord_gguf {
    chord_arena log;
    const char *const *wanted; /* as in chord_gguf_init() */
    uint64_t position;     /* file offset of the next byte */
    uint64_t file_bytes;   /* UINT64_MAX when unknown */
    uint64_t n_tensors, n_kv, tensors_left, kv_left;
    uint64_t tensors_most; /* maximum n_tensors: CHORD_MAX_TENSORS minus the tensors of the files before */
    uint64_t first_kv, last_kv, first_tensor, last_tensor; /* log offsets; 0: none */
    uint64_t left;         /* missing bytes of the current atom (gguf.c) */
    uint64_t elements_left;
    uint64_t data_begin;   /* file offset of the data section, once is_done */
    uint32_t version;
    int32_t file;          /* index of the file in its model */
    int32_t state, sink;
    int32_t is_done;
    uint32_t alignment;
    uint32_t carried;
    uint8_t carry[44];    /* the widest atom of numbers: four dimensions, type, offset */
} chord_gguf;

/* `log` is the arena to append to; no record starts at offset 0, which means none. `wanted` lists the keys
 * whose values are kept whatever their size; one that ends with a point stands for all keys that begin with
 * it. NULL ends the list, and `wanted` may be NULL. The list must outlive the header. */
void chord_gguf_init(chord_gguf *g, chord_arena log, const char *const *wanted);

/* Prepares `g` for the header of the file behind `before`, whose header is complete. `g` continues the log
 * and the chain of tensors: read on with `g` alone, then call chord_gguf_join(). No value is kept whatever
 * its size. */
void chord_gguf_follow(chord_gguf *g, const chord_gguf *before);
/* Gives `first`, the model's first header, the log and the tensors of `g`, a complete header of a later
 * file. `first` keeps its own keys. */
void chord_gguf_join(chord_gguf *first, const chord_gguf *g);

/* Reads bytes at g->position and sets *taken to the number of bytes consumed. OK: the header is complete.
 * MORE: all bytes were consumed. NEED_MEMORY: extend g->log.cap and push the rest. Error: INVALID_GGUF. */
chord_status chord_gguf_push(chord_gguf *g, const uint8_t *bytes, size_t n, size_t *taken, chord_error *e);

/* Returns the record of a key, NULL when absent. */
const chord_gguf_kv *chord_gguf_find(const chord_gguf *g, const char *key, size_t n_key);
static inline const void *chord_gguf_at(const chord_gguf *g, uint64_t off) { return g->log.base + off; }

/* Return the next record; NULL gets the first one, and NULL is returned after the last one. */
const chord_gguf_kv *chord_gguf_next_kv(const chord_gguf *g, const chord_gguf_kv *kv);
const chord_gguf_tensor *chord_gguf_next_tensor(const chord_gguf *g, const chord_gguf_tensor *t);

/* Returns the name of a CHORD_GGUF_* type: "u32", "string", ... */
const char *chord_gguf_type_name(int32_t type);
/* Returns the bytes of one element of a fixed-size type, 0 for strings and arrays. */
uint32_t chord_gguf_type_bytes(int32_t type);

#endif
