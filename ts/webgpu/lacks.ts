// SPDX-License-Identifier: Apache-2.0
// What a program needs and this backend doesn't have yet. Such a model runs on the CPU.
// An op without a kernel gets a line here, and a case in lowering.ts that throws.
import type { OpRecord, Program } from '../executor.js';

function lackOf(op: OpRecord): string | undefined {
  if (['ENCODE', 'POOL'].includes(op.name)) return `an encoder (${op.name})`;
  return undefined;
}

/** The first thing that the backend lacks, in words; undefined: it can run the program. */
export const whatLacks = ({ ops }: Pick<Program, 'ops'>): string | undefined =>
  ops.map(lackOf).find((lack) => lack !== undefined);
