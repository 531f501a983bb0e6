/* isa_simd128.c: the vector bodies over wasm SIMD128 (-msimd128 without -mrelaxed-simd). */
/* SPDX-License-Identifier: Apache-2.0 */
#define KERNEL_SIMD128 CHORD_FILL
#include "bodies.h"
#ifdef CHORD_HAS_SIMD128
#define BODY(name) name##__simd128
#include "body_matmul.h"
#include "body_elements.h"
#include "body_attend.h"
#include "body_scan.h"

const chord_ops chord_ops_simd128 = {
    CHORD_ISA_VECTOR,
    "simd128",
#define KERNEL CHORD_KERNEL_OF_ISA
#include "kernels.def"
};
#endif
