// SPDX-License-Identifier: Apache-2.0
// page.mjs: a page that works without a network after its first visit. ?model=ADDRESS loads another model.
import { loadModel } from '../../dist/inline.js'; // in a project with a bundler: 'wasm-chord/inline'

const $ = (id) => document.getElementById(id);
const address = new URLSearchParams(location.search).get('model');
const source = new URL(address ?? '../../models/SmolLM2-135M-Instruct.Q4_1.gguf', location.href).href;
let model;

$('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  $('go').disabled = true;
  $('text').textContent = $('prompt').value;
  try {
    for await (const { text } of model.generate($('prompt').value, { temperature: 0, stop: '\n\n' }))
      $('text').textContent += text;
  } catch (error) {
    show(error);
  }
  $('go').disabled = false;
});

function show({ code = 'internal', message, hint }) {
  $('said').textContent = [`${code}: ${message}`, hint].filter(Boolean).join(' ');
  document.documentElement.dataset.state = 'failed';
}

/** Resolves when the page's files are kept. A page without service workers works, but not offline. */
async function keepFiles() {
  await navigator.serviceWorker.register('sw.js');
  await navigator.serviceWorker.ready;
  $('kept').textContent = "The page's files are kept.";
}

try {
  // The files first: a model that is kept is of no use without them.
  await keepFiles().catch((error) => {
    $('kept').textContent = `The page's files can't be kept: ${error.message}`;
  });
  model = await loadModel(source, {
    onProgress: ({ phase, progress }) => {
      $('said').textContent = `${phase}: ${Math.round(progress * 100)} %`;
    },
  });
  const { name, threads } = model.info;
  const file = decodeURIComponent(new URL(source).pathname.split('/').at(-1));
  $('said').textContent =
    `${file} (${name}) is ready, ${threads === 1 ? 'with one thread' : `with ${threads} threads`}.`;
  $('go').disabled = false;
  document.documentElement.dataset.state = 'ready';
} catch (error) {
  show(error);
}
