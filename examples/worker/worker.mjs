// SPDX-License-Identifier: Apache-2.0
// worker.mjs: a worker of your own that holds a model, for a page that sends it work anyway. The package's
// own worker and threads start from here as they do from a page.
//
// Messages in: { load: source } | { ask: messages } | { stop: true }. Messages out: { progress } | { ready:
// info } | { piece } | { done: stats } | { error: { code, message, hint } }.
import { loadModel } from '../../dist/index.js'; // in a project with a bundler: 'wasm-chord'

let model;
let controller = new AbortController();

async function load(source) {
  await model?.dispose();
  model = await loadModel(source, { onProgress: (progress) => postMessage({ progress }) });
  postMessage({ ready: model.info });
}

async function ask(messages) {
  controller = new AbortController();
  const stream = await model.chat.completions.create({ messages, stream: true, temperature: 0 });
  controller.signal.onabort = () => stream.controller.abort();
  for await (const { choices } of stream) postMessage({ piece: choices[0]?.delta.content ?? '' });
  postMessage({ done: stream.stats });
}

onmessage = async ({ data }) => {
  try {
    if (data.load) await load(data.load);
    else if (data.ask) await ask(data.ask);
    else if (data.stop) controller.abort();
  } catch ({ code = 'internal', message, hint }) {
    // A ChordError is cloned without its fields, so they go one by one.
    postMessage({ error: { code, message, hint } });
  }
};
