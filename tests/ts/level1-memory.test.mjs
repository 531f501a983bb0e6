// SPDX-License-Identifier: Apache-2.0
// level1-memory.test.mjs: what a freed model gives back while the program still holds the object.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import init, { WasmModel, loadModel } from '../../dist/index.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');
const bytes = new Uint8Array(await readFile(new URL('../golden/q4_1-smollm.gguf', import.meta.url)));

/** Every memory that the package makes from now on, weakly held. */
const memories = [];
const { Memory } = WebAssembly;
WebAssembly.Memory = function (descriptor) {
  const memory = new Memory(descriptor);
  memories.push(new WeakRef(memory));
  return memory;
};

/** How many of the memories made are still held by somebody. */
async function held() {
  await sleep(10); // a WeakRef keeps its target until the present task ends
  collectGarbage();
  return memories.filter((memory) => memory.deref() !== undefined).length;
}

test('free() lets the memory go while the model, its streams and its errors are still referenced', async () => {
  await init();
  const model = new WasmModel(bytes);
  model.set_config(4, 0, 1, 0, 1);
  model.generate('The walk of');
  const stream = model.generate_async('The walk of');
  await stream.next();
  assert.equal(await held(), 1, 'a model that is in use holds its memory: the test sees it');
  model.free();
  const error = await stream.next().catch((reason) => reason);
  assert.equal(await held(), 0);
  assert.throws(() => model.counters(), { code: 'disposed' });
  assert.throws(() => model.generate('x'), { code: 'disposed' });
  assert.equal(error.code, 'disposed');
  model.free();
});

test('dispose() lets the memory go where the engine runs in the caller\'s thread', async () => {
  const before = await held();
  const model = await loadModel(bytes, { worker: false });
  await model.generate('Hello', { maxTokens: 2 }).text();
  assert.equal(await held(), before + 1);
  await model.dispose();
  assert.equal(await held(), before);
  await assert.rejects(model.counters(), { code: 'disposed' });
});
