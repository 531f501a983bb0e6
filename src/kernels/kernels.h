/* kernels.h: what the executor calls, by slot. kernels.def is the one list (slot x isa -> body); it
 * yields the prototypes, the dispatch tables below, checkkern's list and the bench rows.
 *
 * Bodies are written once over base/simd.h and compiled once an isa (kernels/isa_*.c include them with
 * CHORD_ISA set); the scalar bodies are plain loops over quant's decode: the specification.
 * Kernels never see a model, a session or a thread: a caller hands rows [r0, r1) of tokens [t0, t1).
 *
 * Bitwise rule (docs/DESIGN.md, section 5): each output element is the same sequence of float operations
 * whatever tile, batch, split or thread computes it: k ascending in blocks, KV ascending in pages. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_KERNELS_H
#define CHORD_KERNELS_KERNELS_H
#include "../quant/quant.h"

/* y[t][r] = sum_k w[r][k] * x[t][k] (+ bias[r]) (+ the old y[t][r] when add is set) */
typedef struct chord_matmul {
    const void *w;          /* x4 groups (quant.h) */
    uint64_t group_bytes;   /* chord_x4_bytes(format, n_in) */
    const void *x;          /* activation rows in the format's CHORD_ACT_*, 16-byte aligned */
    uint64_t x_stride;      /* bytes from one token's row to the next */
    float *y;
    uint64_t y_stride;      /* floats from one token's row to the next */
    const float *bias;      /* n_out floats or NULL */
    int32_t n_in, n_out;
    int32_t add;
    int32_t two_terms;      /* 1: a token is two rows of x, of q8 and its rest (quant/act.h), whose products are added; t0 and t1 count the rows and are even */
    void *panel;            /* chord_panel_bytes(n_in) for this call alone, 16-byte aligned; floats need none */
} chord_matmul;
/* r0 is a multiple of 4; r1 a multiple of 4 or n_out. Writes exactly y[t0..t1)[r0..r1) (of two terms y[t0 / 2..t1 / 2)). */
typedef void chord_matmul_fn(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1);

/* y = x / sqrt(mean(x^2) + eps) * w, one row of n; w NULL: without weights. y may be x. Returns sum(x^2), which is not
 * finite where an element isn't, or where the sum overflows and y is nothing but zeros. */
typedef float chord_rms_norm_fn(float *y, const float *x, const float *w, int32_t n, float eps);
/* y = (x - mean) / sqrt(variance + eps) * w + bias, one row; variance = mean((x - mean)^2). y may be x. Returns
 * sum((x - mean)^2). */
typedef struct chord_layer_norm {
    float *y;
    const float *x, *w, *bias; /* n each; w, bias NULL: without */
    int32_t n;
    float eps;
} chord_layer_norm;
typedef float chord_layer_norm_fn(const chord_layer_norm *norm);
/* one row of n (a multiple of 32) floats -> q8 (quant.h) */
typedef void chord_quantize_q8_fn(void *dst, const float *x, int32_t n);
/* y = act(gate) * up; y may be gate. act: silu(x) = x / (1 + exp(-x)); gelu: the tanh form */
typedef void chord_glu_fn(float *y, const float *gate, const float *up, int32_t n);
/* y = act(y): the same functions alone, and relu(x) = max(x, 0) */
typedef void chord_activate_fn(float *y, int32_t n);
/* y = cap * tanh(y / cap) */
typedef void chord_softcap_fn(float *y, float cap, int32_t n);
/* Rotate pairs of one head's first 2 * n_pairs elements by the angles whose cosine and sine are
 * cs[2 * i], cs[2 * i + 1]. Pair i is (x[2i], x[2i+1]) for rope_norm, (x[i], x[i + n_pairs]) for rope_neox. */
typedef void chord_rope_fn(float *x, const float *cs, int32_t n_pairs);
/* y += x, or y = x * scale for scale_fn */
typedef void chord_add_fn(float *y, const float *x, int32_t n);
typedef void chord_scale_fn(float *y, const float *x, float scale, int32_t n);
/* KV rows: f32 <-> storage; f32 -> f16 rounds to even and saturates at 65504; f16 -> f32 of finite values only */
typedef void chord_f16_store_fn(uint16_t *dst, const float *x, int32_t n);
typedef void chord_f16_load_fn(float *dst, const uint16_t *x, int32_t n);
/* one KV row in q8_0 (quant/act.h, chord_kv_q8_bytes), n a multiple of 32 */
typedef void chord_kv_q8_store_fn(void *dst, const float *x, int32_t n);
typedef void chord_kv_q8_load_fn(float *dst, const void *x, int32_t n);

/* Attention of n_q queries that share one KV head over one KV page, online softmax:
 *   score[j] = scale * dot(q, k[j])  (then cap * tanh(score / cap) when cap > 0), j ascending 0..31
 *   entries with j outside [lo[i], hi[i]) are masked: they add exact zeros; lo >= hi leaves query i untouched
 *   m' = max(m, max score); l = l * e^(m - m') + sum p; acc = acc * e^(m - m') + sum p[j] v[j]
 * k and v hold 32 rows of floats or finite f16 (rows past the written ones may hold anything finite or
 * not: masked rows are never multiplied in). A body of f16 serves few queries best: it widens for each four of them. */
typedef struct chord_attend {
    const void *k, *v;      /* [32][k_dim], [32][v_stride], 16-byte aligned */
    const float *const *q;  /* n_q pointers to k_dim floats */
    float *const *acc;      /* n_q pointers to v_dim floats */
    float *const *ml;       /* n_q pointers to the pair m, l; start with m = -FLT_MAX, l = 0, acc = 0 */
    const int32_t *lo, *hi; /* n_q each: unmasked slots of this page */
    float scale, cap;
    int32_t n_q, k_dim, v_dim;
    int32_t v_stride;       /* elements from one row of v to the next; v_dim of each are values */
    int32_t is_f16;         /* 1: k and v are f16, else floats */
} chord_attend;
typedef void chord_attend_fn(const chord_attend *a);
/* Two parts of one query's attention, each begun anew, become one, the first of them:
 *   m' = max(m, m_2); l = l e^(m - m') + l_2 e^(m_2 - m'); acc likewise. A part that saw nothing adds exact zeros. */
typedef void chord_attend_join_fn(float *acc, float *ml, const float *acc_2, const float *ml_2, int32_t v_dim);

typedef struct chord_ops {
    int32_t isa;            /* CHORD_ISA_* */
    const char *name;       /* "scalar", "simd128", "relaxed", "native128" */
    chord_matmul_fn *matmul[CHORD_N_FORMATS]; /* by place in quant/formats.def */
    chord_quantize_q8_fn *quantize_q8;
    chord_rms_norm_fn *rms_norm;
    chord_layer_norm_fn *layer_norm;
    chord_glu_fn *silu_glu, *gelu_glu;
    chord_activate_fn *silu, *gelu, *relu;
    chord_softcap_fn *softcap;
    chord_rope_fn *rope_norm, *rope_neox;
    chord_add_fn *add;
    chord_scale_fn *scale;
    chord_f16_store_fn *f16_store;
    chord_f16_load_fn *f16_load;
    chord_kv_q8_store_fn *kv_q8_store;
    chord_kv_q8_load_fn *kv_q8_load;
    chord_attend_fn *attend;
    chord_attend_join_fn *attend_join;
} chord_ops;

/* The table of an isa, NULL when this build lacks it. CHORD_ISA_BEST: the best there is. */
const chord_ops *chord_ops_of(int32_t isa);
/* The matmul of a weight type, NULL when unknown. */
chord_matmul_fn *chord_ops_matmul(const chord_ops *ops, int32_t type);

#endif
