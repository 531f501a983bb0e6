// SPDX-License-Identifier: Apache-2.0
// ways.mjs: the ways in which the executor computes a model's logits, and that they agree.
import assert from 'node:assert/strict';
import { openModel } from './engine.mjs';

/** Mean squared difference of rows as a part of the mean square. */
export function nmse(got, want) {
  let [error, power] = [0, 0];
  got.forEach((row, t) =>
    row.forEach((z, i) => {
      error += (z - want[t][i]) ** 2;
      power += want[t][i] ** 2;
    }),
  );
  return error / power;
}

/** Opens a model on the GPU, resolves to what `use` makes of it, and frees it. */
export async function using(gpu, bytes, more, use) {
  const model = await openModel(gpu, bytes, { contextLength: 64, kvType: 'f32', ...more });
  try {
    return await use(model);
  } finally {
    model.free();
  }
}

/** The labels of a decoded token's dispatches in a layer. */
export async function labelsOf({ executor }, layer = 0) {
  const list = await executor.dispatches();
  const label = new RegExp(`/${layer}(\\b|$)`);
  return list.map((one) => one.label).filter((one) => label.test(one) && !one.startsWith('embed'));
}

/**
 * Checks that tokens one by one, fused and op by op, a few, many and a dispatch at a time give
 * the same logits, and that a token takes `most` dispatches in each layer (`most` by the layer's number).
 */
export async function everyWay(t, gpu, bytes, ids, most, bound = 1e-9) {
  const one = ids.slice(0, 4);
  const fused = await using(gpu, bytes, {}, async (model) => {
    for (const [layer, count] of Object.entries(most)) {
      const labels = await labelsOf(model, layer);
      t.diagnostic(labels.join(' '));
      assert.equal(labels.length, count, labels.join(' '));
    }
    return model.logits(one, { batch: 1 });
  });
  const plain = await using(gpu, bytes, { isFused: false }, (model) => model.logits(one, { batch: 1 }));
  const [few, many, sliced] = await using(gpu, bytes, {}, async (model) => [
    await model.logits(one),
    await model.logits(ids),
    await model.logits(ids, { budget: 1 }),
  ]);
  assert.deepEqual(sliced, many, 'a dispatch at a time');
  for (const [way, got] of Object.entries({ plain, few, many })) {
    const error = nmse(got.slice(0, 4), fused);
    t.diagnostic(`${way}: NMSE ${error.toExponential(1)}`);
    // Sums of the same terms in another order (executor.test.mjs).
    assert.ok(error <= bound, `${way}: ${error}`);
  }
}
