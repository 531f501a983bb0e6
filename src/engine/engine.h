/* engine.h: the two objects behind chord.h. The block of chord_model_init() holds the chord_model, the
 * header's log and, after chord_model_plan(), the tensor table and the program. The block of
 * chord_model_begin() holds weights, vocabulary and activations.
 *
 *   model.c    phases: HEADER, PLAN, begin
 *   data.c     DATA: staging, repacking, chord_model_row()
 *   info.c     information about the file and the model
 *   chat.c     chat templates of the file and of families
 *   session.c  tokens in and out: push, sampling, truncate, fork
 *   save.c     save and restore, the fingerprint of a model
 *   batch.c    next, accept, drop; a step is these three and the CPU executor
 *   paging.c   paged layers and lazy rows
 *   text.c     the vocabulary's calls
 *
 * Invariant: at most one session of a model has a batch under way (`active`), because all sessions share the
 * slots. */
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
    chord_gguf gguf;              /* the first file's header, joined with the tensors of later files */
    chord_gguf shard;             /* HEADER: the header under way, if it isn't the first */
    chord_split split;
    uint64_t wanted;              /* after NEED_MEMORY */

    uint64_t log_end;             /* end of the header's log; tables follow */
    chord_config config;
    const chord_arch *archs;      /* chord_archs, or the list of a test */
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
    uint64_t filled;              /* bytes of that tensor consumed so far */
    uint64_t staged;              /* bytes of that tensor in the staging area, not yet in place */

    chord_pool pool;
    chord_pager pager;
    chord_page_pool pools[CHORD_MAX_CLASSES]; /* one per class of the plan */
    double *profile;              /* the host's array, see chord_model_profile() */
    chord_session *active;        /* the session that has a batch under way, or NULL */
    chord_session *shown;         /* the session whose output rows are in the output slot, or NULL */
};

struct chord_session {
    chord_model *model;
    chord_sequence sequence;
    chord_cursor cursor;
    int32_t cancel;               /* atomic */
    int32_t layer;
    int32_t is_given; /* 1: chord_session_next_batch() passed the batch under way to an executor */
    /* first position that another executor evaluated, INT32_MAX if none: the keys and values from this
     * position on aren't in the caches */
    int32_t first_elsewhere;
    uint64_t work_done, last_step_work, batch_work, batch_work_done;
};

/* Clears the error text of an earlier call. Every call that may fail starts with it. The error isn't part
 * of what `const` protects. */
static inline chord_error *chord_error_begin(const chord_model *m)
{
    chord_error *const e = (chord_error *)(uintptr_t)&m->error;
    e->length = 0;
    e->text[0] = 0;
    return e;
}
/* Returns INVALID_ARGUMENT for `call`, which the model's phase doesn't allow. */
chord_status chord_wrong_phase(const chord_model *m, const char *call);

/* Returns the plan of a model after chord_model_plan(), otherwise NULL. */
const chord_plan *chord_model_plan_of(const chord_model *m);

/* info.c */
/* Writes an error's text, at most `cap` bytes, terminated. Returns the length. */
int32_t chord_error_text(const chord_error *e, char *dst, size_t cap);

/* batch.c */
/* Ends the batch under way, computed or not: another session may use the slots. */
void chord_batch_leave(chord_session *s);
float *chord_output_row(const chord_model *m, int32_t row);
/* Whether an executor outside needs a cache for whole texts, so that its batch has one text: an ATTEND reads
 * what another layer stored, or the slots have changed since. (A model with states has one text anyway.) */
int32_t chord_is_one_text(const chord_program *p);
/* Output row `row` of a batch of the session: logits, or of texts embeddings. */
float *chord_session_row(const chord_session *s, int32_t row);

/* paging.c */
/* Marks the rows of lazy tensors as missing: another batch begins. */
void chord_lazy_begin(chord_model *m);

/* session.c */
/* Returns the bytes of pages and states of a session with a full context. */
uint64_t chord_session_cache_bytes(const chord_model *m);

/* save.c */
/* Returns the sum of a tensor's sample: of its first bytes, or what chord_model_sample() told. A vector is
 * widened in memory, whoever holds the matrices. */
uint64_t chord_tensor_sample(const chord_tensor *t);

/* data.c */
chord_status chord_data_begin(chord_model *m);
chord_status chord_data_push(chord_model *m, int32_t file, uint64_t off, const uint8_t *bytes, size_t n);
/* Returns the offset in its file of the next byte that the load needs; UINT64_MAX: the load is complete. */
uint64_t chord_data_position(const chord_model *m);
/* Returns the file of that byte; the last file when the load is complete. */
int32_t chord_data_file(const chord_model *m);
/* Puts "shard I of N: " before the error's text if the model has several files. */
chord_status chord_fail_in_file(chord_model *m, int32_t file, chord_status status);

#endif
