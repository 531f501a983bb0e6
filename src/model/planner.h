/* planner.h: makes a plan (tensor table, program, memory map) from a header. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_MODEL_PLANNER_H
#define CHORD_MODEL_PLANNER_H
#include "../../include/chord.h"

#include "builder.h"
#include "split.h"

/* Bytes of the parts of the memory map and of the whole. Staging overlaps the activations. */
typedef struct chord_memory_map {
    uint64_t weight_bytes, vocabulary_bytes, activation_bytes, bytes;
} chord_memory_map;

/* Fills plan->tensors and plan->file_order from the header, joined with the headers of all later files, and
 * allocates them from `tables`. `files` has an entry per file. NEED_MEMORY: they don't fit. Errors:
 * INVALID_GGUF (a tensor is outside the file, two tensors overlap ...), UNSUPPORTED_QUANTIZATION; both name
 * the tensor. */
chord_status chord_plan_tensors(chord_plan *plan, const chord_gguf *g, const chord_split_file *files,
                                chord_arena *tables, chord_error *e);

/* Runs the builder of the file's architecture, one of `archs`, and checks that every tensor is bound or
 * skipped. Ops and caches are allocated from `tables`. */
chord_status chord_plan_program(chord_plan *plan, const chord_arch *archs, chord_hparams *h,
                                const chord_gguf *g, chord_arena *tables, chord_error *e);

/* Finds each tensor's layer and decides, by config.resident_bytes and config.lazy, which tensors are PAGED
 * and LAZY (paging.c). The table of pages is allocated from `tables`. chord_plan_config() calls it. */
chord_status chord_plan_paging(chord_plan *plan, const chord_config *config, chord_arena *tables);
/* Sets *bytes to a tensor's bytes in memory, padding rows included. Returns false on overflow. */
bool chord_plan_tensor_bytes(const chord_tensor *t, uint64_t *bytes);

/* Sets the plan's sizes from the config (defaults, bounds), chooses paged layers and lays out the caches.
 * Tables are allocated from `tables`. */
chord_status chord_plan_config(chord_plan *plan, const chord_hparams *h, const chord_config *config,
                               chord_arena *tables, chord_error *e);

/* Allocates everything from `memory`; with base NULL and cap CHORD_MEASURE it only measures. *vocabulary is
 * the address of `vocabulary_bytes` bytes. NEED_MEMORY: it doesn't fit. */
chord_status chord_plan_memory(chord_plan *plan, chord_arena *memory, uint64_t vocabulary_bytes,
                               void **vocabulary, chord_memory_map *map);

#endif
