// SPDX-License-Identifier: Apache-2.0
// pool-breaker.mjs: the package's engine worker on a machine that claims four cores, where the second pool
// thread can't be started. It answers 'threads' with { type: 'threads', made, alive }: the numbers of pool
// threads that the worker tried to start and that still run.
import { createRequire, syncBuiltinESMExports } from 'node:module';

const require = createRequire(import.meta.url);
const threads = require('node:worker_threads');
require('node:os').availableParallelism = () => 4;
let made = 0,
  alive = 0;
threads.Worker = class extends threads.Worker {
  constructor(...values) {
    made += 1;
    if (made === 2) throw new Error('no more threads today');
    super(...values);
    alive += 1;
    this.on('exit', () => {
      alive -= 1;
    });
  }
};
syncBuiltinESMExports();
const { parentPort } = threads;
await import('../../dist/worker.js');
// The engine host must listen first.
while (parentPort.listenerCount('message') === 0) await new Promise((resolve) => setImmediate(resolve));
parentPort.on(
  'message',
  (message) => message === 'threads' && parentPort.postMessage({ type: 'threads', made, alive }),
);
parentPort.postMessage({ type: 'up' });
