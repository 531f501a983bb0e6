// SPDX-License-Identifier: Apache-2.0
// form.mjs: the page's form: measures our package on the picked file, with one thread and with all, three
// times each, and shows the figures as charts and as a table.
import { modelOfAddress, offerModels } from '../examples/models.mjs';
import { chartsOf, fillTable } from './chart.mjs';
import { work } from './file.mjs';
import { fitting, stepsOf, WARM_UP } from './plan.mjs';
import { body, limitLines, summarize } from './report.mjs';

const MEASURES = [
  'load',
  'start',
  'ttft',
  'prefill128',
  'prefill512',
  'decode0',
  'decode512',
  'memory',
  'abort',
  'gapload',
  'gapprefill',
  'gapdecode',
];
const REPEAT = 3,
  DECODE = 64;

/**
 * Measures `file` with the functions of page.mjs. `say` gets the progress, and throws when the user has
 * stopped the run. Returns the record in run.mjs's form.
 */
async function run(file, say) {
  const all = globalThis.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency) : 1;
  const threads = [...new Set([1, all])];
  say('Loading once, to know the model', 0);
  const { facts } = await globalThis.prepare([]);
  const settings = {
    repeat: REPEAT,
    threads,
    decode: DECODE,
    ...fitting(MEASURES, DECODE, facts.trainedContextLength),
  };
  const { steps, contextLength } = stepsOf(settings.measures, DECODE);
  settings.contextLength = contextLength;
  const numbers = Array.from({ length: REPEAT }, (_, r) =>
    steps.map(({ count }, i) => [r * 8 + i, count]),
  ).flat();
  const {
    prompts: [warm, ...prompts],
  } = await globalThis.prepare([[90, WARM_UP.count], ...numbers]);
  const runs = [],
    ceilings = [];
  for (let repetition = 0; repetition < REPEAT; repetition++) {
    for (const n of threads) {
      const done = (repetition * threads.length + threads.indexOf(n)) / (REPEAT * threads.length);
      say(`Run ${repetition + 1} of ${REPEAT} with ${n === 1 ? 'one thread' : `${n} threads`}`, done);
      ceilings.push(await globalThis.ceilings(n));
      const own = steps.map((step, i) => ({ ...step, prompt: prompts[repetition * steps.length + i] }));
      const found = await globalThis.bench({
        engine: 'ours',
        threads: n,
        contextLength,
        warmUp: { ...WARM_UP, prompt: warm },
        steps: own,
      });
      runs.push({ engine: 'ours', wanted: n, repetition, ...found });
    }
  }
  const head = new Uint8Array(await file.slice(0, 32 << 20).arrayBuffer());
  const record = {
    date: new Date().toISOString(),
    machine: {
      browser: navigator.userAgent,
      cores: navigator.hardwareConcurrency,
      isIsolated: globalThis.crossOriginIsolated,
    },
    model: { file: file.name, bytes: file.size, ...facts, work: work(head, facts) },
    settings,
    engines: ['ours'],
    missing: {},
  };
  return { ...record, summary: summarize({ ...record, runs, ceilings }), ceilings, runs };
}

// ---- what the page shows ---------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);
const input = $('file');
let last,
  picked,
  isStopped = false;

/** Lines about the record that stand beside its figures. */
function aboutLines({ model, machine, settings, runs }) {
  return [
    `${model.file}, ${(model.bytes / 1e6).toFixed(1)} MB, ${model.architecture}, ${model.quantization}; wasm-chord ${runs[0].version}, ${runs[0].variant}`,
    ...(machine.isIsolated ? [] : ["This page isn't cross-origin isolated: one thread."]),
    ...(settings.leftOut.length
      ? [`Left out, the model's context is ${model.trainedContextLength}: ${settings.leftOut.join(', ')}`]
      : []),
  ];
}

const asText = (record) =>
  [
    ...aboutLines(record),
    '',
    ...body({ ...record, titles: { ours: 'this browser' } }),
    '',
    ...limitLines(record.ceilings),
  ].join('\n');

function show(record) {
  $('about').textContent = aboutLines(record).join('. ');
  $('charts').replaceChildren(...chartsOf(record.summary));
  fillTable($('table'), record);
  $('limits').textContent = limitLines(record.ceilings).join('\n');
  $('results').hidden = false;
}

/** `share` of the work that is done; without it there is no bar. */
function say(text, share) {
  $('said').textContent = text;
  $('bar').hidden = share === undefined;
  if (share !== undefined) $('bar').value = share;
}

/** `address`: of the model that was picked from the list, undefined for the user's own file. */
function showPicked(address) {
  const [file] = input.files;
  picked = address;
  markPicked();
  $('run').disabled = !file;
  if (file) $('picked').textContent = `${file.name}, ${(file.size / 1e6).toFixed(1)} MB`;
}

function markPicked() {
  for (const card of $('models').querySelectorAll('button'))
    card.ariaCurrent = card.dataset.address === picked ? 'true' : null;
}

/** Puts the model at `address` where a picked file is. */
async function pick(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status} ${response.statusText}`);
  const total = Number(response.headers.get('content-length'));
  const parts = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    say(
      `Fetching: ${(loaded / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB`,
      total ? loaded / total : 0,
    );
  }
  const name = decodeURIComponent(new URL(address, location.href).pathname.split('/').at(-1));
  const chosen = new DataTransfer();
  chosen.items.add(new File(parts, name));
  input.files = chosen.files;
  showPicked(new URL(address, location.href).href);
  $('run').disabled = true;
}

/** Runs `work` with the buttons off, and says its error. */
async function busily(work) {
  const buttons = [$('run'), input, ...$('models').querySelectorAll('button')];
  for (const button of buttons) button.disabled = true;
  try {
    await work();
    say('');
  } catch (error) {
    say(
      [error.code ? `${error.code}: ${error.message}` : error.message, error.hint].filter(Boolean).join('\n'),
    );
  }
  for (const button of buttons) button.disabled = false;
  $('run').disabled = input.files.length === 0;
}

async function measureFile() {
  const [file] = input.files;
  isStopped = false;
  $('stop').hidden = false;
  try {
    last = await run(file, (text, share) => {
      if (isStopped) throw new Error('Stopped.');
      say(`${text} ...`, share);
    });
    show(last);
  } finally {
    $('stop').hidden = true;
  }
}

$('form').addEventListener('submit', (event) => {
  event.preventDefault();
  void busily(measureFile);
});
$('stop').addEventListener('click', () => {
  isStopped = true;
  say('Stopping after this run ...');
});
input.addEventListener('change', () => showPicked());

async function copy(text) {
  await navigator.clipboard.writeText(text).then(
    () => ($('copied').textContent = 'Copied.'),
    () => ($('copied').textContent = 'The browser refused.'),
  );
}
$('copy-text').addEventListener('click', () => void copy(asText(last)));
$('copy-json').addEventListener('click', () => void copy(JSON.stringify(last, null, 1)));

const measureModel = (address) => busily(() => pick(address).then(measureFile));
void offerModels($('models'), ({ address }) => void measureModel(address)).then(markPicked);
// A browser that reloads the page may keep the chosen file.
showPicked();
const { address, isStarting } = modelOfAddress();
if (isStarting) void measureModel(address);
