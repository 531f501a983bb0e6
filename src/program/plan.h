/* plan.h: the program with the place of its tensors, caches and slots in memory. The planner
 * (model/planner.c) fills the plan once. The tensor table may change between steps (residency). The program
 * never changes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_PROGRAM_PLAN_H
#define CHORD_PROGRAM_PLAN_H
#include "program.h"
#include <stddef.h>

enum {
    CHORD_LAYOUT_NONE = 0,     /* not loaded: the tensor is on the architecture's skip list */
    CHORD_LAYOUT_PLAIN = 1,    /* rows in file form, for lookup */
    CHORD_LAYOUT_X4 = 2,       /* groups of four rows (quant/quant.h) */
    CHORD_LAYOUT_VECTOR = 3    /* one row, or a small table, widened to f32 */
};

typedef struct chord_tensor {
    const char *name;             /* n_name bytes, not terminated, in the header's log */
    int32_t n_name;
    int32_t type;                 /* ggml's id */
    int32_t n_dims;
    int32_t layout;               /* CHORD_LAYOUT_* */
    int32_t placement;            /* CHORD_PLACE_* of chord.h */
    int32_t is_ready;
    int64_t ne[4];                /* elements per dimension; ne[0] is the row length */
    int64_t n_rows;               /* ne[1] * ne[2] * ne[3] */
    int32_t file;                 /* index of the model's file that holds the tensor */
    uint64_t file_off, file_bytes; /* offset from the file's first byte; bytes in the file */
    uint64_t row_bytes;           /* bytes of a row in file form */
    uint64_t bytes;               /* bytes in memory, padding rows included */
    int32_t layer;                /* the layer that alone uses it, or CHORD_NONE */
    int32_t is_padded;            /* an EMBED with is_padded looks its rows up */
    int32_t page;                 /* PAGED with its layer: index into plan.pages, otherwise CHORD_NONE */
    int32_t stacks;               /* PAGED by expert: index into plan.stacks, otherwise CHORD_NONE */
    uint64_t slot_off;            /* PAGED: offset in a slot of the ring, or in an expert's slot */
    /* NULL until chord_model_begin(), or if not in memory. PAGED: set by the leader while it has the layer;
     * NULL if by expert.
     * LAZY: n_batch rows in the order of the batch, then n_batch bytes, 1 where the row is there. */
    uint8_t *data;
    uint64_t sample; /* of chord_model_sample(), while data is NULL */
} chord_tensor;

/* A *page*: the matrices of a paged layer (exec/pager.h), without stacks that are paged by expert. Pages are
 * in the order of the walk. */
enum { CHORD_RING = 2 }; /* maximum slots of a ring */
typedef struct chord_page {
    int32_t layer, op; /* op: its ACQUIRE */
    int64_t n_rows; /* rows of its matrices */
    uint64_t bytes, file_bytes;
    int64_t n_loaded; /* atomic: rows in place since the page was claimed */
    uint32_t claimed; /* atomic: chord_pager.turn at the claim */
    int32_t fault; /* atomic: 0, or the status of a load that failed */
} chord_page;

/* The *stacks* of an EXPERTS op whose experts are paged (exec/expert_pool.h): a few of its n_expert experts
 * are in memory, each in one of n_slots slots. A slot has the expert's rows of each stack. */
typedef struct chord_expert_slot {
    int32_t word; /* atomic: state | expert << 2 */
    int32_t fault; /* atomic: 0, or the status of a load that failed */
    uint32_t claimed; /* atomic: chord_pager.turn at the claim */
    int64_t n_loaded; /* atomic: rows in place since the slot was claimed */
    int32_t expert; /* the leader's: whose slot it is, or CHORD_NONE */
    int32_t turn; /* slots that are asked for at the same time are filled in this order */
    int64_t used; /* when a batch chose its expert last */
} chord_expert_slot;
typedef struct chord_stacks {
    int32_t op, layer;
    int32_t n_expert, n_slots;
    int32_t first_page; /* expert e is page first_page + e */
    int64_t n_rows; /* of an expert, in all stacks */
    uint64_t slot_bytes, file_bytes; /* of an expert */
    uint8_t *memory; /* [n_slots][slot_bytes] */
    chord_expert_slot *slots;
    /* The leader's, and its helpers' while units run: the slot of each expert, or CHORD_NONE; the batch's
     * n_chosen experts in the order in which they are computed; the place of each expert in that order, or
     * CHORD_NONE. */
    int32_t *slot_of, *order, *place;
    int32_t n_chosen, n_asked, n_done; /* n_asked, n_done: of `order` have a slot, are computed */
    uint32_t turn; /* of the walk that `order` is of */
} chord_stacks;

/* A cache of the program with its place. Caches of one kind and window form a *class*. A page of a class
 * holds CHORD_PAGE_TOKENS tokens of every cache of the class, [cache][K, V][head][token][width]. Each
 * head starts 16-byte aligned. A class of states has one block of floats for all its caches. */
#define CHORD_MAX_CLASSES 8
typedef struct chord_cache {
    chord_cache_spec spec;
    int32_t type; /* CHORD_KV_*; CHORD_KV_F32 for a STATE */
    int32_t cls; /* index into the plan's classes */
    uint64_t k_row, v_row; /* bytes of one token of one head */
    uint64_t k_head, v_head; /* bytes of CHORD_PAGE_TOKENS rows of one head, a multiple of 16 */
    uint64_t k_off, v_off; /* offsets in the page or state; equal if values are a part of the keys */
} chord_cache;

typedef struct chord_cache_class {
    int32_t kind, window; /* CHORD_CACHE_*; window is 0 unless kind is WINDOW */
    uint64_t page_bytes; /* bytes of a page or of the state, a multiple of CHORD_BLOCK_ALIGN */
} chord_cache_class;

typedef struct chord_plan {
    chord_program program;
    chord_tensor *tensors; /* in the order of the file's table */
    int32_t n_tensors;
    int32_t *file_order; /* tensor indices by ascending file and offset */
    int32_t n_ctx, n_batch, n_logits, n_threads;
    int32_t n_vocab;
    /* Paging (model/paging.c): n_pages layers share n_ring slots. */
    chord_page *pages;
    int32_t n_pages, n_ring, n_lazy;
    uint64_t layer_bytes; /* of the matrices of all layers */
    uint64_t slot_bytes;
    uint8_t *ring; /* [n_ring][slot_bytes] */
    chord_stacks *stacks; /* in the order of the walk; their pages follow those of layers */
    int32_t n_stacks;
    int32_t is_external; /* 1: an executor outside the library has matrices, slots and caches */
    chord_cache *caches; /* program.n_caches */
    int32_t n_classes;
    chord_cache_class classes[CHORD_MAX_CLASSES];
    float *slots[CHORD_MAX_SLOTS]; /* is_external: the output slot only, all others are NULL */
    double *rope_freqs[CHORD_MAX_ROPES]; /* n_rot / 2 angles per position */
    /* The CPU executor's memory, measured by chord_exec_measure(): */
    uint8_t *work; /* results that an op keeps from one of its stages to the next */
    uint64_t work_bytes;
    uint8_t *thread_scratch; /* [n_threads][thread_scratch_bytes] */
    uint64_t thread_scratch_bytes;
    uint8_t *sample_scratch; /* n_vocab x 8 bytes: candidates of the sampler */
    uint8_t *staging; /* load: four rows of the widest tensor; overlaps the activations */
    uint64_t staging_bytes;
} chord_plan;

/* Returns the stacks to which a tensor belongs that is paged by expert; otherwise NULL. */
chord_stacks *chord_tensor_stacks(const chord_plan *plan, const chord_tensor *t);

#endif
