// SPDX-License-Identifier: Apache-2.0
// capped-memory.test.mjs: engines that grant 1 GiB, 512 MiB, 256 MiB or less, as telephones do. The maximum
// comes down the ladder; a model is in memory, paged or refused with the bytes and the reason; growth that is
// refused pages it, or is a typed error. After each refusal the caller goes on, and the next smaller model
// loads.
import assert from 'node:assert/strict';
import { mkdtemp, open, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { estimateModel, loadModel } from '../../dist/index.js';
import { llamaHeader } from './header.mjs';
import { FIXTURE, GREEDY, refused, withModel } from './level2.mjs';

const MiB = 2 ** 20;
const WORKER = new URL('./capped-worker.mjs', import.meta.url).href;
const SIZES = { layers: 24, width: 1024, ff: 2816, heads: 16, vocabulary: 24000, context: 64 };
const LAYER_BYTES = 2 * (4 * 1024 * 1024 + 3 * 1024 * 2816);

/** Runs `use` with a file of 715 MB of zeros, of which the disk holds the header alone. */
async function withLarge(use) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'chord-capped-'));
  const file = path.join(folder, 'large.gguf');
  try {
    const handle = await open(file, 'w');
    const header = llamaHeader(SIZES);
    await handle.write(header);
    await handle.truncate(header.length + 24 * (LAYER_BYTES + 8192) + 4 * 1024 * 24000 + 4096);
    await handle.close();
    return await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const capped = (limits) => ({
  threads: 1,
  // Node drops the query of a worker's address.
  workerUrl: `data:text/javascript,globalThis.limits=${JSON.stringify(limits)};import("${WORKER}")`,
});

/** The caller goes on: a small model loads and answers in the same engine. */
const nextLoads = (options) =>
  withModel(FIXTURE, options, async (model) =>
    assert.equal(typeof (await model.generate([1], { ...GREEDY, maxTokens: 2 }).text()), 'string'),
  );

test('with a maximum of 1 GiB the model is in memory, with 512 and 256 MiB it is paged, with less it is impossible', (t) =>
  withLarge(async (file) => {
    let before = 0;
    for (const maximum of [1024 * MiB, 512 * MiB, 256 * MiB, 64 * MiB]) {
      const options = capped({ maximum });
      const estimate = await estimateModel(file, options);
      assert.equal(estimate.availableBytes, maximum, 'the ladder has a step of this size');
      assert.ok(estimate.why.includes(`a WebAssembly memory can have ${maximum}`), estimate.why);
      const expected = maximum > 768 * MiB ? 'resident' : maximum > 128 * MiB ? 'paged' : 'impossible';
      assert.equal(estimate.placement, expected, estimate.why);
      t.diagnostic(`${maximum / MiB} MiB: ${estimate.placement}, ${estimate.pagedLayers} layers paged`);
      if (expected === 'impossible') {
        const error = await refused(
          loadModel(file, options),
          'out-of-memory',
          `${estimate.memory.total} bytes`,
        );
        assert.match(error.hint, /smaller model/);
      } else if (expected === 'paged') {
        assert.ok(estimate.pagedLayers > before && estimate.pagedLayers <= 24);
        assert.ok(estimate.residentBytes > 24 * LAYER_BYTES);
        assert.match(
          estimate.pagingReason,
          new RegExp(`${estimate.residentBytes} bytes, a WebAssembly memory`),
        );
        before = estimate.pagedLayers;
        await withModel(file, options, async (model) => {
          assert.equal(model.info.pagedLayers, estimate.pagedLayers);
          assert.equal((await model.logits([1, 2, 3])).length, 24000);
          assert.ok((await model.counters()).wasmBytes <= maximum);
        });
      }
      await nextLoads(options);
    }
  }));

test('growth that the engine refuses pages the model, or is out-of-memory where it may not, and the next model loads', () =>
  withLarge(async (file) => {
    const granted = 300 * MiB;
    const options = capped({ granted });
    await withModel(file, options, async (model) => {
      assert.ok(model.info.pagedLayers > 10, model.info.pagingReason);
      assert.match(model.info.pagingReason, /the system grants \d+/);
      assert.equal((await model.logits([1, 2, 3])).length, 24000);
      assert.ok((await model.counters()).wasmBytes <= granted);
    });
    const error = await refused(
      loadModel(file, { ...options, paging: 'never' }),
      'out-of-memory',
      'were refused',
    );
    assert.match(error.hint, /smaller model/);
    await nextLoads(options);
    const none = capped({ granted: 40 * MiB });
    await refused(loadModel(file, none), 'out-of-memory', 'were refused');
    await nextLoads(none);
  }));

test('an engine that makes no memory at all is out-of-memory with a hint', async () => {
  const error = await refused(
    loadModel(FIXTURE, capped({ maximum: MiB })),
    'out-of-memory',
    'no WebAssembly memory',
  );
  assert.match(error.hint, /dispose of models|close other tabs/);
  await nextLoads({ threads: 1 });
});
