// SPDX-License-Identifier: Apache-2.0
// page.mjs: the page of the checks. It loads a model at one level, runs checks, and shows and keeps the
// results.
//
// ?model=ADDRESS and ?level=1|2 preset the form, and start=1 loads at once. `window.results` holds everything
// as plain data: { version, environment, level, load: { status, text, milliseconds }, info, checks: { id: {
// status, text, milliseconds } } }.
import init, { WasmModel, capabilities, loadModel, version } from '../../dist/index.js';
import { modelOfAddress, offerModels } from '../models.mjs';
import { checks as level1 } from './level1.mjs';
import { checks as level2 } from './level2.mjs';

const lists = { 1: level1, 2: level2 };
const $ = (id) => document.getElementById(id);
const results = (window.results = {
  version: version(),
  environment: null,
  level: 0,
  load: { status: 'idle', text: '' },
  info: null,
  checks: {},
});
// A check that takes longer counts as hung.
const LIMIT_MS = 120_000;

let model = null;
let isBusy = false;

$('version').textContent = version();
const { address: given, isStarting } = modelOfAddress();
$('url').value = given ?? '../../models/SmolLM2-135M-Instruct.Q4_1.gguf';
const level = () => Number(new FormData($('load-form')).get('level'));
if (new URLSearchParams(location.search).get('level') === '2')
  document.querySelector('[name=level][value="2"]').checked = true;

await showEnvironment();
drawChecks();
$('load-form').addEventListener('change', ({ target }) => {
  if (target.name === 'level') drawChecks();
});
$('load-form').addEventListener('submit', (event) => {
  event.preventDefault();
  void load();
});
$('run-all').addEventListener('click', () => void runAll());
await offerModels($('models'), (model) => {
  if (isBusy) return;
  $('url').value = model.address;
  $('file').value = '';
  void load();
});
document.documentElement.dataset.ready = 'true';
if (isStarting) void load();

async function showEnvironment() {
  const found = (results.environment = await capabilities());
  const facts = {
    SIMD: found.simd,
    'relaxed SIMD': found.relaxedSimd,
    [`threads: ${found.threads}`]: found.threads > 1,
    'cross-origin isolated': found.crossOriginIsolated,
    WebGPU: Boolean(found.webgpu),
    OPFS: found.opfs,
  };
  for (const [name, has] of Object.entries(facts)) {
    const item = document.createElement('li');
    item.textContent = name;
    item.dataset.has = String(Boolean(has));
    $('environment').append(item);
  }
}

// ---- load ------------------------------------------------------------------------------------------------

async function load() {
  if (isBusy) return;
  setBusy(true);
  const begin = performance.now();
  results.level = level();
  drawChecks();
  loadState('running', 'Loading ...');
  try {
    if (model) await (model instanceof WasmModel ? model.free() : model.dispose());
    model = null;
    const file = $('file').files[0];
    model =
      results.level === 1
        ? await loadLevel1(file)
        : await loadModel(file ?? address(), { onProgress: showProgress });
    results.info = model instanceof WasmModel ? model.get_model_info() : model.info;
    results.load.milliseconds = performance.now() - begin;
    showInfo(results.info, file?.name ?? address().split(/[?#]/)[0].split('/').at(-1));
    loadState('pass', `Loaded in ${(results.load.milliseconds / 1000).toFixed(1)} s.`);
  } catch (error) {
    showInfo(null);
    loadState('fail', describe(error));
  }
  setBusy(false);
}

const address = () => new URL($('url').value, location.href).href;

/**
 * Level 1 needs the file's bytes. This function fetches them with progress; the constructor then loads them
 * at once.
 */
async function loadLevel1(file) {
  await init();
  if (file) return new WasmModel(new Uint8Array(await file.arrayBuffer()));
  const response = await fetch(address());
  if (!response.ok) throw new Error(`${address()}: ${response.status} ${response.statusText}`);
  const total = Number(response.headers.get('content-length'));
  const chunks = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) break;
    chunks.push(value);
    loaded += value.length;
    showProgress({ phase: 'download', loaded, total, progress: total ? loaded / total : 0 });
  }
  return new WasmModel(new Uint8Array(await new Blob(chunks).arrayBuffer()));
}

function showProgress({ phase, loaded, total, progress }) {
  $('progress').value = progress ?? 0;
  const megabytes = (bytes) => (bytes / 1e6).toFixed(0);
  $('load-text').textContent = `${phase}: ${megabytes(loaded)}${total ? ` of ${megabytes(total)}` : ''} MB`;
}

function loadState(status, text) {
  Object.assign(results.load, { status, text });
  $('load-state').dataset.status = status;
  $('load-text').textContent = text;
  $('progress').hidden = status !== 'running';
}

function showInfo(info, file) {
  $('info').hidden = !info;
  if (!info) return;
  const facts = {
    File: file,
    Name: info.name,
    Architecture: info.architecture,
    Quantization: info.quantization,
    Parameters: `${(info.parameters / 1e6).toFixed(1)} M`,
    Context: info.contextLength,
    Vocabulary: info.vocabularySize,
    Memory: `${(info.memory.total / 1e6).toFixed(0)} MB`,
    Backend: info.backend,
    Variant: info.variant,
    Threads: info.threads,
    'Why so': info.backendReason,
  };
  $('info').replaceChildren(
    ...Object.entries(facts).map(([name, value]) => {
      const group = document.createElement('div');
      if (name === 'Why so') group.className = 'wide';
      for (const [tag, text] of [
        ['dt', name],
        ['dd', value],
      ])
        group.append(Object.assign(document.createElement(tag), { textContent: text ?? '-' }));
      return group;
    }),
  );
}

// ---- checks ----------------------------------------------------------------------------------------------

function drawChecks() {
  results.checks = {};
  $('summary').textContent = '';
  $('checks').replaceChildren(
    ...lists[level()].map((check) => {
      const item = $('check-template').content.firstElementChild.cloneNode(true);
      item.id = `check-${check.id}`;
      item.querySelector('h3').textContent = check.title;
      item.querySelector('.what').textContent = check.what;
      item.querySelector('button').textContent = check.button;
      item.querySelector('button').addEventListener('click', () => void runOne(check));
      return item;
    }),
  );
  enableButtons();
}

async function runOne(check) {
  if (isBusy) return;
  setBusy(true);
  await run(check);
  setBusy(false);
}

async function runAll() {
  if (isBusy) return;
  setBusy(true);
  for (const check of lists[results.level]) await run(check);
  setBusy(false);
}

async function run(check) {
  const item = $(`check-${check.id}`);
  const text = item.querySelector('.text');
  const set = (status, pill, figures) => {
    item.dataset.status = status;
    item.querySelector('.pill').textContent = pill;
    item.querySelector('.figures').textContent = figures;
  };
  set('running', 'running ...', '');
  text.textContent = '';
  const show = (shown) => {
    text.textContent = shown;
    text.hidden = shown === '';
  };
  const begin = performance.now();
  let timer;
  try {
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no end after ${LIMIT_MS / 1000} s`)), LIMIT_MS);
    });
    const figures = await Promise.race([check.run(model, show), late]);
    set('pass', 'pass', figures);
    results.checks[check.id] = { status: 'pass', text: figures, milliseconds: performance.now() - begin };
  } catch (error) {
    set('fail', 'fail', describe(error));
    results.checks[check.id] = {
      status: 'fail',
      text: describe(error),
      milliseconds: performance.now() - begin,
    };
  }
  clearTimeout(timer);
  const all = Object.values(results.checks);
  $('summary').textContent =
    `${all.filter(({ status }) => status === 'pass').length} of ${lists[results.level].length} passed`;
}

const describe = (error) =>
  [error.code ? `${error.code}: ${error.message}` : String(error), error.hint].filter(Boolean).join(' — ');

function setBusy(busy) {
  isBusy = busy;
  document.documentElement.dataset.busy = String(busy);
  enableButtons();
}

/** Checks belong to the loaded level. After another level is chosen, the buttons wait for its load. */
function enableButtons() {
  const canRun = !isBusy && model !== null && results.level === level();
  $('load').disabled = isBusy;
  for (const button of $('models').querySelectorAll('button')) button.disabled = isBusy;
  $('run-all').disabled = !canRun;
  for (const button of $('checks').querySelectorAll('button')) button.disabled = !canRun;
}
