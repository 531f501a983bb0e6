/* interpreter.h: the program, run in float64 over plain rows. This is the specification of the op records
 * (program/program.h): every executor is compared with it, and it with llama.cpp.
 *
 * No pages, no units, no threads, no tables: a whole sequence from position 0 in one go, every weight
 * taken through chord_model_row() and its format's scalar decode, every sum in double. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_INTERPRETER_H
#define CHORD_TESTS_INTERPRETER_H
#include "../../src/engine/engine.h"

/* By default nothing is rounded: what the program means. The flags round where our executor rounds (not
 * only less exactly, but to the same values but for ties), so that all else can be compared closely. */
enum { REFERENCE_KV_F16 = 1,      /* K and V go through f16 */
       REFERENCE_ACT_Q8 = 2,      /* inputs of matrices whose format asks for it go through q8 blocks */
       REFERENCE_GELU_F16 = 4 };  /* where llama.cpp's executor rounds: GELU out of a table of f16 by f16 */

/* Logits of rows[0 .. n_rows), ascending positions of the sequence ids[0 .. n), into logits[n_rows][n_vocab].
 * The model is loaded. Returns 0 for an op record it doesn't know. */
int reference_logits(const chord_model *m, const int32_t *ids, int32_t n, const int32_t *rows, int32_t n_rows,
                     int flags, double *logits);
/* The same for any batch of one run that begins at position 0: embeddings, positions, any output width. */
int reference_outputs(const chord_model *m, const chord_batch *batch, int flags, double *outputs);

#endif
