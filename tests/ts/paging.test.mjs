// SPDX-License-Identifier: Apache-2.0
// paging.test.mjs: a model that needs more than its budget is paged from every source that can be read at
// random, with the logits of the resident model to the last bit, and within the budget; the others are
// refused with the reason. An estimate says both before.
import assert from 'node:assert/strict';
import { openAsBlob } from 'node:fs';
import test from 'node:test';
import { estimateModel, loadModel } from '../../dist/index.js';
import { withCache } from './cached.mjs';
import { GREEDY, SMOLLM2, needsModel, refused, withModel } from './level2.mjs';
import { IDS, budgetFor, withPagedModel } from './paged-model.mjs';

const WASM_PAGE = 65536;
const bytesOf = (values) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/** The logits of a model, and how it is loaded. */
const logits = (source, options, ids = IDS) =>
  withModel(source, options, async (model) => ({
    info: model.info,
    rows: bytesOf(await model.logits(ids, { all: true })),
    text: await model.generate(ids.slice(0, 9), { ...GREEDY, maxTokens: 6 }).text(),
    counters: await model.counters(),
  }));

test('a model larger than its budget is paged from every source, and equals the resident one to the last bit', () =>
  withPagedModel(async (file, bytes) => {
    const resident = await logits(file, { threads: 1 });
    assert.deepEqual([resident.info.pagedLayers, resident.info.pagedBytes], [0, 0]);
    assert.equal(resident.counters.bytesPaged, 0);
    await withCache(bytes, {}, async (server, cache) => {
      const sources = { path: file, bytes, blob: await openAsBlob(file), url: server.url, again: server.url };
      for (const [kind, source] of Object.entries(sources))
        for (const options of [{ threads: 2 }, { worker: false }]) {
          const { budget } = await budgetFor(source, 0.4, { ...options, cache });
          const found = await logits(source, { ...options, cache, memoryBudget: budget });
          const { info, counters } = found;
          const what = `${kind} with ${JSON.stringify(options)}`;
          assert.ok(info.pagedLayers > 0 && info.pagedLayers <= 6, `${what}: ${info.pagedLayers} layers`);
          assert.ok(found.rows.equals(resident.rows), what);
          assert.equal(found.text, resident.text, what);
          assert.ok(counters.wasmBytes <= budget + WASM_PAGE, `${what}: ${counters.wasmBytes} of ${budget}`);
          assert.ok(counters.bytesPaged >= 6 * info.pagedBytes, `${what}: ${counters.bytesPaged}`);
          assert.ok(counters.pagingWaits > 0, what);
          const isPushed = kind === 'bytes' || kind === 'blob';
          const why = isPushed
            ? /the caller has the bytes/
            : 'worker' in options
              ? /only a worker/
              : /allows \d+$/;
          assert.match(info.pagingReason, why, what);
        }
    });
  }));

test('an estimate says before a load whether a model is resident, paged or impossible, with the bytes, and is right', () =>
  withPagedModel(async (file) => {
    const options = { threads: 2 };
    const { least, all } = await budgetFor(file, 0, options);
    for (const [memoryBudget, placement] of [
      [all, 'resident'],
      [all - 1, 'paged'],
      [Math.floor((least + all) / 2), 'paged'],
      [least, 'paged'],
      [least - 1, 'impossible'],
    ]) {
      const estimate = await estimateModel(file, { ...options, memoryBudget });
      assert.equal(estimate.placement, placement, estimate.why);
      assert.equal(estimate.residentBytes, all);
      assert.ok(estimate.why.includes(`${estimate.memory.total} bytes`), estimate.why);
      assert.equal(estimate.fits, placement !== 'impossible');
      if (placement === 'impossible') {
        await refused(
          loadModel(file, { ...options, memoryBudget }),
          'out-of-memory',
          `${least} bytes`,
          'paged',
        );
        continue;
      }
      assert.equal(estimate.pagedLayers > 0, placement === 'paged');
      await withModel(file, { ...options, memoryBudget }, async (model) => {
        for (const [name, value] of Object.entries(model.info)) assert.deepEqual(estimate[name], value, name);
        // The whole context: 256 tokens.
        await model.logits(Array.from({ length: 256 }, (_, i) => 3 + (i % 290)));
        const { wasmBytes } = await model.counters();
        assert.ok(wasmBytes <= model.info.memory.total + WASM_PAGE, `${wasmBytes}`);
        assert.ok(wasmBytes >= model.info.memory.total - (300 << 10), `${wasmBytes}`);
      });
    }
  }));

test('a source that can be read only once, a cache that is off and paging: never are refused with the reason', () =>
  withPagedModel(async (file, bytes) => {
    const { budget } = await budgetFor(file, 0.4, { threads: 1 });
    const options = { threads: 1, memoryBudget: budget };
    const stream = () => new Response(bytes).body;
    const once = await refused(loadModel(stream(), options), 'out-of-memory', `${budget}`);
    assert.match(once.hint, /can be read only once/);
    const never = await refused(loadModel(file, { ...options, paging: 'never' }), 'out-of-memory');
    assert.match(never.hint, /paging: 'never'/);
    const estimate = await estimateModel(file, { ...options, paging: 'never' });
    assert.deepEqual([estimate.placement, estimate.fits, estimate.pagedLayers], ['impossible', false, 0]);
    await withCache(bytes, { bytesPerSecond: 1e6 }, async ({ url, state }) => {
      const off = await refused(loadModel(url, { ...options, cache: 'none' }), 'out-of-memory');
      assert.match(off.hint, /cache: 'none'.*turn the cache on/);
      assert.ok(state.sent < bytes.length, 'it was refused before its download');
    });
    await refused(loadModel(file, { paging: 'always' }), 'invalid-argument', 'paging');
  }));

test(
  'SmolLM2 with all layers paged, and with half of them, equals the resident one to the last bit',
  needsModel,
  async (t) => {
    const ids = Array.from({ length: 48 }, (_, i) => 100 + ((i * 379) % 40_000));
    const options = { contextLength: 128 };
    const resident = await logits(SMOLLM2, options, ids);
    for (const share of [0, 0.5]) {
      const { budget } = await budgetFor(SMOLLM2, share, options);
      const { info, rows, text, counters } = await logits(SMOLLM2, { ...options, memoryBudget: budget }, ids);
      t.diagnostic(
        `${info.pagedLayers} layers of ${info.blockCount} paged, ${counters.bytesPaged} bytes read`,
      );
      assert.ok(share > 0 ? info.pagedLayers < 20 : info.pagedLayers === info.blockCount);
      assert.ok(rows.equals(resident.rows));
      assert.equal(text, resident.text);
      assert.ok(counters.wasmBytes <= budget + WASM_PAGE);
    }
  },
);

test('a save of a resident model continues in a paged one and back, and one of other weights is refused', () =>
  withPagedModel(async (file, bytes) => {
    const { budget } = await budgetFor(file, 0, { threads: 2 });
    const paged = { threads: 2, memoryBudget: budget };
    const asked = 'the river and the mill';
    const continued = (source, options, saved) =>
      withModel(source, options, async (model) => {
        const session = await model.createSession();
        if (saved !== undefined) await session.restore(saved);
        else await session.generate(asked, { ...GREEDY, seed: 1, maxTokens: 4 }).text();
        const kept = await session.save();
        return { kept, text: await session.generate('.', { ...GREEDY, maxTokens: 6 }).text() };
      });
    const resident = await continued(file, { threads: 1 });
    const first = await continued(file, paged);
    assert.ok(Buffer.from(first.kept).equals(Buffer.from(resident.kept)));
    assert.equal((await continued(file, paged, resident.kept)).text, resident.text);
    assert.equal((await continued(file, { threads: 1 }, first.kept)).text, resident.text);
    // Another first weight in a layer, as after a fine-tuning that left the norms alone.
    const layer = bytes.length - 2 * 4 * 128 - 2 * (4 * 128 * 128 + 3 * 128 * 512); // the last one's
    const other = bytes.slice();
    other[layer] ^= 1;
    for (const options of [{ threads: 1 }, paged])
      await refused(continued(other, options, first.kept), 'invalid-argument', 'another model of this shape');
  }));
