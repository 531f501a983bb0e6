// SPDX-License-Identifier: Apache-2.0
// lost.test.mjs: a device that is lost in the middle of a run, by the package: the run goes on at its token.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import init, { ChordError, WasmModel, loadModel } from '../../dist/index.js';
import { missing, useDriver } from './gpu.mjs';

const FIXTURE = fileURLToPath(new URL('../golden/f32-mha.gguf', import.meta.url));
const webgpuUrl = new URL('watched-webgpu.mjs', import.meta.url);
useDriver();
// SwiftShader compiles the zeroing of workgroup memory element by element.
const gpu = ['enable-dawn-features=disable_workgroup_init'];

test('a run whose device is destroyed goes on at its token', { skip: missing() || false }, async () => {
  // In this thread: the test destroys the device.
  const model = await loadModel(FIXTURE, { backend: 'webgpu', worker: false, webgpuUrl, gpu });
  try {
    const [device] = globalThis.devices;
    const options = { maxTokens: 10, temperature: 0.8, seed: 5, ignoreEos: true };
    const ids = [1, 2, 3, 4, 5, 6];
    const session = await model.createSession();
    const expected = await tokensOf(session.generate(ids, options));
    assert.equal(expected.length, 10);

    const got = await tokensOf(session.generate(ids, options), (count) => {
      if (count === 4) device.destroy();
    });
    assert.deepEqual(got, expected);
    assert.equal(globalThis.devices.length, 2);
    // A session that has evaluated nothing yet.
    assert.deepEqual(await tokensOf(model.generate(ids, options)), expected);
    const { gpuBytes, bytesUploaded } = await model.counters();
    assert.ok(gpuBytes > bytesUploaded);
  } finally {
    await model.dispose();
  }
  assert.equal((await globalThis.devices[1].lost).reason, 'destroyed');
});

test('texts go on behind a device that was destroyed', { skip: missing() || false }, async () => {
  const options = { backend: 'webgpu', worker: false, webgpuUrl, gpu, contextLength: 64 };
  const model = await loadModel(FIXTURE, options);
  try {
    const texts = Array.from({ length: 9 }, (_, i) =>
      [i + 1, 5, 9, 7, 3, 11, 2, 8, 6, 4, i, 20].concat(Array(12).fill(i)),
    );
    const expected = await model.embed(texts);
    const before = globalThis.devices.length;
    let batches = 0;
    const onProgress = () => {
      if (++batches === 2) globalThis.devices.at(-1).destroy();
    };
    assert.deepEqual(await model.embed(texts, { onProgress }), expected);
    assert.ok(batches > 3 && globalThis.devices.length === before + 1);
  } finally {
    await model.dispose();
  }
});

test(
  'level 1: the weights were on the lost GPU alone, which the error says; another model runs',
  { skip: missing() || false },
  async () => {
    const bytes = await readFile(FIXTURE);
    const texts = [];
    await init();
    for (let i = 0; i < 2; i++) {
      const model = new WasmModel(new Uint8Array(bytes));
      try {
        model.set_config(6, 0, 1, 0, 1);
        await model.init_gpu_async({ webgpuUrl, gpu });
        const text = async () => {
          let all = '';
          for await (const piece of model.generate_async('Hello')) all += piece;
          return all;
        };
        texts.push(await text());
        globalThis.devices.at(-1).destroy();
        for (let call = 0; call < 2; call++)
          await assert.rejects(text(), (error) => {
            assert.ok(error instanceof ChordError);
            assert.equal(error.code, 'device-lost');
            assert.match(error.message, /the model's weights were on it alone/);
            assert.match(error.hint, /make another WasmModel/);
            return true;
          });
      } finally {
        model.free();
      }
    }
    assert.equal(texts[1], texts[0]);
  },
);

/** The ids of a run. `onToken` is called behind each of them with their number. */
async function tokensOf(run, onToken = () => {}) {
  const ids = [];
  for await (const { token } of run) {
    ids.push(token);
    onToken(ids.length);
  }
  return ids;
}
