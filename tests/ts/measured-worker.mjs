// SPDX-License-Identifier: Apache-2.0
// measured-worker.mjs: the package's engine worker with a gc and a scale in its thread. Posts 'up' when it
// listens; 'memory' is answered with the bytes of its ArrayBuffers after a forced gc (shared memory isn't
// among them).
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort } from 'node:worker_threads';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');
await import('../../dist/worker.js');
while (parentPort.listenerCount('message') === 0) await new Promise((resolve) => setImmediate(resolve)); // the host listens first
parentPort.on('message', (message) => {
  if (message !== 'memory') return;
  gc();
  gc();
  parentPort.postMessage({ type: 'memory', arrayBuffers: process.memoryUsage().arrayBuffers });
});
parentPort.postMessage({ type: 'up' });
