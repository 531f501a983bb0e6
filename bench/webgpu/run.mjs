// SPDX-License-Identifier: Apache-2.0
// run.mjs: measures the WebGPU backend in Node, over Dawn (npm `webgpu`). It needs the built package and no
// download: the models have random weights.
//
//   node bench/webgpu/run.mjs [--shapes 1B,8B,3B] [--types Q4_K_M,Q4_0,Q8_0] [--prefill 128,512,2048]
//     [--depths 0,512,4096] [--repeat 3] [--gpu backend=vulkan,...] [--agree 110M] [--out FILE.json]
//     [--minutes 9] [--quick]
//   node bench/webgpu/run.mjs --fetch-peers
//
// A run ends within --minutes, but for the model under way then: the most telling models come first, after
// the first half of the time each figure is of one run, and models for which there is no time are named. With
// --out FILE.json the charts are FILE-prefill-1B-Q4_K_M.svg and so on. --quick: one tiny model, for software
// adapters. --fetch-peers puts wllama and WebLLM where the page finds them.
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { prepareWebllm, prepareWllama } from '../peers.mjs';
import { chartText, rowsOf } from './chart.mjs';
import { predict } from './cost.mjs';
import { agreement, measureModel } from './measure.mjs';
import { makeModel } from './shapes.mjs';

const { values } = parseArgs({
  options: {
    shapes: { type: 'string', default: '1B,8B,3B' },
    types: { type: 'string', default: 'Q4_K_M,Q4_0,Q8_0' },
    prefill: { type: 'string', default: '128,512,2048' },
    depths: { type: 'string', default: '0,512,4096' },
    repeat: { type: 'string', default: '3' },
    gpu: { type: 'string' },
    agree: { type: 'string', default: '110M' },
    out: { type: 'string' },
    minutes: { type: 'string', default: '9' },
    'fetch-peers': { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
});
if (values['fetch-peers']) {
  console.log(`wllama ${await prepareWllama()}, WebLLM ${await prepareWebllm()}`);
  process.exit();
}
if (values.quick)
  Object.assign(values, {
    shapes: 'tiny',
    types: 'Q4_K_M',
    prefill: '64',
    depths: '0,100',
    repeat: '1',
    agree: 'tiny',
  });
const numbers = (text) => text.split(',').map(Number);
const { loadModel } = await import('../../dist/index.js');
const gpu = values.gpu?.split(',');
const note = (text) => console.error(text);
const end = performance.now() + Number(values.minutes) * 60_000;
const half = (performance.now() + end) / 2;
const agreed = await agreement(makeModel(values.agree, 'Q4_K_M'), {
  loadModel,
  gpu,
  tokens: values.quick ? 32 : 128,
}).catch((error) => note(`agreement: ${error.message}`));
const results = [];
for (const type of values.types.split(','))
  for (const shape of values.shapes.split(',')) {
    if (performance.now() > end) {
      results.push({ shape, type, error: `left out: ${values.minutes} minutes are over` });
      continue;
    }
    const model = makeModel(shape, type);
    try {
      const figures = await measureModel(model, {
        loadModel,
        gpu,
        prefill: numbers(values.prefill),
        depths: numbers(values.depths),
        repeat: Number(values.repeat),
        isLate: () => performance.now() > half,
        note,
      });
      const [prompts, depths] = [numbers(values.prefill), numbers(values.depths)];
      const predicted = predict({ ...model, perToken: figures.perToken, prompts, depths });
      results.push({ shape, type, parameters: model.parameters, ...figures, predicted });
      if (values.out) await draw(results.at(-1));
    } catch (error) {
      note(`${model.name}: ${error.message}`);
      results.push({ shape, type, error: `${error.code ?? ''} ${error.message}` });
    }
    if (values.out) await writeFile(values.out, JSON.stringify({ agreement: agreed, results }, null, 1));
  }
print(results, agreed);

async function draw(figures) {
  for (const key of ['prefill', 'decode']) {
    const file = `${values.out.replace(/\.json$/, '')}-${key}-${figures.shape}-${figures.type}.svg`;
    await writeFile(file, chartText({ title: `${figures.model}, ${key}`, rows: rowsOf(key, figures) }));
  }
}

function print(all, agree) {
  for (const figures of all) {
    const { shape, type, error, prefill, decode, perToken, predicted } = figures;
    console.log(`\n${shape} ${type}${error ? `: ${error}` : ''}`);
    if (error) continue;
    const { loadMs, ttftColdMs, ttftMs } = figures;
    console.log(
      `  load ${loadMs.toFixed(0)} ms, first token ${ttftColdMs.toFixed(0)} ms cold, ${ttftMs.toFixed(1)} ms warm`,
    );
    console.log(`  prefill ${rates(prefill)} tokens/s`);
    console.log(`  decode at ${rates(decode)} tokens/s`);
    const { gpuDispatches, gpuBytesRead, submits, readbacks } = perToken;
    console.log(
      `  a token: ${gpuDispatches} dispatches, ${(gpuBytesRead / 1e6).toFixed(1)} MB read, ${submits} submits, ${readbacks} readbacks`,
    );
    for (const { op, count, ms, share, gigabytesPerSecond } of figures.profile.slice(0, 12))
      console.log(
        `  ${op.padEnd(30)} ${String(count).padStart(6)} ${ms.toFixed(2).padStart(9)} ms ${(100 * share).toFixed(1).padStart(5)} % ${gigabytesPerSecond.toFixed(1).padStart(7)} GB/s`,
      );
    for (const row of predicted)
      console.log(
        `  predicted on ${row.device}: prefill ${rates(row.prefillOf)}; decode at ${rates(row.decodeOf)} tokens/s`,
      );
  }
  if (agree !== undefined)
    console.log(`\nCPU and GPU prefer the same token at ${(100 * agree).toFixed(1)} % of the positions`);
}

function rates(list) {
  return Object.entries(list)
    .map(([n, rate]) => `${n}: ${rate.toFixed(1)}`)
    .join(', ');
}
