// SPDX-License-Identifier: Apache-2.0
// What is in every engine worker of paging: the import of paging.js, and sentences.
import { ChordError, messageOf } from '../errors.js';
import { importScript } from '../platform.js';
import { whyNotShared } from '../wasm/detect.js';

export type PagingModule = typeof import('./index.js');

/** Imports paging.js. Throws `io`, which names the address. */
export async function importPaging(url: string | undefined): Promise<PagingModule> {
  try {
    return (await importScript(url!, 'serveFiles')) as PagingModule;
  } catch (cause) {
    const from = /^(data|blob):/.test(url!) ? '' : ` from ${url}`;
    throw new ChordError('io', `the part that pages can't be loaded${from}: ${messageOf(cause)}`, {
      cause,
      hint: "paging.js must be beside the package's JavaScript, or name pagingUrl, or import from wasm-chord/inline",
    });
  }
}

/** Why no I/O worker reads ahead; undefined: one does. `mayThread`: whether this thread may start workers. */
export function whyNoWorker(mayThread: boolean, isPushed: boolean): string | undefined {
  if (isPushed) return 'the caller has the bytes';
  return mayThread ? whyNotShared() : 'only a worker can have one';
}

/** What is said of a model whose own thread reads. */
export const ownReads = (obstacle: string): string =>
  `; the thread that computes reads, without an I/O worker: ${obstacle}`;
