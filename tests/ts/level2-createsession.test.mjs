// SPDX-License-Identifier: Apache-2.0
// level2-createsession.test.mjs: sessions of the public API: tokens, clone, save, restore, dispose.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { FIXTURE, GREEDY, SMOLLM2, needsModel, refused, withModel } from './level2.mjs';

const modes = [{}, { worker: false }, { threads: 2, kvType: 'f32' }, { threads: 1, kvType: 'q8_0' }];
const prompt = Array.from({ length: 70 }, (_, i) => (i * 7) % 400);
const other = Array.from({ length: 45 }, (_, i) => (i * 11 + 3) % 400);

async function read(run) {
  const tokens = [];
  for await (const { token } of run) tokens.push(token);
  return tokens;
}
const hash = (values) => createHash('sha256').update(values).digest('hex');

test('a session has its own tokens and prefix, and the answers of a model alone', async () => {
  for (const options of modes)
    await withModel(FIXTURE, options, async (model) => {
      const alone = [];
      for (const ids of [prompt, other]) alone.push(await read(model.generate(ids, GREEDY)));
      const [a, b] = [await model.createSession(), await model.createSession()];
      assert.deepEqual([...a.tokens], []);
      const runs = [a.generate(prompt, GREEDY), b.generate(other, GREEDY)];
      assert.deepEqual(await Promise.all(runs.map(read)), alone);
      assert.deepEqual([...a.tokens], [...prompt, ...alone[0]]);
      assert.deepEqual([...b.tokens], [...other, ...alone[1]]);
      const again = a.generate([...a.tokens, 5, 6], GREEDY);
      await again.text();
      assert.equal(again.stats.cachedTokens, 70 + 15); // the last sampled token wasn't evaluated
      assert.equal(a.tokens.length, 70 + 16 + 2 + 16);
      const text = a.generate('Hello there', GREEDY);
      await text.text();
      assert.deepEqual(
        [...a.tokens].slice(0, text.stats.promptTokens),
        await model.tokenize('Hello there'),
        'a text becomes ids in the history',
      );
      a.tokens.fill(0); // a copy
      assert.notEqual(a.tokens[0], 0);
    });
});

test('tokens are those that were read, also after leaving in the middle', () =>
  withModel(FIXTURE, {}, async (model) => {
    const session = await model.createSession();
    const taken = [];
    for await (const { token } of session.generate(prompt, { ...GREEDY, maxTokens: 100 }))
      if (taken.push(token) === 7) break;
    assert.deepEqual([...session.tokens], [...prompt, ...taken]);
    await session.logits(other);
    assert.deepEqual([...session.tokens], other);
    await assert.rejects(session.logits([1, 2, 1e9]), { code: 'invalid-argument' });
  }));

test('a clone continues with the same bits, and neither sees the other', () =>
  withModel(FIXTURE, {}, async (model) => {
    const session = await model.createSession();
    await session.generate(prompt, GREEDY).text();
    const clone = await session.clone();
    assert.deepEqual(clone.tokens, session.tokens);
    const before = session.tokens;
    const run = clone.generate([...clone.tokens, 9, 8], GREEDY);
    const tokens = await read(run);
    assert.equal(run.stats.cachedTokens, 70 + 15);
    assert.deepEqual(session.tokens, before);
    await session.dispose();
    assert.deepEqual(await read(model.generate([...before, 9, 8], GREEDY)), tokens);
  }));

test('a restored session gives the bits of the session that was never saved', async () => {
  for (const options of modes) {
    const saved = await withModel(FIXTURE, options, async (model) => {
      const session = await model.createSession();
      await session.generate(prompt, GREEDY).text();
      const bytes = await session.save();
      assert.ok(bytes instanceof Uint8Array && bytes.byteLength > 10_000);
      const text = [...session.tokens, 3, 4, 5];
      const run = session.generate(text, { ...GREEDY, temperature: 1, seed: 3, repetitionPenalty: 1.2 });
      return {
        bytes,
        tokens: text.slice(0, -3),
        answer: await read(run),
        logits: hash(await session.logits(text)),
      };
    });
    await withModel(FIXTURE, options, async (model) => {
      const text = [...saved.tokens, 3, 4, 5];
      for (const source of [saved.bytes, saved.bytes.slice().buffer, new Blob([saved.bytes])]) {
        const session = await model.createSession();
        await session.generate(other, GREEDY).text();
        await session.restore(source);
        assert.deepEqual([...session.tokens], saved.tokens);
        assert.equal(hash(await session.save()), hash(saved.bytes));
        const run = session.generate(text, { ...GREEDY, temperature: 1, seed: 3, repetitionPenalty: 1.2 });
        assert.deepEqual(await read(run), saved.answer);
        assert.equal(run.stats.cachedTokens, 70 + 15);
        assert.equal(hash(await session.logits(text)), saved.logits);
        await session.dispose();
      }
      assert.equal(saved.bytes.byteLength > 0, true, "the caller's bytes aren't detached");
    });
  }
});

/** A file handle in memory, as the File System API has it. */
function handle() {
  const parts = [];
  return {
    closed: 0,
    async createWritable() {
      return new WritableStream({
        write: (bytes) => void parts.push(bytes.slice()),
        close: () => void this.closed++,
      });
    },
    getFile: async () => new Blob(parts),
  };
}

test('a save goes to a file or a stream, with back-pressure, and comes back from the file', needsModel, () =>
  withModel(SMOLLM2, { kvType: 'f32' }, async (model) => {
    const session = await model.createSession();
    const long = Array.from({ length: 110 }, (_, i) => 1000 + i * 13);
    await session.logits(long);
    const bytes = await session.save();
    assert.ok(bytes.byteLength > 3 << 20, `${bytes.byteLength} bytes are at least four slices`);
    const file = handle();
    assert.equal(await session.save({ to: file }), undefined);
    assert.equal(file.closed, 1);
    const copy = await model.createSession();
    await copy.restore(file);
    assert.deepEqual([...copy.tokens], long);
    assert.equal(hash(await copy.save()), hash(bytes));

    let most = 0,
      waiting = 0;
    const slow = new WritableStream(
      {
        async write() {
          await new Promise((resolve) => setTimeout(resolve, 5));
          waiting -= 1;
        },
      },
      { highWaterMark: 1, size: () => ((most = Math.max(most, ++waiting)), 1) },
    );
    await session.save({ to: slow });
    assert.ok(most <= 3, `${most} slices waited for the writer`);

    const broken = new WritableStream({
      write() {
        throw new Error('the disk is full');
      },
    });
    const error = await refused(session.save({ to: broken }), 'io', 'the disk is full');
    assert.equal(error.cause.message, 'the disk is full');
    for (const to of [5, null, 'a name', {}]) {
      const { message } = await refused(
        session.save({ to }),
        'invalid-argument',
        "to can't be written: it is",
      );
      assert.doesNotMatch(message, /getWriter|destructure|intermediate/);
    }
    await refused(session.save({ into: file }), 'invalid-argument', "no option 'into'");
    assert.equal(hash(await session.save()), hash(bytes), 'the session is usable after all that');
  }),
);

test('a damaged, cut off or foreign save is a typed error, and leaves the session as it was', () =>
  withModel(FIXTURE, {}, async (model) => {
    const session = await model.createSession();
    await session.generate(prompt, GREEDY).text();
    const bytes = await session.save();
    const target = await model.createSession();
    await target.generate(other, GREEDY).text();
    const before = target.tokens;
    const { kvPages } = await model.counters();
    const flipped = bytes.slice();
    flipped[bytes.byteLength >> 1] ^= 4;
    await refused(target.restore(flipped), 'integrity', 'checksum');
    await refused(target.restore(bytes.subarray(0, bytes.byteLength - 1)), 'integrity', 'cut off after');
    await refused(target.restore(new Uint8Array()), 'integrity', 'cut off after 0 bytes');
    await refused(target.restore(new Uint8Array(5000)), 'invalid-argument', "aren't a saved session");
    await refused(target.restore(new Blob([bytes, bytes])), 'integrity', 'follow its end');
    for (const wrong of [5, null, 'a path', {}, [1, 2]])
      await refused(target.restore(wrong), 'invalid-argument', 'the save');
    await refused(
      target.restore({
        getFile: async () => {
          throw new Error('gone');
        },
      }),
      'io',
      'gone',
    );
    assert.deepEqual(target.tokens, before);
    assert.equal((await model.counters()).kvPages, kvPages, 'no page of a failed restore is held');
    const run = target.generate([...before, 9], GREEDY);
    await run.text();
    assert.equal(run.stats.cachedTokens, 45 + 15);
    await withModel(FIXTURE, { kvType: 'f32' }, async (f32) => {
      const there = await f32.createSession();
      await refused(there.restore(bytes), 'invalid-argument', 'f16', 'f32');
    });
    await withModel(FIXTURE, { contextLength: 64 }, async (short) => {
      const there = await short.createSession();
      await refused(there.restore(bytes), 'context-full', '86 tokens', '64');
    });
  }));

test('an abort of save or restore leaves both sessions usable', needsModel, () =>
  withModel(SMOLLM2, { kvType: 'f32' }, async (model) => {
    const session = await model.createSession();
    await session.logits(Array.from({ length: 110 }, (_, i) => 1000 + i));
    const bytes = await session.save();
    const reason = new Error('enough');
    const stuck = new WritableStream({ write: () => new Promise(() => {}) });
    for (const call of [
      (signal) => session.save({ to: stuck, signal }),
      (signal) => session.save({ signal }),
      (signal) => session.restore(bytes, { signal }),
      (signal) =>
        session.restore({ getFile: async () => ({ slice: () => 0, size: 1 }) }, { signal }).catch((error) => {
          if (error.code !== 'invalid-argument') throw error;
          throw reason;
        }),
    ]) {
      const controller = new AbortController();
      const promise = call(controller.signal);
      setTimeout(() => controller.abort(reason), 1);
      await promise.catch((error) => assert.equal(error, reason));
    }
    assert.equal(hash(await session.save()), hash(bytes));
    assert.equal(session.tokens.length, 110);
  }),
);

test("dispose stops the session's calls and frees its pages for others", () =>
  withModel(FIXTURE, {}, async (model) => {
    const rounds = [];
    for (let i = 0; i < 4; i++) {
      const session = await model.createSession();
      await session.generate(prompt, GREEDY).text();
      assert.ok((await model.counters()).kvPages > 0);
      await session.dispose();
      await session.dispose();
      rounds.push(await model.counters());
      assert.equal(rounds.at(-1).kvPages, 0);
      for (const call of [
        () => session.generate(prompt).text(),
        () => session.logits([1]),
        () => session.save(),
        () => session.restore(new Uint8Array(1)),
        () => session.clone(),
        () => session.chat.completions.create({ messages: [{ role: 'user', content: 'Hi' }] }),
      ])
        await refused(call(), 'disposed', 'the session was disposed of');
    }
    assert.equal(rounds.at(-1).wasmBytes, rounds[0].wasmBytes);

    const session = await model.createSession();
    const run = session.generate(prompt, { ...GREEDY, maxTokens: 1000 });
    await run.next();
    const queued = session.logits(prompt);
    await session.dispose(); // doesn't wait for the reader
    await refused(queued, 'disposed', 'the session');
    await refused(read(run), 'disposed', 'the session');
    assert.equal((await model.generate(prompt, GREEDY).text()).length > 0, true);
    if (typeof Symbol.asyncDispose === 'symbol') {
      const last = await model.createSession();
      await last[Symbol.asyncDispose]();
      await refused(last.save(), 'disposed');
    }
  }));

test("the model's dispose ends its sessions", async () => {
  let session;
  await withModel(FIXTURE, {}, async (model) => {
    session = await model.createSession();
    await session.generate(prompt, GREEDY).text();
  });
  for (const call of [session.save(), session.generate(prompt).text(), session.clone(), session.logits([1])])
    await refused(call, 'disposed');
  await session.dispose();
});

test('sessions queue in one order', () =>
  withModel(FIXTURE, {}, async (model) => {
    const [a, b] = [await model.createSession(), await model.createSession()];
    await a.logits(other);
    const saved = await a.save();
    const order = [];
    const note = (name, promise) => promise.then(() => order.push(name));
    await Promise.all([
      note(1, a.generate(prompt, GREEDY).text()),
      note(2, b.logits(other)),
      note(3, a.save()),
      note(4, model.generate(other, GREEDY).text()),
      note(5, b.generate(prompt, GREEDY).text()),
      note(6, a.save({ to: new WritableStream() })),
      note(7, a.restore(new Blob([saved]))),
      note(8, a.logits(prompt)),
    ]);
    assert.deepEqual(order, [1, 2, 3, 4, 5, 6, 7, 8]);
  }));

test('an executor that holds keys and values elsewhere refuses to save and to restore', async () =>
  withModel(FIXTURE, {}, async (model) => {
    const session = await model.createSession();
    if (globalThis.leftOut === undefined) return void (await session.save()); // the CPU executor holds none
    await refused(session.save(), 'invalid-argument', 'neither saved nor restored');
    await refused(session.restore(new Uint8Array(9)), 'invalid-argument', 'neither saved nor restored');
  }));
