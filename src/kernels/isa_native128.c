/* isa_native128.c: the vector bodies in native builds: SSE4.1 (compile this file with -msse4.1), NEON, or
 * plain C (-DCHORD_SIMD_PLAIN). A build with none of these has only the scalar table. */
/* SPDX-License-Identifier: Apache-2.0 */
#define KERNEL_NATIVE128 CHORD_FILL
#include "bodies.h"
#ifdef CHORD_HAS_NATIVE128
#define BODY(name) name##__native128
#include "body_matmul.h"
#include "body_elements.h"
#include "body_attend.h"
#include "body_scan.h"
#if defined(__SSE4_1__) && !defined(CHORD_SIMD_PLAIN)
#include <cpuid.h>
#endif

static const chord_ops ops = {
    CHORD_ISA_VECTOR,
    "native128",
#define KERNEL CHORD_KERNEL_OF_ISA
#include "kernels.def"
};

const chord_ops *chord_ops_native128(void)
{
#if defined(__SSE4_1__) && !defined(CHORD_SIMD_PLAIN)
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1)) return 0;
#endif
    return &ops;
}
#elif !defined(CHORD_HAS_SIMD128) && !defined(CHORD_HAS_RELAXED)
const chord_ops *chord_ops_native128(void) { return 0; }
#endif
