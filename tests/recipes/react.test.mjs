// SPDX-License-Identifier: Apache-2.0
// react.test.mjs: the hooks of examples/react in React, in Chromium.
import test from 'node:test';
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { needs, openPage, withBrowser, withServer } from '../e2e/browser.mjs';
import { tools } from '../stacks/stacks.mjs';
import { withExample } from './example.mjs';

test(
  'examples/react: the hooks load, stream, stop, and dispose with their component, in StrictMode too',
  needs(),
  () =>
    withExample('react', async (directory) => {
      const { build } = await import('esbuild');
      const app = `
      import { createElement, StrictMode, useState } from 'react';
      import { createRoot } from 'react-dom/client';
      import { useAnswer, useModel } from './use-model.mjs';
      function Chat({ source }) {
        const { model, progress, error } = useModel(source, { contextLength: 256 });
        const answer = useAnswer(model);
        Object.assign(window, { model, answer });
        if (error) return createElement('p', { id: 'error' }, error.code);
        if (!model) return createElement('p', null, progress?.phase ?? 'waiting');
        const messages = [{ role: 'user', content: 'one' }];
        return createElement('div', null,
          createElement('button', { id: 'ask', onClick: () => answer.ask(messages, { temperature: 0 }) }, 'Ask'),
          createElement('button', { id: 'stop', onClick: answer.stop }, 'Stop'),
          createElement('p', { id: 'text' }, answer.text),
          createElement('p', { id: 'state' }, answer.error?.message ?? (answer.isWriting ? 'writing' : 'done')));
      }
      function App() {
        const [source, setSource] = useState('/model.gguf');
        window.setSource = setSource;
        return source && createElement(Chat, { source });
      }
      createRoot(document.body).render(createElement(StrictMode, null, createElement(App)));
    `;
      await writeFile(path.join(directory, 'examples/react/app.mjs'), app);
      await build({
        entryPoints: [path.join(directory, 'examples/react/app.mjs')],
        bundle: true,
        format: 'esm',
        outfile: path.join(directory, 'bundle.js'),
        alias: { 'wasm-chord': path.join(directory, 'dist/inline.js') },
        nodePaths: [tools],
        define: { 'process.env.NODE_ENV': '"development"' },
        logLevel: 'silent',
      });
      await writeFile(
        path.join(directory, 'index.html'),
        '<!doctype html><link rel="icon" href="data:,"><body><script type="module" src="bundle.js"></script>',
      );
      await withServer({ isolated: true, directory }, (address) =>
        withBrowser(async (browser) => {
          const page = await openPage(browser, `${address}/`);
          await page.click('#ask', { timeout: 60_000 });
          await page.waitForFunction(() => document.querySelector('#text').textContent.length > 0);
          await page.click('#stop');
          await page.waitForFunction(() => document.querySelector('#state').textContent === 'done');
          assert.ok((await page.textContent('#text')).length > 0, 'what was written stays');

          await page.evaluate(() => {
            window.old = window.model;
            window.setSource('/none.gguf');
          });
          await page.waitForSelector('#error');
          assert.equal(await page.textContent('#error'), 'http');
          const code = await page.evaluate(() => window.old.tokenize('x').catch((error) => error.code));
          assert.equal(code, 'disposed', 'the first model went with its source');
          await page.evaluate(() => window.setSource(null));
          assert.deepEqual(
            page.faults.filter((text) => !text.includes('404')),
            [],
          );
        }),
      );
    }),
);
