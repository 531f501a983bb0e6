// SPDX-License-Identifier: Apache-2.0
// thread-killer.mjs: the package's engine worker, with its pool threads in reach: 'kill' ends one of them.
// Posts 'up' when it listens, 'killed' when the thread is gone.
import { createRequire, syncBuiltinESMExports } from 'node:module';

const threads = createRequire(import.meta.url)('node:worker_threads');
const made = [];
threads.Worker = class extends threads.Worker {
  constructor(...values) {
    super(...values);
    made.push(this);
  }
};
syncBuiltinESMExports();
const { parentPort } = threads;
await import('../../dist/worker.js');
while (parentPort.listenerCount('message') === 0) await new Promise((resolve) => setImmediate(resolve)); // the host listens first
parentPort.on('message', async (message) => {
  if (message !== 'kill') return;
  await made.at(-1).terminate();
  parentPort.postMessage({ type: 'killed' });
});
parentPort.postMessage({ type: 'up' });
