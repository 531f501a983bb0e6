// SPDX-License-Identifier: Apache-2.0
// level2-lifecycle.test.mjs: how workers start and end in Node. Aborted loads leave no descriptor open, a
// missing worker.js is an error with a hint, a call that would wait for itself for ever is refused, and
// dispose ends every call.
import test from 'node:test';
import assert from 'node:assert/strict';
import { pbkdf2 } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../dist/index.js';
import { FIXTURE, GREEDY, refused, withModel } from './level2.mjs';

const modes = [{ threads: 1 }, { threads: 2 }, { worker: false }];
const root = fileURLToPath(new URL('../..', import.meta.url));
const noProc = process.platform !== 'linux' && 'there is no /proc here';
/** Returns the files of the project that this process has open. */
function openFiles() {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // closed meanwhile
    }
  });
  return targets.filter((target) => /\.(gguf|wasm|js)$/.test(target));
}

test(
  'aborted loads of a path leave no descriptor open while other work keeps the file threads busy',
  { skip: noProc },
  async () => {
    let isOver = false;
    // Hashing runs in the threads that also read files.
    const hash = () => isOver || pbkdf2('a', 'b', 2000, 64, 'sha512', hash);
    for (let i = 0; i < 6; i++) hash();
    try {
      let aborted = 0;
      const load = async (ms) => {
        const controller = new AbortController();
        const onProgress = ({ phase }) => phase === 'compile' && setTimeout(() => controller.abort(), ms);
        await loadModel(FIXTURE, { signal: controller.signal, threads: 1, onProgress }).then(
          (model) => model.dispose(),
          () => {
            aborted += 1;
          },
        );
      };
      for (let i = 0; i < 15; i++) await Promise.all([0, 1, 2, 3].map(load));
      assert.ok(aborted > 30, `only ${aborted} loads were aborted`);
      for (let i = 0; i < 100 && openFiles().length > 0; i++)
        await new Promise((resolve) => setTimeout(resolve, 100));
      assert.deepEqual(openFiles(), []);
    } finally {
      isOver = true;
    }
  },
);

test('when worker.js is missing, the hint says where it must be, and worker: false works', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'chord-dist-'));
  try {
    cpSync(path.join(root, 'dist'), folder, { recursive: true });
    rmSync(path.join(folder, 'worker.js'));
    const { loadModel: load } = await import(path.join(folder, 'index.js'));
    const error = await load(FIXTURE).then(
      () => assert.fail('it loaded'),
      (reason) => reason,
    );
    assert.equal(error.code, 'internal');
    assert.match(error.message, /the engine worker can't be started: .*worker\.js/);
    assert.match(error.hint, /worker\.js must be beside.*bundler.*worker: false/);
    const model = await load(FIXTURE, { worker: false });
    await model.dispose();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Settles as `promise` does, or rejects after 20 s. */
const within = (promise) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new assert.AssertionError({ message: 'the call must settle within 20 s' })),
      20_000,
    );
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

test('a call inside the loop over a generation is refused as busy with the reason, and the loop continues', async () => {
  for (const options of [{}, { worker: false }]) {
    await withModel(FIXTURE, options, async (model) => {
      const whole = await model.generate('Hello', { ...GREEDY, maxTokens: 40 }).text();
      const calls = {
        logits: () => model.logits([1, 2, 3]),
        generate: () => model.generate('Bye', GREEDY).text(),
        two: () => Promise.all([model.logits([1]), model.logits([2])]),
      };
      for (const [name, call] of Object.entries(calls)) {
        let text = '',
          tokens = 0;
        for await (const event of model.generate('Hello', { ...GREEDY, maxTokens: 40 })) {
          text += event.text;
          tokens += 1;
          if (tokens !== 2) continue;
          assert.ok((await model.tokenize('text calls are answered')).length > 0);
          const error = await refused(
            within(call()),
            'busy',
            name === 'generate' ? 'generate waits behind a generate' : 'logits waits behind a generate',
          );
          assert.match(error.hint, /inside the loop/);
        }
        assert.equal(text, whole, name);
      }
    });
  }
});

test("a slow reader, or a thread that is blocked for seconds, doesn't get a waiting call refused", async () => {
  await withModel(FIXTURE, {}, async (model) => {
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const slow = model.generate('Hello', { ...GREEDY, maxTokens: 12 });
    const first = await slow.next();
    assert.equal(first.done, false);
    const behind = model.logits([1, 2, 3]);
    for await (const _ of slow) await pause(600);
    assert.ok((await within(behind)).length > 0);

    const run = model.generate('Hello', { ...GREEDY, maxTokens: 40 });
    await run.next();
    const waiting = model.logits([1, 2, 3]);
    await pause(50); // the generation is now paused, its window ahead
    const rest = run.text();
    for (const begin = performance.now(); performance.now() - begin < 3000;) continue;
    await within(rest);
    assert.ok((await within(waiting)).length > 0);
  });
});

test('dispose ends running and waiting calls, and they and every later call fail with disposed', async () => {
  for (const options of modes) {
    const model = await loadModel(FIXTURE, options);
    const running = model.generate('Hello', { ...GREEDY, maxTokens: 200 });
    await running.next();
    const waiting = model.generate('Hello', GREEDY).text();
    const disposed = model.dispose();
    assert.equal(model.dispose(), disposed);
    await disposed;
    await refused(waiting, 'disposed');
    await refused(
      (async () => {
        for await (const _ of running);
      })(),
      'disposed',
    );
    for (const call of [
      () => model.tokenize('a'),
      () => model.detokenize([1]),
      () => model.logits([1]),
      () => model.counters(),
      () => model.generate('a').text(),
      () => model.applyChatTemplate([]),
    ])
      await refused(call(), 'disposed');
  }
});

test(
  '[Symbol.asyncDispose] disposes of the model where the runtime has the symbol',
  { skip: Symbol.asyncDispose ? false : 'this runtime has no Symbol.asyncDispose' },
  async () => {
    const model = await loadModel(FIXTURE);
    await model[Symbol.asyncDispose]();
    await refused(model.tokenize('a'), 'disposed');
  },
);
