// SPDX-License-Identifier: Apache-2.0
// paging-faults.test.mjs: what happens to a file under a paged model is a typed error that names the file,
// and no wrong token; a model whose file came back goes on, or can be loaded again. A read that hangs holds
// neither a cancel nor a dispose.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { copyFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import test from 'node:test';
import { deleteModel, loadModel } from '../../dist/index.js';
import { withCache, withoutWrites } from './cached.mjs';
import { GREEDY, SMOLLM2, needsModel, refused, withModel } from './level2.mjs';
import { IDS, budgetFor, withPagedModel } from './paged-model.mjs';

const bytesOf = (values) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/** Runs `use` with a paged model of every kind of reader, and the logits of the resident one. */
async function eachReader(use) {
  for (const options of [{ threads: 2 }, { worker: false }])
    await withPagedModel(async (file, bytes) => {
      const { least } = await budgetFor(file, 0, options);
      const paged = { ...options, memoryBudget: least };
      const expected = await withModel(file, options, async (model) => bytesOf(await model.logits(IDS)));
      await use({ file, bytes, options: paged, expected });
    });
}

test('a file that is cut off under the model, or written to, is integrity; the model loads again when it is whole', () =>
  eachReader(async ({ file, bytes, options, expected }) => {
    const faults = {
      ends: () => truncate(file, bytes.length >> 1),
      'was written to': async () => {
        await writeFile(file, bytes.slice().fill(1, bytes.length >> 1));
        await utimes(file, new Date(), new Date(Date.now() + 5000));
      },
      bytes: () => writeFile(file, Buffer.concat([bytes, bytes])),
    };
    for (const [what, harm] of Object.entries(faults)) {
      await withModel(file, options, async (model) => {
        assert.equal(model.info.pagedLayers, model.info.blockCount);
        assert.ok(bytesOf(await model.logits(IDS)).equals(expected));
        await harm();
        const error = await refused(model.logits(IDS.slice(1)), 'integrity', file);
        assert.match(error.hint, /load the model again/);
        // Another call fails in the same way: nothing is computed with what was read.
        const events = [];
        await assert.rejects(
          async () => {
            for await (const event of model.generate(IDS.slice(2), GREEDY)) events.push(event);
          },
          { code: 'integrity' },
        );
        assert.deepEqual(events, [], what);
        assert.equal(typeof (await model.detokenize([5])), 'string');
      });
      await writeFile(file, bytes);
      await withModel(file, options, async (model) =>
        assert.ok(bytesOf(await model.logits(IDS)).equals(expected), what),
      );
    }
  }));

test(
  'a file that is written to is integrity also where no row is looked up: SmolLM2 has tied embeddings',
  needsModel,
  () =>
    withPagedModel(async (file) => {
      await copyFile(SMOLLM2, file);
      const options = { threads: 2, contextLength: 64 };
      const { least } = await budgetFor(file, 0, options);
      await withModel(file, { ...options, memoryBudget: least }, async (model) => {
        await model.logits([1, 2, 3]);
        await utimes(file, new Date(), new Date(Date.now() + 5000));
        await refused(model.logits([4, 5]), 'integrity', file, 'was written to');
        await writeFile(file, new Uint8Array(fs.statSync(file).size).fill(255)); // scales that are NaN
        await refused(model.logits([4, 5]), 'integrity', file, 'was written to');
      });
    }),
);

test('a read error in the middle of a token is io with the place, and the next call goes on with right numbers', () =>
  withPagedModel(async (file) => {
    const { least } = await budgetFor(file, 0, { worker: false });
    const expected = await withModel(file, { worker: false }, async (model) =>
      bytesOf(await model.logits(IDS)),
    );
    await withModel(file, { worker: false, memoryBudget: least }, async (model) => {
      const { readSync } = fs;
      for (const good of [0, 1, 5, 17]) {
        let reads = 0;
        fs.readSync = (...values) => {
          if (reads++ >= good) throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
          return readSync(...values);
        };
        syncBuiltinESMExports();
        try {
          await refused(model.logits(IDS.slice(1)), 'io', file, 'EIO');
        } finally {
          fs.readSync = readSync;
          syncBuiltinESMExports();
        }
        assert.ok(bytesOf(await model.logits(IDS)).equals(expected), `after ${good} reads`);
      }
      // A read that gives less than was asked for is continued.
      fs.readSync = (fd, target, from, length, at) => readSync(fd, target, from, Math.ceil(length / 3), at);
      syncBuiltinESMExports();
      try {
        await model.logits(IDS.slice(1));
        assert.ok(bytesOf(await model.logits(IDS)).equals(expected));
      } finally {
        fs.readSync = readSync;
        syncBuiltinESMExports();
      }
    });
  }));

test('a file that is removed, or deleted from the cache, stays readable under the model', () =>
  withPagedModel((file, bytes) =>
    withCache(bytes, {}, async ({ url }, cache) => {
      const expected = await withModel(file, {}, async (model) => bytesOf(await model.logits(IDS)));
      const { least } = await budgetFor(file, 0);
      await withModel(url, { cache, memoryBudget: least }, async (model) => {
        assert.ok(model.info.pagedLayers > 0);
        await deleteModel(url, { cache });
        assert.ok(bytesOf(await model.logits(IDS)).equals(expected));
      });
      await withModel(file, { memoryBudget: least }, async (model) => {
        await rm(file);
        await writeFile(file, 'another file');
        assert.ok(bytesOf(await model.logits(IDS)).equals(expected));
      });
    }),
  ));

test('a storage that is full while a model is kept that must be paged is a typed error, and the next load works', () =>
  withPagedModel((file, bytes) =>
    withCache(bytes, {}, async ({ url }, cache) => {
      const { least } = await budgetFor(file, 0, { worker: false });
      const options = { worker: false, memoryBudget: least };
      const { WASM_CHORD_CACHE } = process.env;
      process.env.WASM_CHORD_CACHE = cache;
      try {
        await withoutWrites('ENOSPC', async () => {
          for (const more of [{ cache }, {}]) {
            const { hint } = await refused(loadModel(url, { ...options, ...more }), 'quota', cache);
            assert.match(hint, /deleteModel/);
          }
        });
        await withModel(url, options, async (model) => assert.ok(model.info.pagedLayers > 0));
      } finally {
        process.env.WASM_CHORD_CACHE = WASM_CHORD_CACHE;
      }
    }),
  ));

/** A Blob whose reads hang as long as `isStuck`. */
class StuckBlob extends Blob {
  isStuck = false;
  slice(...range) {
    const slice = super.slice(...range);
    return { arrayBuffer: () => (this.isStuck ? new Promise(() => {}) : slice.arrayBuffer()) };
  }
}

test('a read that hangs holds neither a cancel nor a dispose', () =>
  withPagedModel(async (file, bytes) => {
    for (const worker of [true, false]) {
      const blob = new StuckBlob([bytes]);
      const { least } = await budgetFor(blob, 0, { worker });
      const model = await loadModel(blob, { worker, memoryBudget: least });
      blob.isStuck = true;
      const abort = new AbortController();
      const calls = [
        model.logits(IDS, { signal: abort.signal }),
        model.generate(IDS, { ...GREEDY, signal: abort.signal }).text(),
      ];
      setTimeout(() => abort.abort(), 100);
      const begin = performance.now();
      for (const call of calls) await assert.rejects(call, { name: 'AbortError' });
      assert.ok(performance.now() - begin < 3000, 'the cancel took too long');
      assert.equal(typeof (await model.detokenize([5])), 'string');
      const last = model.logits(IDS);
      setTimeout(() => void model.dispose(), 50);
      await refused(last, 'disposed');
      await model.dispose();
    }
  }));

test('a paged model is disposed of while its I/O worker reads, again and again', () =>
  withPagedModel(async (file) => {
    const { least } = await budgetFor(file, 0, { threads: 2 });
    for (let i = 0; i < 6; i++) {
      const model = await loadModel(file, { threads: 2, memoryBudget: least });
      const run = model.logits(IDS, { all: true });
      run.catch(() => {});
      if (i % 2 === 0) await new Promise((resolve) => setTimeout(resolve, i * 3));
      await model.dispose();
    }
  }));
