// SPDX-License-Identifier: Apache-2.0
// paging.test.mjs: models with paged layers. Those of Gemma 4 share caches, their matrices differ in size,
// and the table of their own embeddings is looked up by row in the file. Those of a mixture hold stacks of
// experts. The logits are those of the resident model to the last bit.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadModel } from '../../dist/index.js';
import { budgetFor } from '../ts/paged-model.mjs';
import { modelOf } from './models.mjs';

const IDS = Array.from({ length: 60 }, (_, i) => (i * 37) % 250);

for (const name of ['gemma4', 'gemma4.mix', 'bailingmoe2', 'bailingmoe2.mix', 'gpt-oss.mix'])
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
