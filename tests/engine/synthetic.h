/* synthetic.h: models of no real family, for the parts of a program that few families use: head sizes that
 * differ from layer to layer, caches that layers share, windows, states, values inside keys, positions of
 * three numbers, a second table of embeddings. Their weights are random floats. The float64 interpreter
 * judges them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_SYNTHETIC_H
#define CHORD_TESTS_SYNTHETIC_H
#include "engine_test.h"

enum { SYN_VOCAB = 40, SYN_EMBD = 32, SYN_CTX = 1024, SYN_WINDOW = 48 };
enum {
    SYN_HEADS,
    SYN_STATE,
    SYN_VALUES_IN_KEYS,
    SYN_AXES,
    SYN_TABLES,
    SYN_SCAN,
    SYN_STREAMS,
    SYN_WKV,
    SYN_FAMILIES
};
/* A sequence of these stands at checkpoints alone. */
static inline bool synthetic_has_states(int32_t family)
{
    return family == SYN_STATE || family == SYN_SCAN || family == SYN_WKV;
}
extern const char *const synthetic_names[SYN_FAMILIES];

/* Loads a model of the family. `loud`: token 7 has an embedding of 3e38. */
chord_loaded *load_synthetic(int32_t family, int32_t kv_type, int32_t n_threads, int32_t n_batch,
                             int32_t loud);

#endif
