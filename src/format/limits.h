/* limits.h: maxima for the numbers in a header. Each is far above every real model, so that a hostile file
 * can't cost more than its own bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_FORMAT_LIMITS_H
#define CHORD_FORMAT_LIMITS_H

#define CHORD_MAX_KEYS 8192            /* real files: 20 to 60; keys are compared pairwise for duplicates */
#define CHORD_MAX_TENSORS 32768        /* of all files of a model; real models: up to about 2,000 */
#define CHORD_MAX_FILES 256            /* shards of a model; real models: up to about 50 */
#define CHORD_MAX_KEY_BYTES 65535      /* ggml's own limit for a key */
#define CHORD_MAX_NAME_BYTES 255       /* ggml allows 63 for a tensor's name */
#define CHORD_MAX_ALIGNMENT 65536      /* general.alignment; 32 in practice */
#define CHORD_KEEP_STRING 65536        /* longer strings are skipped unless their key is wanted */
#define CHORD_KEEP_ARRAY 16384         /* bytes of a numeric array kept for `info` and per-layer values */
#define CHORD_MAX_TOKENS (1 << 22) /* ids fit 24 bits in tables; the largest vocabularies have 262,144 */
#define CHORD_MAX_DIM INT32_MAX /* elements per row, rows: kernels count in int32 */
#define CHORD_MAX_LAYERS 1024 /* llama.cpp: 512 */
#define CHORD_MAX_HEADS 1024
#define CHORD_MAX_FILE (1ULL << 53) /* offsets cross the boundary as doubles */

#endif
