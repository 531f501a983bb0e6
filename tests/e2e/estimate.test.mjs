// SPDX-License-Identifier: Apache-2.0
// estimate.test.mjs: an estimate in Chromium says what the loaded model reports, isolated and not, and a page
// on a device with little memory is told so by the device's own number.
import test from 'node:test';
import assert from 'node:assert/strict';
import { MODEL, needs, openPage, withBrowser, withServer } from './browser.mjs';

/** Runs in the page. */
async function compare({ url }) {
  const { estimateModel, loadModel } = await import('/dist/index.js');
  const options = { cache: 'none' };
  const estimate = await estimateModel(url, options);
  const {
    fileBytes,
    kvType,
    fits,
    why,
    availableBytes,
    largestContextLength,
    placement,
    residentBytes,
    ...info
  } = estimate;
  const model = await loadModel(url, options);
  const loaded = structuredClone(model.info);
  await model.dispose();
  // Chromium rounds the device's memory to a power of two, so 1.5 times as much is possible.
  Object.defineProperty(navigator, 'deviceMemory', { value: 0.0625 });
  const small = await estimateModel(url, { ...options, worker: false });
  const error = await loadModel(url, { ...options, worker: false }).catch(({ code, message }) => [
    code,
    message,
  ]);
  return { info, loaded, fileBytes, fits, why, availableBytes, small, error };
}

for (const isolated of [true, false])
  test(
    `an estimate in Chromium is what the load reports, ${isolated ? 'isolated' : 'not isolated'}`,
    needs(MODEL),
    (t) =>
      withServer({ isolated }, (address) =>
        withBrowser(async (browser) => {
          const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
          const found = await page.evaluate(compare, { url: `/${MODEL}` });
          t.diagnostic(`${found.info.threads} thread(s): ${found.why}`);
          assert.deepEqual(found.info, found.loaded);
          assert.ok(found.fits && found.availableBytes <= 2 ** 32);
          assert.equal(found.small.fits, false);
          assert.equal(found.small.availableBytes, 0.0625 * 1.5 * 2 ** 30);
          assert.match(found.small.why, /this machine has 100663296/);
          assert.equal(found.error[0], 'out-of-memory');
          await page.close();
        }),
      ),
  );
