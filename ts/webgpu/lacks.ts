// SPDX-License-Identifier: Apache-2.0
// What a program needs and this backend doesn't have yet. Such a model runs on the CPU.
import { Activation } from '../abi/abi.gen.js';
import type { OpRecord, Program } from '../executor.js';

function lackOf(op: OpRecord): string | undefined {
  if (op.name === 'GLU' && op.part.activation === Activation.NONE) return 'a product of two rows';
  if (op.name === 'SHORT_CONV' && op.weight[1]! >= 0) return 'a convolution with a bias';
  if (['ROUTE', 'EXPERTS', 'COMBINE', 'GATE'].includes(op.name)) return `a mixture of experts (${op.name})`;
  if (op.name === 'GLU' && op.part.activation > Activation.RELU) return `activation ${op.part.activation}`;
  if (op.name === 'ATTEND' && op.weight[0]! >= 0) return 'attention sinks';
  return undefined;
}

/** The first thing that the backend lacks, in words; undefined: it can run the program. */
export const whatLacks = ({ ops }: Pick<Program, 'ops'>): string | undefined =>
  ops.map(lackOf).find((lack) => lack !== undefined);
