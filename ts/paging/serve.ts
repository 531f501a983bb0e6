// SPDX-License-Identifier: Apache-2.0
// The I/O worker: it opens the model's files, and reads what the walk will need while other threads compute.
import type { Exports } from '../wasm/instantiate.js';
import type { FilesStart } from '../wasm/thread.js';
import { PageLoader } from './layers.js';
import type { PagedModel } from './layers.js';
import { openAtRandom } from './reader.js';
import type { RandomReader, RandomSource } from './reader.js';

/** The start message of the I/O worker. */
export interface PagingStart extends PagedModel, FilesStart {
  readonly sources: readonly RandomSource[];
}

/** Maximum milliseconds of a sleep. */
const SLEEP_MS = 1000;
const DONE = 1;

export function openAll(sources: readonly RandomSource[]): Promise<RandomReader[]> {
  return Promise.allSettled(sources.map(openAtRandom)).then((opened) => {
    const readers = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const failed = opened.find((each) => each.status === 'rejected');
    if (failed === undefined) return readers;
    for (const reader of readers) reader.close();
    throw failed.reason;
  });
}

/**
 * Opens the files, calls `onOpen`, and loads what is wanted until the model stops. All reads of a worker's
 * sources are synchronous. Throws what openAll() throws.
 */
export async function serveFiles(start: PagingStart, exports: Exports, onOpen: () => void): Promise<void> {
  const readers = await openAll(start.sources);
  onOpen();
  const loader = new PageLoader(start, exports, readers);
  const words = new Int32Array(start.memory.buffer, start.word, 2);
  for (;;) {
    // Before the look: what comes after it ends the sleep.
    const seen = Atomics.load(words, 1);
    if (exports.model_wait_page(start.model, 0) === DONE) break;
    if (loader.step() === false) Atomics.wait(words, 1, seen, SLEEP_MS);
  }
  for (const reader of readers) reader.close();
}
