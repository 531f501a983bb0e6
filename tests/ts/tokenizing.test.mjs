// SPDX-License-Identifier: Apache-2.0
// tokenizing.test.mjs: tokenising a megabyte of text can be stopped, lets other calls run, and leaves its
// memory for reuse. No test reads a clock: turns of the event loop show which call ends first.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import init, { WasmModel } from '../../dist/index.js';
import { FIXTURE, GREEDY, refused, withModel } from './level2.mjs';

const MiB = 2 ** 20;
const WORDS = 'the quick brown fox jumps over it, 123 times\n'.repeat(24_000); // 1.05 MB
const UNBROKEN = 'a'.repeat(MiB);
const SPM = new URL('../golden/q4_0-spm.gguf', import.meta.url);

const bothPlaces = [{}, { worker: false }];

test('an abort stops tokenize between two slices', async () => {
  for (const options of bothPlaces) {
    await withModel(FIXTURE, options, async (model) => {
      const controller = new AbortController();
      const ids = model.tokenize(WORDS, { signal: controller.signal });
      setImmediate(() => controller.abort(new Error('enough')));
      await assert.rejects(ids, /enough/);
      assert.ok((await model.tokenize('the fox')).length > 0);
    });
  }
});

test("the event loop turns while a text is tokenised in the caller's thread, and other calls are answered", () =>
  withModel(FIXTURE, { worker: false }, async (model) => {
    let turns = 0;
    let isDone = false;
    const count = () => void (isDone || (turns++, setImmediate(count)));
    const all = model.tokenize(WORDS);
    count();
    const few = await Promise.race([all, model.tokenize('the fox')]);
    assert.ok(few.length < 20, 'the short text must not wait for the long one');
    assert.ok((await all).length > 200_000);
    isDone = true;
    assert.ok(turns > 50, `${turns} turns of the event loop, more than 50 were expected`);
  }));

test('dispose stops tokenising', () =>
  withModel(FIXTURE, { worker: false }, async (model) => {
    const ids = model.tokenize(WORDS);
    setImmediate(() => void model.dispose());
    await refused(
      ids.then((list) => list.length),
      'disposed',
    );
  }));

test("a prompt that can't fit is refused before all of it is tokenised; tokenize itself has no limit", () =>
  withModel(FIXTURE, { contextLength: 64, threads: 1 }, async (model) => {
    await refused(model.generate(WORDS, GREEDY).text(), 'context-full', 'more than 64 tokens');
    await refused(model.generate(UNBROKEN, GREEDY).text(), 'context-full', 'more than 64 tokens');
    const messages = [{ role: 'user', content: WORDS }];
    if (model.info.chatTemplate !== undefined)
      await refused(model.chat.completions.create({ messages }), 'context-full', 'more than 64 tokens');
    assert.ok((await model.tokenize(WORDS)).length > 200_000);
    assert.equal((await model.counters()).tokensPrefilled, 0);
  }));

test("a long text needs about its own size of the model's memory, and the next text reuses that memory", async () => {
  for (const file of [FIXTURE, SPM]) {
    await withModel(file, { threads: 1 }, async (model) => {
      const before = (await model.counters()).wasmBytes;
      const ids = await model.tokenize(WORDS);
      const after = (await model.counters()).wasmBytes;
      assert.ok(
        after - before < WORDS.length + MiB / 4,
        `the memory grew by ${after - before} bytes for a text of ${WORDS.length}`,
      );
      assert.deepEqual(await model.tokenize(WORDS), ids);
      await model.tokenize('\u00e9'.repeat(1000));
      assert.equal((await model.counters()).wasmBytes, after);
    });
  }
});

test('the ids of a long text are the ids of its lines', () =>
  withModel(FIXTURE, {}, async (model) => {
    const line = await model.tokenize('the quick brown fox jumps over it, 123 times\n', {
      addSpecial: false,
    });
    const ids = await model.tokenize(WORDS, { addSpecial: false });
    assert.equal(ids.length, line.length * 24_000);
    assert.deepEqual(ids.slice(-line.length), line);
  }));

test("level 1: generate_async lets the event loop turn while the prompt is tokenised, and refuses a prompt that can't fit", async () => {
  await init();
  const model = new WasmModel(new Uint8Array(await readFile(FIXTURE)));
  const before = model.counters().wasmBytes;
  assert.throws(
    () => model.generate(WORDS),
    (error) => error.code === 'context-full' && /more than/.test(error.message),
  );
  // The prompt takes several slices, but has too few tokens to be refused at once.
  const stream = model.generate_async('the fox '.repeat(3000));
  let turns = 0;
  let isDone = false;
  const count = () => void (isDone || (turns++, setImmediate(count)));
  count();
  await assert.rejects(stream.next(), { code: 'context-full' });
  isDone = true;
  assert.ok(turns >= 2, `${turns} turns of the event loop, at least 2 were expected`);
  const left = model.generate_async(WORDS);
  const first = left.next();
  await left.return(); // the stream hasn't started, so it holds nothing
  assert.deepEqual(await first, { value: '', done: true });
  assert.ok(model.counters().wasmBytes - before < WORDS.length + MiB / 4);
  assert.equal(typeof model.generate('the'), 'string');
  model.free();
});
