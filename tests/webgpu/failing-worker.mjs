// SPDX-License-Identifier: Apache-2.0
// failing-worker.mjs: an engine worker whose GPU fails each load that may use one, when the source is read.
import { parentPort } from 'node:worker_threads';

let failing;
/** Handles a message of a load that fails. Returns whether it's another message. */
function passes({ op, call, options, bytes }) {
  if (op === 'load' && options.backend !== 'cpu' && options.noGpu === undefined) failing = call;
  if (call !== failing) return true;
  const { buffer } = bytes ?? {};
  if (buffer !== undefined) parentPort.postMessage({ type: 'taken', call, file: 0, bytes: 1, buffer });
  const error = { code: 'no-webgpu', message: 'the GPU is lost' };
  if (op === 'end') parentPort.postMessage({ type: 'failed', call, error });
  return false;
}

const on = parentPort.on.bind(parentPort);
parentPort.on = (event, handle) =>
  on(event, event === 'message' ? (message) => passes(message) && handle(message) : handle);
await import('../../dist/worker.js');
