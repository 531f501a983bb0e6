// SPDX-License-Identifier: Apache-2.0
// page.mjs: the benchmark's page for WebGPU. globalThis.measure(shape, type, options) runs it for a test.
import { chartText, rowsOf } from './chart.mjs';
import { CLASSES, predict } from './cost.mjs';
import { DECODE, agreement, measureModel } from './measure.mjs';
import { PEERS } from './peers.mjs';
import { SHAPES, makeModel } from './shapes.mjs';
import { capabilities, loadModel } from '../../dist/index.js';

const $ = (id) => document.getElementById(id);
const PREFILL = [128, 512, 2048];
const DEPTHS = [0, 512, 4096];
let figures;
/** Figures of peers, or why there are none, by name. */
let peers = {};

/** The longest time between two frames since the last call. */
function watchFrames() {
  let [last, longest] = [performance.now(), 0];
  const frame = (now) => {
    longest = Math.max(longest, now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  return () => {
    const result = longest;
    longest = 0;
    return result;
  };
}
const frames = watchFrames();

globalThis.measure = async (shape, type, options = {}) => {
  const model = makeModel(shape, type);
  const {
    prefill = PREFILL,
    depths = DEPTHS,
    agree = shape === 'tiny' ? 'tiny' : '110M',
    ...others
  } = options;
  const note = (text) => ($('said').textContent = text);
  const found = await measureModel(model, { loadModel, prefill, depths, note, frames, ...others });
  note(`CPU and GPU over the same tokens of the shape ${agree} …`);
  return {
    shape,
    type,
    parameters: model.parameters,
    ...found,
    agreement: await agreement(makeModel(agree, 'Q4_K_M'), { loadModel, tokens: 64 }),
    predicted: predict({ ...model, perToken: found.perToken, prompts: prefill, depths }),
  };
};

function row(table, cells, cell = 'td') {
  const line = table.insertRow();
  cells.forEach((text, i) => {
    const node = document.createElement(i === 0 ? 'th' : cell);
    node.textContent = text;
    line.append(node);
  });
}

/** The charts, as wide as their place. */
function draw() {
  const measured = Object.fromEntries(Object.entries(peers).filter(([, { code }]) => code === undefined));
  for (const [key, title] of [
    ['prefill', 'Reading a prompt'],
    ['decode', 'Writing an answer'],
  ]) {
    const place = $(`chart-${key}`);
    const width = Math.max(300, Math.floor(place.clientWidth));
    place.innerHTML = chartText({ title, rows: rowsOf(key, figures, measured), width });
  }
}

function show(found) {
  figures = found;
  const { prefill, decode, perToken, predicted, profile, ...all } = found;
  $('results').hidden = false;
  $('about').textContent = `${all.model}: ${all.reason}`;
  $('table').replaceChildren();
  const names = Object.keys(CLASSES);
  row($('table'), ['', 'measured', ...names.map((name) => `predicted, ${name}`)], 'th');
  const none = names.map(() => '');
  const rates = (key, n) => predicted.map((one) => one[key][n].toFixed(0));
  for (const [n, rate] of Object.entries(prefill))
    row($('table'), [`prefill of ${n}, tokens/s`, rate.toFixed(1), ...rates('prefillOf', n)]);
  for (const [n, rate] of Object.entries(decode))
    row($('table'), [`decode at ${n}, tokens/s`, rate.toFixed(1), ...rates('decodeOf', n)]);
  row($('table'), ['load, s', (all.loadMs / 1000).toFixed(2), ...none]);
  row($('table'), ['first token, cold, ms', all.ttftColdMs.toFixed(0), ...none]);
  row($('table'), ['first token, warm, ms', all.ttftMs.toFixed(0), ...none]);
  row($('table'), ['longest frame in prefill, ms', all.longestFrameMs.toFixed(0), ...none]);
  row($('table'), ['dispatches a token', perToken.gpuDispatches.toFixed(0), ...none]);
  row($('table'), ['MB read a token', (perToken.gpuBytesRead / 1e6).toFixed(1), ...none]);
  row($('table'), ['submits a token', perToken.submits.toFixed(2), ...none]);
  if (all.agreement !== undefined)
    row($('table'), ['same token as the CPU', `${(100 * all.agreement).toFixed(1)} %`, ...none]);
  $('profile').replaceChildren();
  row($('profile'), ['kernel in decode', 'dispatches', 'ms', 'share', 'GB/s'], 'th');
  for (const { op, count, ms, share, gigabytesPerSecond } of profile)
    row($('profile'), [
      op,
      count,
      ms.toFixed(2),
      `${(100 * share).toFixed(1)} %`,
      gigabytesPerSecond.toFixed(1),
    ]);
  draw();
}
addEventListener('resize', () => figures && draw());

$('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  $('run').disabled = true;
  try {
    peers = {};
    $('peers').replaceChildren();
    show(await globalThis.measure($('shape').value, $('type').value));
    $('said').textContent = 'Done.';
  } catch (error) {
    $('said').textContent = `${error.code ?? error.name}: ${error.message}`;
  }
  $('run').disabled = false;
});
/** Measures a peer with the model and the prompts of the last run. Resolves to its figures or its error. */
globalThis.measurePeer = async (name) => {
  const { shape, type } = figures;
  const [prefill, depths] = [figures.prefill, figures.decode].map((rates) => Object.keys(rates).map(Number));
  const model = makeModel(shape, type);
  peers[name] = await PEERS[name]({ model, shape, prefill, depths, tokens: DECODE }).catch(
    ({ code = 'failed', message }) => ({ code, message }),
  );
  $('peers').replaceChildren();
  const heads = [
    ...Object.keys(figures.prefill).map((n) => `prompt of ${n}`),
    ...Object.keys(figures.decode).map((n) => `decode at ${n}`),
  ];
  row($('peers'), ['tokens/s', ...heads, ''], 'th');
  for (const [peer, { version, code, message, ...found }] of Object.entries(peers)) {
    const rate = (key) => Object.keys(figures[key]).map((n) => found[key]?.[n]?.toFixed(1) ?? '');
    row($('peers'), [peer, ...rate('prefill'), ...rate('decode'), version ?? `${code}: ${message}`]);
  }
  draw();
  return peers[name];
};
for (const name of Object.keys(PEERS)) {
  const button = Object.assign(document.createElement('button'), {
    type: 'button',
    textContent: `Run ${name}`,
  });
  button.addEventListener('click', async () => {
    button.disabled = true;
    $('said-peer').textContent = `${name} …`;
    await globalThis.measurePeer(name);
    $('said-peer').textContent = '';
    button.disabled = false;
  });
  $('peer-buttons').prepend(button);
}

$('copy-json').addEventListener('click', async () => {
  await navigator.clipboard.writeText(JSON.stringify({ ...figures, peers }, null, 1));
  $('copied').textContent = 'copied';
});

$('shape').append(...Object.keys(SHAPES).map((name) => new Option(name)));
$('shape').value = '1B';
const { webgpu } = await capabilities();
$('adapter').textContent = webgpu
  ? `${webgpu.adapter}; f16: ${webgpu.f16 ? 'yes' : 'no'}, subgroups: ${webgpu.subgroups ? 'yes' : 'no'}`
  : 'This browser has no WebGPU adapter, so there is nothing to measure.';
$('run').disabled = !webgpu;
globalThis.show = show;
document.documentElement.dataset.ready = 'true';
