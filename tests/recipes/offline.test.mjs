// SPDX-License-Identifier: Apache-2.0
// offline.test.mjs: examples/offline with its server stopped.
import test from 'node:test';
import assert from 'node:assert/strict';
import { needs, screenshot, withBrowser, withServer } from '../e2e/browser.mjs';
import { withExample } from './example.mjs';

test('examples/offline: after one visit the page works with its server stopped', needs(), () =>
  withExample('offline', (directory) =>
    withBrowser(async (browser) => {
      const page = await browser.newPage();
      let address;
      const visit = async () => {
        await page.goto(`${address}/examples/offline/?model=/model.gguf`);
        await page.waitForSelector('html[data-state]', { timeout: 60_000 });
        assert.match(await page.textContent('#said'), /is ready/);
        await page.fill('#prompt', 'The walk of');
        await page.click('#go');
        await page.waitForSelector('#go:not([disabled])');
        return page.textContent('#text');
      };
      const first = await withServer({ isolated: true, directory }, async (running) => {
        address = running;
        return visit();
      });
      await assert.rejects(fetch(address), 'the server is stopped');
      assert.equal(await visit(), first);
      assert.equal(await page.evaluate(() => crossOriginIsolated), true);
      assert.match(await page.textContent('#said'), /threads/);
      await screenshot(page, 'recipe-offline');
    }),
  ),
);
