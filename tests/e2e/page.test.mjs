// SPDX-License-Identifier: Apache-2.0
// page.test.mjs: drives examples/test-async in Chromium with the default model, isolated and not, through
// level 1 and level 2. Every button's check passes, and the model's info states threads and reason.
import test from 'node:test';
import assert from 'node:assert/strict';
import { MODEL, needs, openPage, root, screenshot, withBrowser, withServer } from './browser.mjs';
import path from 'node:path';
import { webgpuArguments } from '../../tools/browsers.mjs';

const CHECKS = ['init_gpu_async', 'generate_async', 'iterator', 'for-await', 'abort', 'timers'];

async function load(page, fill) {
  await page.waitForSelector('html[data-ready=true]');
  if (fill) await fill();
  await page.click('#load');
  await page.waitForFunction(() => ['pass', 'fail'].includes(window.results.load.status), null, {
    timeout: 120_000,
  });
  return page.evaluate(() => window.results);
}

for (const isolated of [true, false]) {
  for (const level of [1, 2]) {
    const how = `${isolated ? 'isolated' : 'not isolated'}, level ${level}`;
    test(`the test page passes its six checks: ${how}`, needs(MODEL), (t) =>
      withServer({ isolated }, (address) =>
        withBrowser(async (browser) => {
          const page = await openPage(browser, `${address}/examples/test-async/?level=${level}`);
          const loaded = await load(page);
          assert.equal(loaded.load.status, 'pass', loaded.load.text);
          assert.equal(loaded.environment.crossOriginIsolated, isolated);
          assert.equal(loaded.level, level);

          // One check runs by its own button first, then all six by 'Run all'.
          await page.click('#check-generate_async button');
          await page.waitForFunction(
            () => window.results.checks.generate_async && document.documentElement.dataset.busy === 'false',
            null,
            { timeout: 120_000 },
          );
          await page.click('#run-all');
          await page.waitForFunction(
            (count) =>
              Object.keys(window.results.checks).length === count &&
              document.documentElement.dataset.busy === 'false',
            CHECKS.length,
            { timeout: 240_000 },
          );
          const { checks, info } = await page.evaluate(() => window.results);
          await screenshot(page, `page-${isolated ? 'isolated' : 'plain'}-level${level}`);

          t.diagnostic(`${how}: ${info.variant}, ${info.threads} thread(s): ${info.backendReason}`);
          for (const id of CHECKS) t.diagnostic(`${id}: ${checks[id].text}`);
          for (const id of CHECKS) assert.equal(checks[id].status, 'pass', `${id}: ${checks[id].text}`);
          assert.equal(await page.textContent('#summary'), '6 of 6 passed');
          assert.equal(await page.locator('.check[data-status=pass]').count(), 6);
          if (level === 1 || !isolated) assert.equal(info.threads, 1);
          if (!isolated && level === 2) assert.match(info.backendReason, /isolated|shared|post/i);
          assert.deepEqual(page.faults, []);
        }),
      ),
    );
  }
}

test(
  'init_gpu_async passes on the test page with real work, and the other checks then run on the GPU',
  needs(),
  (t) =>
    withServer({ isolated: false }, (address) =>
      withBrowser(async (browser) => {
        const model = '../../tests/golden/q4_1-smollm.gguf';
        const page = await openPage(browser, `${address}/examples/test-async/?level=1&model=${model}`);
        await load(page);
        for (const id of CHECKS) {
          await page.click(`#check-${id} button`);
          const isDone = (id) =>
            window.results.checks[id] && document.documentElement.dataset.busy === 'false';
          await page.waitForFunction(isDone, id, { timeout: 240_000 });
          const { status, text } = await page.evaluate((id) => window.results.checks[id], id);
          t.diagnostic(`${id}: ${text}`);
          assert.equal(status, 'pass', `${id}: ${text}`);
          if (id === 'init_gpu_async') assert.match(text, /went onto the GPU.*[1-9]\d* dispatches/);
        }
        assert.deepEqual(page.faults, []);
      }, webgpuArguments),
    ),
);

test('the test page loads a file that the user picks, at both levels', needs(), () =>
  withServer({ isolated: true }, (address) =>
    withBrowser(async (browser) => {
      for (const level of [1, 2]) {
        const page = await openPage(
          browser,
          `${address}/examples/test-async/?level=${level}&model=nothing.gguf`,
        );
        const file = path.join(root, 'tests/golden/q4_1-smollm.gguf');
        const { load: state, info } = await load(page, () => page.setInputFiles('#file', file));
        assert.equal(state.status, 'pass', state.text);
        assert.equal(info.architecture, 'llama');
      }
    }),
  ),
);

test('the test page says what is wrong with an address, and the next load works', needs(), () =>
  withServer({ isolated: true }, (address) =>
    withBrowser(async (browser) => {
      for (const level of [1, 2]) {
        const page = await openPage(
          browser,
          `${address}/examples/test-async/?level=${level}&model=nothing.gguf`,
        );
        const missing = await load(page);
        assert.equal(missing.load.status, 'fail');
        assert.match(missing.load.text, /nothing\.gguf.*404|404.*nothing\.gguf/);
        const html = await load(page, () => page.fill('#url', 'index.html'));
        assert.match(html.load.text, /invalid-gguf/);
        assert.ok(await page.isDisabled('#run-all'));
        await page.fill('#url', '../../tests/golden/q4_1-smollm.gguf');
        assert.equal((await load(page)).load.status, 'pass');
      }
    }),
  ),
);
