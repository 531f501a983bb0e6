// SPDX-License-Identifier: Apache-2.0
// watched-worker.mjs: the engine worker with the interpreter. It posts { type: 'run', ... }
// for each run of the interpreter.
import { parentPort } from 'node:worker_threads';

globalThis.onInterpreterRun = (run) => parentPort.postMessage({ type: 'run', ...run });
await import('../../build/dist-interpreter/worker.js');
// The host listens first.
while (parentPort.listenerCount('message') === 0) await new Promise((resolve) => setImmediate(resolve));
parentPort.postMessage({ type: 'up' });
