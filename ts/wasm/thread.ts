// SPDX-License-Identifier: Apache-2.0
// A helper: a worker of the engine worker, with its own instance and stack over the model's memory. It posts
// 'up' when it runs, receives one ThreadStart, stays in chord_thread_join() until the model stops, and
// closes itself. The I/O worker of a paged model is the same with a FilesStart: it posts 'open' when it has
// opened the model's files, and runs serveFiles() of paging.js.
import { ChordError, toErrorRecord } from '../errors.js';
import { importScript, parentPeer } from '../platform.js';
import { instantiate } from './instantiate.js';
import type { Exports } from './instantiate.js';

/** The start message. The helper's stack grows down from `stackTop`. */
export interface ThreadStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly model: number;
  readonly index: number;
  readonly stackTop: number;
}

/** The start message of the I/O worker. paging.js adds fields of its own. */
export interface FilesStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly model: number;
  readonly stackTop: number;
  /** Address of paging.js. */
  readonly pagingUrl: string;
}

interface FilesServer {
  serveFiles(start: FilesStart, exports: Exports, onOpen: () => void): Promise<void>;
}

// There is no top-level await, because a bundler may make this file a classic script.
void parentPeer().then((parent) => {
  parent.listen((message) => {
    if (message === 'end') {
      parent.post('end'); // a browser doesn't tell the creator that a worker has closed itself
      return void parent.end();
    }
    void run(message as ThreadStart | FilesStart)
      .catch((error: unknown) => parent.post({ error: toErrorRecord(error) }))
      .then(() => parent.end());
  });
  const run = async (start: ThreadStart | FilesStart): Promise<void> => {
    const { module, memory, model, stackTop } = start;
    const index = 'index' in start ? start.index : 'of files';
    const exports = instantiate(
      module,
      memory,
      (cause) =>
        new ChordError('internal', `thread ${index} stopped: ${(cause as Error).message}`, { cause }),
    );
    const { __stack_pointer: pointer } = exports;
    pointer.value = typeof pointer.value === 'bigint' ? BigInt(stackTop) : stackTop;
    if ('index' in start) return parent.post({ ended: exports.thread_join(model, start.index) });
    const { serveFiles } = (await importScript(start.pagingUrl, 'serveFiles')) as FilesServer;
    await serveFiles(start, exports, () => parent.post('open'));
    parent.post({ ended: 0 });
  };
  parent.post('up');
});
