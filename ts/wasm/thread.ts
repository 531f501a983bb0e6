// SPDX-License-Identifier: Apache-2.0
// A helper: a worker of the engine worker, with its own instance and stack over the model's memory. It posts
// 'up' when it runs, receives one ThreadStart, stays in chord_thread_join() until the model stops, and
// closes itself.
import { ChordError, toErrorRecord } from '../errors.js';
import { parentPeer } from '../platform.js';
import { instantiate } from './instantiate.js';

/** The start message. The helper's stack grows down from `stackTop`. */
export interface ThreadStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly model: number;
  readonly index: number;
  readonly stackTop: number;
}

// There is no top-level await, because a bundler may make this file a classic script.
void parentPeer().then((parent) => {
  parent.listen((message) => {
    if (message === 'end') {
      parent.post('end'); // a browser doesn't tell the creator that a worker has closed itself
      return void parent.end();
    }
    const { module, memory, model, index, stackTop } = message as ThreadStart;
    try {
      const exports = instantiate(
        module,
        memory,
        (cause) =>
          new ChordError('internal', `thread ${index} stopped: ${(cause as Error).message}`, { cause }),
      );
      const { __stack_pointer: pointer } = exports;
      pointer.value = typeof pointer.value === 'bigint' ? BigInt(stackTop) : stackTop;
      parent.post({ ended: exports.thread_join(model, index) });
    } catch (error) {
      parent.post({ error: toErrorRecord(error) });
    }
    void parent.end();
  });
  parent.post('up');
});
