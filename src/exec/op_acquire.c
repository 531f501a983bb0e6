/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

/* No units: the walk itself (exec.c) asks for the layer's weights. */
const chord_op_cpu chord_op_cpu_acquire = { 0 };
