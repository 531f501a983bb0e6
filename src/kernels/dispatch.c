/* dispatch.c: finds the table of an isa, and the matmul of a format by its type. */
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
    int32_t const place = chord_format_place(type);
    return place < 0 ? NULL : ops->matmul[place];
}
