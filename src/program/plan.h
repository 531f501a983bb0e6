/* plan.h: where everything lies. The planner (model/planner.c) fills it once; the tensor table may
 * change between steps (residency), the program never does. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_PROGRAM_PLAN_H
#define CHORD_PROGRAM_PLAN_H
#include "program.h"
#include <stddef.h>

enum { CHORD_LAYOUT_NONE = 0,     /* on the architecture's skip list: not loaded */
       CHORD_LAYOUT_PLAIN = 1,    /* rows in file form, for lookup */
       CHORD_LAYOUT_X4 = 2,       /* groups of four rows (quant/quant.h) */
       CHORD_LAYOUT_VECTOR = 3 }; /* one row, widened to f32 */

typedef struct chord_tensor {
    const char *name;             /* n_name bytes, not terminated, in the header's log */
    int32_t n_name;
    int32_t type;                 /* ggml's id */
    int32_t n_dims;
    int32_t layout;               /* CHORD_LAYOUT_* */
    int32_t placement;            /* CHORD_PLACE_* of chord.h */
    int32_t is_ready;
    int64_t ne[4];                /* ne[0]: elements a row */
    int64_t n_rows;               /* ne[1] * ne[2] * ne[3] */
    int32_t file;                 /* which file of the model; 0 today */
    uint64_t file_off, file_bytes; /* from its first byte */
    uint64_t row_bytes;           /* in file form */
    uint64_t bytes;               /* in memory, padding rows included */
    uint8_t *data;                /* NULL until chord_model_begin() or when not resident */
} chord_tensor;

/* One KV page: [layer][K, V][kv head][token][head_dim], 16-byte aligned parts. */
typedef struct chord_kv_shape {
    int32_t type;                 /* CHORD_KV_* */
    int32_t n_layer, n_kv, head_dim;
    uint64_t row_bytes;           /* one token of one head */
    uint64_t head_bytes;          /* CHORD_PAGE_TOKENS rows of one head, a multiple of 16 */
    uint64_t page_bytes;
} chord_kv_shape;

static inline uint64_t chord_kv_offset(const chord_kv_shape *kv, int32_t layer, int32_t is_v, int32_t head)
{
    return (((uint64_t)layer * 2 + (uint64_t)is_v) * (uint64_t)kv->n_kv + (uint64_t)head) * kv->head_bytes;
}

/* Attention begins anew in each chunk of pages and joins what the chunks before it gave. Of a single token so many
 * chunks are computed side by side before they are joined. */
enum { CHORD_CHUNK_PAGES = 2, CHORD_ATTEND_PARTS = 64 };

typedef struct chord_model_plan {
    chord_program program;
    chord_tensor *tensors;        /* in the order of the file's table */
    int32_t n_tensors;
    int32_t *file_order;          /* tensor indices by ascending file offset */
    int32_t n_ctx, n_batch, n_logits, n_threads;
    int32_t n_vocab;
    chord_kv_shape kv;
    float *slots[CHORD_MAX_SLOTS];
    double *rope_freqs[CHORD_MAX_ROPES];  /* n_rot / 2 angles a position step */
    float *rope_cs[CHORD_MAX_ROPES];      /* [n_batch][n_rot] cosine, sine pairs of the batch */
    uint8_t *quantized;           /* of one matmul's inputs: rows of chord_q8_stride(n_in) bytes, two a row where it is FINE */
    float *attend_ml;             /* [n_batch][n_head] pairs m, l */
    float *attend_parts;          /* of one token, [CHORD_ATTEND_PARTS at most][n_head][head_dim], and behind them pairs m, l likewise */
    int32_t n_attend_parts;
    uint8_t *thread_scratch;      /* [n_threads][thread_scratch_bytes]: see place_scratch() in planner.c */
    uint64_t thread_scratch_bytes;
    uint8_t *sample_scratch;      /* n_vocab x 8 bytes: candidates of the sampler */
    uint8_t *staging;             /* four rows of the widest tensor; overlaps the activations, owned by the load */
    uint64_t staging_bytes;
} chord_model_plan;

#endif
