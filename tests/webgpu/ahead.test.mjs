// SPDX-License-Identifier: Apache-2.0
// ahead.test.mjs: the executor draws tokens and runs ahead. The tokens are those that the session samples
// from the rows of the same executor.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { openModel } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';
import { runsOf } from './runs.mjs';
import { plain } from './sampling.mjs';

const skip = missing() || false;
const bytes = new Uint8Array(await readFile(new URL('../golden/f32-mha.gguf', import.meta.url)));
const gpu = skip ? undefined : await openGpu();
const model = skip ? undefined : await openModel(gpu, bytes, { contextLength: 256 });
const prompt = [3, 5, 7, 11, 13];
const defaults = { ...plain, temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 };

const { start, take, using, sampled } = runsOf(model);

test('steps ahead are dropped when another token, seed, sequence or place comes', { skip }, async () => {
  const script = (isDrawn) =>
    using(async (open) => {
      const options = { ids: [], sampling: defaults, isDrawn };
      const session = open();
      const all = [];
      const some = async (n, more) => {
        const tokens = await take(start(session, { ...options, ...more }), n);
        all.push(tokens);
        return tokens;
      };
      const first = await some(12, { ids: prompt, seed: 1 });
      // Another token than the one drawn, at a place that steps ahead have computed.
      session.truncate(prompt.length + 11);
      await some(9, { ids: [(first[11] + 1) % 290] });
      // The same options and the same last token, but another seed.
      await some(9, { seed: 3 });
      // An earlier place, and then the place that steps ahead have computed.
      const tokens = session.tokens().slice();
      session.truncate(20);
      await some(1, { ids: [7] });
      session.truncate(20);
      await some(4, { ids: tokens.subarray(20) });
      // A fork, and the two in turn.
      const copy = open(session);
      const a = start(session, { ...options, seed: 4 });
      const b = start(copy, { ...options, seed: 5 });
      for (let i = 0; i < 6; i++) all.push(await take(a, 1), await take(b, 1));
      return all;
    });
  const [drawn, sampled] = [await script(true), await script(false)];
  assert.deepEqual(drawn, sampled);
});

test('penalties and a prompt in another sequence, in turn', { skip }, () =>
  using(async (open) => {
    const sampling = { ...defaults, temperature: 1.5, repetitionPenalty: 2 };
    const lists = [prompt, Array.from({ length: 90 }, (_, i) => (i * 37) % 290)];
    const nexts = lists.map((ids, seed) => start(open(), { ids, sampling, seed }));
    const got = [[], []];
    for (let i = 0; i < 20; i++)
      for (const k of [0, 1]) if (k || i % 3) got[k].push((await nexts[k]()).token);
    for (const [seed, ids] of lists.entries())
      assert.deepEqual(got[seed], await sampled({ ids, sampling, seed }, got[seed].length));
  }),
);

test('a draw that is left to the session, between others', { skip }, () =>
  using(async (open) => {
    // The 64 best of the fixture's tokens have 0.999 of the probability at some positions, and less at most.
    const sampling = { ...plain, temperature: 1.2, topP: 0.999 };
    const options = { ids: prompt, sampling, seed: 9 };
    const next = start(open(), options);
    const kinds = [];
    const tokens = [];
    for (let i = 0; i < 40; i++) {
      const { token, isDrawn } = await next();
      kinds.push(isDrawn);
      tokens.push(token);
    }
    assert.deepEqual(tokens, await sampled(options, 40));
    const nLeft = kinds.filter((isDrawn) => !isDrawn).length;
    assert.ok(nLeft > 5 && nLeft < 35, `${nLeft} of 40 were left`);
  }),
);

test('a step is one submit and one readback, and makes no buffer', { skip }, () =>
  using(async (open) => {
    const { device } = model.opened;
    const next = start(open(), { ids: prompt, sampling: defaults, seed: 1 });
    await take(next, 4);
    const before = { ...model.executor.counters };
    const { createBuffer, createBindGroup } = device;
    const made = [];
    device.createBuffer = (descriptor) =>
      made.push(descriptor.label) && createBuffer.call(device, descriptor);
    device.createBindGroup = (descriptor) => made.push('group') && createBindGroup.call(device, descriptor);
    try {
      await take(next, 20);
    } finally {
      delete device.createBuffer;
      delete device.createBindGroup;
    }
    const after = model.executor.counters;
    assert.deepEqual(made, []);
    assert.ok(after.submits - before.submits <= 22, `${after.submits - before.submits} submits`);
    assert.ok(after.readbacks - before.readbacks <= 22, `${after.readbacks - before.readbacks} readbacks`);
  }),
);

test('a logit that is not finite ends the run and is named', { skip }, async () => {
  const broken = bytes.slice();
  const { offset, nIn } = model.program.tensors.find(({ name }) => name === 'output.weight');
  new DataView(broken.buffer).setFloat32(offset + 7 * nIn * 4, NaN, true);
  const other = await openModel(gpu, broken, { contextLength: 64 });
  const session = other.engine.openSession();
  for (const sampling of [defaults, { ...plain, temperature: 0 }]) {
    session.truncate(0);
    session.setSampling(sampling);
    session.push(prompt);
    const ran = await other.executor.run(session, Infinity, sampling);
    assert.deepEqual([ran.isDone, ran.token], [true, undefined]);
    assert.throws(() => session.sample(), /the logit of token 7 at position 4 isn't finite/);
  }
  other.free();
});
