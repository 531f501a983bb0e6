// SPDX-License-Identifier: Apache-2.0
// Where each matrix lies on the GPU: which buffers there are, and which rows of which matrix each one holds.
import { ChordError } from '../errors.js';
import type { FormatName } from './dispatch.js';
import { FORMATS, GRIDS_BYTES, hasGrid } from './formats.js';

/** A matrix of the file. `nRows` counts all rows, also those of a stack of experts. */
export interface TensorEntry {
  readonly index: number;
  readonly name: string;
  readonly format: FormatName;
  readonly nIn: number;
  readonly nRows: number;
  readonly file: number;
  /** Offset of the first byte in `file`. */
  readonly offset: number;
  readonly bytes: number;
}

export interface PlacedPart {
  /** Index of the buffer. */
  readonly buffer: number;
  /** Words from the beginning of the buffer. */
  readonly offset: number;
  readonly firstRow: number;
  readonly nRows: number;
}

export interface Placement {
  /** Bytes of each buffer. */
  readonly buffers: readonly number[];
  /** By the tensor's index. */
  readonly parts: ReadonlyMap<number, readonly PlacedPart[]>;
}

/** Matrices begin at multiples of ALIGN bytes, so that reads of rows are whole cache lines. */
const ALIGN = 256;
/**
 * A buffer is at most this large where its matrices allow it: a driver finds room for several buffers more
 * easily than for one as large as the model.
 */
const COMFORTABLE = 512 << 20;

const up = (bytes: number): number => Math.ceil(bytes / ALIGN) * ALIGN;

/** Bytes of a row in the file. */
export function rowBytes({ format, nIn }: Pick<TensorEntry, 'format' | 'nIn'>): number {
  const { elements, bytes } = FORMATS[format];
  return (nIn / elements) * bytes;
}

/**
 * Words of a row in its planes: what the file has, and more up to a multiple of four words, for reads of
 * four, where the format gains by it and the row becomes at most 5 % longer; otherwise up to a word.
 */
export function rowWords(tensor: Pick<TensorEntry, 'format' | 'nIn'>): number {
  const bytes = rowBytes(tensor);
  const fours = Math.ceil(bytes / 16) * 16;
  return FORMATS[tensor.format].inFours && fours <= 1.05 * bytes ? fours / 4 : Math.ceil(bytes / 4);
}

/**
 * Places the tensors. The tensors of a group lie in one buffer if a binding of `maxBinding` bytes can hold
 * them all. A matrix that is larger than a binding is cut by rows. Where a format has a grid, every buffer
 * begins with the grids.
 *
 * Throws `no-webgpu` if a binding holds not even one row.
 */
export function placeTensors(
  tensors: readonly TensorEntry[],
  groups: readonly (readonly number[])[],
  maxBinding: number,
): Placement {
  const byIndex = new Map(tensors.map((tensor) => [tensor.index, tensor]));
  const parts = new Map<number, PlacedPart[]>();
  const buffers: number[] = [];
  const head = tensors.some(({ format }) => hasGrid(format)) ? GRIDS_BYTES : 0;
  const most = Math.floor(maxBinding / ALIGN) * ALIGN;
  const size = (tensor: TensorEntry): number => up(tensor.nRows * rowWords(tensor) * 4);

  /** Places tensors of `bytes` in all, which fit in a binding, side by side. */
  const together = (list: readonly TensorEntry[], bytes: number): void => {
    const last = buffers.at(-1);
    const fits = last !== undefined && last + bytes <= Math.min(most, COMFORTABLE);
    if (!fits) buffers.push(head);
    const buffer = buffers.length - 1;
    for (const tensor of list) {
      const offset = buffers[buffer]! / 4;
      parts.set(tensor.index, [{ buffer, offset, firstRow: 0, nRows: tensor.nRows }]);
      buffers[buffer]! += size(tensor);
    }
  };
  const cut = (tensor: TensorEntry): void => {
    const bytes = rowWords(tensor) * 4;
    const rows = Math.floor((most - head) / bytes);
    if (rows <= 0)
      throw new ChordError(
        'no-webgpu',
        `a row of tensor '${tensor.name}' has ${bytes} bytes, a binding of this adapter at most ${maxBinding}`,
      );
    const list: PlacedPart[] = [];
    for (let firstRow = 0; firstRow < tensor.nRows; firstRow += rows) {
      const nRows = Math.min(rows, tensor.nRows - firstRow);
      list.push({ buffer: buffers.length, offset: head / 4, firstRow, nRows });
      buffers.push(up(head + nRows * bytes));
    }
    parts.set(tensor.index, list);
  };
  const place = (list: readonly TensorEntry[]): void => {
    const bytes = list.reduce((sum, tensor) => sum + size(tensor), 0);
    if (head + bytes <= most) together(list, bytes);
    else if (list.length > 1) for (const tensor of list) place([tensor]);
    else cut(list[0]!);
  };

  const grouped = new Set(groups.flat());
  const singles = tensors.filter(({ index }) => !grouped.has(index)).map(({ index }) => [index]);
  for (const group of [...groups, ...singles]) {
    const list = group.filter((index) => byIndex.has(index) && !parts.has(index));
    if (list.length > 0) place([...new Set(list)].map((index) => byIndex.get(index)!));
  }
  return { buffers, parts };
}
