/* isa_relaxed.c: the vector bodies over wasm relaxed SIMD (-mrelaxed-simd). */
/* SPDX-License-Identifier: Apache-2.0 */
#define KERNEL_RELAXED CHORD_FILL
#include "bodies.h"
#ifdef CHORD_HAS_RELAXED
#define BODY(name) name##__relaxed
#include "body_matmul.h"
#include "body_elements.h"
#include "body_attend.h"
#include "body_scan.h"

const chord_ops chord_ops_relaxed = {
    CHORD_ISA_RELAXED,
    "relaxed",
#define KERNEL CHORD_KERNEL_OF_ISA
#include "kernels.def"
};
#endif
