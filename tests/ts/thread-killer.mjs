// SPDX-License-Identifier: Apache-2.0
// thread-killer.mjs: the package's engine worker, which can end one of its pool threads: it does so on
// 'kill', and posts { type: 'killed' } when the thread has ended. It posts { type: 'up' } when it listens.
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
// The engine host must listen first.
while (parentPort.listenerCount('message') === 0) await new Promise((resolve) => setImmediate(resolve));
parentPort.on('message', async (message) => {
  if (message !== 'kill') return;
  await made.at(-1).terminate();
  parentPort.postMessage({ type: 'killed' });
});
parentPort.postMessage({ type: 'up' });
