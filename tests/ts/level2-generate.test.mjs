// SPDX-License-Identifier: Apache-2.0
// level2-generate.test.mjs: Generation over a small fixture: one event per token, how a generation ends, the
// queue, leaving and aborting, options by name. Tests that need real time are in level2-smollm2.test.mjs.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { ChordError } from '../../dist/index.js';
import { FIXTURE, GREEDY, GREEDY_SAMPLING, refused, withModel } from './level2.mjs';

// some 140 tokens; the fixture's context is 256
const LONG = 'The quick brown fox jumps over the lazy dog. '.repeat(5);
const modes = [{ threads: 1 }, { threads: 2 }, { worker: false }];

test('one event per token makes up the text, the same in a worker with 1 and 2 threads and without a worker', async () => {
  const texts = [];
  for (const options of modes) {
    await withModel(FIXTURE, options, async (model) => {
      assert.equal(model.info.threads, options.threads ?? 1, model.info.backendReason);
      const run = model.generate(LONG, { ...GREEDY, maxTokens: 40 });
      const events = [];
      for await (const event of run) events.push(event);
      assert.equal(events.length, 40);
      const { stats } = run;
      assert.equal(stats.tokens, 40);
      assert.equal(stats.finishReason, 'length');
      assert.equal(stats.promptTokens, (await model.tokenize(LONG)).length);
      assert.ok(stats.ttftMs > 0 && stats.promptMs > 0 && stats.decodeMs > 0 && stats.tokensPerSecond > 0);
      const text = events.map((event) => event.text).join('');
      assert.equal(
        text,
        await model.detokenize(
          events.map((event) => event.token),
          { skipSpecial: true },
        ),
      );
      assert.equal(await model.generate(LONG, { ...GREEDY, maxTokens: 40 }).text(), text);
      texts.push(text);
    });
  }
  assert.equal(texts[1], texts[0]);
  assert.equal(texts[2], texts[0]);
});

test('nothing is computed before the first next()', () =>
  withModel(FIXTURE, {}, async (model) => {
    const run = model.generate('Hello', GREEDY);
    await model.tokenize('a turn of the worker');
    assert.equal((await model.counters()).stepsRun, 0);
    await run.next();
    assert.ok((await model.counters()).stepsRun > 0);
    await run.return();
  }));

test('break, return and throw leave the model usable, and the worker stops within its window', async () => {
  for (const options of modes) {
    await withModel(FIXTURE, options, async (model) => {
      const expected = await model.generate('Hello', GREEDY).text();
      const endless = { ...GREEDY, maxTokens: 200 };
      const leave = {
        async break() {
          for await (const _ of model.generate('Hello', endless)) break;
        },
        async throw() {
          await assert.rejects(async () => {
            for await (const _ of model.generate('Hello', endless)) throw new Error('mine');
          }, /mine/);
        },
        async return() {
          const run = model.generate('Hello', endless);
          await run.next();
          assert.deepEqual(await run.return(), { value: undefined, done: true });
          assert.deepEqual(await run.next(), { value: undefined, done: true });
          assert.equal(run.stats.finishReason, 'abort');
          assert.equal(run.stats.tokens, 1);
        },
        async 'return while next is pending'() {
          const run = model.generate(LONG, endless);
          const pending = run.next();
          await run.return();
          assert.ok('done' in (await pending));
        },
        async 'cancelled stream'() {
          const reader = model.generate('Hello', endless).toReadableStream().getReader();
          assert.equal(typeof (await reader.read()).value.token, 'number');
          await reader.cancel();
        },
      };
      for (const [how, way] of Object.entries(leave)) {
        const before = (await model.counters()).tokensDecoded;
        await way();
        const after = (await model.counters()).tokensDecoded;
        assert.ok(
          after - before <= 8,
          `${how}: ${after - before} tokens were sampled for one that was read, at most 8 are allowed`,
        );
        assert.equal(await model.generate('Hello', GREEDY).text(), expected, how);
      }
    });
  }
});

test('leaving cuts the KV cache back to the tokens that were read', () =>
  withModel(FIXTURE, {}, async (model) => {
    const ids = Array.from({ length: 31 }, (_, i) => 3 + i); // one token fewer than a page
    const run = model.generate(ids, { ...GREEDY, maxTokens: 200 });
    await run.next();
    let counters = await model.counters();
    // The worker runs ahead of the reader, into a second page.
    while (counters.tokensDecoded < 5) counters = await model.counters();
    assert.equal(counters.kvPages, 2);
    await run.return();
    assert.equal((await model.counters()).kvPages, 1);
  }));

test('stats and KV cache count exactly the tokens that were read before leaving, though tokens come together', async () => {
  for (const options of modes) {
    await withModel(FIXTURE, options, async (model) => {
      const ids = Array.from({ length: 20 }, (_, i) => 3 + i);
      const run = model.generate(ids, { ...GREEDY, maxTokens: 200 });
      const read = [];
      for await (const { token } of run) {
        if (read.push(token) < 9) continue;
        // The reader may be faster than the worker, and have the ninth token before it's evaluated. Sampling
        // the tenth shows that it is.
        while ((await model.counters()).tokensDecoded < 10);
        break;
      }
      assert.equal(run.stats.tokens, 9);
      const again = model.generate([...ids, ...read, 5], GREEDY);
      await again.text();
      assert.equal(again.stats.cachedTokens, 20 + 9);
    });
  }
});

/** A fixture whose embedding of `token` is NaN: evaluating the token fails, sampling it doesn't. */
async function withBadEmbedding(token) {
  const bytes = await readFile(new URL('../golden/f32-mha.gguf', import.meta.url)); // untied, 48 columns
  // A record of the tensor table: name, number of dimensions, dimensions, type, offset.
  const behind = (name, at) => at + name.length + 4 + 8 * bytes.readUInt32LE(at + name.length) + 4 + 8;
  const table = behind('.weight', bytes.lastIndexOf('.weight'));
  const embedding = behind('token_embd.weight', bytes.indexOf('token_embd.weight'));
  const data = Math.ceil(table / 32) * 32 + Number(bytes.readBigUInt64LE(embedding - 8));
  bytes.fill(0xff, data + token * 48 * 4, data + (token + 1) * 48 * 4);
  return new Uint8Array(bytes);
}

test('an error during a generation comes after every token that was sampled before it', async () => {
  const bytes = await withBadEmbedding(13);
  for (const options of modes) {
    await withModel(bytes, options, async (model) => {
      const run = model.generate([3, 4], {
        ...GREEDY,
        maxTokens: 50,
        logitBias: { 10: 4e8, 11: 3e8, 12: 2e8, 13: 1e8 },
        repetitionPenalty: 1e6,
      });
      const read = [];
      await refused(
        (async () => {
          for await (const { token } of run) read.push(token);
        })(),
        'internal',
        'layer 0',
      );
      assert.deepEqual(read, [10, 11, 12, 13]);
      assert.equal((await model.logits([3, 4])).length, model.info.vocabularySize);
    });
  }
});

test('the first token comes alone, later tokens come together, and the worker is at most the window of 6 tokens ahead', async () => {
  const worker = new Worker(new URL('../../dist/worker.js', import.meta.url));
  try {
    const sizes = [];
    const sum = () => sizes.reduce((a, b) => a + b, 0);
    let onReply = () => {};
    worker.on('message', (reply) => {
      if (reply.type === 'tokens') sizes.push(reply.events.length);
      onReply(reply);
    });
    const ended = () => new Promise((resolve) => (onReply = (reply) => reply.type === 'result' && resolve()));
    worker.postMessage({ op: 'load', call: 0, source: { kind: 'path', path: FIXTURE }, options: {} });
    await ended();
    worker.postMessage({
      op: 'generate',
      call: 1,
      prompt: 'Hello',
      options: { maxTokens: 200, ignoreEos: true, stop: [], logprobs: false, sampling: GREEDY_SAMPLING },
    });
    while (sum() < 6) await nextTurn();
    await sleep(50); // long enough for a token that mustn't come
    assert.equal(sum(), 6, `messages of ${sizes} tokens came before any 'taken', 6 tokens are allowed`);
    const end = ended();
    const take = (count) => worker.postMessage({ op: 'taken', call: 1, count });
    worker.on('message', (reply) => reply.type === 'tokens' && take(reply.events.length));
    take(6);
    await end;
    assert.equal(sum(), 200);
    assert.equal(sizes[0], 1);
    assert.ok(sizes.length < 200, 'tokens must share messages'); // a token takes some 50 us
  } finally {
    await worker.terminate();
  }
});

test("an abort makes the loop throw the signal's reason, and the next call works", async () => {
  for (const options of modes) {
    await withModel(FIXTURE, options, async (model) => {
      const expected = await model.generate('Hello', GREEDY).text();
      const reason = new Error('enough');
      const controller = new AbortController();
      let seen = 0;
      await assert.rejects(
        async () => {
          for await (const _ of model.generate('Hello', {
            ...GREEDY,
            maxTokens: 200,
            signal: controller.signal,
          }))
            if (++seen === 3) controller.abort(reason);
        },
        (error) => error === reason,
      );
      assert.equal(seen, 3);
      assert.equal(await model.generate('Hello', GREEDY).text(), expected);

      const aborted = model.generate('Hello', { ...GREEDY, signal: AbortSignal.abort() });
      await assert.rejects(aborted.next(), { name: 'AbortError' });
      assert.deepEqual(await aborted.next(), { value: undefined, done: true });
      await assert.rejects(
        model.generate('Hello', { ...GREEDY, signal: AbortSignal.abort(reason) }).text(),
        (error) => error === reason,
      );

      const late = new AbortController();
      const run = model.generate('Hello', { ...GREEDY, signal: late.signal });
      await run.next();
      late.abort(reason); // no next() is pending, so the next one rejects
      await assert.rejects(run.next(), (error) => error === reason);
      assert.equal(await model.generate('Hello', GREEDY).text(), expected);
    });
  }
});

test('calls run in the order of their first next(), and an abort removes a call from the queue', () =>
  withModel(FIXTURE, {}, async (model) => {
    const order = [];
    const run = (name, options = {}) => {
      const text = model.generate(LONG, { ...GREEDY, ...options }).text();
      return text.then(
        () => order.push(name),
        (error) => order.push(`${name}: ${error}`),
      );
    };
    const controller = new AbortController();
    const made = model.generate(LONG, GREEDY); // created first, started last
    const all = [run('a'), run('b', { signal: controller.signal }), run('c')];
    all.push(
      model.logits([1, 2, 3]).then(() => order.push('d')),
      made.text().then(() => order.push('e')),
    );
    controller.abort('out');
    await Promise.all(all);
    assert.deepEqual(
      order.filter((name) => name !== 'b: out'),
      ['a', 'c', 'd', 'e'],
    );
    assert.ok(order.indexOf('b: out') < order.indexOf('c'), String(order));

    const holder = model.generate('Hello', { ...GREEDY, maxTokens: 200 });
    await holder.next(); // its reader pauses, so it keeps the engine
    const out = new AbortController();
    const queued = model.generate('Hello', { ...GREEDY, signal: out.signal });
    const pending = queued.next();
    out.abort('out');
    await assert.rejects(pending, (error) => error === 'out');
    assert.equal(queued.stats.finishReason, 'abort');
    await holder.return();
  }));

test('a reader that pauses pauses the worker; text calls and counters are answered meanwhile', () =>
  withModel(FIXTURE, {}, async (model) => {
    const run = model.generate('Hello', { ...GREEDY, maxTokens: 100 });
    let count = 0;
    for await (const { token } of run) {
      count += 1;
      if (count > 3) continue;
      assert.equal(typeof (await model.detokenize([token])), 'string');
      const { tokensDecoded } = await model.counters();
      assert.ok(
        tokensDecoded <= count + 6,
        `${tokensDecoded} tokens were sampled and ${count} read, at most 6 ahead are allowed`,
      );
    }
    assert.equal(count, 100);
  }));

test('the KV cache of the common prefix is kept, and the text is the same as without it', () =>
  withModel(FIXTURE, {}, async (model) => {
    const first = model.generate(LONG, GREEDY);
    await first.text();
    assert.equal(first.stats.cachedTokens, 0);
    const again = model.generate(`${LONG}and more`, GREEDY);
    const text = await again.text();
    assert.ok(again.stats.cachedTokens > first.stats.promptTokens - 4, JSON.stringify(again.stats));
    const same = model.generate(`${LONG}and more`, GREEDY);
    assert.equal(await same.text(), text);
    assert.equal(same.stats.cachedTokens, same.stats.promptTokens - 1, 'the last token is always evaluated');
    await withModel(FIXTURE, {}, async (fresh) =>
      assert.equal(await fresh.generate(`${LONG}and more`, GREEDY).text(), text),
    );
  }));

test('a stop string ends the text before it, however tokens split it', () =>
  withModel(FIXTURE, {}, async (model) => {
    const whole = await model.generate('Hello', { ...GREEDY, maxTokens: 60 }).text();
    for (const [from, to] of [
      [3, 4],
      [5, 9],
      [10, 17],
    ]) {
      const stop = whole.slice(from, to);
      const run = model.generate('Hello', { ...GREEDY, maxTokens: 60, stop: ['never in there', stop] });
      assert.equal(await run.text(), whole.slice(0, whole.indexOf(stop)));
      assert.equal(run.stats.finishReason, 'stop');
      assert.equal(run.stats.stopString, stop);
    }
    const none = model.generate('Hello', { ...GREEDY, maxTokens: 60, stop: `${whole.at(-1)}never` });
    assert.equal(await none.text(), whole, 'text held back must come at the end');
    assert.equal(none.stats.finishReason, 'length');
    assert.equal(none.stats.stopString, undefined);
  }));

test('a bias of -Infinity forbids a token; with every token forbidden the generation fails, and the model stays usable', async () => {
  for (const options of modes) {
    await withModel(FIXTURE, options, async (model) => {
      const { vocabularySize } = model.info;
      const all = Array.from({ length: vocabularySize }, (_, id) => [id, -Infinity]);
      for (const temperature of [0, 1])
        for (const logitBias of [new Map(all), Object.fromEntries(all)])
          await refused(
            model.generate('Hello', { ...GREEDY, temperature, logitBias }).text(),
            'invalid-argument',
            'forbid every token',
          );
      const but = all.filter(([id]) => id !== 70);
      for (const temperature of [0, 1]) {
        const tokens = [];
        for await (const { token } of model.generate('Hello', {
          ...GREEDY,
          temperature,
          maxTokens: 5,
          logitBias: new Map(but),
        }))
          tokens.push(token);
        assert.deepEqual(tokens, Array(5).fill(70));
      }
      const {
        value: { token: first },
      } = await model.generate('Hello', { ...GREEDY, maxTokens: 1 }).next();
      const others = [];
      for await (const { token } of model.generate('Hello', { ...GREEDY, logitBias: { [first]: -Infinity } }))
        others.push(token);
      assert.ok(!others.includes(first));
    });
  }
});

test('a generation can be read once: a second loop, and text() after a loop, fail and say so', () =>
  withModel(FIXTURE, {}, async (model) => {
    const isRead = (error) =>
      error instanceof ChordError &&
      error.code === 'invalid-argument' &&
      /was read already/.test(error.message) &&
      error.hint !== undefined;
    const loop = async (run) => {
      let text = '';
      for await (const event of run) text += event.text;
      return text;
    };
    const whole = await model.generate('Hello', GREEDY).text();

    const looped = model.generate('Hello', GREEDY);
    assert.equal(await loop(looped), whole);
    await assert.rejects(loop(looped), isRead);
    await assert.rejects(looped.text(), isRead);

    const left = model.generate('Hello', GREEDY);
    for await (const _ of left) break;
    await assert.rejects(left.text(), isRead);

    const asked = model.generate('Hello', GREEDY);
    assert.equal(await asked.text(), whole);
    assert.equal(await asked.text(), whole, 'a second text() must be the same text');
    await assert.rejects(loop(asked), isRead);

    const stepped = model.generate('Hello', GREEDY);
    const { value } = await stepped.next();
    assert.equal(value.text + (await stepped.text()), whole, 'text() after next() must be the rest');

    const ended = model.generate('Hello', GREEDY);
    while (!(await ended.next()).done);
    await assert.rejects(ended.text(), isRead);
    assert.deepEqual(await ended.next(), { value: undefined, done: true });

    const iterator = model.generate('Hello', GREEDY)[Symbol.asyncIterator]();
    const { value: head } = await iterator.next();
    assert.equal(head.text + (await loop(iterator)), whole, 'an iterator must be iterable itself');

    const streamed = model.generate('Hello', GREEDY);
    let text = '';
    for await (const event of streamed.toReadableStream()) text += event.text;
    assert.equal(text, whole);
    await assert.rejects(streamed.text(), isRead);
    await assert.rejects(streamed.toReadableStream().getReader().read(), isRead);
    assert.equal(await model.generate('Hello', GREEDY).text(), whole);
  }));

test('an end-of-generation token ends the generation with stop and without an event', () =>
  withModel(FIXTURE, {}, async (model) => {
    const [end] = await model.tokenize('<|im_end|>', { addSpecial: false });
    const ended = model.generate('Hello', { ...GREEDY, ignoreEos: false, logitBias: { [end]: 1000 } });
    assert.equal(await ended.text(), '');
    assert.equal(ended.stats.finishReason, 'stop');
    assert.equal(ended.stats.stopString, undefined);
    assert.equal(ended.stats.tokens, 0);
    const ignored = model.generate('Hello', { ...GREEDY, maxTokens: 3, logitBias: new Map([[end, 1000]]) });
    const tokens = [];
    for await (const { token, text } of ignored) tokens.push([token, text]);
    assert.deepEqual(tokens, [
      [end, ''],
      [end, ''],
      [end, ''],
    ]);
  }));

test('a generation that fills the context ends with length; a prompt that leaves no room for a token is context-full', () =>
  withModel(FIXTURE, { contextLength: 64 }, async (model) => {
    assert.equal(model.info.contextLength, 64);
    const ids = Array.from({ length: 60 }, (_, i) => 3 + i);
    const run = model.generate(ids, { ...GREEDY, maxTokens: 50 });
    await run.text();
    assert.equal(run.stats.tokens, 4);
    assert.equal(run.stats.finishReason, 'length');
    const last = model.generate([...ids, 5, 6, 7], GREEDY);
    await last.text();
    assert.equal(last.stats.tokens, 1);
    await refused(model.generate([...ids, 5, 6, 7, 8], GREEDY).text(), 'context-full', '64');
    await refused(model.logits(Array(65).fill(3)), 'context-full', '65');
    assert.equal((await model.logits(Array(64).fill(3))).length, model.info.vocabularySize);
    await model.generate(ids, GREEDY).text();
  }));

test('the same seed gives the same text, another seed another text', () =>
  withModel(FIXTURE, {}, async (model) => {
    const text = (seed) =>
      model
        .generate('Hello', {
          maxTokens: 40,
          temperature: 1.5,
          topK: 0,
          topP: 1,
          minP: 0,
          ignoreEos: true,
          seed,
        })
        .text();
    const one = await text(1);
    assert.equal(await text(1), one);
    assert.notEqual(await text(2), one);
    assert.notEqual(await text(undefined), await text(undefined));
  }));

test('logprob is the logarithm of the softmax of the raw logits', () =>
  withModel(FIXTURE, {}, async (model) => {
    const ids = await model.tokenize('Hello');
    const { value } = await model
      .generate(ids, { ...GREEDY, maxTokens: 1, logprobs: true, logitBias: { 5: 1000 } })
      .next();
    assert.equal(value.token, 5);
    const logits = await model.logits(ids);
    const most = Math.max(...logits);
    const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0);
    assert.ok(Math.abs(value.logprob - (logits[5] - most - Math.log(sum))) < 1e-9);
    const { value: plain } = await model.generate(ids, { ...GREEDY, maxTokens: 1 }).next();
    assert.ok(!('logprob' in plain));
    assert.ok(!('topLogprobs' in value));
  }));

test('topLogprobs are the most likely tokens of the raw logits, best first', () =>
  withModel(FIXTURE, {}, async (model) => {
    const ids = await model.tokenize('Hello');
    const logits = await model.logits(ids);
    const most = Math.max(...logits);
    const log = Math.log(logits.reduce((total, logit) => total + Math.exp(logit - most), 0)) + most;
    const best = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b);
    for (const topLogprobs of [1, 7, 20]) {
      const how = { ...GREEDY, maxTokens: 1, logprobs: true, topLogprobs, logitBias: { 5: 1000 } };
      const { value } = await model.generate(ids, how).next();
      assert.deepEqual(
        value.topLogprobs.map(({ token }) => token),
        best.slice(0, topLogprobs),
      );
      for (const { token, logprob } of value.topLogprobs)
        assert.ok(Math.abs(logprob - (logits[token] - log)) < 1e-9);
    }
    for (const [options, ...words] of [
      [{ topLogprobs: 2 }, 'topLogprobs', 'logprobs: true'],
      [{ logprobs: true, topLogprobs: 21 }, 'topLogprobs is 21'],
      [{ logprobs: true, topLogprobs: -1 }, 'topLogprobs is -1'],
    ])
      assert.throws(
        () => model.generate(ids, options),
        ({ message }) => words.every((word) => message.includes(word)),
      );
  }));

test('with controls, a control token has its text in its event, behind the text that was held back', () =>
  withModel(FIXTURE, {}, async (model) => {
    const [a, start, end] = [(await model.tokenize('a', { addSpecial: false }))[0], 1, 2];
    // The penalty lets each of the two tokens come once: first 'a', which may begin the stop string.
    const options = {
      ...GREEDY,
      maxTokens: 3,
      stop: ['ab'],
      logitBias: { [a]: 2000, [start]: 1000 },
      presencePenalty: 5000,
    };
    const events = async (more) => {
      const list = [];
      for await (const event of model.generate('Hello', { ...options, ...more })) list.push(event);
      return list.slice(0, 2);
    };
    assert.deepEqual(await events({ controls: true }), [
      { text: '', token: a },
      { text: 'a', token: start, control: '<|im_start|>' },
    ]);
    assert.deepEqual(await events({}), [
      { text: '', token: a },
      { text: '', token: start },
    ]);
    for (const ignoreEos of [false, true]) {
      const run = model.generate('Hello', {
        ...GREEDY,
        maxTokens: 2,
        controls: true,
        ignoreEos,
        logitBias: { [end]: 1000 },
      });
      const controls = [];
      for await (const { control } of run) controls.push(control);
      assert.deepEqual(controls, ignoreEos ? ['<|im_end|>', '<|im_end|>'] : []);
      assert.equal(run.stats.endToken, ignoreEos ? undefined : '<|im_end|>');
    }
    const stopped = model.generate('Hello', { ...options, stop: 'a' });
    await stopped.text();
    assert.deepEqual([stopped.stats.stopString, stopped.stats.endToken], ['a', undefined]);
  }));

test('logits of all ids are bitwise the rows that each prefix gives, with 1 and 2 threads and without a worker', async () => {
  let rows;
  for (const options of modes) {
    await withModel(FIXTURE, options, async (model) => {
      const ids = (await model.tokenize(LONG)).slice(0, 70);
      const width = model.info.vocabularySize;
      const all = await model.logits(ids, { all: true });
      assert.equal(all.length, ids.length * width);
      for (const n of [1, 31, 32, 33, 70])
        assert.deepEqual(
          await model.logits(ids.slice(0, n)),
          all.slice((n - 1) * width, n * width),
          `${n} ids`,
        );
      rows ??= all;
      assert.deepEqual(all, rows);
      assert.deepEqual(
        await model.logits(ids, { all: true }),
        rows,
        'the rows must be the same with the prefix in the cache',
      );
      const controller = new AbortController();
      const aborted = model.logits(Array(250).fill(7), { all: true, signal: controller.signal });
      controller.abort('no');
      await assert.rejects(aborted, (error) => error === 'no');
      assert.deepEqual(await model.logits(ids), all.slice(69 * width));
    });
  }
});

test('profile returns the time of each op since the last call, with products named by their weights', () =>
  withModel(FIXTURE, { threads: 2 }, async (model) => {
    assert.deepEqual(await model.profile(), []);
    await model.generate('Hello', GREEDY).text();
    const entries = await model.profile();
    const names = entries.map(({ op }) => op);
    for (const name of [
      'EMBED',
      'NORM',
      'ATTEND',
      'MATMUL attn_q+attn_k+attn_v',
      'MATMUL ffn_gate+ffn_up',
      'MATMUL ffn_down',
      'MATMUL token_embd',
    ])
      assert.ok(names.includes(name), `${name} in ${names}`);
    assert.equal(entries.find(({ op }) => op === 'MATMUL ffn_down').count, model.info.blockCount);
    assert.deepEqual(entries, entries.toSorted?.((a, b) => b.ms - a.ms) ?? entries);
    assert.ok(entries.every(({ ms }) => ms > 0 && Number.isFinite(ms)));
    assert.deepEqual(await model.profile(), []); // nothing ran since the last call
    await refused(model.generate([], GREEDY).text(), 'invalid-argument');
  }));

test("tokenize accepts UTF-8 bytes, also invalid ones, and doesn't change them", () =>
  withModel(FIXTURE, {}, async (model) => {
    const text = '\ufeffHello, wörld \u{1f600}';
    const bytes = new TextEncoder().encode(text);
    assert.deepEqual(await model.tokenize(bytes), await model.tokenize(text));
    assert.deepEqual(bytes, new TextEncoder().encode(text));
    assert.equal(await model.detokenize(await model.tokenize(text)), text);
    const invalid = Uint8Array.of(0x48, 0xff, 0xc3, 0x28);
    assert.equal(await model.detokenize(await model.tokenize(invalid)), 'H\ufffd\ufffd(');
    assert.deepEqual(
      await model
        .tokenize('<|im_end|>', { parseSpecial: false, addSpecial: false })
        .then((ids) => ids.length > 1),
      true,
    );
  }));

test('applyChatTemplate on a model without a chat template is invalid-argument with a hint', async () => {
  await withModel(FIXTURE, {}, async (model) => {
    if (model.info.chatTemplate !== undefined) return;
    const error = await refused(
      model.applyChatTemplate([{ role: 'user', content: 'Hi' }]),
      'invalid-argument',
      'chat template',
    );
    assert.ok(error.hint);
  });
});
