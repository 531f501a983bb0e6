// SPDX-License-Identifier: Apache-2.0
// service-worker.mjs: an extension's service worker that runs a model. Beside it lie inline.js (copied from
// node_modules/wasm-chord/dist) and model.gguf. A model on a server needs its site in "host_permissions".
//
// A service worker can start no workers, so the engine runs in the service worker's own thread, with one
// thread. The browser stops an idle service worker after 30 s; while a port is open and messages go through
// it, the service worker lives. The next question loads the model again.
import { loadModel } from './inline.js';

let loading;
const model = () => (loading ??= loadModel(chrome.runtime.getURL('model.gguf')));

async function answer(port, prompt) {
  const controller = new AbortController();
  port.onDisconnect.addListener(() => controller.abort());
  const { signal } = controller;
  const run = (await model()).generate(prompt, { maxTokens: 100, temperature: 0, signal });
  for await (const { text } of run) port.postMessage({ text });
  port.postMessage({ done: true });
}

chrome.runtime.onConnect.addListener((port) => {
  port.onMessage.addListener(({ prompt }) => {
    answer(port, prompt).catch(({ name, message, hint }) => {
      if (name === 'AbortError') return; // the popup was closed
      loading = undefined; // the next question tries again
      port.postMessage({ error: [message, hint].filter(Boolean).join(' ') });
    });
  });
});
