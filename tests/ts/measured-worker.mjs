// SPDX-License-Identifier: Apache-2.0
// measured-worker.mjs: the package's engine worker, which also measures its memory. It posts { type: 'up' }
// when it listens, and answers 'memory' with the bytes of its ArrayBuffers after a forced gc. Shared memory
// isn't counted.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort } from 'node:worker_threads';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');
await import('../../dist/worker.js');
// The engine host must listen first.
while (parentPort.listenerCount('message') === 0) await new Promise((resolve) => setImmediate(resolve));
parentPort.on('message', (message) => {
  if (message !== 'memory') return;
  gc();
  gc();
  parentPort.postMessage({ type: 'memory', arrayBuffers: process.memoryUsage().arrayBuffers });
});
parentPort.postMessage({ type: 'up' });
