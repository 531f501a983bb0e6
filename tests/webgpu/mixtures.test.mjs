// SPDX-License-Identifier: Apache-2.0
// mixtures.test.mjs: mixtures of experts as the executor runs them: how many dispatches and bytes a token
// takes, and that fused, op by op, in slices, by expert and over stacks in parts they give the same.
// tests/families compares them with llama.cpp.
import test from 'node:test';
import assert from 'node:assert/strict';
import { FAMILIES, modelOf } from '../families/models.mjs';
import { openModel, room } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const mix = { n: 8, used: 3, ff: 32 };
const MODELS = {
  plain: mix,
  biased: { ...mix, bias: true, biases: true },
  shared: { ...mix, shared: 48 },
  gated: { ...mix, shared: 48, gated: true },
};
for (const [name, one] of Object.entries(MODELS))
  FAMILIES[`mixture-${name}`] = { arch: 'qwen3moe', qk: 'head', mix: one };
const bytesOf = (name) => new Uint8Array(modelOf(`mixture-${name}`));
const ids = Array.from({ length: 13 }, (_, i) => (i * 37 + 11) % 256);
const options = { contextLength: 64, kvType: 'f32' };

function nmse(got, want) {
  let [error, power] = [0, 0];
  got.forEach((row, t) =>
    row.forEach((z, i) => {
      error += (z - want[t][i]) ** 2;
      power += want[t][i] ** 2;
    }),
  );
  return error / power;
}

/** Opens a model, runs `use` on it, and frees it. */
async function using(name, more, use) {
  const model = await openModel(gpu, bytesOf(name), { ...options, ...more });
  try {
    return await use(model);
  } finally {
    model.free();
  }
}
const labelsOf = async ({ executor }) =>
  (await executor.dispatches())
    .map(({ label }) => label)
    .filter((label) => /\/0(\b|$)/.test(label) && !label.startsWith('embed'));

for (const [name, most] of [
  ['plain', 8],
  ['biased', 8],
  ['shared', 9],
  ['gated', 9],
  ['shared.mix', 9],
])
  test(
    `${name}: a decoded token takes ${most} dispatches a layer, and every way is the same`,
    { skip },
    async (t) => {
      const one = ids.slice(0, 4);
      const [fused, labels] = await using(name, {}, async (model) => [
        await model.logits(one, { batch: 1 }),
        await labelsOf(model),
      ]);
      t.diagnostic(labels.join(' '));
      assert.equal(labels.length, most, labels.join(' '));
      const plain = await using(name, { isFused: false }, (model) => model.logits(one, { batch: 1 }));
      const [few, many, sliced] = await using(name, {}, async (model) => [
        await model.logits(one),
        await model.logits(ids),
        await model.logits(ids, { budget: 1 }),
      ]);
      assert.deepEqual(sliced, many, 'a dispatch at a time');
      // Sums of the same terms in another order (executor.test.mjs); tiles may have inputs in f16.
      for (const [way, got] of Object.entries({ plain, few, many })) {
        const error = nmse(got.slice(0, 4), fused);
        t.diagnostic(`${way}: NMSE ${error.toExponential(1)}`);
        assert.ok(error <= (name.endsWith('.mix') ? 1e-5 : 1e-9), way);
      }
    },
  );

test('stacks larger than a binding are in parts, with the same results', { skip }, async (t) => {
  for (const name of ['plain', 'gated']) {
    const want = await using(name, {}, (model) => model.logits(ids.slice(0, 3), { batch: 1 }));
    const opened = await room.openDevice(gpu);
    t.after(() => opened.device.destroy());
    // A stack is 8 x 32 rows of 256 bytes; and a layer's keys and values have to fit.
    const features = { ...opened.features, maxBinding: 24_832 };
    const on = { opened: { ...opened, features }, pipelines: new room.Pipelines(opened.device, features) };
    await using(name, { on }, async (model) => {
      assert.ok([...model.matrices.values()].some(({ parts }) => parts.length > 1));
      const labels = await labelsOf(model);
      t.diagnostic(labels.join(' '));
      assert.ok(nmse(await model.logits(ids.slice(0, 3), { batch: 1 }), want) <= 1e-9, name);
      assert.ok(nmse((await model.logits(ids)).slice(0, 3), want) <= 1e-9, `${name}, many tokens`);
    });
  }
});

test('a token reads the chosen experts alone, in one submit and without a new buffer', { skip }, async () => {
  const dense = await using('plain', {}, async ({ executor }) => {
    const list = await executor.dispatches();
    return list.filter(({ label }) => label.includes('experts')).reduce((sum, { bytes }) => sum + bytes, 0);
  });
  const { layers = 3, embd = 64 } = FAMILIES['mixture-plain'];
  assert.equal(dense, layers * mix.used * 3 * mix.ff * embd * 4);
  await using('plain', {}, async (model) => {
    const { engine, executor, opened } = model;
    const session = engine.openSession();
    const run = async (id) => {
      session.push([id]);
      while (!(await executor.run(session, Infinity)).isDone) continue;
    };
    await run(1);
    await run(2);
    const before = executor.counters;
    let made = 0;
    const create = opened.device.createBuffer.bind(opened.device);
    opened.device.createBuffer = (descriptor) => ((made += 1), create(descriptor));
    await run(3);
    assert.equal(executor.counters.submits - before.submits, 1);
    assert.equal(made, 0);
    session.close();
  });
});
