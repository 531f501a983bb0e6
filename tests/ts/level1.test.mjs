// SPDX-License-Identifier: Apache-2.0
// level1.test.mjs: WasmModel and AsyncTokenStream in Node, over a fixture (fast, whole contract). The model
// that people use is in level1-smollm2.test.mjs.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { runInNewContext } from 'node:vm';
import { AsyncTokenStream, ChordError, WasmModel, loadModel, version } from '../../dist/index.js';
import init from '../../dist/index.js';

const bytes = new Uint8Array(await readFile(new URL('../golden/q4_1-smollm.gguf', import.meta.url)));
// Greedy, the fixture's next 40 tokens lead by 0.15 logits and any that ends the text by 4.5: no test here
// hangs on the noise of a variant.
const PROMPT = 'The walk of';
const ENDING = 'believed climbed'; // five tokens, then one that ends the text; leads of 0.98 and more
const LONG = 'word by word '.repeat(12);

test('before init the constructor throws invalid-argument with the way out', () => {
  assert.throws(() => new WasmModel(bytes), (error) => error instanceof ChordError && error.code === 'invalid-argument' && /init\(\)/.test(error.hint));
});

test('init again is a no-op, and a failed init can be tried again', async () => {
  await assert.rejects(init({ wasmUrl: new URL('nothing.wasm', import.meta.url) }), (error) => ChordError.isInstance(error) && /nothing\.wasm/.test(error.message));
  await Promise.all([init(), init()]);
  await init({ wasmUrl: 'http://localhost:1/never-fetched.wasm' });
  assert.equal(version(), JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')).version);
});

/** A model with greedy sampling and `maxTokens`, freed after `use`. */
async function withModel(maxTokens, use, file = bytes) {
  await init();
  const model = new WasmModel(file);
  try {
    model.set_config(maxTokens, 0, 1, 0, 1);
    return await use(model);
  } finally {
    model.free();
  }
}

const collect = async (stream) => {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
};

test('bytes that are no model, or no bytes, are typed errors and the next load works', async () => {
  await init();
  for (const wrong of [undefined, 'model.gguf', [1, 2], {}]) assert.throws(() => new WasmModel(wrong), { code: 'invalid-argument' });
  for (const damaged of [new Uint8Array(0), new TextEncoder().encode('<!doctype html>'), new Uint8Array(4096), bytes.subarray(0, 1000), bytes.subarray(0, bytes.length - 1)])
    assert.throws(() => new WasmModel(damaged), { code: 'invalid-gguf' });
  await withModel(4, (model) => assert.equal(typeof model.generate(PROMPT), 'string'));
});

test('bytes of another realm are bytes', async () => {
  await init();
  new WasmModel(runInNewContext('Uint8Array.from(bytes)', { bytes })).free();
  new WasmModel(Buffer.from(bytes)).free();
});

test('the bytes given are neither changed nor detached', () =>
  withModel(4, (model) => {
    model.generate(PROMPT);
    assert.equal(bytes.length > 0 && bytes[0], 0x47);
  }));

test('level 1 says what level 2 says, which is judged against llama.cpp', () =>
  withModel(16, async (model) => {
    const other = await loadModel(bytes);
    try {
      for (const prompt of [PROMPT, LONG, '', '<|im_start|>user\nhi<|im_end|>\n'])
        assert.equal(model.generate(prompt), await other.generate(prompt, { maxTokens: 16, temperature: 0 }).text());
      const { threads: _, backendReason: __, memory: ___, ...facts } = model.get_model_info();
      for (const [name, value] of Object.entries(facts)) assert.deepEqual(value, other.info[name], name);
    } finally {
      await other.dispose();
    }
  }));

test('a cut at any token flushes what is held, as level 2 does', () =>
  withModel(1, async (model) => {
    const other = await loadModel(bytes);
    try {
      let cut = 0;
      for (let maxTokens = 1; maxTokens <= 40; maxTokens++) {
        model.set_config(maxTokens, 0, 1, 0, 1);
        const text = model.generate(PROMPT);
        const tokens = [];
        let same = '';
        for await (const event of other.generate(PROMPT, { maxTokens, temperature: 0 })) {
          tokens.push(event.token);
          same += event.text;
        }
        assert.equal(text, same);
        // Both levels have one loop: what all the tokens are, whole, comes past it.
        assert.equal(text, await other.detokenize(tokens, { skipSpecial: true }), `${maxTokens} tokens`);
        cut += text.endsWith('\ufffd') ? 1 : 0;
      }
      assert.ok(cut > 0, 'no text was cut inside a character: the test saw nothing');
    } finally {
      await other.dispose();
    }
  }));

test('a BOS that the text already begins with is not added twice', async () => {
  const spm = new Uint8Array(await readFile(new URL('../golden/q4_0-spm.gguf', import.meta.url)));
  await withModel(8, async (model) => {
    const other = await loadModel(spm);
    try {
      const added = await other.tokenize('Hello'), written = await other.tokenize('<s>Hello', { addSpecial: false });
      assert.equal(added[0], written[0], 'the fixture adds a BOS, written <s>');
      for (const [prompt, ids] of [['Hello', added], ['<s>Hello', written]])
        assert.equal(model.generate(prompt), await other.generate(ids, { maxTokens: 8, temperature: 0 }).text(), prompt);
    } finally {
      await other.dispose();
    }
  }, spm);
});

test('a token that ends the text ends it, and is no part of it', () =>
  withModel(100, async (model) => {
    const stream = model.generate_async(ENDING);
    const pieces = await collect(stream);
    assert.equal(stream.token_count(), 5);
    assert.equal(pieces.join(''), model.generate(ENDING));
    assert.doesNotMatch(pieces.join(''), /<\|/);
  }));

test('temperature, top_k, top_p and repetition_penalty reach the sampler', () =>
  withModel(24, (model) => {
    const texts = (...config) => {
      model.set_config(24, ...config);
      return new Set(Array.from({ length: 8 }, () => model.generate(PROMPT)));
    };
    const [greedy] = texts(0, 1, 0, 1);
    assert.ok(texts(5, 1, 0, 1).size === 8, 'eight hot runs are eight texts');
    assert.deepEqual([...texts(5, 1, 1, 1)], [greedy], 'top_k 1 is greedy');
    assert.deepEqual([...texts(5, 0, 0, 1)], [greedy], 'top_p 0 is greedy');
    model.set_config(100, 0, 1, 0, 1);
    const plain = model.generate('1');
    model.set_config(100, 0, 1, 0, 1000);
    assert.notEqual(model.generate('1'), plain, 'a huge penalty forbids repetitions');
  }));

test('generations and streams leave no memory behind, finished or left', () =>
  withModel(2, async (model) => {
    const round = async () => {
      model.generate(PROMPT);
      const stream = model.generate_async(PROMPT);
      await stream.next();
      await stream.return();
      model.generate_async(PROMPT).free();
      const left = model.generate_async(PROMPT);
      const pending = left.next();
      await null;
      await null; // the stream waits for its turn now
      left.free();
      assert.deepEqual(await pending, { value: '', done: true });
    };
    await round();
    const { wasmBytes, kvPages } = model.counters();
    for (let count = 0; count < 1500; count++) await round(); // a stream's block is over 64 bytes: a leak needs a new page
    assert.equal(model.counters().wasmBytes, wasmBytes);
    assert.equal(model.counters().kvPages, kvPages);
  }));

test('set_config names the value that is out of range and changes nothing then', () =>
  withModel(4, (model) => {
    const before = model.generate(PROMPT);
    const good = [4, 0, 1, 0, 1];
    const names = ['max_tokens', 'temperature', 'top_p', 'top_k', 'repetition_penalty'];
    const wrong = [[0, -1, 1.5, NaN, Infinity, '3', undefined], [-0.1, NaN, Infinity, null], [-0.1, 1.1, NaN], [-1, 0.5, NaN], [0, -1, NaN, Infinity]];
    for (const [index, values] of wrong.entries()) {
      for (const value of values) {
        const config = [...good];
        config[index] = value;
        assert.throws(() => model.set_config(...config), (error) => error.code === 'invalid-argument' && error.message.includes(names[index]), `${names[index]} ${value}`);
      }
    }
    assert.equal(model.generate(PROMPT), before);
  }));

test('generate gives the continuation without the prompt, at most max_tokens long', () =>
  withModel(6, (model) => {
    const text = model.generate(PROMPT);
    assert.equal(model.generate(PROMPT), text);
    assert.ok(!text.startsWith(PROMPT));
    model.set_config(12, 0, 1, 0, 1);
    assert.ok(model.generate(PROMPT).startsWith(text.replace(/\ufffd+$/, '')));
  }));

test('generate_stream gives the pieces of its own text; false stops it, a throw reaches the caller', () =>
  withModel(16, (model) => {
    const whole = model.generate(PROMPT);
    const pieces = [];
    assert.equal(model.generate_stream(PROMPT, (piece) => { pieces.push(piece); }), whole);
    assert.equal(pieces.join(''), whole);
    assert.ok(pieces.length >= 16 && pieces.length <= 17);

    let calls = 0;
    const stopped = model.generate_stream(PROMPT, () => ++calls < 3);
    assert.equal(calls, 3);
    assert.equal(stopped, pieces.slice(0, 3).join(''));

    const mine = new Error('mine');
    assert.throws(() => model.generate_stream(PROMPT, () => { throw mine; }), (error) => error === mine);
    assert.equal(model.generate(PROMPT), whole);
    assert.throws(() => model.generate_stream(PROMPT, 'not a function'), { code: 'invalid-argument' });
    // Only false stops: no other falsy value does.
    for (const value of [undefined, null, 0, '']) assert.equal(model.generate_stream(PROMPT, () => value), whole);
  }));

test('the pieces of a stream, put together, equal generate()', () =>
  withModel(24, async (model) => {
    const whole = model.generate(PROMPT);
    const stream = model.generate_async(PROMPT);
    assert.ok(stream instanceof AsyncTokenStream);
    const pieces = await collect(stream);
    assert.equal(pieces.join(''), whole);
    assert.equal(stream.token_count(), 24);
    assert.ok(stream.is_complete());
    for (const prompt of ['', ' ', 'x', LONG, 'é', '👩‍🚀', '\0']) {
      const text = model.generate(prompt);
      assert.equal((await collect(model.generate_async(prompt))).join(''), text, JSON.stringify(prompt));
    }
  }));

test('a piece never splits a character, whatever bytes the tokens are', () =>
  withModel(64, async (model) => {
    // High temperature over a cut-down vocabulary: byte tokens in any order, most of them no valid UTF-8.
    model.set_config(64, 5, 1, 0, 1);
    let held = 0, replaced = 0;
    for (let run = 0; run < 40; run++) {
      const pieces = [];
      const text = model.generate_stream(PROMPT, (piece) => { pieces.push(piece); });
      assert.equal(pieces.join(''), text);
      for (const piece of pieces) {
        assert.ok(piece.isWellFormed?.() ?? !/[\ud800-\udfff]/u.test(piece));
        held += piece === '' ? 1 : 0;
        replaced += piece.includes('\ufffd') ? 1 : 0;
      }
    }
    assert.ok(held > 0 && replaced > 0, 'no piece was held back or replaced: the test saw nothing');
  }));

test('nothing is computed before the first next(), and one next() is one token', () =>
  withModel(5, async (model) => {
    const before = model.counters();
    const stream = model.generate_async(PROMPT);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(model.counters(), before);
    assert.equal(stream.is_complete(), false);
    for (let count = 1; count <= 5; count++) {
      const { value, done } = await stream.next();
      assert.equal(typeof value, 'string');
      assert.equal(done, false);
      assert.equal(stream.token_count(), count);
    }
    assert.deepEqual(await stream.next(), { value: '', done: true });
    assert.deepEqual(await stream.next(), { value: '', done: true });
    assert.ok(stream.is_complete());
    assert.equal(stream.token_count(), 5);
  }));

test('next() calls that are pending together are served in order', () =>
  withModel(8, async (model) => {
    const expected = await collect(model.generate_async(PROMPT));
    const stream = model.generate_async(PROMPT);
    const order = [];
    const results = await Promise.all(Array.from({ length: 12 }, (_, index) => stream.next().then((result) => { order.push(index); return result; })));
    assert.deepEqual(order, Array.from({ length: 12 }, (_, index) => index));
    assert.deepEqual(results.filter(({ done }) => !done).map(({ value }) => value), expected);
    assert.ok(results.slice(expected.length).every(({ done }) => done));
  }));

test('a second generation while one is unfinished throws busy; a stream takes the model at its first next()', () =>
  withModel(8, async (model) => {
    const whole = model.generate(PROMPT);
    const first = model.generate_async(PROMPT);
    const second = model.generate_async(PROMPT);
    assert.equal(model.generate(PROMPT), whole, 'a stream that never ran holds nothing');

    await first.next();
    for (const call of [() => model.generate(PROMPT), () => model.generate_stream(PROMPT, () => {})]) assert.throws(call, { code: 'busy' });
    await assert.rejects(second.next(), { code: 'busy' });
    await model.generate_async(PROMPT).return();
    model.generate_async(PROMPT).free();
    assert.throws(() => model.generate(PROMPT), { code: 'busy' }, 'a stream that never ran gives nothing back');
    await first.return();
    assert.equal((await collect(second)).join(''), whole, 'a stream that was refused may start later');
    model.generate_stream(PROMPT, () => {
      assert.throws(() => model.generate(PROMPT), { code: 'busy' });
      return false;
    });
    assert.equal(model.generate(PROMPT), whole);
  }));

for (const [how, leave] of Object.entries({
  'return()': (stream) => stream.return(),
  'throw()': (stream) => assert.rejects(stream.throw(new Error('mine')), { message: 'mine' }),
  'free()': (stream) => stream.free(),
})) {
  test(`${how} gives the model back: before the start, between tokens, inside the first next(), at the end`, () =>
    withModel(8, async (model) => {
      const whole = model.generate(PROMPT);
      for (const when of ['before', 'between', 'inside', 'after']) {
        const stream = model.generate_async(when === 'inside' ? LONG : PROMPT);
        if (when === 'between') await stream.next();
        if (when === 'after') await collect(stream);
        const pending = when === 'inside' ? stream.next() : null;
        await leave(stream);
        if (pending) assert.deepEqual(await pending, { value: '', done: true });
        assert.ok(stream.is_complete(), when);
        assert.equal((await stream.next()).done, true, when);
        assert.equal(model.generate(PROMPT), whole, when);
        await leave(stream);
      }
    }));
}

test('break and a throw in the loop stop the work: nothing runs on', () =>
  withModel(32, async (model) => {
    const whole = model.generate(PROMPT);
    const stream = model.generate_async(PROMPT);
    for await (const piece of stream) { assert.equal(typeof piece, 'string'); break; }
    const { stepsRun } = model.counters();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(model.counters().stepsRun, stepsRun);
    await assert.rejects(async () => { for await (const _ of model.generate_async(PROMPT)) throw new Error('mine'); }, { message: 'mine' });
    assert.equal(model.generate(PROMPT), whole);
  }));

test('the event loop turns between steps, also inside the first next()', () =>
  withModel(4, async (model) => {
    let turns = 0, isRunning = true;
    const turn = () => { turns++; if (isRunning) setImmediate(turn); };
    setImmediate(turn);
    const before = model.counters().stepsRun;
    const stream = model.generate_async(LONG);
    await stream.next();
    const turnsInFirst = turns, stepsInFirst = model.counters().stepsRun - before;
    await collect(stream);
    isRunning = false;
    assert.ok(stepsInFirst >= 1 && turnsInFirst >= stepsInFirst, `${turnsInFirst} turns in ${stepsInFirst} steps`);
    const steps = model.counters().stepsRun - before;
    assert.ok(turns >= steps, `${turns} turns in ${steps} steps`);
  }));

test('a prompt that leaves no room for one token is context-full; one that leaves some is continued up to there', () =>
  withModel(1000, async (model) => {
    const { contextLength } = model.get_model_info();
    const digits = (count) => '1'.repeat(count); // the pre-tokenizer takes digits one by one
    for (const count of [contextLength, contextLength + 1, 4 * contextLength]) {
      assert.throws(() => model.generate(digits(count)), (error) => error.code === 'context-full' && error.message.includes(count));
      await assert.rejects(model.generate_async(digits(count)).next(), { code: 'context-full' });
    }
    for (const room of [1, 2, 5]) {
      const stream = model.generate_async(digits(contextLength - room));
      await collect(stream);
      assert.equal(stream.token_count(), room);
    }
    assert.equal(typeof model.generate(PROMPT), 'string');
  }));

test('a prompt that is no string is invalid-argument, at once', () =>
  withModel(4, (model) => {
    for (const wrong of [undefined, null, 7, ['a']]) {
      assert.throws(() => model.generate(wrong), { code: 'invalid-argument' });
      assert.throws(() => model.generate_async(wrong), { code: 'invalid-argument' });
    }
  }));

test('free ends everything: later calls and open streams are disposed, again is a no-op', async () => {
  await init();
  const model = new WasmModel(bytes);
  model.set_config(8, 0, 1, 0, 1);
  const running = model.generate_async(PROMPT);
  await running.next();
  const waiting = running.next();
  model.free();
  model.free();
  await assert.rejects(waiting, { code: 'disposed' });
  assert.equal((await running.next()).done, true);
  for (const call of [() => model.generate(PROMPT), () => model.generate_async(PROMPT), () => model.get_model_info(), () => model.set_config(1, 0, 1, 0, 1), () => model.init_gpu()])
    assert.throws(call, { code: 'disposed' });
  const other = new WasmModel(bytes);
  assert.throws(() => other.generate_stream(PROMPT, () => { other.free(); }), { code: 'disposed' });
});

test('[Symbol.dispose] is there where the symbol is, and only there', async () => {
  await init();
  const model = new WasmModel(bytes);
  if (Symbol.dispose) {
    model[Symbol.dispose]();
    assert.throws(() => model.generate(PROMPT), { code: 'disposed' });
  } else {
    assert.equal(Object.getOwnPropertyNames(WasmModel.prototype).includes('undefined'), false);
  }
  model.free();
});

test('the GPU methods tell the truth: no-webgpu with a reason, and the CPU path goes on', () =>
  withModel(4, async (model) => {
    const before = model.generate(PROMPT);
    assert.throws(() => model.init_gpu(), (error) => error.code === 'no-webgpu' && /init_gpu_async/.test(error.hint));
    await assert.rejects(model.init_gpu_async(), (error) => ChordError.isInstance(error) && error.code === 'no-webgpu' && error.message.length > 10);
    assert.throws(() => model.init_gpu(), { code: 'no-webgpu' });
    assert.equal(await WasmModel.probe_gpu(), false);
    assert.equal(WasmModel.is_gpu_available(), false);
    assert.equal(model.generate(PROMPT), before);
  }));

test('the probe is true only for a device that was really got', async () => {
  const hadNavigator = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  const withGpu = async (gpu) => {
    Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
    return [await WasmModel.probe_gpu(), WasmModel.is_gpu_available()];
  };
  try {
    assert.deepEqual(await withGpu(undefined), [false, false]);
    assert.deepEqual(await withGpu({ requestAdapter: async () => null }), [false, false]);
    assert.deepEqual(await withGpu({ requestAdapter: async () => { throw new Error('blocked'); } }), [false, false]);
    assert.deepEqual(await withGpu({ requestAdapter: async () => ({ requestDevice: async () => { throw new Error('lost'); } }) }), [false, false]);
    let destroyed = 0;
    assert.deepEqual(await withGpu({ requestAdapter: async () => ({ requestDevice: async () => ({ destroy: () => { destroyed++; } }) }) }), [true, true]);
    assert.equal(destroyed, 1);
  } finally {
    if (hadNavigator) Object.defineProperty(globalThis, 'navigator', hadNavigator);
    else delete globalThis.navigator;
  }
});

test('get_model_info is plain data about the model and how it runs', () =>
  withModel(4, (model) => {
    const info = model.get_model_info();
    assert.deepEqual(structuredClone(info), info);
    assert.equal(info.architecture, 'llama');
    assert.equal(info.threads, 1);
    assert.equal(info.backend, 'cpu');
    assert.match(info.variant, /^wasm32-(simd|relaxed)$/);
    assert.ok(info.memory.total >= info.memory.weights && info.parameters > 0 && info.vocabularySize > 0);
  }));

test('two models live side by side', async () => {
  await withModel(8, async (one) => {
    await withModel(8, async (two) => {
      const whole = one.generate(PROMPT);
      const [a, b] = [one.generate_async(PROMPT), two.generate_async(PROMPT)];
      let textA = '', textB = '';
      for (let count = 0; count < 10; count++) {
        textA += (await a.next()).value;
        textB += (await b.next()).value;
      }
      assert.equal(textA, whole);
      assert.equal(textB, whole);
    });
  });
});
