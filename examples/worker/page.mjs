// SPDX-License-Identifier: Apache-2.0
// page.mjs: the page's side of worker.mjs. ?model=ADDRESS loads another model.
const $ = (id) => document.getElementById(id);
const worker = new Worker(new URL('worker.mjs', import.meta.url), { type: 'module' });
const model =
  new URLSearchParams(location.search).get('model') ?? '../../models/SmolLM2-135M-Instruct.Q4_1.gguf';
// The name inside a file may be a cryptic one.
const file = decodeURIComponent(model.split(/[?#]/)[0].split('/').at(-1));

worker.onmessage = ({ data: { progress, ready, piece, done, error } }) => {
  if (progress) $('said').textContent = `${progress.phase}: ${Math.round(progress.progress * 100)} %`;
  if (ready)
    $('said').textContent =
      `${file} (${ready.name}), ${ready.threads === 1 ? 'one thread' : `${ready.threads} threads`}`;
  if (piece) $('answer').textContent += piece;
  if (done) $('said').textContent = `${done.tokens} tokens, ${done.tokensPerSecond.toFixed(1)} tokens/s`;
  if (error)
    $('said').textContent = [`${error.code}: ${error.message}`, error.hint].filter(Boolean).join(' ');
  if (ready || done || error) $('ask').disabled = false;
  // For tests and for the console.
  window.last = { ready, done, error };
};
worker.postMessage({
  load: new URL(model, location.href).href,
});

$('form').addEventListener('submit', (event) => {
  event.preventDefault();
  $('answer').textContent = '';
  $('ask').disabled = true;
  const system = { role: 'system', content: 'You are a helpful assistant.' };
  worker.postMessage({ ask: [system, { role: 'user', content: $('question').value }] });
});
$('stop').addEventListener('click', () => worker.postMessage({ stop: true }));
