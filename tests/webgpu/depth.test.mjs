// SPDX-License-Identifier: Apache-2.0
// depth.test.mjs: what a decoded token costs at depth 2,048, 4,096 and 6,144: everything but the keys and
// values that attention reads is equal, and no buffer is made. Counts, not times. Prompts are encoded, but
// not submitted: SwiftShader takes half a minute for their attention, and its results change no count.
import test from 'node:test';
import assert from 'node:assert/strict';
import { makeModel } from '../../bench/webgpu/shapes.mjs';
import { openModel } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';
import { runsOf } from './runs.mjs';
import { plain } from './sampling.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const DEPTHS = [2048, 4096, 6144];
const TOKENS = 8;
const shape = { embd: 64, layer: 1, head: 2, kv: 1, dim: 32, ff: 64, vocab: 288, tied: true };
const KEYS = ['gpuDispatches', 'submits', 'submitsAhead', 'readbacks', 'gpuBytes', 'gpuBytesRead'];

async function bytesOf(model) {
  const chunks = [];
  for await (const chunk of model.stream()) chunks.push(chunk);
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

// A word of q8_0's has the scales of 64 elements.
for (const [kvType, bytesOfHead] of [
  ['f16', 2 * shape.dim],
  ['q8_0', shape.dim + 4],
])
  test(
    `a token at any depth costs the same but for the ${kvType} cache that it reads`,
    { skip },
    async (t) => {
      const bytes = await bytesOf(makeModel('a layer', 'Q8_0', { shape }));
      const model = await openModel(gpu, bytes, { kvType, contextLength: 6300 });
      t.after(() => model.free());
      const { using, start, take } = runsOf(model);
      let made = 0;
      const { device } = model.opened;
      const create = device.createBuffer.bind(device);
      device.createBuffer = (descriptor) => {
        made += 1;
        return create(descriptor);
      };
      /** Evaluates `n` tokens without a submit. */
      async function skipTokens(session, n) {
        const { submit } = device.queue;
        device.queue.submit = () => undefined;
        session.push(ids(n));
        while (!(await model.executor.run(session, Infinity)).isDone) continue;
        device.queue.submit = submit;
      }
      const ids = (n) => Array.from({ length: n }, (_, i) => 259 + ((i * 7) % 29));
      const sampling = { ...plain, temperature: 0 };
      const costs = await using(async (open) => {
        const session = open();
        const found = [];
        for (const depth of DEPTHS) {
          const { n_tokens } = session.state();
          await skipTokens(session, depth - 2 - n_tokens);
          const next = start(session, { ids: ids(2), sampling });
          await take(next, 4); // steps ahead are under way
          assert.equal(session.state().n_past, depth + 3);
          const before = { ...model.executor.counters, made };
          await take(next, TOKENS);
          const after = { ...model.executor.counters, made };
          found.push(Object.fromEntries([...KEYS, 'made'].map((key) => [key, after[key] - before[key]])));
        }
        return found;
      });
      for (const [i, { gpuBytesRead, ...cost }] of costs.entries()) {
        t.diagnostic(`at ${DEPTHS[i]}: ${JSON.stringify({ ...cost, gpuBytesRead })}`);
        const { gpuBytesRead: first, ...wanted } = costs[0];
        assert.deepEqual(cost, wanted);
        assert.equal(gpuBytesRead - first, TOKENS * (DEPTHS[i] - DEPTHS[0]) * shape.kv * 2 * bytesOfHead);
      }
      const [{ submits, made: buffers, gpuBytes, gpuDispatches }] = costs;
      assert.deepEqual({ submits, buffers, gpuBytes }, { submits: TOKENS, buffers: 0, gpuBytes: 0 });
      // Six of the layer; the lookup, the logits, and the draw.
      assert.ok(gpuDispatches <= TOKENS * (6 + 4), `${gpuDispatches} dispatches`);
    },
  );
