// SPDX-License-Identifier: Apache-2.0
// webgpu.test.mjs: real models on the GPU's executor beside the CPU's: which token each prefers at every
// position of a text that both are given (forced decoding).
import test from 'node:test';
import assert from 'node:assert/strict';
import { loadModel } from '../../dist/index.js';
import { fileOf, needs } from '../reference/real.mjs';
import { missing, openGpu } from '../webgpu/gpu.mjs';

const TOKENS = 128;
const TEXT = `The river rises in the hills above the town, where the first mills were built. For two hundred years
the water turned their wheels, and the roads to the coast carried flour and cloth. In the spring the
meadows stood under water, and the children went to school by boat. When the railway came, the mills
moved to the harbour, the bridge was widened, and the market moved from the church to the station.
Today the valley is quiet. Two of the mills are still there; one of them is a museum, and the other
one a house with a garden. On Sundays the people of the town walk along the bank as far as the old
lock, where boats can be hired, and come back by the road.`;

/** Resolves to the logits of every position, and the seconds they took. */
async function forced(file, ids, options) {
  const model = await loadModel(file, { cache: 'none', contextLength: 256, ...options });
  try {
    const list = ids ?? (await model.tokenize(TEXT)).slice(0, TOKENS);
    const began = performance.now();
    const logits = await model.logits(list, { all: true });
    const seconds = (performance.now() - began) / 1000;
    return { ids: list, logits, width: model.info.vocabularySize, seconds, info: model.info };
  } finally {
    await model.dispose();
  }
}

const bestOf = (row) => row.reduce((best, x, i) => (x > row[best] ? i : best), 0);

for (const name of ['smollm2', 'gemma3-270m', 'qwen2.5-coder-0.5b'])
  test(`${name}: CPU and GPU prefer the same token at 99 of 100 positions`, needs(name), async (t) => {
    if (missing()) return t.skip(missing());
    await openGpu(); // names the driver to Dawn
    const cpu = await forced(fileOf(name), undefined, { backend: 'cpu', threads: 2 });
    const gpu = await forced(fileOf(name), cpu.ids, { backend: 'webgpu' });
    assert.equal(cpu.ids.length, TOKENS);
    assert.equal(gpu.info.backend, 'webgpu');
    let [same, error, power] = [0, 0, 0];
    const parted = [];
    for (let i = 0; i < TOKENS; i++) {
      const [a, b] = [cpu, gpu].map(({ logits, width }) => logits.subarray(i * width, (i + 1) * width));
      const [x, y] = [bestOf(a), bestOf(b)];
      if (x === y) same += 1;
      else
        parted.push(
          `${i}: the CPU's lead is ${(a[x] - a[y]).toFixed(3)}, the GPU's ${(b[y] - b[x]).toFixed(3)}`,
        );
      a.forEach((value, k) => {
        error += (value - b[k]) ** 2;
        power += value * value;
      });
    }
    t.diagnostic(
      `${same} of ${TOKENS}, NMSE ${(error / power).toExponential(1)}, ${gpu.seconds.toFixed(0)} s`,
    );
    for (const line of parted) t.diagnostic(line);
    assert.ok(same >= 0.99 * TOKENS, `${same} of ${TOKENS}: ${parted.join('; ')}`);
  });
