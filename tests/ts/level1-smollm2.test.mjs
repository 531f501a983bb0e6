// SPDX-License-Identifier: Apache-2.0
// level1-smollm2.test.mjs: level 1 with SmolLM2, whose steps take real time: the answer, timers during a
// generation, and leaving in the middle of a long prompt.
import test from 'node:test';
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import init, { WasmModel, format_chat } from '../../dist/index.js';

const file = new URL('../../models/SmolLM2-135M-Instruct.Q4_1.gguf', import.meta.url);
const isMissing = !existsSync(file);
if (isMissing && process.env.CI === 'true')
  throw new Error('models/SmolLM2-135M-Instruct.Q4_1.gguf is missing (make model)');
const needsModel = {
  skip: isMissing ? 'models/SmolLM2-135M-Instruct.Q4_1.gguf is missing (make model)' : false,
};

const QUESTION = format_chat('', 'What is the capital of France?', 'chatml');
// some 1,500 tokens
const LONG = 'The keeper of the lighthouse climbed the stairs every morning. '.repeat(120);
let model;

async function smollm2(maxTokens) {
  if (model === undefined) {
    await init();
    model = new WasmModel(new Uint8Array(await readFile(file)));
  }
  model.set_config(maxTokens, 0, 1, 0, 1);
  return model;
}

test('SmolLM2 answers, and its stream has the same text', needsModel, async (t) => {
  const model = await smollm2(64);
  const text = model.generate(QUESTION);
  t.diagnostic(`${model.get_model_info().variant}: ${JSON.stringify(text)}`);
  assert.match(text, /Paris/);
  let streamed = '';
  for await (const piece of model.generate_async(QUESTION)) streamed += piece;
  assert.equal(streamed, text);
});

test('timers fire during a generation, at least once per four steps', needsModel, async (t) => {
  const model = await smollm2(48);
  const before = model.counters().stepsRun;
  let ticks = 0,
    longest = 0,
    last = performance.now();
  const timer = setInterval(() => {
    ticks++;
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 10);
  const begin = last;
  for await (const _ of model.generate_async(LONG.slice(0, 1500))) continue;
  clearInterval(timer);
  const steps = model.counters().stepsRun - before;
  const elapsed = performance.now() - begin;
  t.diagnostic(
    `${ticks} ticks in ${steps} steps and ${elapsed.toFixed(0)} ms, ${(elapsed / steps).toFixed(1)} ms per step, longest wait ${longest.toFixed(0)} ms`,
  );
  assert.ok(steps > 100);
  assert.ok(ticks >= steps / 4, `${ticks} ticks in ${steps} steps, at least one per four steps was expected`);
});

test('pending next() calls are served in order, though a token takes several steps', needsModel, async () => {
  const model = await smollm2(6);
  const expected = [];
  for await (const piece of model.generate_async(QUESTION)) expected.push(piece);
  // The prompt has another first token, so all of it is evaluated again.
  const stream = model.generate_async('x' + QUESTION);
  for await (const _ of stream) continue;
  const again = model.generate_async(QUESTION);
  const order = [];
  const results = await Promise.all(
    [0, 1, 2, 3].map((index) =>
      again.next().then((result) => {
        order.push(index);
        return result.value;
      }),
    ),
  );
  await again.return();
  assert.deepEqual(order, [0, 1, 2, 3]);
  assert.deepEqual(results, expected.slice(0, 4));
});

for (const [how, leave] of Object.entries({
  'return()': (stream) => stream.return(),
  'free()': (stream) => stream.free(),
})) {
  test(
    `${how} in the middle of a long prompt takes effect before the next step, and the next call has the right text`,
    needsModel,
    async (t) => {
      const model = await smollm2(16);
      const text = model.generate(QUESTION);
      const before = model.counters();
      const stream = model.generate_async(LONG);
      const pending = stream.next();
      await new Promise((resolve) => setTimeout(resolve, 60));
      const inside = model.counters();
      assert.ok(inside.stepsRun > before.stepsRun, 'the prefill must have started');
      assert.equal(inside.tokensPrefilled, before.tokensPrefilled, 'the prefill must not have ended');
      const begin = performance.now();
      await leave(stream);
      const milliseconds = performance.now() - begin;
      assert.deepEqual(await pending, { value: '', done: true });
      assert.equal(stream.token_count(), 0);
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.equal(model.counters().stepsRun, inside.stepsRun, 'no step may run after leaving');
      assert.equal(model.generate(QUESTION), text);
      t.diagnostic(
        `left after ${inside.stepsRun - before.stepsRun} steps of the prompt in ${milliseconds.toFixed(2)} ms`,
      );
    },
  );
}

test.after(() => model?.free());
