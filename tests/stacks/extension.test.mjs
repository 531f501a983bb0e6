// SPDX-License-Identifier: Apache-2.0
// extension.test.mjs: an unpacked extension (manifest version 3) whose page and service worker each run a
// model, under the strictest policy that lets WebAssembly run.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cp, mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { chromiumArguments, chromiumPath } from '../../tools/browsers.mjs';
import { needs } from '../e2e/browser.mjs';
import { chats, assertAnswer, fixture, prompt, resultOf, withPage } from './stacks.mjs';

const manifest = {
  manifest_version: 3,
  name: 'wasm-chord in an extension',
  version: '1.0',
  background: { service_worker: 'background.js', type: 'module' },
  content_security_policy: { extension_pages: "script-src 'self' 'wasm-unsafe-eval'; object-src 'self'" },
};
// A service worker may not start workers and may not import(): wasm-chord/inline needs neither.
const background = `
  import { loadModel } from './chord/inline.js';
  async function run() {
    const model = await loadModel(new URL('model.gguf', location.href).href);
    const text = await model.generate(${prompt}).text();
    ${chats}
    const { threads } = model.info;
    await model.dispose();
    return { text, threads };
  }
  globalThis.answer = () => run().catch((error) => ({ error: String(error.stack), hint: error.hint }));
`;

/** Runs `use(context)` with a browser that has the extension of `folder`. */
async function withExtension(folder, use) {
  const { chromium } = await import('playwright-core');
  const extension = path.join(folder, 'extension');
  const context = await chromium.launchPersistentContext(path.join(folder, 'profile'), {
    executablePath: chromiumPath,
    headless: false, // the old headless mode has no extensions
    args: [
      ...chromiumArguments,
      '--headless=new',
      `--disable-extensions-except=${extension}`, // playwright disables all others
      `--load-extension=${extension}`,
    ],
  });
  try {
    return await use(context);
  } finally {
    await context.close();
  }
}

test("an extension's page, with workers, and its service worker each run a model", needs(), () =>
  withPage({ from: './chord/index.js' }, async (folder) => {
    const extension = path.join(folder, 'extension');
    await mkdir(extension);
    await rename(path.join(folder, 'node_modules/wasm-chord/dist'), path.join(extension, 'chord'));
    for (const name of ['index.html', 'main.js'])
      await cp(path.join(folder, name), path.join(extension, name));
    await cp(fixture, path.join(extension, 'model.gguf'));
    await writeFile(path.join(extension, 'manifest.json'), JSON.stringify(manifest));
    await writeFile(path.join(extension, 'background.js'), background);
    await withExtension(folder, async (context) => {
      const [worker = await context.waitForEvent('serviceworker')] = context.serviceWorkers();
      const inWorker = await worker.evaluate(() => globalThis.answer());
      assertAnswer({ ...inWorker, faults: [] });
      assert.equal(inWorker.threads, 1);
      const page = await resultOf(context, new URL('index.html', worker.url()).href);
      assertAnswer(page);
      assert.ok(page.threads > 1, page.backendReason);
      assert.equal(page.text, inWorker.text);
    });
  }),
);
