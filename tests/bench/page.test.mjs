// SPDX-License-Identifier: Apache-2.0
// page.test.mjs: the benchmark's page in Chromium, without a model.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { prepareSimd } from '../../bench/peers.mjs';
import { needs, openPage, root, withBrowser, withServer } from '../e2e/browser.mjs';

test(
  "the benchmark page measures the machine's ceilings with two threads, and asks for a file before it runs",
  needs(),
  () =>
    withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, `${address}/bench/index.html`);
        await page.waitForSelector('html[data-ready=true]');
        const found = await page.evaluate(() => globalThis.ceilings(2));
        assert.equal(found.threads, 2);
        assert.deepEqual(Object.keys(found.dot), ['relaxed32', 'relaxed16', 'i16', 'relaxed']);
        for (const value of [found.readGBs, ...Object.values(found.dot)])
          assert.ok(value > 0.1 && value < 1e5, `${value}`);
        await page.getByRole('button', { name: 'Run' }).click();
        assert.equal(await page.textContent('output'), 'Pick a file first.');
        assert.deepEqual(page.faults, []);
      }),
    ),
);

test("the benchmark's simd variant is the package with the wasm32-simd module under both names", async () => {
  await prepareSimd();
  const bytes = (file) => readFile(path.join(root, file));
  const simd = await bytes('dist/wasm32-simd.wasm');
  assert.ok(simd.equals(await bytes('build/bench/dist-simd/wasm32-relaxed.wasm')));
  assert.ok((await bytes('dist/index.js')).equals(await bytes('build/bench/dist-simd/index.js')));
  assert.ok(!simd.equals(await bytes('dist/wasm32-relaxed.wasm')));
});
