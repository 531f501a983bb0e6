// SPDX-License-Identifier: Apache-2.0
// form.mjs: the page's form: measures our package on the picked file, with one thread and with all, three
// times each.
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
  'gap',
];
const REPEAT = 3,
  DECODE = 64;

/**
 * Measures `file` with the functions of page.mjs. `say` gets the progress. Returns the record in run.mjs's
 * form.
 */
async function run(file, say) {
  const all = globalThis.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency) : 1;
  const threads = [...new Set([1, all])];
  say('loading once, to know the model');
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
      say(`${repetition + 1} of ${REPEAT}, ${n} thread(s)`);
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

function shown({ model, machine, settings, runs, ceilings, ...record }) {
  return [
    `${model.file}, ${(model.bytes / 1e6).toFixed(1)} MB, ${model.architecture}, ${model.quantization}; wasm-chord ${runs[0].version}, ${runs[0].variant}`,
    ...(machine.isIsolated ? [] : ["This page isn't cross-origin isolated: one thread."]),
    ...(settings.leftOut.length
      ? [`Left out, the model's context is ${model.trainedContextLength}: ${settings.leftOut.join(', ')}`]
      : []),
    '',
    ...body({ settings, ...record, titles: { ours: 'this browser' } }),
    '',
    ...limitLines(ceilings),
  ].join('\n');
}

const [start, copy] = document.querySelectorAll('button'),
  output = document.querySelector('output'),
  file = document.querySelector('#file');
let last;
start.addEventListener('click', async () => {
  if (!file.files[0]) return void (output.textContent = 'Pick a file first.');
  start.disabled = true;
  try {
    last = await run(file.files[0], (text) => {
      output.textContent = `${text} ...`;
    });
    output.textContent = shown(last);
    copy.disabled = false;
  } catch (error) {
    output.textContent += `\n${error.message}`;
  } finally {
    start.disabled = false;
  }
});
copy.addEventListener('click', () => navigator.clipboard.writeText(JSON.stringify(last, null, 1)));
