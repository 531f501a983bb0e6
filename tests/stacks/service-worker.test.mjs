// SPDX-License-Identifier: Apache-2.0
// service-worker.test.mjs: a service worker, as an extension has one, runs a model by wasm-chord/inline. A
// service worker can start no workers and may not import() anything, so the engine runs in its own thread.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { needs } from '../e2e/browser.mjs';
import { chats, answers, fixture, withPage, withServer } from './stacks.mjs';

const page = `
  const registration = await navigator.serviceWorker.register('./service-worker.js', { type: 'module' });
  await navigator.serviceWorker.ready;
  navigator.serviceWorker.onmessage = ({ data }) => { window.result = data; };
  registration.active.postMessage('run');
`;
const serviceWorker = `
  import { loadModel } from './node_modules/wasm-chord/dist/inline.js';
  async function run() {
    const model = await loadModel(new URL('model.gguf', location.href).href);
    const text = await model.generate('The walk of', { temperature: 0, maxTokens: 8, ignoreEos: true }).text();
    ${chats}
    const { threads, backendReason } = model.info;
    await model.dispose();
    return { text, threads, backendReason };
  }
  onmessage = ({ source }) => {
    run().then(
      (result) => source.postMessage(result),
      (error) => source.postMessage({ error: String(error.stack ?? error) }),
    );
  };
`;

test('a service worker runs a model in its own thread', needs(), () =>
  withPage({}, async (folder) => {
    await writeFile(path.join(folder, 'main.js'), page);
    await writeFile(path.join(folder, 'service-worker.js'), serviceWorker);
    await cp(fixture, path.join(folder, 'model.gguf'));
    await withServer({ isolated: false, directory: folder }, async (address) => {
      const { threads } = await answers(`${address}/`);
      assert.equal(threads, 1);
    });
  }),
);
