// SPDX-License-Identifier: Apache-2.0
// serve.test.mjs: what `make serve` prints and serves: an index of all pages, and each model of models/ by
// one click.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MODEL, needs, openPage, root, screenshot, withBrowser, withServer } from './browser.mjs';

/** Runs `use(lines)` with the lines that `node tools/serve.mjs` prints. */
async function withPrinted(use) {
  const server = spawn(process.execPath, ['tools/serve.mjs'], {
    cwd: root,
    env: { ...process.env, PORT: '0' },
  });
  try {
    let printed = '';
    for await (const chunk of server.stdout) {
      printed += chunk;
      if (/bench\/\n/.test(printed)) break;
    }
    await use(printed.trimEnd().split('\n'));
  } finally {
    server.kill();
  }
}

test(
  'make serve prints addresses that exist, with the benchmark and each example page',
  { timeout: 30_000 },
  () =>
    withPrinted(async (lines) => {
      const addresses = lines.map((line) => /http:\S+/.exec(line)[0]);
      for (const page of ['/', '/examples/chat/', '/examples/test-async/', '/bench/'])
        assert.ok(
          addresses.some((address) => new URL(address).pathname === page),
          `${page} is missing in ${lines.join('\n')}`,
        );
      for (const address of addresses) {
        const response = await fetch(address);
        assert.equal(response.status, 200, address);
        assert.match(await response.text(), /<!doctype html>/i, address);
      }
    }),
);

test('the server lists the models of its folder, and an empty list where there is no folder', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'wasm-chord-serve-'));
  try {
    await withServer({ isolated: true, directory }, async (address) => {
      const listed = async () => (await fetch(`${address}/models/index.json`)).json();
      assert.deepEqual(await listed(), []);
      await mkdir(path.join(directory, 'models'));
      for (const name of ['b.gguf', 'a.gguf', 'a.gguf.half', 'notes.txt'])
        await writeFile(path.join(directory, 'models', name), 'GGUF');
      assert.deepEqual(await listed(), [
        { file: 'a.gguf', bytes: 4 },
        { file: 'b.gguf', bytes: 4 },
      ]);
      assert.equal((await fetch(`${address}/other/index.json`)).status, 404);
    });
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('the index page leads to every page, which loads the chosen model by that one click', needs(MODEL), () =>
  withServer({ isolated: true }, (address) =>
    withBrowser(async (browser) => {
      const page = await openPage(browser, `${address}/`);
      await page.waitForSelector('html[data-ready=true]');
      assert.equal(new URL(page.url()).pathname, '/examples/');
      await screenshot(page, 'index');
      for (const card of await page.locator('#pages a, #recipes a').all())
        assert.equal((await fetch(new URL(await card.getAttribute('href'), page.url()))).status, 200);
      const row = page.locator('#models > li', { hasText: 'SmolLM2 135M' });

      await row.getByRole('link', { name: 'Chat' }).click();
      await page.waitForFunction(() => window.chat?.state === 'ready', null, { timeout: 120_000 });
      await page.goBack();
      await row.getByRole('link', { name: 'Checks' }).click();
      await page.waitForFunction(() => window.results?.load.status === 'pass', null, { timeout: 120_000 });
      await page.goBack();
      await row.getByRole('link', { name: 'Benchmark' }).click();
      await page.waitForFunction(() => /98\.4 MB/.test(document.querySelector('#picked')?.textContent));
      await page.waitForFunction(() => /^Run 1 of 3/.test(document.querySelector('#said').textContent));
      assert.match(await page.textContent('#models [aria-current=true]'), /SmolLM2 135M/);
      assert.deepEqual(page.faults, []);
    }),
  ),
);

test('a model that is missing names the command that fetches it, and can not be clicked', needs(), () =>
  withServer({ isolated: true }, (address) =>
    withBrowser(async (browser) => {
      for (const [name, place, commands] of [
        ['/examples/', '#models', 4],
        ['/examples/chat/', '#models', 3], // a base model has no chat
        ['/examples/test-async/', '#models', 4],
        ['/bench/', '#models', 4],
      ]) {
        const context = await browser.newContext();
        await context.route('**/models/index.json', (route) => route.fulfill({ json: [] }));
        const page = await context.newPage();
        await page.goto(address + name);
        await page.waitForSelector(`${place} > li`);
        const texts = await page.locator(`${place} > li`).allTextContents();
        assert.equal(texts.length, commands, name);
        for (const text of texts) assert.match(text, /MB.*(Apache-2\.0|Gemma's terms).*make model/s, name);
        assert.equal(await page.locator(`${place} :is(a, button)`).count(), 0, name);
        await context.close();
      }
    }),
  ),
);
