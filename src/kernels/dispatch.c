/* dispatch.c: from an isa to its table, from a weight type to its matmul. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "bodies.h"

const chord_ops *chord_ops_of(int32_t isa)
{
    const chord_ops *scalar = NULL, *vector = NULL, *relaxed = NULL;
#ifdef CHORD_HAS_SCALAR
    scalar = &chord_ops_scalar;
#endif
#if defined(CHORD_HAS_RELAXED)
    relaxed = &chord_ops_relaxed;
#elif defined(CHORD_HAS_SIMD128)
    vector = &chord_ops_simd128;
#else
    vector = chord_ops_native128();
#endif
    switch (isa) {
    case CHORD_ISA_BEST: return relaxed ? relaxed : vector ? vector : scalar;
    case CHORD_ISA_SCALAR: return scalar;
    case CHORD_ISA_VECTOR: return vector;
    case CHORD_ISA_RELAXED: return relaxed;
    default: return NULL;
    }
}

chord_matmul_fn *chord_ops_matmul(const chord_ops *ops, int32_t type)
{
    switch (type) {
    case CHORD_F32: return ops->matmul_f32;
    case CHORD_F16: return ops->matmul_f16;
    case CHORD_BF16: return ops->matmul_bf16;
    case CHORD_Q4_0: return ops->matmul_q4_0;
    case CHORD_Q4_1: return ops->matmul_q4_1;
    case CHORD_Q8_0: return ops->matmul_q8_0;
    case CHORD_Q5_0: return ops->matmul_q5_0;
    case CHORD_Q5_1: return ops->matmul_q5_1;
    case CHORD_Q2_K: return ops->matmul_q2_k;
    case CHORD_Q3_K: return ops->matmul_q3_k;
    case CHORD_Q4_K: return ops->matmul_q4_k;
    case CHORD_Q5_K: return ops->matmul_q5_k;
    case CHORD_Q6_K: return ops->matmul_q6_k;
    case CHORD_IQ4_NL: return ops->matmul_iq4_nl;
    case CHORD_IQ4_XS: return ops->matmul_iq4_xs;
    default: return NULL;
    }
}
