/* planner.h: header and hyper-parameters -> one plan: tensor table, program, memory map. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_MODEL_PLANNER_H
#define CHORD_MODEL_PLANNER_H
#include "../../include/chord.h"

#include "builder.h"

/* What the parts of the memory map take; staging overlaps the activations. */
typedef struct chord_memory_map {
    uint64_t weight_bytes, vocabulary_bytes, activation_bytes, bytes;
} chord_memory_map;

/* OK, or INVALID_ARGUMENT for one file of a model that lies in several: its tensors are in the others. */
chord_status chord_plan_shard(const chord_gguf *g, chord_error *e);

/* Fill plan->tensors and plan->file_order from the header, taking them from `tables`. NEED_MEMORY when
 * they don't fit. Errors: INVALID_GGUF (a tensor outside the file, overlapping another ...),
 * UNSUPPORTED_QUANTIZATION, each naming the tensor. */
chord_status chord_plan_tensors(chord_plan *plan, const chord_gguf *g, chord_arena *tables, chord_error *e);

/* Run the builder of the file's architecture, one of `archs`; every tensor is then bound or skipped. Ops and caches
 * come from `tables`. */
chord_status chord_plan_program(chord_plan *plan, const chord_arch *archs, chord_hparams *h, const chord_gguf *g, chord_arena *tables,
                                chord_error *e);

/* Take over the config (defaults, bounds) and lay out the caches, whose table comes from `tables`. */
chord_status chord_plan_config(chord_plan *plan, const chord_hparams *h, const chord_config *config, chord_arena *tables,
                               chord_error *e);

/* Lay everything out in `memory`; with base NULL and cap CHORD_MEASURE it only measures. *vocabulary gets
 * the place of `vocabulary_bytes` bytes. NEED_MEMORY when it doesn't fit. */
chord_status chord_plan_memory(chord_plan *plan, chord_arena *memory, uint64_t vocabulary_bytes, void **vocabulary,
                               chord_memory_map *map);

#endif
