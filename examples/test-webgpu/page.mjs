// SPDX-License-Identifier: Apache-2.0
// page.mjs: runs one model on the CPU, then on the GPU, and compares.
//
// ?model=ADDRESS presets the address, and start=1 compares at once. `window.results` holds everything as
// plain data: { version, adapter, state: 'idle' | 'running' | 'done' | 'stopped' | 'failed', text, phase,
// auto, cpu, webgpu, verdict, stoppedMs }. `cpu` and `webgpu` are { info, loadMs, runs: { greedy, seeded } },
// or { error }. A run is { text, pieces, tokens: [id], tokensPerSecond, ttftMs }.
import { estimateModel, loadModel, version } from '../../dist/index.js';
import { modelOfAddress, offerModels } from '../models.mjs';
import { findAdapter, showAdapter } from './adapter.mjs';

const $ = (id) => document.getElementById(id);
const results = (window.results = { version: version(), adapter: null, state: 'idle' });
const RUNS = {
  greedy: { title: 'Greedy: the likeliest token each time', options: { temperature: 0 } },
  seeded: { title: 'Drawn with seed 7, temperature 0.8', options: { temperature: 0.8, seed: 7 } },
};
const WHY =
  'The CPU rounds activations to 8 bits where weights are quantised, and the GPU sums in another order, so ' +
  'two almost equally likely tokens may change places.';

let stopping = null;

$('version').textContent = version();
const { address: given, isStarting } = modelOfAddress();
$('url').value = given ?? '../../models/SmolLM2-135M-Instruct.Q4_1.gguf';
results.adapter = await findAdapter();
showAdapter(results.adapter, { state: $('adapter'), features: $('features'), limits: $('limits') });

$('form').addEventListener('submit', (event) => {
  event.preventDefault();
  void compare($('file').files[0] ?? new URL($('url').value, location.href).href);
});
$('stop').addEventListener('click', () => stopping?.abort());
await offerModels($('models'), ({ address }) => {
  $('url').value = address;
  $('file').value = '';
  void compare(address);
});
document.documentElement.dataset.ready = 'true';
if (isStarting) void compare(new URL(given, location.href).href);

async function compare(source) {
  if (stopping) return;
  stopping = new AbortController();
  const { signal } = stopping;
  let stoppedAt;
  signal.addEventListener('abort', () => (stoppedAt = performance.now()));
  Object.assign(results, { cpu: null, webgpu: null, auto: null, verdict: null, stoppedMs: undefined });
  for (const id of ['verdict', 'auto']) $(id).textContent = '';
  $('self-test').hidden = true;
  $('results').hidden = false;
  for (const backend of ['cpu', 'webgpu']) drawSide(backend);
  setState('running', 'Starting ...');
  try {
    results.cpu = await runOn('cpu', source, signal);
    await showAuto(source, signal);
    results.webgpu = await runOn('webgpu', source, signal);
    showSelfTest(results.webgpu.info?.selfTest);
    showVerdict();
    setState('done', results.webgpu.error ? 'Only the CPU could run.' : 'Compared.');
  } catch (error) {
    if (!signal.aborted) setState('failed', describe(error));
    else {
      results.stoppedMs = performance.now() - stoppedAt;
      setState('stopped', `Stopped after ${results.stoppedMs.toFixed(0)} ms.`);
    }
  }
  stopping = null;
  setState(results.state, results.text);
}

/**
 * Loads the model on one backend, writes both texts and disposes of it: two models at once might not fit.
 * Without a GPU the reason is a result. Throws the other errors, and the signal's reason.
 */
async function runOn(backend, source, signal) {
  const name = backend === 'cpu' ? 'CPU' : 'GPU';
  const begin = performance.now();
  let model;
  try {
    setState('running', `${name}: loading ...`, 'load');
    model = await loadModel(source, {
      backend,
      signal,
      onProgress: ({ phase, progress }) => {
        $('progress').value = progress ?? 0;
        $('state-text').textContent = `${name}: ${phase} ...`;
      },
    });
  } catch (error) {
    if (backend === 'cpu' || error.code !== 'no-webgpu') throw error;
    $(backend).append(element('p', { className: 'bad', textContent: describe(error) }));
    for (const run of $(backend).querySelectorAll('.run')) run.remove();
    return { error: { code: error.code, message: error.message, hint: error.hint } };
  }
  try {
    const { info } = model;
    const side = { info, loadMs: performance.now() - begin, runs: {} };
    const seconds = (side.loadMs / 1000).toFixed(1);
    const why = element('p', {
      className: 'why',
      textContent: `${capital(info.backendReason)}. Loaded in ${seconds} s.`,
    });
    $(backend).querySelector('h3').after(why);
    for (const id of Object.keys(RUNS)) {
      setState('running', `${name}: ${id} text ...`, `${backend} ${id}`);
      side.runs[id] = await write(model, id, $(backend).querySelector(`[data-run=${id}]`), signal);
    }
    return side;
  } finally {
    await model.dispose();
  }
}

/** Writes one text into `place`. */
async function write(model, id, place, signal) {
  const prompt = $('prompt').value;
  const run = model.generate(prompt, {
    ...RUNS[id].options,
    maxTokens: Number($('tokens').value) || 32,
    signal,
  });
  const tokens = [];
  const pieces = [];
  const text = place.querySelector('.text');
  text.replaceChildren(element('span', { className: 'prompt', textContent: prompt }));
  for await (const event of run) {
    tokens.push(event.token);
    pieces.push(event.text);
    text.append(event.text);
  }
  const { tokensPerSecond, ttftMs } = run.stats;
  const speed = tokensPerSecond ? `${tokensPerSecond.toFixed(1)} tokens/s` : '';
  place
    .querySelector('.figures')
    .replaceChildren(
      element('b', { textContent: speed }),
      `${speed && ', '}first token after ${ttftMs.toFixed(0)} ms`,
    );
  return { text: pieces.join(''), pieces, tokens, tokensPerSecond, ttftMs };
}

// ---- what is shown ---------------------------------------------------------------------------------------

function drawSide(backend) {
  const side = $(backend);
  for (const old of side.querySelectorAll('p, .run')) old.remove();
  for (const [id, { title }] of Object.entries(RUNS)) {
    const run = $('run-template').content.firstElementChild.cloneNode(true);
    run.dataset.run = id;
    run.querySelector('h4').textContent = title;
    side.append(run);
  }
}

/** Compares the texts token by token, and marks the GPU's text from the first other token on. */
function showVerdict() {
  const { cpu, webgpu } = results;
  if (webgpu.error) {
    results.verdict = { status: 'cpu' };
    $('verdict').dataset.status = '';
    $('verdict').textContent = 'Without a GPU there is nothing to compare: the CPU wrote both texts.';
    return;
  }
  const found = {};
  for (const id of Object.keys(RUNS)) {
    const [a, b] = [cpu.runs[id], webgpu.runs[id]];
    const other = a.tokens.findIndex((token, i) => token !== b.tokens[i]);
    found[id] =
      other < 0 && a.tokens.length === b.tokens.length ? 'same' : other < 0 ? a.tokens.length : other;
    if (found[id] === 'same') continue;
    const text = $('webgpu').querySelector(`[data-run=${id}] .text`);
    text.replaceChildren(
      text.firstElementChild,
      b.pieces.slice(0, found[id]).join(''),
      element('mark', { textContent: b.pieces.slice(found[id]).join('') }),
    );
  }
  results.verdict = found;
  const isSame = Object.values(found).every((at) => at === 'same');
  $('verdict').dataset.status = isSame ? 'pass' : '';
  $('verdict').textContent = isSame ? 'Both backends wrote the same tokens.' : `${differences(found)} ${WHY}`;
}

const differences = (found) =>
  Object.entries(found)
    .map(([id, at]) => `${capital(id)}: the same ${at === 'same' ? 'tokens' : `first ${at} tokens`}.`)
    .join(' ');

function showSelfTest(list) {
  $('self-test').hidden = !list?.length;
  const rows = (list ?? []).map(({ format, tokens, inputs, difference, bound }) => {
    const cells = [
      format,
      tokens,
      inputs,
      difference.toExponential(1),
      bound.toExponential(1),
      share(difference / bound),
    ];
    const row = element('tr');
    row.append(...cells.map((textContent) => element('td', { textContent })));
    return row;
  });
  $('self-test')
    .querySelector('tbody')
    .replaceChildren(...rows);
}

const share = (part) => (part < 0.001 ? 'below 0.1 %' : `${(100 * part).toFixed(1)} %`);

/** What a page gets that doesn't ask for a backend. */
async function showAuto(source, signal) {
  const { backend, backendReason } = await estimateModel(source, { signal });
  results.auto = { backend, backendReason };
  const reason = backendReason.split('; ')[0].replace(/^(the CPU|WebGPU): /, '');
  $('auto').textContent =
    `A page that asks for no backend gets ${backend === 'cpu' ? 'the CPU' : 'the GPU'} for this model (${reason}).`;
}

function setState(state, text, phase) {
  Object.assign(results, { state, text, phase });
  const isRunning = stopping !== null;
  const isWhole = state === 'done' && !results.webgpu.error;
  $('state').dataset.status = isWhole ? 'pass' : state === 'failed' ? 'fail' : '';
  $('state-text').textContent = text;
  $('progress').hidden = !isRunning || phase !== 'load';
  $('compare').disabled = isRunning;
  for (const button of $('models').querySelectorAll('button')) button.disabled = isRunning;
  $('stop').hidden = !isRunning;
}

const describe = (error) =>
  [error.code ? `${error.code}: ${error.message}` : String(error), error.hint].filter(Boolean).join('. ');
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const element = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);
