/* gguf.h: GGUF v2 and v3 headers as a stream: bytes in any chunk sizes -> metadata and tensor table.
 *
 * The header's kept bytes are appended to one log (the arena the host grows): for each key-value pair
 * a chord_gguf_kv record, the key, the value; for each tensor a chord_gguf_tensor record and its name.
 * Long arrays and long strings are skipped unless the caller wants their key; their record stays. A hostile count
 * costs nothing until its bytes have really arrived. Format: the GGUF specification in ggml's docs. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_FORMAT_GGUF_H
#define CHORD_FORMAT_GGUF_H
#include "../base/arena.h"
#include "../base/status.h"
#include "limits.h"

enum { CHORD_GGUF_U8, CHORD_GGUF_I8, CHORD_GGUF_U16, CHORD_GGUF_I16, CHORD_GGUF_U32, CHORD_GGUF_I32,
       CHORD_GGUF_F32, CHORD_GGUF_BOOL, CHORD_GGUF_STRING, CHORD_GGUF_ARRAY, CHORD_GGUF_U64,
       CHORD_GGUF_I64, CHORD_GGUF_F64, CHORD_GGUF_TYPES };

typedef struct chord_gguf_kv {
    uint64_t next;         /* log offset of the next record, 0: last */
    uint64_t key, data;    /* log offsets */
    uint64_t data_bytes;   /* strings: the text; arrays of strings: u64 length + bytes each */
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
} chord_gguf_tensor;

typedef struct chord_gguf {
    chord_arena log;
    const char *const *wanted; /* keys whose values are kept whatever their size; NULL ends the list */
    uint64_t position;     /* file offset of the next byte wanted */
    uint64_t file_bytes;   /* UINT64_MAX when unknown */
    uint64_t n_tensors, n_kv, tensors_left, kv_left;
    uint64_t first_kv, last_kv, first_tensor, last_tensor; /* log offsets; 0: none */
    uint64_t left;         /* bytes of the atom under way still to come */
    uint64_t elements_left;
    uint64_t data_begin;   /* file offset of the data section, when done */
    uint32_t version;
    int32_t state, sink;
    int32_t is_done;
    uint32_t alignment;
    uint32_t carried;
    uint8_t carry[44];    /* the widest atom: four dimensions, type, offset */
} chord_gguf;

/* `log` is the arena to append to; its first byte isn't used by records (offset 0 means none).
 * `wanted` lists the keys whose values are kept whatever their size, NULL at the end; NULL for none. The
 * list belongs to the caller and has to outlive the header. */
void chord_gguf_init(chord_gguf *g, chord_arena log, const char *const *wanted);

/* Take bytes at g->position. *taken gets how many were consumed. OK: header complete; MORE: all taken;
 * NEED_MEMORY: extend g->log.cap and push the rest. Errors: INVALID_GGUF. */
chord_status chord_gguf_push(chord_gguf *g, const uint8_t *bytes, size_t n, size_t *taken, chord_error *e);

/* The record of a key, NULL when absent. */
const chord_gguf_kv *chord_gguf_find(const chord_gguf *g, const char *key, size_t n_key);
static inline const void *chord_gguf_at(const chord_gguf *g, uint64_t off) { return g->log.base + off; }

/* Walks: NULL starts, NULL ends. */
const chord_gguf_kv *chord_gguf_next_kv(const chord_gguf *g, const chord_gguf_kv *kv);
const chord_gguf_tensor *chord_gguf_next_tensor(const chord_gguf *g, const chord_gguf_tensor *t);

/* "u32", "string", ... of a CHORD_GGUF_* */
const char *chord_gguf_type_name(int32_t type);
/* Bytes of one element of a fixed-size type, 0 for strings and arrays. */
uint32_t chord_gguf_type_bytes(int32_t type);

#endif
