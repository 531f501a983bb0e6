/* isa_native128.c: the vector bodies over SSE4.1, NEON or plain C. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "bodies.h"

#if !defined(CHORD_HAS_SIMD128) && !defined(CHORD_HAS_RELAXED)
const chord_ops *chord_ops_native128(void) { return NULL; }
#endif
