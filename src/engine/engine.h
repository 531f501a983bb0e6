/* engine.h: the two objects behind chord.h. The header block holds the chord_model, then the header's
 * log, then (after chord_model_plan) the tensor table and the program; the plan's block holds weights,
 * vocabulary and activations.
 *
 *   model.c    phases: HEADER, PLAN, begin
 *   data.c     DATA: staging, repacking, chord_model_row
 *   info.c     what the file and the model say about themselves
 *   session.c  tokens in and out: push, sampling, truncate, fork
 *   batch.c    next, accept, drop; step = these and the CPU executor
 *   text.c     the vocabulary's calls
 *
 * Invariant: at most one session of a model has a batch under way (`active`), since all share the
 * activation slots. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_ENGINE_ENGINE_H
#define CHORD_ENGINE_ENGINE_H
#include "../../include/chord.h"

#include "../exec/exec.h"
#include "../format/gguf.h"
#include "../model/planner.h"
#include "../session/sequence.h"
#include "../text/vocab.h"

enum { PHASE_HEADER, PHASE_PARSED, PHASE_PLANNED, PHASE_DATA, PHASE_READY, PHASE_FAILED };

struct chord_model {
    int32_t phase;
    chord_error error;
    chord_gguf gguf;
    uint64_t wanted;              /* after NEED_MEMORY */

    uint64_t log_end;             /* of the header's log; tables follow */
    chord_config config;
    const chord_arch *archs;      /* chord_archs, or a test's own */
    chord_hparams hparams;
    chord_plan plan;
    chord_memory_map map;
    chord_vocab_source vocab_source;
    uint64_t vocab_bytes;
    void *vocab_block;
    chord_vocab *vocab;
    const chord_ops *ops;

    /* DATA */
    int32_t at;                   /* index into plan.file_order of the tensor under way */
    uint64_t filled;              /* its bytes taken so far */
    uint64_t staged;              /* of these in the staging area, not yet in place */

    chord_pool pool;
    chord_page_pool pools[CHORD_MAX_CLASSES]; /* of the plan's classes */
    double *profile;              /* the caller's, see chord_model_profile() */
    chord_session *active;        /* has a batch under way */
    chord_session *shown;         /* whose output rows the logits slot holds */
};

struct chord_session {
    chord_model *model;
    chord_sequence sequence;
    chord_cursor cursor;
    int32_t cancel;               /* atomic */
    int32_t layer;
    int32_t is_given;             /* the batch under way was handed out by chord_session_next_batch */
    int32_t first_elsewhere;      /* first position that another executor evaluated: keys and values aren't here from it on; INT32_MAX: none */
    uint64_t work_done, last_step_work, batch_work, batch_work_done;
};

/* First in each call that may fail: forgets what an earlier call said. const means what the model is, not its last error. */
static inline chord_error *chord_error_begin(const chord_model *m)
{
    chord_error *const e = (chord_error *)(uintptr_t)&m->error;
    e->length = 0;
    e->text[0] = 0;
    return e;
}
/* An INVALID_ARGUMENT for a call in a phase where it has no meaning. */
chord_status chord_wrong_phase(const chord_model *m, const char *call);

/* For tests that look inside: the plan of a model after chord_model_plan(). */
const chord_plan *chord_model_plan_of(const chord_model *m);

/* batch.c. leave: the batch under way is over or given up, another session may use the activations. */
void chord_batch_leave(chord_session *s);
float *chord_output_row(const chord_model *m, int32_t row);

/* session.c: pages and states of a session that has filled its context. */
uint64_t chord_session_cache_bytes(const chord_model *m);

/* data.c */
chord_status chord_data_begin(chord_model *m);
chord_status chord_data_push(chord_model *m, uint64_t off, const uint8_t *bytes, size_t n);
/* File offset of the next wanted byte; UINT64_MAX when nothing is wanted any more. */
uint64_t chord_data_position(const chord_model *m);

#endif
