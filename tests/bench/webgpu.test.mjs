// SPDX-License-Identifier: Apache-2.0
// webgpu.test.mjs: the models of bench/webgpu are GGUF files that the package loads, and the model of cost
// counts what it says.
import test from 'node:test';
import assert from 'node:assert/strict';
import { decodeRate, predict } from '../../bench/webgpu/cost.mjs';
import { SHAPES, makeModel, streamOf } from '../../bench/webgpu/shapes.mjs';

for (const type of ['Q4_K_M', 'Q4_0', 'Q8_0'])
  test(`a random model in ${type} loads, is as long as it says, and its logits are of the size of a model's`, async () => {
    const { loadModel } = await import('../../dist/index.js');
    const model = makeModel('tiny', type);
    let bytes = 0;
    for await (const chunk of model.stream()) bytes += chunk.byteLength;
    assert.equal(bytes, model.bytes);
    const loaded = await loadModel(streamOf(model), { backend: 'cpu', cache: 'none' });
    try {
      assert.equal(loaded.info.parameters, model.parameters);
      assert.equal(loaded.info.blockCount, SHAPES.tiny.layer);
      const logits = await loaded.logits([300, 400, 500]);
      const rms = Math.hypot(...logits) / Math.sqrt(logits.length);
      assert.ok(rms > 0.3 && rms < 3, `${rms}`);
    } finally {
      await loaded.dispose();
    }
  });

test('every shape has whole blocks in every type', () => {
  for (const shape of Object.keys(SHAPES))
    for (const type of ['Q4_K_M', 'Q4_0', 'Q8_0']) assert.ok(makeModel(shape, type).bytes > 0);
});

test('a Llama 3.1 8B in Q4_K_M has 8.03 billion parameters and some 4.9 GB', () => {
  const { parameters, bytes } = makeModel('8B', 'Q4_K_M');
  assert.equal(Math.round(parameters / 1e7), 803);
  assert.ok(bytes > 4.8e9 && bytes < 5.1e9, `${bytes}`);
  assert.throws(() => makeModel('9B', 'Q4_0'), /no shape 9B/);
});

test('the predicted rate is the sum of bytes, dispatches and submits', () => {
  const cost = { bandwidth: 100e9, madds: 1e12, dispatch: 1e-5, submit: 1e-4 };
  const rate = decodeRate(cost, { gpuBytesRead: 1e9, gpuDispatches: 100, submits: 1 });
  assert.ok(Math.abs(1 / rate - (0.01 + 0.001 + 0.0001)) < 1e-12);
  const perToken = { gpuBytesRead: 0.8e9, gpuDispatches: 100, submits: 1 };
  for (const { decode, prefill } of predict({ parameters: 1e9, bytes: 0.8e9, perToken }))
    assert.ok(decode > 10 && prefill > decode);
});
