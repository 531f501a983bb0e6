// SPDX-License-Identifier: Apache-2.0
// recipes.test.mjs: the examples that are copied into other projects: a worker, an extension, a server in
// Node. Each runs as its first comment says.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { chromiumPath } from '../../tools/browsers.mjs';
import { needs, openPage, root, screenshot, withBrowser, withServer } from '../e2e/browser.mjs';
import { CHATML, withTemplate } from '../ts/chat.mjs';
import { file, withExample, withFolder } from './example.mjs';

const FIXTURE = 'tests/golden/q4_1-smollm.gguf';

test('examples/worker: a worker of the page loads a model, streams an answer and stops', needs(), () =>
  withExample('worker', (directory) =>
    withServer({ isolated: true, directory }, (address) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, `${address}/examples/worker/?model=/model.gguf`);
        const next = (what) => page.waitForFunction((what) => window.last?.[what], what, { timeout: 60_000 });
        await next('ready');
        assert.ok((await page.evaluate(() => window.last.ready.threads)) > 1);
        await screenshot(page, 'recipe-worker');
        await page.fill('#question', 'one');
        await page.evaluate(() => {
          // The small model is too quick for a click from outside.
          const stop = () => document.querySelector('#stop').click();
          new MutationObserver(stop).observe(document.querySelector('#answer'), { childList: true });
          document.querySelector('#ask').click();
        });
        await page.waitForFunction(() => document.querySelector('#answer').textContent.length > 0);
        await next('done');
        assert.equal(await page.evaluate(() => window.last.done.finishReason), 'abort');
        assert.match(await page.textContent('#said'), /^\d+ tokens, [\d.]+ tokens\/s$/);

        await page.goto(`${address}/examples/worker/?model=/none.gguf`);
        await next('error');
        assert.match(await page.textContent('#said'), /^http: .*404/);
        assert.deepEqual(
          page.faults.filter((text) => !text.includes('404')),
          [],
        );
      }),
    ),
  ),
);

test('examples/extension: the popup gets a text from the model in the service worker', needs(), () =>
  withExample('extension', async (directory) => {
    const extension = path.join(directory, 'examples/extension');
    await cp(file('dist/inline.js'), path.join(extension, 'inline.js'));
    await cp(file(FIXTURE), path.join(extension, 'model.gguf'));
    const { chromium } = await import('playwright-core');
    const context = await chromium.launchPersistentContext(path.join(directory, 'profile'), {
      executablePath: chromiumPath,
      headless: false,
      args: [
        '--headless=new',
        '--no-sandbox',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        `--disable-extensions-except=${extension}`,
        `--load-extension=${extension}`,
      ],
      ignoreDefaultArgs: ['--disable-extensions'],
    });
    try {
      const worker =
        context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker', { timeout: 30_000 }));
      const page = await context.newPage();
      await page.goto(`chrome-extension://${new URL(worker.url()).host}/popup.html`);
      await page.fill('#prompt', 'The walk of');
      await page.getByRole('button').click();
      await page.waitForSelector('#text[data-state]', { timeout: 60_000 });
      assert.equal(await page.getAttribute('#text', 'data-state'), 'done', await page.textContent('#text'));
      assert.ok((await page.textContent('#text')).length > 0);
    } finally {
      await context.close();
    }
  }),
);

test(
  'examples/node/server.mjs answers as OpenAI does, whole and streamed, and names what is wrong',
  { timeout: 120_000 },
  () =>
    withFolder(async (folder) => {
      const model = path.join(folder, 'small.gguf');
      await writeFile(model, await withTemplate(CHATML));
      const server = spawn(process.execPath, ['examples/node/server.mjs', model, '0'], { cwd: root });
      try {
        let printed = '';
        for await (const chunk of server.stdout) {
          printed += chunk;
          if (printed.includes('\n')) break;
        }
        const address = /http:\S+/.exec(printed)[0];
        const post = (body) => fetch(address, { method: 'POST', body: JSON.stringify(body) });
        const messages = [{ role: 'user', content: 'one' }];
        const whole = await (await post({ messages, max_tokens: 4, temperature: 0 })).json();
        assert.equal(whole.object, 'chat.completion');
        const lines = (await (await post({ messages, max_tokens: 4, temperature: 0, stream: true })).text())
          .trim()
          .split('\n\n');
        assert.equal(lines.at(-1), 'data: [DONE]');
        const pieces = lines
          .slice(0, -1)
          .map((line) => JSON.parse(line.slice(6)).choices[0]?.delta.content ?? '');
        assert.equal(pieces.join(''), whole.choices[0].message.content);
        const two = await (await post({ messages, max_tokens: 2, n: 2 })).json();
        assert.equal(two.choices.length, 2);
        const wrong = await post({ messages, n: 0 });
        assert.equal(wrong.status, 400);
        assert.match((await wrong.json()).error.message, /\bn\b/);
        assert.equal((await fetch(new URL('/', address))).status, 404);
      } finally {
        server.kill();
      }
    }),
);
