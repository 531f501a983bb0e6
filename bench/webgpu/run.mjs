// SPDX-License-Identifier: Apache-2.0
// run.mjs: measures the WebGPU backend in Node, over Dawn (npm `webgpu`). It needs the built package and no
// download: the models have random weights.
//
//   node bench/webgpu/run.mjs [--shapes 1B,8B] [--types Q4_K_M,Q4_0,Q8_0] [--prefill 128,512,2048]
//     [--depths 0,512,4096] [--repeat 3] [--gpu backend=vulkan,...] [--agree 110M] [--out FILE.json]
//     [--quick]
//
// With all its defaults a run takes some minutes on a desktop GPU. --quick: one tiny model, for software
// adapters.
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { predict } from './cost.mjs';
import { agreement, measureModel } from './measure.mjs';
import { makeModel } from './shapes.mjs';

const { values } = parseArgs({
  options: {
    shapes: { type: 'string', default: '1B,3B,8B' },
    types: { type: 'string', default: 'Q4_K_M,Q4_0,Q8_0' },
    prefill: { type: 'string', default: '128,512,2048' },
    depths: { type: 'string', default: '0,512,4096' },
    repeat: { type: 'string', default: '3' },
    gpu: { type: 'string' },
    agree: { type: 'string', default: '110M' },
    out: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
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
const results = [];
for (const shape of values.shapes.split(','))
  for (const type of values.types.split(',')) {
    const model = makeModel(shape, type);
    try {
      const figures = await measureModel(model, {
        loadModel,
        gpu,
        prefill: numbers(values.prefill),
        depths: numbers(values.depths),
        repeat: Number(values.repeat),
        note,
      });
      const predicted = predict({ ...model, perToken: figures.perToken });
      results.push({ shape, type, parameters: model.parameters, ...figures, predicted });
    } catch (error) {
      note(`${model.name}: ${error.message}`);
      results.push({ shape, type, error: `${error.code ?? ''} ${error.message}` });
    }
    if (values.out) await writeFile(values.out, JSON.stringify(results, null, 1));
  }
const agreed = await agreement(makeModel(values.agree, 'Q4_K_M'), {
  loadModel,
  gpu,
  tokens: values.quick ? 32 : 128,
});
print(results, agreed);
if (values.out) await writeFile(values.out, JSON.stringify({ agreement: agreed, results }, null, 1));

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
        `  predicted on ${row.device}: prefill ${row.prefill.toFixed(0)}, decode ${row.decode.toFixed(1)} tokens/s`,
      );
  }
  console.log(`\nCPU and GPU prefer the same token at ${(100 * agree).toFixed(1)} % of the positions`);
}

function rates(list) {
  return Object.entries(list)
    .map(([n, rate]) => `${n}: ${rate.toFixed(1)}`)
    .join(', ');
}
