// SPDX-License-Identifier: Apache-2.0
// texts.test.mjs: batches of texts on the GPU: the bits of a text in any company, texts longer than a batch,
// poolings, and ranks. tests/families compares with llama.cpp.
import assert from 'node:assert/strict';
import test from 'node:test';
import { loadModel } from '../../dist/index.js';
import { encoderOf } from '../families/encoders.mjs';
import { modelOf } from '../families/models.mjs';
import { openModel, openOnCpu } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';

const skip = missing() || false;
// SwiftShader compiles the zeroing of workgroup memory element by element.
const onGpu = { backend: 'webgpu', kvType: 'f32', gpu: ['enable-dawn-features=disable_workgroup_init'] };
const load = async (bytes, options) => {
  await openGpu(); // names the driver to Dawn
  return loadModel(bytes, { cache: 'none', contextLength: 256, ...options });
};
const bytesOf = (row) => Buffer.from(row.buffer, row.byteOffset, row.byteLength);
const idsOf = (n, step) => Int32Array.from({ length: n }, (_, i) => (i * step + n) % 280);

/** The relative difference of rows that two backends computed. */
const apart = (a, b) =>
  Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0) / b.reduce((sum, x) => sum + x * x, 0));

test(
  'a reranker: more texts than a product of few rows takes, each with its own bits',
  { skip },
  async () => {
    const model = await load(encoderOf('bert-rank.mix'), onGpu);
    try {
      assert.equal(model.info.backend, 'webgpu');
      const texts = Array.from({ length: 12 }, (_, i) => idsOf(3 + i, 7 + i));
      const rows = await model.embed(texts, { pooling: 'rank' });
      for (const i of [0, 7, 11]) {
        const alone = await model.embed(texts[i], { pooling: 'rank' });
        assert.ok(bytesOf(alone).equals(bytesOf(rows[i])), `text ${i}`);
      }
      const ranks = await model.rerank('of the sea', ['the sea', 'and land', 'a sea of sand']);
      assert.equal(ranks.length, 3);
      assert.ok(ranks.every(({ score }) => Number.isFinite(score)));
      const options = { normalize: false };
      const all = await model.embed(texts[4], { ...options, pooling: 'none' });
      const width = model.info.embeddingLength;
      assert.equal(all.length, texts[4].length * width);
      assert.deepEqual(await model.embed(texts[4], { ...options, pooling: 'cls' }), all.slice(0, width));
      assert.deepEqual(await model.embed(texts[4], { ...options, pooling: 'last' }), all.slice(-width));
    } finally {
      await model.dispose();
    }
  },
);

/** The last rows of texts, a batch of 32 tokens at a time, by the executor of an engine. */
async function lastRows(engine, executor, texts) {
  const width = engine.file.modelInfo().n_embd;
  const session = engine.openSession();
  session.setPooling('last');
  const rows = [];
  let batches = 0;
  for (let i = 0; i < texts.length;) {
    let n = 0;
    while (i + n < texts.length && session.pushText(texts[i + n])) n += 1;
    for (let isDone = false; !isDone; batches += 1) ({ isDone } = await executor.run(session, Infinity));
    for (let at = 0, all = session.embeddings(n, width); at < all.length; at += width)
      rows.push(all.slice(at, at + width));
    i += n;
  }
  executor.close?.(session);
  session.close();
  return { rows, batches };
}

test(
  "a decoder's texts, one of them longer than a batch, and what it computes beside",
  { skip },
  async () => {
    const bytes = modelOf('llama');
    const texts = [idsOf(5, 3), idsOf(9, 7), idsOf(70, 11), idsOf(1, 1), idsOf(20, 5)];
    const options = { contextLength: 128, batchTokens: 32, kvType: 'f32' };
    const model = await openModel(await openGpu(), bytes, options);
    try {
      const before = await model.logits([1, 2, 3]);
      const { rows, batches } = await lastRows(model.engine, model.executor, texts);
      assert.equal(batches, 1 + 3 + 1);
      for (const [i, text] of texts.entries()) {
        const { rows: alone } = await lastRows(model.engine, model.executor, [text]);
        assert.deepEqual(alone[0], rows[i], `text ${i}`);
      }
      assert.deepEqual(await model.logits([1, 2, 3]), before);
      const cpu = await openOnCpu(bytes, options);
      const { rows: want } = await lastRows(cpu, cpu.executor, texts);
      // Roundings of float32, some hundred in a row: 1e-5 is a hundred times what they add up to.
      rows.forEach((row, i) => assert.ok(apart(row, want[i]) < 1e-5, `text ${i}: ${apart(row, want[i])}`));
      cpu.free();
    } finally {
      model.free();
    }
  },
);

for (const [name, batches] of [
  ['gemma2', 1], // windows, soft-caps
  ['gpt-oss', 1], // sinks, experts
  ['deepseek2', 1], // values within the keys
  ['gemma4', 2], // layers that share keys and values
  ['lfm2', 2], // states
])
  test(`${name}: its texts on the GPU are those of the CPU, alone and in company`, { skip }, async () => {
    const bytes = modelOf(name);
    const texts = [idsOf(40, 3), idsOf(9, 7)];
    const options = { contextLength: 128, batchTokens: 64, kvType: 'f32' };
    const cpu = await openOnCpu(bytes, options);
    const { rows: want } = await lastRows(cpu, cpu.executor, texts);
    cpu.free();
    const model = await openModel(await openGpu(), bytes, options);
    try {
      const found = await lastRows(model.engine, model.executor, texts);
      assert.equal(found.batches, batches);
      // As above. Where GELU is a table (gemma2, gemma4), its steps count: 5e-4.
      found.rows.forEach((row, i) =>
        assert.ok(apart(row, want[i]) < 5e-4, `text ${i}: ${apart(row, want[i])}`),
      );
      const { rows: alone } = await lastRows(model.engine, model.executor, [texts[1]]);
      assert.deepEqual(alone[0], found.rows[1]);
    } finally {
      model.free();
    }
  });
