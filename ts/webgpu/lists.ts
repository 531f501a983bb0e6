// SPDX-License-Identifier: Apache-2.0
// Which lists of dispatches a model has: by the rows of its batches, and of an encoder by pooling.
import type { Program } from '../executor.js';
import type { Dispatch, Slot } from './dispatch.js';
import { lower } from './fusions.js';
import { textProgram } from './lowering.js';
import type { Lowering, Rows } from './lowering.js';

/** What a list is for. `pooling`: a number of CHORD_POOLING_*, for a batch of texts. */
export interface ListKey {
  readonly rows: Rows;
  readonly pooling?: number | undefined;
}

/** Whole texts, one or several. */
export const ALIKE: Rows = { batch: 'many', output: 'many', isAlike: true };
/** CHORD_POOLING_MEAN: the one that is compiled when an encoder is loaded. */
const MEAN = 1;

/** A decoded token, or the texts of an encoder. */
export const mainList = ({ isEncoder }: Program): ListKey =>
  isEncoder ? { rows: ALIKE, pooling: MEAN } : { rows: { batch: 'one', output: 'one' } };

/** The lists that a load compiles, the main one first. The last of several is compiled behind the load. */
export const firstLists = (program: Program): readonly ListKey[] => [
  mainList(program),
  ...(program.isEncoder
    ? []
    : ([{ rows: { batch: 'many', output: 'one' } }, { rows: { batch: 'few', output: 'one' } }] as const)),
];

/** The dispatches of a list, and the slot that holds the output rows behind them. */
export function lowerList(
  { program, ...parts }: Omit<Lowering, 'pooling' | 'isWhole'>,
  { rows, pooling }: ListKey,
): { readonly dispatches: readonly Dispatch[]; readonly output: Slot } {
  const isWhole = rows.isAlike === true;
  return pooling === undefined
    ? lower({ ...parts, isWhole, program }, rows)
    : lower({ ...parts, isWhole, program: textProgram(program, pooling), pooling }, rows);
}
