// SPDX-License-Identifier: Apache-2.0
// lost.test.mjs: a device that is lost in the middle of a run, by the package: the run goes on at its token.
import test from 'node:test';
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../dist/index.js';
import { missing, useDriver } from './gpu.mjs';

const FIXTURE = fileURLToPath(new URL('../golden/f32-mha.gguf', import.meta.url));
const webgpuUrl = new URL('watched-webgpu.mjs', import.meta.url);
useDriver();

test('a run whose device is destroyed goes on at its token', { skip: missing() || false }, async () => {
  // In this thread: the test destroys the device.
  const model = await loadModel(FIXTURE, { backend: 'webgpu', worker: false, webgpuUrl });
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

/** The ids of a run. `onToken` is called behind each of them with their number. */
async function tokensOf(run, onToken = () => {}) {
  const ids = [];
  for await (const { token } of run) {
    ids.push(token);
    onToken(ids.length);
  }
  return ids;
}
