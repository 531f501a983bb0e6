// SPDX-License-Identifier: Apache-2.0
// level2-sessions.test.mjs: several sessions in one engine worker. No public call opens one: the tests use
// the protocol.
import test from 'node:test';
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { FIXTURE, GREEDY_SAMPLING as GREEDY } from './level2.mjs';

const RANDOM = { ...GREEDY, temperature: 0.9, topK: 40 };

/**
 * Runs `use(ask)` with an engine worker and a loaded model. `ask` resolves to a call's answer and events.
 */
async function withWorker(options, use) {
  const worker = new Worker(new URL('../../dist/worker.js', import.meta.url));
  const calls = new Map();
  let next = 0;
  worker.on('message', (reply) => {
    const call = calls.get(reply.call);
    if (reply.type === 'tokens') {
      call.tokens.push(...reply.events.map(({ token }) => token));
      worker.postMessage({ op: 'taken', call: reply.call, count: reply.events.length });
    } else if (reply.type === 'rows') {
      call.rows.push(...reply.values);
      worker.postMessage({ op: 'taken', call: reply.call, count: 1 });
    } else if (reply.type === 'result') call.resolve({ ...call, value: reply.value });
    else if (reply.type === 'failed') call.reject(Object.assign(new Error(reply.error.message), reply.error));
  });
  const ask = (message) =>
    new Promise((resolve, reject) => {
      calls.set(next, { tokens: [], rows: [], resolve, reject });
      worker.postMessage({ ...message, call: next++ });
    });
  try {
    await ask({ op: 'load', source: { kind: 'path', path: FIXTURE }, options });
    await use(ask);
  } finally {
    await worker.terminate();
  }
}

const generate = (ask, session, prompt, sampling = GREEDY, maxTokens = 12) =>
  ask({
    op: 'generate',
    session,
    prompt,
    options: { maxTokens, ignoreEos: true, seed: 7, stop: [], logprobs: false, sampling },
  });

const refused = (promise, text) =>
  assert.rejects(promise, (error) => {
    assert.equal(error.code, 'invalid-argument');
    assert.equal(error.message, text);
    return true;
  });

const prompts = {
  one: Array.from({ length: 70 }, (_, i) => (i * 7) % 400),
  two: Array.from({ length: 45 }, (_, i) => (i * 11 + 3) % 400),
};

/** Three turns of a conversation. Each prompt is the text so far and a few more ids. */
async function* turns(ask, session, prompt, sampling) {
  let text = prompt;
  for (let turn = 0; turn < 3; turn++) {
    const { tokens, value } = await generate(ask, session, text, sampling);
    const { rows } = await ask({ op: 'logits', session, ids: [...text, ...tokens], all: false });
    yield { tokens, rows, cached: value.cachedTokens };
    text = [...text, ...tokens, 5, 6, 7];
  }
}

test('two sessions take turns, and each gives the same bits as alone', async () => {
  for (const options of [{ threads: 1 }, { threads: 2 }]) {
    for (const sampling of [GREEDY, RANDOM]) {
      const alone = {};
      for (const name of Object.keys(prompts)) {
        await withWorker(options, async (ask) => {
          alone[name] = [];
          for await (const turn of turns(ask, 0, prompts[name], sampling)) alone[name].push(turn);
        });
      }
      await withWorker(options, async (ask) => {
        const { value: second } = await ask({ op: 'open-session' });
        assert.equal(second, 1);
        const both = {
          one: turns(ask, 0, prompts.one, sampling),
          two: turns(ask, second, prompts.two, sampling),
        };
        const together = { one: [], two: [] };
        for (let turn = 0; turn < 3; turn++)
          for (const name of ['one', 'two']) together[name].push((await both[name].next()).value);
        assert.deepEqual(together, alone);
        assert.ok(
          together.one[1].cached > 70 && together.two[1].cached > 45,
          'each session must keep its own KV cache',
        );
      });
    }
  }
});

test('calls of two sessions wait in one queue', () =>
  withWorker({ threads: 1 }, async (ask) => {
    const { value: second } = await ask({ op: 'open-session' });
    const order = [];
    const run = async (name, session) => {
      const { tokens } = await generate(ask, session, prompts.one);
      order.push(name);
      return tokens;
    };
    const answers = await Promise.all([run('a', 0), run('b', second), run('c', 0), run('d', second)]);
    assert.deepEqual(order, ['a', 'b', 'c', 'd']);
    for (const tokens of answers) assert.deepEqual(tokens, answers[0]);
  }));

test('a fork has the KV cache of its origin, and afterwards neither affects the other', () =>
  withWorker({ threads: 1 }, async (ask) => {
    const text = prompts.one;
    const first = await generate(ask, 0, text);
    const { value: fork } = await ask({ op: 'fork-session', session: 0 });
    const more = [...text, ...first.tokens, 9];
    const other = [...text, ...first.tokens, 8, 8];
    const onFork = await generate(ask, fork, more, RANDOM);
    assert.ok(
      onFork.value.cachedTokens >= text.length + first.tokens.length - 1,
      JSON.stringify(onFork.value),
    );
    const onOrigin = await generate(ask, 0, other, RANDOM);
    await withWorker({ threads: 1 }, async (alone) => {
      assert.deepEqual((await generate(alone, 0, more, RANDOM)).tokens, onFork.tokens);
      assert.deepEqual((await generate(alone, 0, other, RANDOM)).tokens, onOrigin.tokens);
    });
  }));

test('a fork continues with the bits of its origin, and evaluates only the new tokens', () =>
  withWorker({ threads: 1 }, async (ask) => {
    const { tokens } = await generate(ask, 0, prompts.one);
    const text = [...prompts.one, ...tokens, 9, 8];
    const { value: fork } = await ask({ op: 'fork-session', session: 0 });
    const evaluated = async () => (await ask({ op: 'counters' })).value.tokensPrefilled;
    const before = await evaluated();
    const onFork = await ask({ op: 'logits', session: fork, ids: text, all: false });
    assert.equal((await evaluated()) - before, 3, 'the last sampled token and two more');
    const onOrigin = await ask({ op: 'logits', session: 0, ids: text, all: false });
    assert.deepEqual(onFork.rows, onOrigin.rows);
    const { value: fresh } = await ask({ op: 'open-session' });
    assert.deepEqual(onFork.rows, (await ask({ op: 'logits', session: fresh, ids: text, all: false })).rows);
  }));

test('a closed session releases its pages and its memory', () =>
  withWorker({ threads: 1 }, async (ask) => {
    await generate(ask, 0, prompts.one);
    const before = (await ask({ op: 'counters' })).value;
    const rounds = [];
    for (let i = 0; i < 5; i++) {
      const { value: session } = await ask({ op: 'open-session' });
      await generate(ask, session, prompts.two);
      const { kvPages } = (await ask({ op: 'counters' })).value;
      assert.ok(
        kvPages > before.kvPages,
        `two sessions must use more KV pages than the ${before.kvPages} of one, they use ${kvPages}`,
      );
      await ask({ op: 'close-session', session });
      rounds.push((await ask({ op: 'counters' })).value);
    }
    for (const { kvPages } of rounds) assert.equal(kvPages, before.kvPages);
    assert.equal(rounds.at(-1).wasmBytes, rounds[0].wasmBytes);
  }));

test("a session that doesn't exist, or can't be closed, is invalid-argument", () =>
  withWorker({ threads: 1 }, async (ask) => {
    await refused(generate(ask, 1, 'Hi'), 'there is no session 1');
    await refused(ask({ op: 'logits', session: 9, ids: [1], all: false }), 'there is no session 9');
    await refused(ask({ op: 'fork-session', session: 2 }), 'there is no session 2');
    await refused(ask({ op: 'close-session', session: 2 }), 'there is no session 2');
    await refused(
      ask({ op: 'close-session' }),
      "session 0 can't be closed: dispose closes it with the model",
    );
    await refused(
      generate(ask, -1, 'Hi'),
      `session is -1, not an integer from 0 to ${Number.MAX_SAFE_INTEGER}`,
    );
    const { value: session } = await ask({ op: 'open-session' });
    const [, last] = await Promise.allSettled([
      ask({ op: 'close-session', session }),
      generate(ask, session, 'Hi'),
    ]);
    assert.equal(last.reason?.message, `there is no session ${session}`);
    await generate(ask, 0, 'Hi');
  }));

test('an error in one session leaves the other unchanged', () =>
  withWorker({ threads: 1 }, async (ask) => {
    const { value: second } = await ask({ op: 'open-session' });
    const before = await generate(ask, second, prompts.two);
    await assert.rejects(generate(ask, 0, Array(5000).fill(1)), { code: 'context-full' });
    await assert.rejects(generate(ask, 0, [1, 2, 1e9]), { code: 'invalid-argument' });
    const after = await generate(ask, second, prompts.two);
    assert.deepEqual(after.tokens, before.tokens);
    assert.equal(after.value.cachedTokens, prompts.two.length - 1);
    await ask({ op: 'dispose' });
    await assert.rejects(generate(ask, second, 'Hi'), { code: 'disposed' });
  }));
