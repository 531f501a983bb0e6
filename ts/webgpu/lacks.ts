// SPDX-License-Identifier: Apache-2.0
// What a program needs and this backend doesn't have yet. Such a model runs on the CPU.
// An op without a kernel gets a line in LACKS, and a case in lowering.ts that throws.
import type { OpRecord, Program } from '../executor.js';

/** By the op's name: what it is, in words. */
const LACKS: { readonly [name in OpRecord['name']]?: string } = {};

/** The first thing that the backend lacks, in words; undefined: it can run the program. */
export const whatLacks = ({ ops }: Pick<Program, 'ops'>): string | undefined =>
  ops.map(({ name }) => LACKS[name]).find((lack) => lack !== undefined);
