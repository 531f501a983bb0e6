// SPDX-License-Identifier: Apache-2.0
// Continuations whose tokens the GPU draws, with steps ahead, beside the same continuations sampled by the
// session from rows that are read back.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { readGolden } from '../reference/golden.mjs';
import { openModel, room } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const NAME = 'q8_0-bias';
const bytes = new Uint8Array(await readFile(new URL(`../golden/${NAME}.gguf`, import.meta.url)));
const golden = await readGolden(NAME);
const { ids } = golden.prompts[0];

const off = { temperature: 0, topK: 0, topP: 1, minP: 0, typicalP: 1, repetitionPenalty: 1 };
const sampling = { ...off, frequencyPenalty: 0, presencePenalty: 0 };

/** Runs a continuation of `prompt` to `maxTokens`, or until `until` says so. Resolves to its ids. */
async function run(work, prompt, options, until = () => false) {
  const continuation = new room.Continuation(work, prompt, {
    stop: [],
    ignoreEos: true,
    logprobs: false,
    topLogprobs: 0,
    controls: false,
    seed: 7,
    ...options,
  });
  const tokens = [];
  try {
    while (continuation.finishReason === undefined && !until(tokens)) {
      while (!(await continuation.step())) continue;
      tokens.push(continuation.take().token);
    }
  } finally {
    continuation.close();
  }
  return tokens;
}

test('drawn on the GPU', { skip }, async (t) => {
  const model = await openModel(gpu, bytes);
  model.engine.useExecutor(model.executor, () => {});
  const work = new room.Work(model.engine, new room.Pace(20));
  const counted = async (call) => {
    const before = model.executor.counters;
    const result = await call();
    const after = model.executor.counters;
    return {
      result,
      ...Object.fromEntries(Object.keys(after).map((key) => [key, after[key] - before[key]])),
    };
  };
  t.after(() => model.free());

  await t.test("greedy tokens are llama.cpp's", async () => {
    const { greedy, margins } = golden.prompts[0];
    const tokens = await run(work, ids, { sampling, maxTokens: greedy.length });
    const parted = greedy.findIndex((token, i) => token !== tokens[i]);
    assert.ok(parted < 0 || margins[parted] <= golden.tolerance.regret, `${tokens} ${greedy}`);
  });

  for (const [name, options] of Object.entries({
    'temperature and top-k': { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 },
    'penalties and a bias': {
      temperature: 1.1,
      topK: 20,
      repetitionPenalty: 1.5,
      frequencyPenalty: 0.25,
      presencePenalty: 0.5,
      bias: [[3, 5]],
    },
    'greedy with penalties': { repetitionPenalty: 2 },
  }))
    await t.test(`${name}: the text is the one that the session samples from the same rows`, async () => {
      const all = { sampling: { ...sampling, ...options }, maxTokens: 70 };
      const drawn = await run(work, ids, all);
      const read = await run(work, ids, { ...all, logprobs: true });
      assert.deepEqual(drawn, read);
      assert.ok(new Set(drawn).size > 3, `${drawn}`);
    });

  await t.test('a token costs one submit and one readback, and 16 bytes come back', async () => {
    await run(work, ids, { sampling, maxTokens: 40 });
    const { submits, readbacks } = await counted(() => run(work, ids, { sampling, maxTokens: 40 }));
    // one batch for the last id of the prompt, 39 steps, and at most two steps ahead of the end
    assert.ok(submits <= 42 && readbacks <= 42, `${submits} submits, ${readbacks} readbacks`);
  });

  await t.test('a profile names the kernels of a step, with the bytes that they read', async (t) => {
    if (!model.opened.device.features.has('timestamp-query')) return t.skip('the adapter has no timestamps');
    assert.deepEqual(await model.executor.profile(), []);
    const { gpuDispatches, gpuBytesRead } = await counted(() => run(work, ids, { sampling, maxTokens: 3 }));
    const kernels = await model.executor.profile();
    const sum = (key) => kernels.reduce((total, kernel) => total + kernel[key], 0);
    assert.equal(sum('count'), gpuDispatches);
    assert.equal(sum('bytes'), gpuBytesRead);
    assert.ok(kernels.some(({ op, ms }) => op.startsWith('norm+matvec') && ms > 0));
    assert.ok(kernels.every(({ op }) => !/\d+$/.test(op.split('/')[0])));
  });

  await t.test('what was written past a stop is cut off', async () => {
    const all = { sampling: { ...sampling, temperature: 1, topK: 30 }, maxTokens: 60 };
    const whole = await run(work, ids, all);
    const other = [...ids.slice(0, 5), ...ids.slice(9)];
    await run(work, ids, all, (tokens) => tokens.length === 11);
    const beside = await run(work, other, all);
    assert.deepEqual(await run(work, ids, all), whole);
    await run(work, other, all, (tokens) => tokens.length === 3);
    assert.deepEqual(await run(work, other, all), beside);
    const forked = new room.Work(model.engine, new room.Pace(20), undefined, work.session);
    assert.deepEqual(await run(forked, other, all), beside);
    assert.deepEqual(await run(work, ids, all), whole);
    model.engine.closeSession(forked.session);
  });
  assert.deepEqual(model.errors, []);
});
