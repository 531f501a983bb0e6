/* interpreter.h: runs a program in float64 over plain rows. The interpreter is the specification of the op
 * records (program/program.h). Every executor is compared with it, and it is compared with llama.cpp.
 *
 * It has no pages, units, threads or tables. A call computes a whole sequence from position 0 on, or one
 * batch of it. Every weight is read by chord_model_row() and its format's scalar decode. Every sum is a
 * double. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_INTERPRETER_H
#define CHORD_TESTS_INTERPRETER_H
#include "../../src/engine/engine.h"

/* Without flags nothing is rounded. A flag rounds values where an executor rounds them, to the same values
 * except on ties, so that everything else can be compared closely. */
enum {
    REFERENCE_KV_F16 = 1,      /* rounds keys and values to f16 */
    REFERENCE_ACT_Q8 = 2,      /* quantises the inputs of matrices whose format has act Q8 */
    REFERENCE_GELU_F16 = 4     /* rounds input and output of GELU to f16, as llama.cpp's table does */
};

/* Computes the logits of positions rows[0 .. n_rows), ascending, of the sequence ids[0 .. n), into
 * logits[n_rows][n_vocab]. The model is loaded. Returns 0 for an unknown op record. */
int reference_logits(const chord_model *m, const int32_t *ids, int32_t n, const int32_t *rows, int32_t n_rows,
                     int flags, double *logits);
/* Computes the outputs of a batch of one run from position 0 on: embeddings, positions, any output width. */
int reference_outputs(const chord_model *m, const chord_batch *batch, int flags, double *outputs);

/* Returns the doubles per position in the caches of a sequence. */
int64_t reference_kept_width(const chord_model *m);
/* Computes the outputs of a batch of one run, from the run's first position on (without runs: from 0 on).
 * `kept` is the caller's: the caches of the sequence, [position][reference_kept_width()]. A position's
 * row holds the keys, the values and the states after its token. The call reads the rows of earlier
 * positions, which earlier calls wrote, and writes the rows of its own positions. `work` (may be NULL)
 * receives the multiply-adds of products and attention. Returns 0 for an unknown op record. */
int reference_batch(const chord_model *m, const chord_batch *batch, double *kept, int flags, double *outputs,
                    double *work);

#endif
