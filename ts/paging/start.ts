// SPDX-License-Identifier: Apache-2.0
// Starts the paging of a model that is loaded: an I/O worker where the memory can be shared with one, else
// the thread that computes reads between its steps.
import { ChordError } from '../errors.js';
import type { WasmEngine } from '../wasm/engine.js';
import type { ThreadPool } from '../wasm/threads.js';
import { LIST_AT, blockBytes } from './layers.js';
import type { PagedModel } from './layers.js';
import { Pager } from './pager.js';
import type { RandomReader, RandomSource } from './reader.js';
import { openAll } from './serve.js';
import type { PagingStart } from './serve.js';
import { STACK, readPaged } from './table.js';

export interface Paging {
  readonly pager: Pager;
  /** Why an I/O worker that should have started didn't. */
  readonly obstacle?: string | undefined;
  /** The model must have been stopped before: engine.free(). */
  stop(): Promise<void>;
}

/** A file of the model: plain data for any thread, or a reader of this thread. */
export type PagedFile = RandomSource | RandomReader;

/**
 * Starts paging. `startWorker`: starts a pool of one worker, where an I/O worker may be started. `pagingUrl`:
 * address of paging.js for it. Throws `io` and `integrity` for a file that can't be opened or has changed
 * since it was loaded.
 */
export async function startPaging(
  engine: WasmEngine,
  files: readonly PagedFile[],
  startWorker: (() => Promise<ThreadPool>) | undefined,
  pagingUrl: string,
): Promise<Paging> {
  const { instance, file } = engine;
  const { exports, heap, model } = instance;
  const { tensors, lazy, rowsBytes, pieceBytes } = readPaged(file);
  const address = heap.alloc(blockBytes(rowsBytes, pieceBytes));
  const stackTop = heap.alloc(STACK) + STACK;
  heap.copyIn(address, new Uint8Array(LIST_AT));
  const block = { address, rowsBytes, pieceBytes };
  const paged: PagedModel = { model, memory: heap.memory, word: exports.pager_word(model), block, tensors };
  const pager = new Pager(paged, exports, lazy, (status) => instance.check(status));
  instance.weights = pager;
  const sources = files.filter((each): each is RandomSource => 'kind' in each);
  let obstacle: string | undefined;
  if (startWorker !== undefined && sources.length === files.length) {
    try {
      const io = await startWorker();
      try {
        const start: PagingStart = { ...paged, module: instance.module, stackTop, sources, pagingUrl };
        await io.serve(start);
      } catch (error) {
        await io.stop();
        throw error;
      }
      io.onFault = (fault) => (pager.fault = fault);
      return { pager, stop: () => io.stop() };
    } catch (error) {
      if (!ChordError.isInstance(error) || error.code !== 'internal') throw error;
      obstacle = error.message;
    }
  }
  const readers: RandomReader[] = [];
  try {
    for (const each of files) readers.push(...('kind' in each ? await openAll([each]) : [each]));
  } catch (error) {
    for (const reader of readers) reader.close();
    throw error;
  }
  pager.useReaders(readers);
  return { pager, obstacle, stop: async () => pager.close() };
}
