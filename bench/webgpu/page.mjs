// SPDX-License-Identifier: Apache-2.0
// page.mjs: the benchmark's page for WebGPU. globalThis.measure(shape, type, options) runs it for a test.
import { CLASSES, predict } from './cost.mjs';
import { measureModel } from './measure.mjs';
import { SHAPES, makeModel } from './shapes.mjs';
import { capabilities, loadModel } from '../../dist/index.js';

const $ = (id) => document.getElementById(id);
let figures;

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
  const found = await measureModel(model, {
    loadModel,
    prefill: [128, 512, 2048],
    depths: [0, 512, 4096],
    note: (text) => ($('said').textContent = text),
    frames,
    ...options,
  });
  return {
    shape,
    type,
    parameters: model.parameters,
    ...found,
    predicted: predict({ ...model, perToken: found.perToken }),
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

function show({ prefill, decode, perToken, predicted, profile, ...all }) {
  $('results').hidden = false;
  $('about').textContent = `${all.model}: ${all.reason}`;
  $('table').replaceChildren();
  const names = Object.keys(CLASSES);
  row($('table'), ['', 'measured', ...names.map((name) => `predicted, ${name}`)], 'th');
  const none = names.map(() => '');
  const rates = (key) => predicted.map((one) => one[key].toFixed(0));
  for (const [n, rate] of Object.entries(prefill))
    row($('table'), [`prefill of ${n}, tokens/s`, rate.toFixed(1), ...rates('prefill')]);
  for (const [n, rate] of Object.entries(decode))
    row($('table'), [`decode at ${n}, tokens/s`, rate.toFixed(1), ...(n === '0' ? rates('decode') : none)]);
  row($('table'), ['load, s', (all.loadMs / 1000).toFixed(2), ...none]);
  row($('table'), ['first token, cold, ms', all.ttftColdMs.toFixed(0), ...none]);
  row($('table'), ['first token, warm, ms', all.ttftMs.toFixed(0), ...none]);
  row($('table'), ['longest frame in prefill, ms', all.longestFrameMs.toFixed(0), ...none]);
  row($('table'), ['dispatches a token', perToken.gpuDispatches.toFixed(0), ...none]);
  row($('table'), ['MB read a token', (perToken.gpuBytesRead / 1e6).toFixed(1), ...none]);
  row($('table'), ['submits a token', perToken.submits.toFixed(2), ...none]);
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
}

$('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  $('run').disabled = true;
  try {
    figures = await globalThis.measure($('shape').value, $('type').value);
    show(figures);
    $('said').textContent = 'Done.';
  } catch (error) {
    $('said').textContent = `${error.code ?? error.name}: ${error.message}`;
  }
  $('run').disabled = false;
});
$('copy-json').addEventListener('click', async () => {
  await navigator.clipboard.writeText(JSON.stringify(figures, null, 1));
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
