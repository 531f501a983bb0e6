// SPDX-License-Identifier: Apache-2.0
// hybrids.test.mjs: layers with recurrent states as the executor runs them. tests/families compares them with
// llama.cpp.
import test from 'node:test';
import assert from 'node:assert/strict';
import { modelOf } from '../families/models.mjs';
import { openModel } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';
import { runsOf } from './runs.mjs';
import { plain } from './sampling.mjs';
import { everyWay } from './ways.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const bytesOf = (name) => new Uint8Array(modelOf(name));
const ids = Array.from({ length: 13 }, (_, i) => (i * 37 + 11) % 256);

// A delta layer: norm and two products, convolution with its activation, scan with norms, norm with gate,
// out, and two of the feed-forward. Attention with a gate has SPLIT and the gate beside a dense layer's six.
// A mixture has four, with a shared expert five, in the place of a feed-forward's two.
for (const [name, most] of Object.entries({
  qwen35: { 0: 8, 3: 8 },
  lfm2: { 0: 7 },
  qwen35moe: { 0: 11, 3: 11 },
  lfm2moe: { 2: 8, 3: 9 },
}))
  test(`${name}: dispatches of a decoded token, and every way is the same`, { skip }, (t) =>
    everyWay(t, gpu, bytesOf(name), ids, most),
  );

test('states go on behind steps that were submitted ahead', { skip }, async (t) => {
  const model = await openModel(gpu, bytesOf('qwen35'), { contextLength: 64, kvType: 'f32' });
  t.after(() => model.free());
  const { start, take, using, sampled } = runsOf(model);
  const sampling = { ...plain, temperature: 0.8, topK: 40 };
  const options = { ids: ids.slice(0, 5), sampling, seed: 3 };
  const tokens = await using((open) => take(start(open(), options), 20));
  assert.deepEqual(tokens, await sampled(options, 20));
});
