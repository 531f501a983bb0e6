/* kernels.h: the kernels by slot, as the executor calls them. kernels.def is the one list (slot x isa ->
 * body). The prototypes, the dispatch table of each isa and checkkern's list come from it.
 *
 * Bodies are written once over base/simd.h and compiled once per isa: each isa_*.c includes them with
 * BODY(name) set. The scalar bodies are plain loops: the specification. A kernel knows no model, session or
 * thread. A matmul computes rows [r0, r1) of tokens [t0, t1).
 *
 * Bitwise rule (docs/DESIGN.md, section 5): each output element is the same sequence of float operations in
 * every tile, batch, split and thread: k ascends by blocks, KV slots ascend by pages. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_KERNELS_H
#define CHORD_KERNELS_KERNELS_H
#include "../quant/quant.h"

/* The places of a token's rows: bytes from x, floats from y. */
typedef struct chord_matmul_at {
    size_t x, y;
} chord_matmul_at;

/* y[t][r] = sum_k w[r][k] * x[t][k] (+ bias[r]) (+ the old y[t][r] if `add` is 1) */
typedef struct chord_matmul {
    const void *w;          /* x4 groups (quant.h) */
    uint64_t group_bytes;   /* chord_x4_bytes(format, n_in) */
    const void *x;          /* activation rows in the format's CHORD_ACT_*, 16-byte aligned */
    uint64_t x_stride;      /* bytes from one token's row to the next */
    float *y;
    uint64_t y_stride;      /* floats from one token's row to the next */
    const float *bias;      /* n_out floats or NULL */
    const chord_matmul_at
        *at; /* NULL, or the places of tokens t0 .. t1 - 1, instead of the strides; one term */
    int32_t n_in, n_out;
    int32_t add;
    /* 1: a token has two rows of x, q8 and its rounding error (chord_act_quantize_rest), and their products
     * are added. t0 and t1 count rows of x then, and are even. */
    int32_t two_terms;
    void *panel;            /* chord_panel_bytes(n_in) for this call alone, 16-byte aligned */
} chord_matmul;
/* r0 is a multiple of 4, r1 a multiple of 4 or n_out. Writes exactly y[t0..t1)[r0..r1); with two terms
 * y[t0 / 2..t1 / 2)[r0..r1). */
typedef void chord_matmul_fn(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1);

/* y = x / sqrt(mean(x^2) + eps) * w, one row of n; w NULL: without weights. y may be x. Returns sum(x^2).
 * The sum isn't finite if an element isn't finite or the sum overflows. If it overflows, a vector body's y
 * is all zeros. */
typedef float chord_rms_norm_fn(float *y, const float *x, const float *w, int32_t n, float eps);
/* y = (x - mean) / sqrt(variance + eps) * w + bias, one row; variance = mean((x - mean)^2). y may be x.
 * Returns sum((x - mean)^2). */
typedef struct chord_layer_norm {
    float *y;
    const float *x, *w, *bias; /* n each; w, bias NULL: without */
    int32_t n;
    float eps;
} chord_layer_norm;
typedef float chord_layer_norm_fn(const chord_layer_norm *norm);
/* converts one row of n floats to q8 (quant.h); n is a multiple of 32 */
typedef void chord_quantize_q8_fn(void *dst, const float *x, int32_t n);
/* y = act(gate) * up; y may be gate. act is silu(x) = x / (1 + exp(-x)), gelu in its tanh form, sigmoid(x) =
 * 1 / (1 + exp(-x)), or none in `product`; oai_glu is CHORD_ACTIVATION_SWIGLU_OAI (program.h) */
typedef void chord_glu_fn(float *y, const float *gate, const float *up, int32_t n);
/* y = act(y); act is silu, gelu or relu(x) = max(x, 0) */
typedef void chord_activate_fn(float *y, int32_t n);
/* y = cap * tanh(y / cap) */
typedef void chord_softcap_fn(float *y, float cap, int32_t n);
/* Rotates the pairs in one head's first 2 * n_pairs elements. cs[2 * i] and cs[2 * i + 1] are the cosine and
 * the sine of pair i's angle. Pair i is (x[2i], x[2i+1]) for rope_norm, (x[i], x[i + n_pairs]) for
 * rope_neox. */
typedef void chord_rope_fn(float *x, const float *cs, int32_t n_pairs);
/* y += x */
typedef void chord_add_fn(float *y, const float *x, int32_t n);
/* y[i] = sum over j = 0 .. kernel - 1 of w[j][i] * x[j][i], then + bias[i]: n channels of a convolution over
 * `kernel` tokens. */
typedef struct chord_conv {
    float *y;
    const float *const *x; /* kernel rows of n, oldest first */
    const float *w, *bias; /* [kernel][n]; n or NULL */
    int32_t kernel, n;
} chord_conv;
typedef void chord_conv_fn(const chord_conv *c);
/* One token of a linear recurrence (SCAN in ops.def), n columns of one head; n is a multiple of 4. decay =
 * exp(log_decay), beta = 1 / (1 + exp(-gate)). `after` may be `before`. A column's bits don't depend on the
 * other columns. */
typedef struct chord_scan {
    const float *before; /* [k_dim][stride] */
    float *after;
    const float *q, *k; /* k_dim */
    const float *v; /* n */
    float *y;
    int32_t stride, k_dim, n;
    int32_t is_delta; /* 1: u = beta (v - decay k S); 0: u = gate v */
    float log_decay, gate, q_scale, k_scale, skip;
} chord_scan;
typedef void chord_scan_fn(const chord_scan *s);
/* One token of a head of WKV (ops.def): after = diag(decay) before + k outer v - b outer (c before);
 * y = r after. `after` may be `before`. n is a multiple of 8. */
typedef struct chord_wkv {
    const float *before; /* [n][n] */
    float *after;
    const float *decay, *r, *k, *v, *b, *c; /* n each */
    float *y;
    int32_t n;
} chord_wkv;
typedef void chord_wkv_fn(const chord_wkv *s);
/* y = x * scale */
typedef void chord_scale_fn(float *y, const float *x, float scale, int32_t n);
/* KV rows in f16. The store rounds to even and saturates at 65504; the load is for finite values only. */
typedef void chord_f16_store_fn(uint16_t *dst, const float *x, int32_t n);
typedef void chord_f16_load_fn(float *dst, const uint16_t *x, int32_t n);
/* one KV row in q8_0 (quant/act.h, chord_kv_q8_bytes); n is a multiple of 32 */
typedef void chord_kv_q8_store_fn(void *dst, const float *x, int32_t n);
typedef void chord_kv_q8_load_fn(float *dst, const void *x, int32_t n);

/* Attention of n_q queries that share one KV head over one KV page, with online softmax. For query i:
 *   score[j] = scale * dot(q, k[j]) for j = lo[i] .. hi[i] - 1, then cap * tanh(score[j] / cap) if cap > 0,
 *   then score[j] + bias[i][j] if there is a bias
 *   m' = max(m, max score); p[j] = e^(score[j] - m')
 *   l = l * e^(m - m') + sum p[j]; acc = acc * e^(m - m') + sum p[j] v[j]
 * Slots outside [lo[i], hi[i]) are masked. If lo[i] >= hi[i], query i doesn't change. k and v hold 32
 * rows of floats or of f16. Rows that a query sees are finite in f16. A masked row may hold anything,
 * also NaN: no result depends on it. Bodies widen an f16 row once per four queries, so f16 is for few
 * queries. */
typedef struct chord_attend {
    const void *k, *v;      /* [32][k_dim], [32][v_stride], 16-byte aligned */
    const float *const *q;  /* n_q pointers to k_dim floats */
    float *const *acc;      /* n_q pointers to v_dim floats */
    float *const *ml;       /* n_q pointers to the pair m, l; at the start m = -FLT_MAX, l = 0, acc = 0 */
    const int32_t *lo, *hi; /* n_q each: unmasked slots of this page */
    float scale, cap;
    int32_t n_q, k_dim, v_dim;
    int32_t v_stride; /* elements from one row of v to the next; the first v_dim of a row are values */
    int32_t is_f16; /* 1: k and v are f16, else floats */
    const float *const *bias; /* NULL, or n_q pointers to 32 floats, of which the unmasked ones are finite */
} chord_attend;
typedef void chord_attend_fn(const chord_attend *a);
/* Joins two partial results of one query, each computed from the start state, into the first:
 *   m' = max(m, m_2); l = l e^(m - m') + l_2 e^(m_2 - m'); acc = acc e^(m - m') + acc_2 e^(m_2 - m')
 * A result that saw no slot adds exact zeros. */
typedef void chord_attend_join_fn(float *acc, float *ml, const float *acc_2, const float *ml_2,
                                  int32_t v_dim);

typedef struct chord_ops {
    int32_t isa; /* CHORD_ISA_* */
    const char *name; /* "scalar", "simd128", "relaxed", "native128" */
    chord_matmul_fn *matmul[CHORD_N_FORMATS]; /* by CHORD_FORMAT_*, the order of quant/formats.def */
    chord_quantize_q8_fn *quantize_q8;
    chord_rms_norm_fn *rms_norm;
    chord_layer_norm_fn *layer_norm;
    chord_glu_fn *silu_glu, *gelu_glu, *sigmoid_glu, *oai_glu;
    chord_activate_fn *silu, *gelu, *relu;
    chord_softcap_fn *softcap;
    chord_rope_fn *rope_norm, *rope_neox;
    chord_add_fn *add;
    chord_glu_fn *product;
    chord_conv_fn *conv;
    chord_scan_fn *scan;
    chord_wkv_fn *wkv;
    chord_scale_fn *scale;
    chord_f16_store_fn *f16_store;
    chord_f16_load_fn *f16_load;
    chord_kv_q8_store_fn *kv_q8_store;
    chord_kv_q8_load_fn *kv_q8_load;
    chord_attend_fn *attend;
    chord_attend_join_fn *attend_join;
} chord_ops;

/* Returns the table of an isa, NULL when this build or this CPU lacks it. CHORD_ISA_BEST: the best
 * available. */
const chord_ops *chord_ops_of(int32_t isa);
/* Returns the matmul of a format by its type, NULL when the type is unknown. */
chord_matmul_fn *chord_ops_matmul(const chord_ops *ops, int32_t type);

#endif
