// SPDX-License-Identifier: Apache-2.0
// paged-tabs.test.mjs: a paged model in Chromium, whose file in the origin's storage another tab has open,
// and whose tab is closed in the middle of a token. The texts are those of the model in memory.
import test from 'node:test';
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { MODEL, needs, openPage, root, withBrowser, withServer } from './browser.mjs';

/** In the page: loads the model, paged if `isPaged`, and starts to continue a text. */
async function begin({ url, isPaged, maxTokens }) {
  const { estimateModel, loadModel } = await import('/dist/index.js');
  const phases = new Set();
  const onProgress = ({ phase }) => phases.add(phase);
  const options = { backend: 'cpu', threads: 2, contextLength: 2048 };
  if (isPaged) {
    const least = await estimateModel(url, { ...options, memoryBudget: 1 });
    options.memoryBudget = Math.ceil(least.memory.total * 1.1);
  }
  globalThis.model = await loadModel(url, { ...options, onProgress });
  globalThis.tokens = [];
  globalThis.whole = (async () => {
    const run = globalThis.model.generate('The sea is', { temperature: 0, maxTokens, ignoreEos: true });
    for await (const { token } of run) globalThis.tokens.push(token);
    return globalThis.tokens;
  })();
  const { pagedLayers, pagingReason } = globalThis.model.info;
  return { pagedLayers, pagingReason, isDownload: phases.has('download') };
}

test(
  'tabs page one file, one is closed in the middle of a token, and the others and a new one go on with the same text',
  needs(MODEL),
  (t) =>
    withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const context = await browser.newContext();
        const open = async (given) => {
          const page = await openPage(context, `${address}/tests/e2e/blank.html`);
          return [page, await page.evaluate(begin, { url: `/${MODEL}`, maxTokens: 12, ...given })];
        };
        const end = (page) => page.evaluate(() => globalThis.whole);
        const [inMemory, { isDownload }] = await open({ isPaged: false });
        assert.ok(isDownload);
        const expected = await end(inMemory);
        assert.equal(expected.length, 12);
        await inMemory.close();

        const [first, found] = await open({ isPaged: true, maxTokens: 10_000 });
        const [second, also] = await open({ isPaged: true });
        for (const { pagedLayers, isDownload } of [found, also])
          assert.ok(pagedLayers > 10 && !isDownload, `${pagedLayers} layers`);
        await first.waitForFunction(() => globalThis.tokens.length >= 3, undefined, { timeout: 240_000 });
        assert.deepEqual(await first.evaluate(() => globalThis.tokens.slice(0, 3)), expected.slice(0, 3));
        await first.close(); // its I/O worker reads, and its engine computes
        assert.deepEqual(await end(second), expected);

        const [third, again] = await open({ isPaged: true });
        const inPlace = await openPage(context, `${address}/tests/e2e/blank.html`);
        const hint = 'dispose of the model, here or in another tab';
        assert.deepEqual(await end(third), expected);
        assert.deepEqual(again, also);
        const remove = (page) =>
          page.evaluate(async (url) => {
            const { deleteModel, listModels } = await import('/dist/index.js');
            const answer = await deleteModel(url).catch(({ code, hint }) => ({ code, hint }));
            return [answer, (await listModels()).map(({ bytes }) => bytes)];
          }, `/${MODEL}`);
        const bytes = statSync(`${root}${MODEL}`).size;
        for (const page of [second, third]) {
          assert.deepEqual(await remove(inPlace), [{ code: 'busy', hint }, [bytes]]);
          assert.deepEqual(page.faults, []);
          await page.evaluate(() => globalThis.model.dispose());
        }
        assert.deepEqual(await remove(inPlace), [true, []]);
        t.diagnostic(`${again.pagedLayers} layers: ${again.pagingReason}`);
      }),
    ),
);

test(
  'a model that must be paged, and whose copy has no room, is refused as soon as the storage is full',
  needs(MODEL),
  () =>
    withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
        const session = await page.context().newCDPSession(page);
        await session.send('Storage.overrideQuotaForOrigin', { origin: address, quotaSize: 30e6 });
        const [error, loaded] = await page.evaluate(async (url) => {
          const { loadModel } = await import('/dist/index.js');
          const options = { backend: 'cpu', threads: 2, contextLength: 256, memoryBudget: 70e6 };
          let loaded = 0;
          const onProgress = (progress) => (loaded = Math.max(loaded, progress.loaded));
          const error = await loadModel(url, { ...options, onProgress }).then(
            () => ({ code: 'loaded' }),
            ({ code, message, hint }) => ({ code, message, hint }),
          );
          return [error, loaded];
        }, `/${MODEL}`);
        assert.equal(error.code, 'quota', JSON.stringify(error));
        assert.match(error.hint, /deleteModel/);
        assert.ok(loaded < statSync(`${root}${MODEL}`).size / 2, `${loaded} bytes`);
      }),
    ),
);
