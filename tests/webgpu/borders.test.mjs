// SPDX-License-Identifier: Apache-2.0
// borders.test.mjs: steps ahead across the borders of pages, in windows and with states. The texts are those
// without steps ahead, and no step waits for a token.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { openModel, room } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';
import { runsOf } from './runs.mjs';
import { plain } from './sampling.mjs';

const skip = missing() || false;
const bytesOf = async (name) =>
  new Uint8Array(await readFile(new URL(`../golden/${name}.gguf`, import.meta.url)));
const gpu = skip ? undefined : await openGpu();
const seeded = { ...plain, temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 };
const greedy = { ...plain, temperature: 0, repetitionPenalty: 1.3 };
const prompt = [3, 5, 7, 11, 13];

/**
 * Resolves to the tokens of `n` steps, and checks that all of them but the first were submitted ahead. The
 * last ones have submitted two more. `more`: other submits.
 */
async function unstalled(model, take, next, n, more = 0) {
  const before = model.executor.counters;
  const tokens = await take(next, n);
  const after = model.executor.counters;
  assert.equal(after.submitsAhead - before.submitsAhead, n + 1, 'steps ahead');
  assert.equal(after.submits - before.submits, n + 2 + more, 'submits');
  return tokens;
}

test('no step waits for a token at the border of a page', { skip }, async (t) => {
  const model = await openModel(gpu, await bytesOf('f32-odd-tied'), { contextLength: 160 });
  t.after(() => model.free());
  const { start, take, using, sampled } = runsOf(model);
  for (const sampling of [greedy, seeded]) {
    const options = { ids: prompt, sampling, seed: 3 };
    const tokens = await using((open) => unstalled(model, take, start(open(), options), 105));
    assert.deepEqual(tokens, await sampled(options, 105));
  }
});

test('stops, other tokens, forks and aborts at the border of a page', { skip }, async (t) => {
  const model = await openModel(gpu, await bytesOf('f32-odd-tied'), { contextLength: 128 });
  t.after(() => model.free());
  const { start, take, using } = runsOf(model);
  const script = (isDrawn) =>
    using(async (open) => {
      const all = [];
      const options = { ids: [], sampling: seeded, isDrawn };
      for (const end of [31, 32, 33]) {
        const session = open();
        const some = async (n, more) => all.push(await take(start(session, { ...options, ...more }), n));
        await some(end - prompt.length, { ids: prompt, seed: end }); // stops with `end` tokens
        // A fork goes on beside the original, whose steps ahead have begun the next page.
        const copy = open(session);
        const [a, b] = [start(session, options), start(copy, { ...options, seed: 5 })];
        for (let i = 0; i < 4; i++) all.push(await take(b, 1), await take(a, 1));
        // The last token is another one, on both sides of the border.
        for (const at of [end, end + 1]) {
          session.truncate(at);
          await some(3, { ids: [at % 7], seed: at });
        }
        // An abort with a batch under way.
        session.nextBatch();
        session.truncate(session.state().n_past);
        await some(3, { ids: [9] });
        assert.equal(copy.match(copy.tokens()), copy.state().n_past);
      }
      return all;
    });
  const [drawn, sampled] = [await script(true), await script(false)];
  assert.deepEqual(drawn, sampled);
});

test(
  'without memory for a page the step at the border fails, and the run goes on with it',
  { skip },
  async (t) => {
    const model = await openModel(gpu, await bytesOf('f32-odd-tied'), { contextLength: 128 });
    t.after(() => model.free());
    const { start, take, using, sampled } = runsOf(model);
    const { instance } = model.engine;
    const give = instance.giveMemory;
    await using(async (open) => {
      const options = { ids: prompt, sampling: seeded, seed: 3 };
      const next = start(open(), options);
      const tokens = await take(next, 10);
      instance.giveMemory = () => {
        throw new room.ChordError('out-of-memory', 'no page is left');
      };
      // Position 31 is evaluated last.
      tokens.push(...(await take(next, 32 - prompt.length + 1 - tokens.length)));
      await assert.rejects(next(), /no page is left/);
      instance.giveMemory = give;
      tokens.push(...(await take(next, 20)));
      assert.deepEqual(tokens, await sampled(options, tokens.length));
    });
  },
);

test("a window's dead pages are used by steps ahead", { skip }, async (t) => {
  const bytes = await bytesOf('gemma3-f32');
  // The value of the key behind its type.
  const at = Buffer.from(bytes.buffer).indexOf('gemma3.context_length') + 'gemma3.context_length'.length + 4;
  new DataView(bytes.buffer).setUint32(at, 448, true);
  const model = await openModel(gpu, bytes, { contextLength: 448 });
  t.after(() => model.free());
  const { start, take, using, sampled } = runsOf(model);
  // The window is 24: at 305 tokens the first page is behind window and margin.
  const ids = Array.from({ length: 300 }, (_, i) => (i * 37) % 450);
  const options = { ids, sampling: seeded, seed: 3 };
  await using(async (open) => {
    const session = open();
    const cls = model.program.caches.find(({ window }) => window > 0).cls;
    const tokens = await unstalled(model, take, start(session, options), 60, 1); // the prompt is two batches
    const pages = [...session.pages(cls, 0)];
    assert.ok(pages.indexOf(-1) === 0, `pages ${pages}`);
    assert.deepEqual(tokens, await sampled(options, 60));
  });
});

// ---- states -------------------------------------------------------------------------------------------

/** The first embedding goes through a convolution over the last three tokens. No file has one yet. */
function withStates(program) {
  const [kernel, width] = [3, 48];
  const taps = Float32Array.from({ length: kernel * width }, (_, i) => Math.sin(i));
  const weight = program.tensors.length;
  const cache = program.caches.length;
  const like = (name) => program.ops.find((op) => op.name === name);
  const [embed, norm] = [like('EMBED'), like('NORM')];
  const head = { ...norm, cache: -1, weight: norm.weight.map(() => -1) };
  const [residual, free] = [embed.out[0], norm.out[0]];
  const conv = {
    ...head,
    name: 'SHORT_CONV',
    cache,
    in: norm.in.map((_, i) => (i ? -1 : residual)),
    out: norm.out.map((_, i) => (i ? -1 : free)),
    weight: norm.weight.map((_, i) => (i ? -1 : weight)),
    part: { width, kernel },
  };
  const add = {
    ...head,
    name: 'ADD',
    in: norm.in.map((_, i) => (i ? -1 : free)),
    out: norm.out.map((_, i) => (i ? -1 : residual)),
    part: { width },
  };
  const at = program.ops.indexOf(embed) + 1;
  const { tensors, vector, caches } = program;
  return {
    ...program,
    ops: [...program.ops.slice(0, at), conv, add, ...program.ops.slice(at)],
    tensors: [...tensors, { ...tensors[0], name: 'taps', nIn: kernel, nRows: width, isMatrix: false }],
    vector: (tensor) => (tensor === weight ? taps : vector(tensor)),
    caches: [...caches, { ...caches[0], kind: 2, n_state: (kernel - 1) * width, window: 0, cls: 1 }],
    nClasses: 2,
  };
}

/** A session with a class of states beside its own caches, as src/session/caches.c keeps them. */
class StateSession {
  static #refs = new Map();
  #states = [];
  #isNew = true;

  constructor(session, from) {
    this.session = session;
    if (from === undefined) return;
    this.#states = [this.#share(from.#states[0])];
    this.#isNew = false;
  }
  get address() {
    return this.session.address;
  }
  #share(number) {
    const refs = StateSession.#refs;
    refs.set(number, (refs.get(number) ?? 0) + 1);
    return number;
  }
  #take(count) {
    while (this.#states.length < count) {
      let number = 0;
      while (StateSession.#refs.get(number) > 0) number++;
      this.#states.push(this.#share(number));
    }
  }
  #drop(keep) {
    const refs = StateSession.#refs;
    for (const number of this.#states.splice(keep)) refs.set(number, refs.get(number) - 1);
  }
  nextBatch() {
    const batch = this.session.nextBatch();
    if (batch !== undefined) this.#take(2);
    return batch;
  }
  reserve(ahead) {
    if (!this.session.reserve(ahead)) return false;
    this.#take(2 + ahead);
    return true;
  }
  pages(cls, first) {
    return cls === 1 ? Int32Array.from(this.#states.slice(first)) : this.session.pages(cls, first);
  }
  fills() {
    const zeros = this.#isNew ? [{ cls: 1, page: this.#states[0], from: undefined }] : [];
    this.#isNew = false;
    return [...this.session.fills(), ...zeros];
  }
  acceptBatch(outputs) {
    this.session.acceptBatch(outputs);
    const [before] = this.#states.splice(0, 1);
    StateSession.#refs.set(before, StateSession.#refs.get(before) - 1);
  }
  /** Only of pending tokens: there are no checkpoints. */
  truncate(count) {
    assert.equal(count, this.session.state().n_past);
    this.#drop(1);
    return this.session.truncate(count);
  }
  close() {
    this.#drop(0);
    this.session.close();
  }
}
for (const name of ['tokens', 'randomAhead', 'setSampling', 'seed', 'push', 'acceptToken', 'sample', 'state'])
  StateSession.prototype[name] = function (...args) {
    return this.session[name](...args);
  };

test(
  'states: no step waits for a token, and stops and forks find the state that they left',
  { skip },
  async (t) => {
    const model = await openModel(gpu, await bytesOf('f32-mha'), { contextLength: 128, patch: withStates });
    t.after(() => model.free());
    const { start, take, using, sampled } = runsOf(model, (session, from) => new StateSession(session, from));
    const options = { ids: prompt, sampling: seeded, seed: 3 };
    const tokens = await using((open) => unstalled(model, take, start(open(), options), 70, 1));
    assert.deepEqual(tokens, await sampled(options, 70));
    assert.notDeepEqual(tokens, await using((open) => take(start(open(), { ...options, seed: 4 }), 70)));

    const script = (isDrawn) =>
      using(async (open) => {
        const all = [];
        const session = open();
        const some = async (n, more) =>
          all.push(await take(start(session, { ids: [], sampling: seeded, isDrawn, ...more }), n));
        await some(8, { ids: prompt, seed: 1 });
        for (let i = 0; i < 4; i++) {
          session.truncate(session.state().n_past); // the last token is another one
          await some(5, { ids: [20 + i], seed: i });
        }
        const copy = open(session);
        const [a, b] = [session, copy].map((one, seed) =>
          start(one, { ids: [], sampling: seeded, isDrawn, seed }),
        );
        for (let i = 0; i < 5; i++) all.push(await take(a, 1 + (i % 2)), await take(b, 1));
        return all;
      });
    const [drawn, rows] = [await script(true), await script(false)];
    assert.deepEqual(drawn, rows);
  },
);
