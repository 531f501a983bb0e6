// SPDX-License-Identifier: Apache-2.0
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { readGolden } from '../reference/golden.mjs';
import { prove } from '../reference/proof.mjs';
import { fixtureNames } from '../ts/judged.mjs';
import { openModel, room } from './engine.mjs';
import { FLOAT_NMSE, missing, openGpu } from './gpu.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const bytesOf = async (name) =>
  new Uint8Array(await readFile(new URL(`../golden/${name}.gguf`, import.meta.url)));

/** Mean squared difference of rows as a part of the mean square. */
function nmse(got, want) {
  let [error, power] = [0, 0];
  want.forEach((row, i) =>
    row.forEach((x, k) => {
      error += (got[i][k] - x) ** 2;
      power += x * x;
    }),
  );
  return error / power;
}

test('a fork continues with its own copy of a page, and so does the original', { skip }, async (t) => {
  const model = await openModel(gpu, await bytesOf('f32-odd-tied'));
  model.engine.useExecutor(model.executor, () => {});
  t.after(() => model.free());
  const next = async (session, id) => {
    session.push([id]);
    assert.equal((await model.executor.run(session, Infinity)).isDone, true);
    return session.logits();
  };
  const ids = Array.from({ length: 44 }, (_, i) => (7 * i) % 50);
  const a = model.engine.openSession();
  a.push(ids);
  while (!(await model.executor.run(a, Infinity)).isDone) continue;
  const b = model.engine.openSession(a);
  const first = await next(b, 5);
  assert.notDeepEqual(await next(a, 6), first, 'another token');
  assert.equal(a.truncate(44), 44);
  assert.deepEqual(await next(a, 5), first, 'the original, after the fork wrote its page');
  assert.equal(b.truncate(40), 40);
  b.push(ids.slice(40));
  assert.equal((await model.executor.run(b, Infinity)).isDone, true);
  // Four tokens together go through other kernels than 44, so the bits may differ: some 1e-13.
  assert.ok(nmse([await next(b, 5)], [first]) < 1e-10, 'the fork, after the original wrote its page');
  assert.deepEqual(model.errors, []);
});

// Dispatches of a layer. In `mixed`, queries, keys and values are of floats and of codes: three products.
const layers = { 'f32-mha': 6, 'q8_0-bias': 6, 'qwen3-f32': 6, 'gemma3-f32': 6, mixed: 8 };
for (const [name, most] of Object.entries(layers))
  test(
    `${name}: a decoded token takes ${most} dispatches a layer, with the results of op by op`,
    { skip },
    async (t) => {
      const { prompts, tolerance } = await readGolden(name);
      const { sequence, rows, logits } = prompts[0];
      const bytes = await bytesOf(name);
      const results = [];
      for (const isFused of [true, false]) {
        const model = await openModel(gpu, bytes, { isFused, kvType: 'f32' });
        try {
          const got = await model.logits(sequence, { batch: 1 });
          results.push(rows.map((row) => got[row]));
          const labels = (await model.executor.dispatches()).map(({ label }) => label);
          const perLayer = labels.filter(
            (label) => /\/0(\b|$)/.test(label) && !label.startsWith('embed'),
          ).length;
          t.diagnostic(`${isFused ? 'fused' : 'op by op'}: ${perLayer} in layer 0, ${labels.length} in all`);
          if (isFused) assert.ok(perLayer <= most, labels.join(' '));
          else assert.ok(perLayer > most, labels.join(' '));
        } finally {
          model.free();
        }
      }
      const [fused, plain] = results;
      t.diagnostic(
        `NMSE of fused ${nmse(fused, logits).toExponential(1)}, to op by op ${nmse(fused, plain).toExponential(1)}`,
      );
      assert.ok(nmse(fused, logits) <= Math.min(tolerance.nmse, FLOAT_NMSE));
      // Both are sums of the same float32 terms in another order. A sum of n terms is off by n * 2^-24 of its
      // size at most; here n is 512 or less: 3e-5, and its square is 1e-9.
      assert.ok(nmse(fused, plain) <= 1e-9);
    },
  );

test('a prompt that stopped inside its batch begins anew where its pages are others', { skip }, async (t) => {
  const model = await openModel(gpu, await bytesOf('f32-odd-tied'));
  t.after(() => model.free());
  const ids = Array.from({ length: 70 }, (_, i) => (11 * i) % 50);
  const { executor, engine } = model;
  const finish = async (session) => {
    while (!(await executor.run(session, Infinity)).isDone) continue;
    return session.logits();
  };
  const other = engine.openSession();
  other.push([1, 2, 3, 4, 5]);
  await finish(other);
  const a = engine.openSession();
  a.push(ids);
  const expected = await finish(a);
  a.truncate(0);
  a.push(ids);
  assert.equal((await executor.run(a, 1)).isDone, false); // one dispatch
  a.truncate(0); // the abort: the pages are free
  const copy = engine.openSession(other); // takes one of them
  executor.fork(other, copy);
  a.push(ids);
  assert.deepEqual(await finish(a), expected);
  copy.push([6]);
  await finish(copy);
  // Whoever shows another sequence reads the tables of both anew.
  a.truncate(69);
  a.push(ids.slice(69));
  const again = await finish(a);
  assert.ok(nmse([again], [expected]) < 1e-10);
  assert.deepEqual(model.errors, []);
});

for (const name of ['q8_0-bias', 'qwen2-q4_k', 'qwen3-q3_k-tied', 'mixed'])
  test(`${name}: prompts over q8 inputs are as near to llama.cpp's as its own are`, { skip }, async (t) => {
    const { prompts, tolerance } = await readGolden(name);
    const model = await openModel(gpu, await bytesOf(name), { device: { fastDot: true } });
    t.after(() => model.free());
    const { sequence, rows, logits } = prompts.at(-1);
    const got = await model.logits(sequence);
    const error = nmse(
      rows.map((row) => got[row]),
      logits,
    );
    t.diagnostic(`NMSE ${error.toExponential(1)}, tolerance ${tolerance.nmse}`);
    // Inputs of 8 bits leave a trace: without one, the packed products didn't run.
    assert.ok(error <= tolerance.nmse && error > 1e-6, `NMSE ${error}, tolerance ${tolerance.nmse}`);
    const test = new room.SelfTest(model.program);
    test.push(0, 0, await bytesOf(name));
    assert.equal(await test.run(model.opened, model.pipelines, model.matrices), undefined);
    assert.ok(test.found.some(({ inputs }) => inputs === 'q8'));
  });

for (const name of ['q8_0-bias', 'qwen3-q3_k-tied', 'f16-fused'])
  test(`${name}: prompts over f16 inputs differ from f32 by what f16 rounds`, { skip }, async (t) => {
    const { prompts, tolerance } = await readGolden(name);
    const { sequence, rows, logits } = prompts.at(-1);
    const run = async (f16Tiles) => {
      const model = await openModel(gpu, await bytesOf(name), { device: { f16Tiles, fastDot: false } });
      const got = await model.logits(sequence);
      const products = model.program.ops.filter(({ name }) => name === 'MATMUL').length;
      const test = new room.SelfTest(model.program);
      test.push(0, 0, await bytesOf(name));
      assert.equal(await test.run(model.opened, model.pipelines, model.matrices), undefined);
      assert.equal(
        test.found.some(({ inputs }) => inputs === 'f16'),
        f16Tiles,
      );
      model.free();
      return { rows: rows.map((row) => got[row]), products };
    };
    const [half, whole] = [await run(true), await run(false)];
    assert.ok(nmse(half.rows, logits) <= tolerance.nmse);
    // tiles.ts derives 2^-22 / 3 a product. Norms keep what is relative; what softmax and gates add is left
    // to four times that, which devices that truncate need too.
    const error = nmse(half.rows, whole.rows);
    const bound = (half.products * 2 ** -20) / 3;
    t.diagnostic(`NMSE ${error.toExponential(1)}, bound ${bound.toExponential(1)}`);
    assert.ok(error <= bound && error > 1e-10, `NMSE ${error}, bound ${bound}`);
  });

const names = (await fixtureNames()).filter((name) => name.match(process.env.FIXTURE ?? ''));
for (const name of names)
  test(`${name}: the GPU's logits are llama.cpp's`, { skip }, async (t) => {
    const golden = await readGolden(name);
    const model = await openModel(gpu, await bytesOf(name));
    try {
      let worst = 0;
      for (const { sequence, rows, logits } of golden.prompts) {
        const got = await model.logits(sequence);
        worst = Math.max(
          worst,
          nmse(
            rows.map((row) => got[row]),
            logits,
          ),
        );
      }
      const most = Math.min(golden.tolerance.nmse, FLOAT_NMSE);
      t.diagnostic(`NMSE ${worst.toExponential(1)}, tolerance ${most}`);
      assert.ok(worst <= most, `NMSE ${worst}, tolerance ${most}`);
      prove('fixtures', { model: name, backend: 'webgpu', nmse: worst, part: worst / golden.tolerance.nmse });
    } finally {
      model.free();
    }
  });
