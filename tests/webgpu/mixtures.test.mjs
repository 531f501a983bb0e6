// SPDX-License-Identifier: Apache-2.0
// mixtures.test.mjs: mixtures of experts as the executor runs them: how many dispatches and bytes a token
// takes, and that fused, op by op, in slices, by expert and over stacks in parts they give the same.
// tests/families compares them with llama.cpp.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { FAMILIES, modelOf } from '../families/models.mjs';
import { room } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';
import { everyWay, labelsOf, nmse, using as usingBytes } from './ways.mjs';

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
const using = (name, more, use) => usingBytes(gpu, bytesOf(name), more, use);

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
    (t) =>
      // Tiles of a device with f16 have inputs in f16 (tiles.ts).
      everyWay(t, gpu, bytesOf(name), ids, { 0: most }, name.endsWith('.mix') ? 1e-5 : 1e-9),
  );

const goldens = JSON.parse(readFileSync(new URL('../families/goldens.json', import.meta.url), 'utf8'));
// A choice of experts, biases, and a matrix for each head.
for (const name of ['qwen3moe.mix', 'gpt-oss.mix', 'deepseek2.mix'])
  test(`${name}: prompts over q8 inputs are as near to llama.cpp's as its own are`, { skip }, async (t) => {
    const { ids, rows, logits, tolerance } = goldens[name];
    const opened = await room.openDevice(gpu, { fastDot: true });
    t.after(() => opened.device.destroy());
    const kernels = new Set();
    const create = opened.device.createShaderModule.bind(opened.device);
    opened.device.createShaderModule = (text) => kernels.add(text.label) && create(text);
    const on = { opened, pipelines: new room.Pipelines(opened.device, opened.features) };
    const bytes = new Uint8Array(modelOf(name));
    const got = await usingBytes(gpu, bytes, { on, contextLength: 256 }, (model) => model.logits(ids));
    assert.ok(kernels.has('experts_packed'), [...kernels].join(' '));
    const exact = new Float32Array(Uint8Array.from(Buffer.from(logits, 'base64')).buffer);
    const width = got[0].length;
    const error = nmse(
      rows.map((row) => got[row]),
      rows.map((_, k) => exact.subarray(k * width, (k + 1) * width)),
    );
    t.diagnostic(`NMSE ${error.toExponential(1)}, tolerance ${tolerance.nmse}`);
    // Inputs of 8 bits leave a trace (executor.test.mjs).
    assert.ok(error <= tolerance.nmse && error > 1e-6, `NMSE ${error}`);
  });

test('stacks larger than a binding are in parts, with the same results', { skip }, async (t) => {
  for (const name of ['plain', 'gated']) {
    const want = await using(name, {}, (model) => model.logits(ids.slice(0, 3), { batch: 1 }));
    const opened = await room.openDevice(gpu);
    t.after(() => opened.device.destroy());
    // A stack is 8 x 32 rows of 256 bytes. Keys and values have to fit, and the logits of 32 tokens.
    const features = { ...opened.features, maxBinding: 40_000 };
    const on = { opened: { ...opened, features }, pipelines: new room.Pipelines(opened.device, features) };
    await using(name, { on, contextLength: 32 }, async (model) => {
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
