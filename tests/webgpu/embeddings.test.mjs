// SPDX-License-Identifier: Apache-2.0
// embeddings.test.mjs: rows in the place of ids. The rows of a matrix, pushed as embeddings, give the logits
// of its ids.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { openModel } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';
import { runsOf } from './runs.mjs';
import { plain } from './sampling.mjs';

const skip = missing() || false;
const bytes = new Uint8Array(await readFile(new URL('../golden/f32-mha.gguf', import.meta.url)));
const seeded = { ...plain, temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 };

test('embeddings among ids give what their ids give, across batches and in slices', { skip }, async (t) => {
  const model = await openModel(await openGpu(), bytes, { contextLength: 128, batchTokens: 16 });
  t.after(() => model.free());
  const { engine, executor, program } = model;
  const { exports, heap } = engine.instance;
  const index = program.tensors.findIndex(({ name }) => name === 'token_embd.weight');
  const { offset, nIn } = program.tensors[index];
  const row = (id) =>
    new Float32Array(bytes.slice(offset + id * nIn * 4, offset + (id + 1) * nIn * 4).buffer);
  const ids = Array.from({ length: 60 }, (_, i) => (i * 37 + 5) % 290);
  const [first, end] = [10, 45];
  const block = heap.alloc((end - first) * nIn * 4 + 64);
  ids.slice(first, end).forEach((id, i) => heap.copyInFloats(block + i * nIn * 4, row(id)));

  /** Pushes the ids; those of [first, end) as embeddings, at positions of their own or consecutive ones. */
  const push = (session, positions) => {
    session.push(ids.slice(0, first));
    let at = 0;
    if (positions !== undefined) {
      at = heap.alloc(positions.length * 4);
      heap.copyInIds(at, positions);
    }
    assert.equal(exports.session_push_embeddings(session.address, block, at, end - first), 0);
    session.push(ids.slice(end));
  };
  const finish = async (session, budget) => {
    while (!(await executor.run(session, budget)).isDone) continue;
    return session.logits();
  };
  const own = engine.openSession();
  own.push(ids);
  const expected = await finish(own, Infinity);
  for (const budget of [Infinity, 1]) {
    const session = engine.openSession();
    push(session);
    assert.deepEqual(await finish(session, budget), expected);
    executor.close(session);
    session.close();
  }
  // The CPU's test of the same kind is in tests/engine. Here the tokens behind the rows, drawn ahead.
  const positions = Int32Array.from({ length: end - first }, (_, i) => first + (i % 5));
  const { start, take, using } = runsOf(model);
  const tokens = [];
  for (const isDrawn of [true, false])
    await using(async (open) => {
      const session = open();
      push(session, positions);
      const before = executor.counters.submitsAhead;
      tokens.push(await take(start(session, { ids: [], sampling: seeded, seed: 3, isDrawn }), 8));
      assert.equal(executor.counters.submitsAhead - before, isDrawn ? 9 : 0);
      assert.throws(() => session.evaluateAgain(), { code: 'device-lost' });
    });
  assert.deepEqual(tokens[0], tokens[1]);
});
