// SPDX-License-Identifier: Apache-2.0
// main.js: a user's page. It uses both levels from one import and configures no worker or wasm file.
import init, { WasmModel, loadModel } from 'wasm-chord';

const prompt = 'The capital of France is';
const address = new URL(new URLSearchParams(location.search).get('model'), location.href).href;

async function run() {
  const model = await loadModel(address);
  let text = '';
  for await (const event of model.generate(prompt, { temperature: 0, maxTokens: 12 })) text += event.text;
  const { variant, threads, backendReason } = model.info;
  await model.dispose();

  await init();
  const small = new WasmModel(new Uint8Array(await (await fetch(address)).arrayBuffer()));
  small.set_config(12, 0, 1, 0, 1);
  let again = '';
  for await (const piece of small.generate_async(prompt)) again += piece;
  small.free();
  return { text, again, variant, threads, backendReason };
}

run().then(
  (result) => { window.result = result; },
  (error) => { window.result = { error: String(error.stack ?? error) }; },
);
