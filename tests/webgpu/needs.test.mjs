// SPDX-License-Identifier: Apache-2.0
// needs.test.mjs: what an estimate says that a model takes of a GPU is what the executor takes, to the byte.
import test from 'node:test';
import assert from 'node:assert/strict';
import { encoderOf } from '../families/encoders.mjs';
import { modelOf } from '../families/models.mjs';
import { openModel, room } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const without = ['f16', 'subgroups', 'packedDot', 'immediates'];

// Experts with sinks and windows; states; slots that an op reads and writes; an encoder.
for (const name of ['gpt-oss.mix', 'qwen35', 'gemma4.mix', 'bert'])
  for (const device of [{}, { isLeast: true, without }])
    test(`${name}${device.isLeast ? ', plain kernels' : ''}: to the byte`, { skip }, async (t) => {
      const bytes = new Uint8Array((name === 'bert' ? encoderOf : modelOf)(name));
      const model = await openModel(gpu, bytes, { device, contextLength: 256 });
      t.after(() => model.free());
      const { executor, program, opened } = model;
      const needs = room.gpuMemoryOf(opened, program);
      await executor.warm();
      if (!program.isEncoder) await step(model, [1, 2, 3]); // waits for the list that warm() leaves behind
      const { readback, ...taken } = taking(executor, program);
      assert.deepEqual(needs, { ...taken, total: taken.total - readback });
      const matrices = program.tensors.filter(({ isMatrix }) => isMatrix);
      const file = matrices.reduce((sum, { bytes }) => sum + bytes, 0);
      t.diagnostic(JSON.stringify({ ...needs, file }));
      assert.ok(needs.weights >= file && needs.kv >= 0 && needs.total > needs.weights + needs.kv);
    });

/** What the executor holds, and of it the buffer of output rows, which the first readback makes. */
function taking(executor, { nVocab, isEncoder }) {
  const rows = isEncoder ? 0 : Math.ceil(nVocab / 4) * 16;
  return { ...executor.gpuMemory, readback: rows };
}

async function step({ engine, executor }, ids) {
  const session = engine.openSession();
  session.push(ids);
  while (!(await executor.run(session, Infinity)).isDone);
  executor.close(session);
  session.close();
}

test('a context that no binding holds is refused before anything is on the GPU', { skip }, async (t) => {
  const model = await openModel(gpu, new Uint8Array(modelOf('llama')), { contextLength: 128 });
  t.after(() => model.free());
  const { opened, program } = model;
  const small = { ...opened, features: { ...opened.features, maxBinding: 20_000 } };
  assert.throws(() => room.gpuMemoryOf(small, program), {
    code: 'no-webgpu',
    message: /a binding of this (GPU|adapter)/,
  });
});
