// SPDX-License-Identifier: Apache-2.0
// level1.test.mjs: the whole contract of WasmModel and AsyncTokenStream in Node, over a small fixture.
// level1-smollm2.test.mjs uses a real model.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { runInNewContext } from 'node:vm';
import { AsyncTokenStream, ChordError, WasmModel, loadModel, version } from '../../dist/index.js';
import init from '../../dist/index.js';

const bytes = new Uint8Array(await readFile(new URL('../golden/q4_1-smollm.gguf', import.meta.url)));
// Each of the fixture's 40 greedy tokens after PROMPT leads by at least 0.15 logits, and by at least 4.5
// over any end-of-generation token. So no test here depends on the noise of a variant.
const PROMPT = 'The walk of';
// Its continuation is five tokens, then an end-of-generation token. Each leads by at least 0.98.
const ENDING = 'believed climbed';
const LONG = 'word by word '.repeat(12);

test('before init the constructor throws invalid-argument, and the hint names init()', () => {
  assert.throws(
    () => new WasmModel(bytes),
    (error) =>
      error instanceof ChordError && error.code === 'invalid-argument' && /init\(\)/.test(error.hint),
  );
});

test('a second init is a no-op, and a failed init can be tried again', async () => {
  await assert.rejects(
    init({ wasmUrl: new URL('nothing.wasm', import.meta.url) }),
    (error) => ChordError.isInstance(error) && /nothing\.wasm/.test(error.message),
  );
  await Promise.all([init(), init()]);
  await init({ wasmUrl: 'http://localhost:1/never-fetched.wasm' });
  assert.equal(
    version(),
    JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')).version,
  );
});

/** Runs `use(model)` with greedy sampling and `maxTokens`, and frees the model. */
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

test("bytes that aren't a model, and values that aren't bytes, are typed errors, and the next load works", async () => {
  await init();
  for (const wrong of [undefined, 'model.gguf', [1, 2], {}])
    assert.throws(() => new WasmModel(wrong), { code: 'invalid-argument' });
  for (const damaged of [
    new Uint8Array(0),
    new TextEncoder().encode('<!doctype html>'),
    new Uint8Array(4096),
    bytes.subarray(0, 1000),
    bytes.subarray(0, bytes.length - 1),
  ])
    assert.throws(() => new WasmModel(damaged), { code: 'invalid-gguf' });
  await withModel(4, (model) => assert.equal(typeof model.generate(PROMPT), 'string'));
});

test('bytes from another realm are accepted', async () => {
  await init();
  new WasmModel(runInNewContext('Uint8Array.from(bytes)', { bytes })).free();
  new WasmModel(Buffer.from(bytes)).free();
});

test("the caller's bytes are neither changed nor detached", () =>
  withModel(4, (model) => {
    model.generate(PROMPT);
    assert.equal(bytes.length > 0 && bytes[0], 0x47);
  }));

test('level 1 generates the same text as level 2, which is compared with llama.cpp', () =>
  withModel(16, async (model) => {
    const other = await loadModel(bytes);
    try {
      for (const prompt of [PROMPT, LONG, '', '<|im_start|>user\nhi<|im_end|>\n'])
        assert.equal(
          model.generate(prompt),
          await other.generate(prompt, { maxTokens: 16, temperature: 0 }).text(),
        );
      const { threads: _, threadsReason, backendReason, memory: __, ...facts } = model.get_model_info();
      assert.equal(threadsReason, "1 thread: level 1 runs in the caller's thread");
      assert.ok(backendReason.startsWith(threadsReason));
      for (const [name, value] of Object.entries(facts)) assert.deepEqual(value, other.info[name], name);
    } finally {
      await other.dispose();
    }
  }));

test('a generation cut at any token ends with the text that was held back, as in level 2', () =>
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
        // Both levels share one loop. detokenize doesn't use it.
        assert.equal(text, await other.detokenize(tokens, { skipSpecial: true }), `${maxTokens} tokens`);
        cut += text.endsWith('\ufffd') ? 1 : 0;
      }
      assert.ok(cut > 0, 'a text must be cut inside a character, or the test sees nothing');
    } finally {
      await other.dispose();
    }
  }));

test('a BOS that the text already starts with is not added twice', async () => {
  const spm = new Uint8Array(await readFile(new URL('../golden/q4_0-spm.gguf', import.meta.url)));
  await withModel(
    8,
    async (model) => {
      const other = await loadModel(spm);
      try {
        const added = await other.tokenize('Hello'),
          written = await other.tokenize('<s>Hello', { addSpecial: false });
        assert.equal(added[0], written[0], 'the fixture adds a BOS, written <s>');
        for (const [prompt, ids] of [
          ['Hello', added],
          ['<s>Hello', written],
        ])
          assert.equal(
            model.generate(prompt),
            await other.generate(ids, { maxTokens: 8, temperature: 0 }).text(),
            prompt,
          );
      } finally {
        await other.dispose();
      }
    },
    spm,
  );
});

test("a generation ends at an end-of-generation token, which isn't part of the text", () =>
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
    assert.ok(texts(5, 1, 0, 1).size === 8, 'eight generations at temperature 5 must be eight texts');
    assert.deepEqual([...texts(5, 1, 1, 1)], [greedy], 'top_k 1 is greedy');
    assert.deepEqual([...texts(5, 0, 0, 1)], [greedy], 'top_p 0 is greedy');
    model.set_config(100, 0, 1, 0, 1);
    const plain = model.generate('1');
    model.set_config(100, 0, 1, 0, 1000);
    assert.notEqual(model.generate('1'), plain, 'a huge penalty forbids repetitions');
  }));

test('finished and abandoned generations and streams leave no memory allocated', () =>
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
      await null; // the stream now waits for its turn of the event loop
      left.free();
      assert.deepEqual(await pending, { value: '', done: true });
    };
    await round();
    const { wasmBytes, kvPages } = model.counters();
    // A stream's block is over 64 bytes, so leaked blocks would need a new wasm page.
    for (let count = 0; count < 1500; count++) await round();
    assert.equal(model.counters().wasmBytes, wasmBytes);
    assert.equal(model.counters().kvPages, kvPages);
  }));

test('set_config names the parameter that is out of range, and changes nothing', () =>
  withModel(4, (model) => {
    const before = model.generate(PROMPT);
    const good = [4, 0, 1, 0, 1];
    const names = ['max_tokens', 'temperature', 'top_p', 'top_k', 'repetition_penalty'];
    const wrong = [
      [0, -1, 1.5, NaN, Infinity, '3', undefined],
      [-0.1, NaN, Infinity, null],
      [-0.1, 1.1, NaN],
      [-1, 0.5, NaN],
      [0, -1, NaN, Infinity],
    ];
    for (const [index, values] of wrong.entries()) {
      for (const value of values) {
        const config = [...good];
        config[index] = value;
        assert.throws(
          () => model.set_config(...config),
          (error) => error.code === 'invalid-argument' && error.message.includes(names[index]),
          `${names[index]} ${value}`,
        );
      }
    }
    assert.equal(model.generate(PROMPT), before);
  }));

test('generate returns the continuation without the prompt, at most max_tokens long', () =>
  withModel(6, (model) => {
    const text = model.generate(PROMPT);
    assert.equal(model.generate(PROMPT), text);
    assert.ok(!text.startsWith(PROMPT));
    model.set_config(12, 0, 1, 0, 1);
    assert.ok(model.generate(PROMPT).startsWith(text.replace(/\ufffd+$/, '')));
  }));

test('generate_stream passes every piece of its text to the callback; false stops it, and a throw reaches the caller', () =>
  withModel(16, (model) => {
    const whole = model.generate(PROMPT);
    const pieces = [];
    assert.equal(
      model.generate_stream(PROMPT, (piece) => {
        pieces.push(piece);
      }),
      whole,
    );
    assert.equal(pieces.join(''), whole);
    assert.ok(pieces.length >= 16 && pieces.length <= 17);

    let calls = 0;
    const stopped = model.generate_stream(PROMPT, () => ++calls < 3);
    assert.equal(calls, 3);
    assert.equal(stopped, pieces.slice(0, 3).join(''));

    const mine = new Error('mine');
    assert.throws(
      () =>
        model.generate_stream(PROMPT, () => {
          throw mine;
        }),
      (error) => error === mine,
    );
    assert.equal(model.generate(PROMPT), whole);
    assert.throws(() => model.generate_stream(PROMPT, 'not a function'), { code: 'invalid-argument' });
    // Only false stops: no other falsy value does.
    for (const value of [undefined, null, 0, ''])
      assert.equal(
        model.generate_stream(PROMPT, () => value),
        whole,
      );
  }));

test('the joined pieces of a stream equal generate()', () =>
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
    // At a high temperature, byte tokens of this small vocabulary come in any order, mostly invalid UTF-8.
    model.set_config(64, 5, 1, 0, 1);
    let held = 0,
      replaced = 0;
    for (let run = 0; run < 40; run++) {
      const pieces = [];
      const text = model.generate_stream(PROMPT, (piece) => {
        pieces.push(piece);
      });
      assert.equal(pieces.join(''), text);
      for (const piece of pieces) {
        assert.ok(piece.isWellFormed?.() ?? !/[\ud800-\udfff]/u.test(piece));
        held += piece === '' ? 1 : 0;
        replaced += piece.includes('\ufffd') ? 1 : 0;
      }
    }
    assert.ok(held > 0 && replaced > 0, 'pieces must be held back and replaced, or the test sees nothing');
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

test('pending next() calls are served in order', () =>
  withModel(8, async (model) => {
    const expected = await collect(model.generate_async(PROMPT));
    const stream = model.generate_async(PROMPT);
    const order = [];
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        stream.next().then((result) => {
          order.push(index);
          return result;
        }),
      ),
    );
    assert.deepEqual(
      order,
      Array.from({ length: 12 }, (_, index) => index),
    );
    assert.deepEqual(
      results.filter(({ done }) => !done).map(({ value }) => value),
      expected,
    );
    assert.ok(results.slice(expected.length).every(({ done }) => done));
  }));

test('a second generation while one is unfinished throws busy; a stream occupies the model from its first next()', () =>
  withModel(8, async (model) => {
    const whole = model.generate(PROMPT);
    const first = model.generate_async(PROMPT);
    const second = model.generate_async(PROMPT);
    assert.equal(model.generate(PROMPT), whole, 'a stream that never ran must not occupy the model');

    await first.next();
    for (const call of [() => model.generate(PROMPT), () => model.generate_stream(PROMPT, () => {})])
      assert.throws(call, { code: 'busy' });
    await assert.rejects(second.next(), { code: 'busy' });
    await model.generate_async(PROMPT).return();
    model.generate_async(PROMPT).free();
    assert.throws(
      () => model.generate(PROMPT),
      { code: 'busy' },
      'ending a stream that never ran must not release the model',
    );
    await first.return();
    assert.equal(
      (await collect(second)).join(''),
      whole,
      'a stream that was refused must be able to start later',
    );
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
  test(`${how} releases the model before the start, between tokens, inside the first next() and at the end`, () =>
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

test('break and a throw in the loop stop the generation: no step runs afterwards', () =>
  withModel(32, async (model) => {
    const whole = model.generate(PROMPT);
    const stream = model.generate_async(PROMPT);
    for await (const piece of stream) {
      assert.equal(typeof piece, 'string');
      break;
    }
    const { stepsRun } = model.counters();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(model.counters().stepsRun, stepsRun);
    await assert.rejects(
      async () => {
        for await (const _ of model.generate_async(PROMPT)) throw new Error('mine');
      },
      { message: 'mine' },
    );
    assert.equal(model.generate(PROMPT), whole);
  }));

test('the event loop turns between steps, also inside the first next()', () =>
  withModel(4, async (model) => {
    let turns = 0,
      isRunning = true;
    const turn = () => {
      turns++;
      if (isRunning) setImmediate(turn);
    };
    setImmediate(turn);
    const before = model.counters().stepsRun;
    const stream = model.generate_async(LONG);
    await stream.next();
    const turnsInFirst = turns,
      stepsInFirst = model.counters().stepsRun - before;
    await collect(stream);
    isRunning = false;
    assert.ok(
      stepsInFirst >= 1 && turnsInFirst >= stepsInFirst,
      `${turnsInFirst} turns in ${stepsInFirst} steps, at least one per step was expected`,
    );
    const steps = model.counters().stepsRun - before;
    assert.ok(turns >= steps, `${turns} turns in ${steps} steps, at least one per step was expected`);
  }));

test('a prompt that leaves no room for a token is context-full; one that leaves some is continued until the context is full', () =>
  withModel(1000, async (model) => {
    const { contextLength } = model.get_model_info();
    const digits = (count) => '1'.repeat(count); // the pre-tokenizer splits off every digit
    for (const count of [contextLength, contextLength + 1, 4 * contextLength]) {
      assert.throws(
        () => model.generate(digits(count)),
        (error) => error.code === 'context-full' && error.message.includes(count),
      );
      await assert.rejects(model.generate_async(digits(count)).next(), { code: 'context-full' });
    }
    for (const room of [1, 2, 5]) {
      const stream = model.generate_async(digits(contextLength - room));
      await collect(stream);
      assert.equal(stream.token_count(), room);
    }
    assert.equal(typeof model.generate(PROMPT), 'string');
  }));

test("a prompt that isn't a string is invalid-argument at once", () =>
  withModel(4, (model) => {
    for (const wrong of [undefined, null, 7, ['a']]) {
      assert.throws(() => model.generate(wrong), { code: 'invalid-argument' });
      assert.throws(() => model.generate_async(wrong), { code: 'invalid-argument' });
    }
  }));

test('free ends everything: later calls and open streams fail with disposed, and a second free is a no-op', async () => {
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
  for (const call of [
    () => model.generate(PROMPT),
    () => model.generate_async(PROMPT),
    () => model.get_model_info(),
    () => model.set_config(1, 0, 1, 0, 1),
    () => model.init_gpu(),
  ])
    assert.throws(call, { code: 'disposed' });
  const other = new WasmModel(bytes);
  assert.throws(
    () =>
      other.generate_stream(PROMPT, () => {
        other.free();
      }),
    { code: 'disposed' },
  );
});

test('[Symbol.dispose] exists only where the runtime has the symbol', async () => {
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

test('the GPU methods fail with no-webgpu and a reason, and the CPU still generates', () =>
  withModel(4, async (model) => {
    const before = model.generate(PROMPT);
    assert.throws(
      () => model.init_gpu(),
      (error) => error.code === 'no-webgpu' && /init_gpu_async/.test(error.hint),
    );
    await assert.rejects(
      model.init_gpu_async(),
      (error) => ChordError.isInstance(error) && error.code === 'no-webgpu' && error.message.length > 10,
    );
    assert.throws(() => model.init_gpu(), { code: 'no-webgpu' });
    assert.equal(model.generate(PROMPT), before);
  }));

test('probe_gpu and is_gpu_available are true only after a device was obtained', async () => {
  const hadNavigator = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  const withGpu = async (gpu) => {
    Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
    return [await WasmModel.probe_gpu(), WasmModel.is_gpu_available()];
  };
  try {
    assert.deepEqual(await withGpu({ requestAdapter: async () => null }), [false, false]);
    assert.deepEqual(
      await withGpu({
        requestAdapter: async () => {
          throw new Error('blocked');
        },
      }),
      [false, false],
    );
    assert.deepEqual(
      await withGpu({
        requestAdapter: async () => ({
          requestDevice: async () => {
            throw new Error('lost');
          },
        }),
      }),
      [false, false],
    );
    let destroyed = 0;
    assert.deepEqual(
      await withGpu({
        requestAdapter: async () => ({
          requestDevice: async () => ({
            destroy: () => {
              destroyed++;
            },
          }),
        }),
      }),
      [true, true],
    );
    assert.equal(destroyed, 1);
  } finally {
    if (hadNavigator) Object.defineProperty(globalThis, 'navigator', hadNavigator);
    else delete globalThis.navigator;
  }
});

test('get_model_info returns plain data about the model and how it runs', () =>
  withModel(4, (model) => {
    const info = model.get_model_info();
    assert.deepEqual(structuredClone(info), info);
    assert.equal(info.architecture, 'llama');
    assert.equal(info.threads, 1);
    assert.equal(info.backend, 'cpu');
    assert.match(info.variant, /^wasm32-(simd|relaxed(\+fma)?)$/);
    assert.ok(info.memory.total >= info.memory.weights && info.parameters > 0 && info.vocabularySize > 0);
  }));

test('two models generate side by side', async () => {
  await withModel(8, async (one) => {
    await withModel(8, async (two) => {
      const whole = one.generate(PROMPT);
      const [a, b] = [one.generate_async(PROMPT), two.generate_async(PROMPT)];
      let textA = '',
        textB = '';
      for (let count = 0; count < 10; count++) {
        textA += (await a.next()).value;
        textB += (await b.next()).value;
      }
      assert.equal(textA, whole);
      assert.equal(textB, whole);
    });
  });
});
