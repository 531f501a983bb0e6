// SPDX-License-Identifier: Apache-2.0
// depth.test.mjs: long contexts. SmolLM2's logits behind 4,064 tokens with each type of KV cache against
// llama.cpp's own noise there; 32,768 tokens inside the memory that the plan said; pages only as tokens come.
import test from 'node:test';
import assert from 'node:assert/strict';
import { loadModel } from '../../dist/index.js';
import { llamaHeader } from '../ts/header.mjs';
import { readDepth } from '../reference/golden.mjs';
import { fileOf, needs } from '../reference/real.mjs';

const bestOf = (row) => row.reduce((best, x, i) => (x > row[best] ? i : best), 0);

for (const [kvType, label] of [
  ['f32', 'kv32'],
  ['f16', 'kv16fa'],
  ['q8_0', 'kv8fa'],
])
  test(
    `SmolLM2 behind 4,064 tokens: logits are llama.cpp's within its own noise, ${kvType} KV`,
    needs('smollm2'),
    async (t) => {
      const { ids, best, rows, stride, sample, tolerance, noise } = await readDepth('smollm2-depth', label);
      const model = await loadModel(fileOf('smollm2'), { cache: 'none', contextLength: ids.length, kvType });
      try {
        let [error, power, differ] = [0, 0, 0];
        for (let k = 0; k < rows; k++) {
          // The prompt at first, then one token each: the session keeps what two calls share.
          const logits = await model.logits(ids.slice(0, ids.length - rows + k + 1));
          if (bestOf(logits) !== best[k]) differ += 1;
          for (let i = 0; i * stride < logits.length; i++) {
            const exact = sample[k * Math.ceil(logits.length / stride) + i];
            error += (logits[i * stride] - exact) ** 2;
            power += exact ** 2;
          }
        }
        t.diagnostic(
          `NMSE ${(error / power).toExponential(1)}, llama.cpp's own ${noise.nmse}; ${differ} of ${rows} prefer another token, llama.cpp's own ${noise.differ}`,
        );
        assert.ok(
          error / power <= tolerance.nmse,
          `NMSE ${error / power}, the tolerance is ${tolerance.nmse}`,
        );
      } finally {
        await model.dispose();
      }
    },
  );

test('32,768 tokens of a small model stay inside the planned memory, and take pages as they come', async () => {
  const TOKENS = 32768;
  const header = llamaHeader({ layers: 2, width: 128, ff: 64, heads: 2, vocabulary: 300, context: TOKENS });
  const file = new Uint8Array(header.length + 2e6);
  file.set(header);
  const model = await loadModel(file, { contextLength: TOKENS });
  try {
    const { memory } = model.info;
    assert.equal(memory.kv >= TOKENS * 2 * 2 * 128 * 2, true, 'two layers of keys and values in f16');
    const ids = Array.from({ length: TOKENS }, (_, i) => 1 + (i % 200));
    const pages = [];
    for (const n of [32, 4096, 16384, TOKENS]) {
      await model.logits(ids.slice(0, n));
      const { kvPages, wasmBytes } = await model.counters();
      pages.push(kvPages);
      assert.ok(wasmBytes <= memory.total + 65536, `${n} tokens: ${wasmBytes} bytes of ${memory.total}`);
    }
    assert.deepEqual(pages, [1, 128, 512, 1024]);
  } finally {
    await model.dispose();
  }
});
