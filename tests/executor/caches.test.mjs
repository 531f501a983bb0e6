// SPDX-License-Identifier: Apache-2.0
// caches.test.mjs: the interpreter's own caches follow the sequences that ts/executor.ts shows it. A batch
// computes its own tokens only, also after a fork and after a cut. A closed session's caches are freed.
import test from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { GREEDY_SAMPLING as sampling } from '../ts/level2.mjs';

const path = fileURLToPath(new URL('../golden/q4_1-smollm.gguf', import.meta.url));
const prompt = Array.from({ length: 120 }, (_, i) => (i * 7) % 400); // the caches grow while it is continued

/**
 * An engine worker for the time of `use`. `ask` resolves with a call's value, its tokens, and the runs of the
 * interpreter during the call.
 */
async function withWorker(use) {
  const worker = new Worker(new URL('./watched-worker.mjs', import.meta.url));
  await once(worker, 'message'); // up
  let next = 0;
  const ask = (message) =>
    new Promise((resolve, reject) => {
      const call = next++,
        tokens = [],
        runs = [];
      const answer = {
        run: (run) => runs.push(run),
        tokens: ({ events }) => {
          tokens.push(...events.map(({ token }) => token));
          worker.postMessage({ op: 'taken', call, count: events.length });
        },
        result: ({ value }) => resolve({ value, tokens, runs }),
        failed: ({ error }) => reject(new Error(error.message)),
      };
      worker.removeAllListeners('message').on('message', (reply) => answer[reply.type]?.(reply));
      worker.postMessage({ ...message, call });
    });
  try {
    await ask({ op: 'load', source: { kind: 'path', path }, options: { threads: 1 } });
    await use(ask);
  } finally {
    await worker.terminate();
  }
}

const generate = (ask, session, ids, maxTokens = 24) =>
  ask({
    op: 'generate',
    session,
    prompt: ids,
    options: { maxTokens, ignoreEos: true, seed: 7, stop: [], logprobs: false, sampling },
  });

/** The runs start at position `first`, leave no gap and evaluate `tokens` tokens. */
function checkRuns(runs, first, tokens) {
  for (const run of runs) {
    assert.equal(run.firstPosition, first);
    first += run.tokens;
  }
  assert.equal(
    runs.reduce((sum, run) => sum + run.tokens, 0),
    tokens,
  );
}

test('each step computes one token and costs one key more than the step before', () =>
  withWorker(async (ask) => {
    const { tokens, runs } = await generate(ask, 0, prompt);
    checkRuns(runs, 0, prompt.length + tokens.length - 1); // the last sampled token isn't evaluated
    const steps = runs.filter((run) => run.tokens === 1).map(({ work }) => work);
    assert.equal(steps.length, tokens.length - 1);
    const key = steps[1] - steps[0];
    assert.ok(key > 0);
    steps.forEach((work, i) => assert.equal(work, steps[0] + i * key));
    assert.ok(
      steps[0] < runs[0].work / 50,
      `${steps[0]} multiply-adds of a token behind ${prompt.length}, ${runs[0].work} of the first batch`,
    );
  }));

test('a prompt that continues the cached text evaluates its new tokens only, also in a fork', () =>
  withWorker(async (ask) => {
    const { tokens } = await generate(ask, 0, prompt);
    const { value: fork } = await ask({ op: 'fork-session', session: 0 });
    const kept = prompt.length + tokens.length - 1;
    for (const session of [fork, 0]) {
      const more = await generate(ask, session, [...prompt, ...tokens, 5, 6], 1);
      checkRuns(more.runs, kept, 3);
      const cut = await generate(ask, session, prompt.slice(0, 100), 1);
      checkRuns(cut.runs, 99, 1);
    }
  }));

test("a closed session's caches are freed", () =>
  withWorker(async (ask) => {
    await generate(ask, 0, prompt, 1);
    const { value: fork } = await ask({ op: 'fork-session', session: 0 });
    const { value: empty } = await ask({ op: 'open-session' });
    for (const [session, sequences] of [
      [fork, 2],
      [empty, 3],
    ])
      assert.equal((await generate(ask, session, [1, 2], 1)).runs[0].sequences, sequences);
    for (const session of [fork, empty]) await ask({ op: 'close-session', session });
    assert.equal((await generate(ask, 0, [3, 4], 1)).runs[0].sequences, 1);
  }));
