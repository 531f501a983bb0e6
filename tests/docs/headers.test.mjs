// SPDX-License-Identifier: Apache-2.0
// headers.test.mjs: what docs/HEADERS.md says of each set of headers, in Chromium.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { needs, openPage, root, withBrowser, withServer } from '../e2e/browser.mjs';

const page = await readFile(path.join(root, 'docs/HEADERS.md'), 'utf8');
/** The headers of each block of the page. */
const blocks = [...page.matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, lines]) =>
  Object.fromEntries(
    lines
      .trim()
      .split('\n')
      .map((line) => line.split(': ')),
  ),
);

async function load(extra) {
  return withServer({ isolated: false, extra }, (address) =>
    withBrowser(async (browser) => {
      const opened = await openPage(browser, `${address}/tests/e2e/blank.html`);
      const result = await opened.evaluate(async () => {
        const { loadModel } = await import('/dist/index.js');
        const model = await loadModel('/tests/golden/q4_1-smollm.gguf', { threads: 2 });
        const text = await model.generate('Once', { maxTokens: 8, temperature: 0 }).text();
        const { threads, backendReason } = model.info;
        await model.dispose();
        return { threads, backendReason, text, isolated: crossOriginIsolated };
      });
      assert.deepEqual(opened.faults, []);
      return result;
    }),
  );
}

test('the page names three sets of headers', () => assert.equal(blocks.length, 3));

for (const headers of blocks) {
  const name = Object.entries(headers)
    .map((pair) => pair.join(': '))
    .join(', ');
  test(`${name}: the page is isolated and the model gets two threads`, needs(), async () => {
    const { threads, isolated, backendReason, text } = await load(headers);
    assert.ok(isolated);
    assert.equal(threads, 2, backendReason);
    assert.equal(text, (await load({})).text);
  });
}

test('without headers the model gets one thread, and the reason says so', needs(), async () => {
  const { threads, isolated, backendReason } = await load({});
  assert.equal(isolated, false);
  assert.equal(threads, 1);
  assert.match(backendReason, /1 thread: .*isolated/);
});

test(
  'examples/isolated: a service worker isolates a page whose server sends no headers',
  needs(),
  async () => {
    await withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, `${address}/examples/isolated/`);
        await page.waitForFunction(() => /thread/.test(document.querySelector('#status')?.textContent));
        assert.match(await page.textContent('#who'), /server sends the headers itself/);
      }),
    );
    await withServer({ isolated: false }, (address) =>
      withBrowser(async (browser) => {
        const context = await browser.newContext();
        const page = await openPage(context, `${address}/examples/isolated/`);
        await page.waitForFunction(() => /thread/.test(document.querySelector('#status')?.textContent));
        assert.match(await page.textContent('#status'), /^Isolated: a model can have \d+ threads here/);
        assert.match(await page.textContent('#who'), /service worker .* adds the headers/);
        await page.getByRole('link', { name: 'wasm-chord' }).click();
        await page.waitForURL(`${address}/examples/`);
        assert.deepEqual(page.faults, []);
      }),
    );
  },
);
