// SPDX-License-Identifier: Apache-2.0
// What a paged model reads while it computes: matrices of its layers, whole or by expert, and rows of its
// lookup tensors.
import { Place } from '../abi/abi.gen.js';
import type { PlanOptions } from '../options.js';
import type { Loader } from '../wasm/loader.js';
import { PIECE, ROWS, blockBytes } from './layers.js';
import type { PagedTensor } from './layers.js';
import type { LazyTensor } from './pager.js';

/** Bytes of the I/O worker's stack: as those of the pool's threads. */
export const STACK = 64 << 10;
/** Bytes for the first rows' beginnings, which Pager.sample() reads. */
const SAMPLES = 4096;
/** Plans are searched to so many bytes. */
const LEAST_STEP = 64 << 10;

export interface PagedTable {
  readonly tensors: readonly PagedTensor[];
  readonly lazy: ReadonlyMap<number, LazyTensor>;
  readonly rowsBytes: number;
  readonly pieceBytes: number;
  /** Bytes that the host allocates for paging: the block between the threads, and the I/O worker's stack. */
  readonly hostBytes: number;
}

/** Reads the tensors of a model that is planned with `residentBytes`. */
export function readPaged(file: Loader): PagedTable {
  const tensors: PagedTensor[] = [];
  const lazy = new Map<number, LazyTensor>();
  const { n_batch } = file.planInfo;
  let [rowsBytes, pieceBytes] = [SAMPLES, 0];
  for (let index = 0; index < file.planInfo.n_tensors; index++) {
    const { placement, ne, file: number, file_off: offset, file_bytes: bytes, ...of } = file.tensor(index);
    const rowBytes = bytes / (ne[1]! * ne[2]! * ne[3]!);
    if (placement === Place.PAGED) {
      tensors.push({ index, file: number, offset, bytes, rowBytes, page: of.page, pages: of.n_pages });
      // At least four rows: the unit of the order in memory.
      pieceBytes = Math.max(pieceBytes, Math.min(bytes / of.n_pages, Math.max(PIECE, 4 * rowBytes)));
    } else if (placement === Place.LAZY) {
      lazy.set(index, { file: number, offset, rowBytes });
      rowsBytes = Math.max(rowsBytes, Math.min(n_batch * rowBytes, ROWS), rowBytes);
    }
  }
  rowsBytes = Math.ceil(rowsBytes / 8) * 8;
  return {
    tensors,
    lazy,
    rowsBytes,
    pieceBytes,
    hostBytes: blockBytes(rowsBytes, pieceBytes) + STACK,
  };
}

/**
 * Plans the model with as many layers and experts in memory as fit; with the fewest if even these don't.
 * Returns the options. `largestContext`: for a context that may be shorter than the default one; 0 if none
 * fits.
 */
export function fitPaged(
  file: Loader,
  resident: PlanOptions,
  available: number,
  largestContext: ((options: PlanOptions) => number) | undefined,
): PlanOptions {
  file.plan({ ...resident, residentBytes: 1 });
  const { layer_bytes } = file.planInfo;
  let options: PlanOptions = { ...resident, residentBytes: 1, hostBytes: readPaged(file).hostBytes };
  file.plan(options);
  if (file.neededBytes > available && largestContext !== undefined) {
    options = { ...options, contextLength: largestContext(options) };
    file.plan(options);
  }
  if (file.neededBytes > available) return options;
  // By halves: the batch may grow with what is in memory, and so may the ring.
  let [least, most] = [1, layer_bytes];
  while (most - least > LEAST_STEP) {
    const residentBytes = Math.floor((least + most) / 2);
    file.plan({ ...options, residentBytes });
    if (file.neededBytes <= available) least = residentBytes;
    else most = residentBytes;
  }
  options = { ...options, residentBytes: least };
  file.plan(options);
  return options;
}
