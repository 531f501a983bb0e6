// SPDX-License-Identifier: Apache-2.0
// main.js: a page of a stranger's. The test puts the import line and the options in the place of the two
// names.
import { loadModel } from 'PACKAGE';

async function run() {
  const model = await loadModel(new URL('model.gguf', document.baseURI).href, OPTIONS);
  const run = model.generate('The walk of', { temperature: 0, maxTokens: 8, ignoreEos: true });
  const text = await run.text();
  const rendered = await model.applyChatTemplate([{ role: 'user', content: 'Hi' }]);
  if (!rendered.startsWith('<|im_start|>user\nHi<|im_end|>')) throw new Error(`rendered: ${rendered}`);
  const { variant, threads, backendReason } = model.info;
  await model.dispose();
  return { text, variant, threads, backendReason };
}

run().then(
  (result) => {
    window.result = result;
  },
  (error) => {
    window.result = { error: String(error.stack ?? error), hint: error.hint };
  },
);
