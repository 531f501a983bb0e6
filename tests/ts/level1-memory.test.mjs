// SPDX-License-Identifier: Apache-2.0
// level1-memory.test.mjs: a freed model releases its memory while the program still references the object.
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

/** WeakRefs of all memories that the package creates from now on. */
const memories = [];
const { Memory } = WebAssembly;
WebAssembly.Memory = function (descriptor) {
  const memory = new Memory(descriptor);
  memories.push(new WeakRef(memory));
  return memory;
};

/** Resolves to the number of created memories that are still reachable. */
async function held() {
  await sleep(10); // a WeakRef keeps its target until the present task ends
  collectGarbage();
  return memories.filter((memory) => memory.deref() !== undefined).length;
}

test('free() releases the memory while the model, its streams and its errors are still referenced', async () => {
  await init();
  const model = new WasmModel(bytes);
  model.set_config(4, 0, 1, 0, 1);
  model.generate('The walk of');
  const stream = model.generate_async('The walk of');
  await stream.next();
  assert.equal(await held(), 1, 'a model in use must hold its memory, or the test sees nothing');
  model.free();
  const error = await stream.next().catch((reason) => reason);
  assert.equal(await held(), 0);
  assert.throws(() => model.counters(), { code: 'disposed' });
  assert.throws(() => model.generate('x'), { code: 'disposed' });
  assert.equal(error.code, 'disposed');
  model.free();
});

test("dispose() releases the memory when the engine runs in the caller's thread", async () => {
  const before = await held();
  const model = await loadModel(bytes, { worker: false });
  await model.generate('Hello', { maxTokens: 2 }).text();
  assert.equal(await held(), before + 1);
  await model.dispose();
  assert.equal(await held(), before);
  await assert.rejects(model.counters(), { code: 'disposed' });
});
