/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

/* The op has no units: the walk (exec.c) checks that the layer's weights are resident. */
const chord_op_cpu chord_op_cpu_acquire = { 0 };
