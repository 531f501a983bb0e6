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
/* Columns of SYN_SCAN's products: the delta rule, 4 heads over 2 of keys, S of 6 x 36, and a scan, 4 heads
 * over 2, S of 5 x 8. */
enum { SYN_DELTA_WIDE = 2 * 2 * 6 + 4 * 36, SYN_SCAN_WIDE = 2 * 2 * 5 + 4 * 8 };
/* A sequence of these stands at checkpoints alone. */
static inline bool synthetic_has_states(int32_t family)
{
    return family == SYN_STATE || family == SYN_SCAN || family == SYN_WKV;
}
extern const char *const synthetic_names[SYN_FAMILIES];
extern const chord_arch synthetic_archs[]; /* the last one has no name */

/* Loads a model of the family. `loud`: token 7 has an embedding of 3e38. */
chord_loaded *load_synthetic(int32_t family, int32_t kv_type, int32_t n_threads, int32_t n_batch,
                             int32_t loud);

#endif
