// SPDX-License-Identifier: Apache-2.0
// Rotary angles of a batch. The host computes them in double, because an angle grows with the position: as a
// float32, position 100,000 would be wrong by 0.004 rad.
import type { Batch, Program } from '../executor.js';

/** float32[token][stride]: pairs of cosine and sine of each token's angles. */
export function anglesOf(
  rope: Program['ropes'][number],
  batch: Batch,
  stride: number,
): Float32Array<ArrayBuffer> {
  const { anglePerPosition, magnitude } = rope;
  const n = batch.ids.length;
  const out = new Float32Array(n * stride);
  for (let row = 0; row < n; row++) {
    for (let pair = 0; pair < anglePerPosition.length; pair++) {
      const angle = positionOf(batch, rope, row, pair) * anglePerPosition[pair]!;
      out[row * stride + 2 * pair] = magnitude * Math.cos(angle);
      out[row * stride + 2 * pair + 1] = magnitude * Math.sin(angle);
    }
  }
  return out;
}

/** The position that rotates a pair of a token. Of several axes, each rotates a section of the pairs. */
function positionOf(
  batch: Batch,
  { sections, is_interleaved }: Program['ropes'][number],
  row: number,
  pair: number,
): number {
  const { positions, nAxes, firstPosition } = batch;
  if (positions === undefined) return firstPosition + row;
  let axis = 0;
  const sum = sections.reduce((total, n) => total + n, 0);
  if (nAxes === 3 && is_interleaved !== 0) axis = (pair % sum) % 3;
  else if (nAxes === 3)
    for (let end = sections[0]!; axis < 2 && sections[axis + 1]! > 0 && pair >= end;)
      end += sections[++axis]!;
  return positions[row * nAxes + axis]!;
}
