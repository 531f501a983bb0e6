// SPDX-License-Identifier: Apache-2.0
// stack.test.mjs: an error shows where the caller made the call, also when it comes from the engine worker.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import test from 'node:test';
import { loadModel, estimateModel } from '../../dist/index.js';
import { FIXTURE, withModel } from './level2.mjs';

const tooLong = Array.from({ length: 1000 }, () => 1);

/** Resolves to the error of `call`. The call is made in a function named theCaller. */
async function theCaller(call, ...values) {
  try {
    await call(...values);
  } catch (error) {
    return error;
  }
  return assert.fail('no error');
}

/** Asserts that the error shows `theCaller` in this file, at most twice. */
function shows(error, what) {
  const { stack } = error;
  assert.ok(
    stack.startsWith(`ChordError: ${error.message}`) || stack.startsWith(`Error: ${error.message}`),
    stack,
  );
  assert.match(stack, /theCaller.*stack\.test\.mjs/, `${what}: ${stack}`);
  assert.ok(stack.split('theCaller').length <= 3, `${what}: ${stack}`);
}

test("an error of loadModel and of estimateModel shows the caller's frame", async () => {
  for (const source of ['/no/such/file.gguf', new Uint8Array(100), 5])
    for (const call of [loadModel, estimateModel])
      for (const options of [{}, { worker: false }, { threads: 0 }])
        shows(await theCaller(call, source, options), call.name);
});

test("an error of a model's call shows the caller's frame", () =>
  withModel(FIXTURE, { threads: 1 }, async (model) => {
    const messages = [{ role: 'user', content: 'Hello '.repeat(1000) }];
    for (const [what, call] of Object.entries({
      logits: () => model.logits(tooLong),
      detokenize: () => model.detokenize([-1]),
      tokenize: () => model.tokenize(5),
      text: () => model.generate(tooLong).text(),
      next: () => model.generate(tooLong).next(),
      stream: () => model.generate(tooLong).toReadableStream().getReader().read(),
      chat: () => model.chat.completions.create({ messages: 5 }),
      answer: () => model.chat.completions.create({ messages }),
    })) {
      const error = await theCaller(call);
      if (what !== 'stream') shows(error, what);
    }
    const looping = async function theCaller() {
      for await (const event of model.generate(tooLong)) assert.fail(event);
    };
    shows(await looping().catch((error) => error), 'for await');
  }));

test("a disposed model's error has the frames of its own caller alone, however many calls are made", async () => {
  const model = await loadModel(FIXTURE, { threads: 1 });
  const pending = theCaller(() => model.generate([1, 2], { maxTokens: 250, ignoreEos: true }).text());
  await model.dispose();
  shows(await pending, 'pending');
  const first = await theCaller(() => model.logits([1]));
  let last;
  for (let i = 0; i < 300; i++) last = await theCaller(() => model.logits([1]));
  assert.equal(last.code, 'disposed');
  shows(last, 'the last');
  assert.notEqual(first, last);
  assert.ok(last.stack.split('\n').length <= 2 * 10 + 2, last.stack);
});

test('an uncaught error prints ChordError, the message and the line of the caller', async () => {
  const script = `
    import { loadModel } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)};
    async function myOwnFunction() {
      await loadModel('/no/such/file.gguf');
    }
    await myOwnFunction();`;
  const printed = await new Promise((resolve) =>
    execFile(process.execPath, ['--input-type=module', '-e', script], (_, stdout, stderr) => resolve(stderr)),
  );
  assert.match(printed, /^ChordError: can't read \/no\/such\/file\.gguf/m);
  assert.match(printed, /at myOwnFunction/);
  assert.doesNotMatch(printed, /_ChordError/);
});
