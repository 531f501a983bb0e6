// SPDX-License-Identifier: Apache-2.0
// paging.test.mjs: models with paged layers. Those of Gemma 4 share caches, their matrices differ in size,
// and the table of their own embeddings is looked up by row in the file. Those of a mixture hold stacks of
// experts, which are paged one by one; those of DeepSeek V2 also stacks of the heads' matrices. The logits
// are those of the resident model to the last bit.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { estimateModel, loadModel } from '../../dist/index.js';
import { budgetFor } from '../ts/paged-model.mjs';
import { modelOf } from './models.mjs';

const IDS = Array.from({ length: 60 }, (_, i) => (i * 37) % 250);

for (const name of [
  'gemma3n',
  'gemma4',
  'gemma4.mix',
  'gemma4-moe.mix',
  'bailingmoe2',
  'bailingmoe2.mix',
  'gpt-oss.mix',
  'deepseek2.mix',
  'qwen35moe.mix',
  'lfm2moe',
])
  test(`${name} with paged layers has the same logits to the last bit`, async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'chord-'));
    const file = path.join(folder, 'model.gguf');
    const bytes = modelOf(name);
    const logits = async (options) => {
      const model = await loadModel(file, { cache: 'none', backend: 'cpu', threads: 1, ...options });
      try {
        const all = await model.logits(IDS, { all: true });
        const more = await model.logits([...IDS, 7]);
        return { all, more, info: model.info, bytesPaged: (await model.counters()).bytesPaged };
      } finally {
        await model.dispose();
      }
    };
    try {
      await writeFile(file, bytes);
      const resident = await logits({});
      const { budget } = await budgetFor(file, 0.3, { threads: 1 });
      const paged = await logits({ memoryBudget: budget });
      assert.equal(resident.info.pagedLayers, 0);
      assert.ok(paged.info.pagedLayers > 0);
      assert.ok(paged.bytesPaged > 0);
      assert.deepEqual(paged.all, resident.all);
      assert.deepEqual(paged.more, resident.more);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

/** Runs `use` with the file of a model of `name`. */
async function withFile(name, use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'chord-'));
  const file = path.join(folder, 'model.gguf');
  try {
    await writeFile(file, modelOf(name));
    await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Runs `use` with a model and a function that returns the bytes read since its last call. */
async function withExperts(file, options, use) {
  const model = await loadModel(file, { cache: 'none', backend: 'cpu', ...options });
  let before = 0;
  const read = async () => {
    const { bytesPaged } = await model.counters();
    const since = bytesPaged - before;
    before = bytesPaged;
    return since;
  };
  try {
    return await use(model, read);
  } finally {
    await model.dispose();
  }
}

test('a mixture in less and less memory has the bits of the resident one, and a token reads no more than it chooses', (t) =>
  withFile('qwen3moe', async (file) => {
    const rows = (model) => model.logits(IDS, { all: true });
    const expected = await withExperts(file, { threads: 1 }, rows);
    for (const options of [{ threads: 2 }, { worker: false }])
      for (const share of [0, 0.3, 0.6, 0.9]) {
        const { budget } = await budgetFor(file, share, options);
        const all = { ...options, memoryBudget: budget };
        const estimate = await estimateModel(file, { backend: 'cpu', ...all });
        await withExperts(file, all, async (model, read) => {
          const { pagedLayers, pagedBytes, memory } = model.info;
          assert.equal(estimate.placement, 'paged');
          assert.deepEqual([estimate.pagedLayers, estimate.pagedBytes], [pagedLayers, pagedBytes]);
          assert.match(
            estimate.why,
            /3 layers paged \(at most \d+ bytes a token, \d experts of each in memory\) and /,
          );
          assert.ok(pagedLayers > 0 && pagedBytes > 0 && memory.total <= budget);
          assert.deepEqual(await rows(model), expected);
          const prompt = await read();
          assert.ok(prompt > 0);
          for (let i = 0; i < 4; i++) await model.logits([...IDS.slice(0, 50), i]);
          const four = await read();
          // A layer that was read ahead may count for the token before or behind; rows of the embedding.
          assert.ok(four <= 4.5 * pagedBytes, `${four} bytes of four tokens, ${pagedBytes} each`);
          // The same experts again are in memory where there is room for all that a token chooses.
          const ids = [...IDS.slice(0, 50), 9];
          await model.logits(ids);
          await read();
          await model.logits(ids);
          const again = await read();
          const held = Number(/(\d) experts of each/.exec(estimate.why)[1]);
          if (held >= 3) assert.ok(again <= 4096, `${again} bytes`);
          t.diagnostic(`${prompt} bytes a prompt, ${again} the same token again; ${estimate.why}`);
        });
      }
  }));

test('a mixture whose file is cut off fails with integrity, and computes with nothing that it read', () =>
  withFile('qwen3moe.mix', async (file) => {
    for (const options of [{ threads: 2 }, { worker: false }]) {
      const { least } = await budgetFor(file, 0, options);
      await writeFile(file, modelOf('qwen3moe.mix'));
      await withExperts(file, { ...options, memoryBudget: least }, async (model) => {
        await model.logits(IDS);
        await truncate(file, modelOf('qwen3moe.mix').length >> 1);
        for (let i = 0; i < 2; i++)
          await assert.rejects(model.logits(IDS.slice(1 + i)), { code: 'integrity' });
      });
      await writeFile(file, modelOf('qwen3moe.mix'));
    }
  }));
