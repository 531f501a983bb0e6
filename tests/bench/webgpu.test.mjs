// SPDX-License-Identifier: Apache-2.0
// webgpu.test.mjs: the models of bench/webgpu are GGUF files that the package loads, and the model of cost
// counts what it says.
import test from 'node:test';
import assert from 'node:assert/strict';
import { chartText, rowsOf } from '../../bench/webgpu/chart.mjs';
import { CLASSES, decodeRate, predict, prefillRate } from '../../bench/webgpu/cost.mjs';
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

test('at a depth a token also reads the cache, and a prompt also pays its attention', () => {
  const cost = { bandwidth: 100e9, madds: 1e12, dispatch: 1e-5, submit: 1e-4 };
  const perToken = { gpuBytesRead: 1e9, gpuDispatches: 100, submits: 1 };
  const seconds = 1 / decodeRate(cost, perToken, { depth: 4096, kvBytes: 32768 });
  assert.ok(Math.abs(seconds - (0.01 + (4096 * 32768) / 100e9 + 0.001 + 0.0001)) < 1e-12);
  // Two batches of 256, 32,896 and 98,432 pairs of positions.
  const model = { parameters: 1e9, bytes: 1e9, gpuDispatches: 100, attention: 65536 };
  const prompt = 512 / prefillRate(cost, model, 512);
  assert.ok(Math.abs(prompt - ((512e9 + 65536 * 131328) / 1e12 + 2 * (0.002 + 0.0001))) < 1e-9);
  const { multiplied, kvBytes, attention } = makeModel('1B', 'Q4_K_M');
  assert.equal(multiplied, 16 * 2048 * (2048 + 2 * 512 + 2048 + 3 * 8192));
  assert.deepEqual([kvBytes, attention], [16 * 8 * 64 * 4, 16 * 32 * 64 * 2]);
});

test('a chart has a mark for each measured and each predicted rate, and says them', () => {
  const model = makeModel('8B', 'Q4_K_M');
  const perToken = { gpuBytesRead: 4.6e9, gpuDispatches: 196, submits: 1 };
  const [prompts, depths] = [
    [128, 512],
    [0, 4096],
  ];
  const figures = { prefill: { 128: 900, 512: 12 }, decode: { 0: 50, 4096: 41.5 } };
  const all = { ...figures, predicted: predict({ ...model, perToken, prompts, depths }) };
  const rows = rowsOf('decode', all, { wllama: { decode: { 0: 30 } } });
  const text = chartText({ title: 'Writing', rows });
  const count = (part) => text.split(part).length - 1;
  assert.equal(count('measured '), 3, 'two marks, and the legend');
  assert.equal(count('predicted on'), 2 * Object.keys(CLASSES).length);
  assert.equal(count('wllama 30'), 1);
  assert.match(text, /aria-label="Writing, tokens\/s. decode at 0: 50; decode at 4096: 42"/);
  assert.equal(chartText({ title: '<&">', rows }).includes('<&">'), false);
});
