// SPDX-License-Identifier: Apache-2.0
// level2-turns.test.mjs: the caller's thread stays free. With `worker: false` the engine runs in this thread,
// and the turns of its event loop are counted: they are as many as there are slices. The bench page measures
// the longest gap between two turns.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { loadModel } from '../../dist/index.js';
import { FIXTURE, GREEDY, SMOLLM2, needsModel, withModel } from './level2.mjs';

/** Runs `call`, and counts the turns of the event loop meanwhile. */
async function watch(call) {
  let isOver = false,
    turns = 0;
  const turn = () => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  try {
    const value = await call();
    return { value, turns };
  } finally {
    isOver = true;
  }
}

test('detokenize of millions of ids turns the event loop between slices, and an abort takes effect', () =>
  withModel(FIXTURE, { worker: false }, async (model) => {
    const ids = new Int32Array(2 ** 22).map((_, i) => 20 + (i % 200));
    const few = ids.subarray(0, 5000);
    const text = await model.detokenize(few);
    const { value, turns } = await watch(() => model.detokenize(ids));
    assert.ok(turns > 20, `${turns} turns`);
    assert.equal(value.slice(0, text.length - 8), text.slice(0, -8));
    assert.ok(value.length > 2 ** 20);
    const reason = new Error('enough');
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 1);
    await assert.rejects(model.detokenize(ids, { signal: controller.signal }), (error) => error === reason);
    assert.equal(await model.detokenize(few), text);
    ids[2 ** 21] = 1e9;
    await assert.rejects(model.detokenize(ids), { code: 'invalid-argument', message: /^ids\[2097152\] is/ });
  }));

test('slices of ids join to the text of all ids, though characters are cut between them', async () => {
  for (const name of ['q4_1-smollm', 'q4_0-spm', 'f32-linear-spm']) {
    const file = new URL(`../golden/${name}.gguf`, import.meta.url);
    await withModel(file, { worker: false }, async (model) => {
      const unit = await model.tokenize(' häß 日本 ✓ x', { addSpecial: false });
      const one = await model.detokenize(unit);
      const text = await model.detokenize(Array.from({ length: 500 }, () => unit).flat());
      // SentencePiece drops the blank that begins a text.
      assert.ok(text === one.repeat(500) || text === one + ` ${one}`.repeat(499), `${name}: ${one}`);
    });
  }
});

test('a text that is too long for a string is out-of-memory, and cheap to refuse', () =>
  withModel(FIXTURE, {}, async (model) => {
    const ids = [];
    for (let id = 0; id < model.info.vocabularySize; id++) ids.push(id);
    const lengths = [];
    for (const id of ids) lengths.push((await model.detokenize([id])).length);
    const longest = lengths.indexOf(Math.max(...lengths));
    const count = Math.ceil(2 ** 28 / lengths[longest]) + 1;
    await assert.rejects(model.detokenize(new Int32Array(count).fill(longest)), {
      code: 'out-of-memory',
      message: /more than 268435456 characters/,
    });
    assert.equal(typeof (await model.detokenize([5])), 'string');
  }));

test('save, restore, generate and logits turn the event loop as often as they have slices', needsModel, () =>
  withModel(SMOLLM2, { worker: false, kvType: 'f32' }, async (model) => {
    const session = await model.createSession();
    const ids = Array.from({ length: 100 }, (_, i) => 1000 + i);
    assert.ok((await watch(() => session.logits(ids))).turns > 20);
    assert.ok((await watch(() => session.generate(ids, { ...GREEDY, maxTokens: 8 }).text())).turns >= 8);
    const saved = await watch(() => session.save());
    const slices = saved.value.byteLength / 2 ** 20;
    assert.ok(slices > 4 && saved.turns >= slices, `${saved.turns} turns for ${slices} MiB`);
    const restored = await watch(() => session.restore(saved.value));
    assert.ok(restored.turns >= slices, `${restored.turns} turns for ${slices} MiB`);
  }),
);

test(
  "a load in the caller's thread reads at most 2 MiB between two turns of the event loop",
  needsModel,
  async () => {
    const bytes = await readFile(SMOLLM2);
    const read = new Map(); // turn: bytes
    let turn = 0,
      isOver = false,
      at = 0;
    const count = () => void (isOver || (turn++, setImmediate(count)));
    const pull = (controller) => {
      const chunk = bytes.subarray(at, (at += 2 ** 16));
      read.set(turn, (read.get(turn) ?? 0) + chunk.byteLength);
      if (chunk.byteLength === 0) controller.close();
      else controller.enqueue(new Uint8Array(chunk));
    };
    count();
    const model = await loadModel(new ReadableStream({ pull }), { worker: false });
    isOver = true;
    await model.dispose();
    const most = Math.max(...read.values());
    assert.ok(at >= bytes.byteLength && most <= 2 ** 21, `${most} bytes in one turn`);
  },
);
