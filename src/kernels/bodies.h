/* bodies.h: declarations for the isa_*.c files: the isas that this build has, the prototypes of all bodies
 * (of every isa), and the macros that fill a dispatch table:
 *
 *   #define KERNEL_SCALAR CHORD_FILL
 *   #include "bodies.h"
 *   ...the bodies...
 *   const chord_ops chord_ops_scalar = { CHORD_ISA_SCALAR, "scalar",
 *   #define KERNEL CHORD_KERNEL_OF_ISA
 *   #include "kernels.def"
 *   }; */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_BODIES_H
#define CHORD_KERNELS_BODIES_H
#include "../../include/chord.h"
#include "kernels.h"

#ifndef CHORD_NO_SCALAR
#define CHORD_HAS_SCALAR
#endif
#if defined(CHORD_SIMD_NONE)
#elif defined(__wasm_relaxed_simd__)
#define CHORD_HAS_RELAXED
#elif defined(__wasm_simd128__)
#define CHORD_HAS_SIMD128
#elif defined(__SSE4_1__) || (defined(__ARM_NEON) && defined(__aarch64__)) || defined(CHORD_SIMD_PLAIN)
#define CHORD_HAS_NATIVE128
#endif

#define KERNEL(slot, isa, body) extern __typeof__(*((chord_ops *)0)->slot) body;
#include "kernels.def"

extern const chord_ops chord_ops_scalar, chord_ops_relaxed, chord_ops_simd128;
/* Returns NULL when this build has no native128 bodies or this CPU can't run them. Every native build has
 * this function. */
const chord_ops *chord_ops_native128(void);

#define CHORD_FILL(slot, body) .slot = body,
#define CHORD_SKIP(slot, body)
#define CHORD_KERNEL_OF_ISA(slot, isa, body) KERNEL_##isa(slot, body)
#ifndef KERNEL_SCALAR
#define KERNEL_SCALAR CHORD_SKIP
#endif
#ifndef KERNEL_NATIVE128
#define KERNEL_NATIVE128 CHORD_SKIP
#endif
#ifndef KERNEL_SIMD128
#define KERNEL_SIMD128 CHORD_SKIP
#endif
#ifndef KERNEL_RELAXED
#define KERNEL_RELAXED CHORD_SKIP
#endif

#endif
