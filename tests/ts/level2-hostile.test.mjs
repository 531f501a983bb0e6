// SPDX-License-Identifier: Apache-2.0
// level2-hostile.test.mjs: arguments that throw when they are read, or aren't what they claim to be. Each is
// refused with a ChordError that names it, at both levels and in chat, and the model stays usable.
// tests/fuzz/api_fuzz.mjs searches for more.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import init, { ChordError, WasmModel, format_chat, loadModel } from '../../dist/index.js';
import { CHATML, withTemplate } from './chat.mjs';
import { FIXTURE, GREEDY, refused, withModel } from './level2.mjs';

const thrower = () => {
  throw new TypeError('mine');
};
const throwing = (name) => Object.create({}, { [name]: { get: thrower, enumerable: true } });
const trapped = new Proxy(
  {},
  {
    get: thrower,
    has: thrower,
    ownKeys: thrower,
    getPrototypeOf: thrower,
    getOwnPropertyDescriptor: thrower,
  },
);
const revoked = Proxy.revocable([], {});
revoked.revoke();
const unprintable = {
  toString: thrower,
  valueOf: thrower,
  [Symbol.toPrimitive]: thrower,
  get [Symbol.toStringTag]() {
    return thrower();
  },
};
const falseSignal = Object.create(AbortSignal.prototype);
const detached = new Uint8Array(8);
structuredClone(detached.buffer, { transfer: [detached.buffer] });

/** Asserts that `call` throws, or rejects with, an `invalid-argument` whose message contains `name`. */
async function refuses(call, name, what) {
  const error = await (async () => call())().then(
    (value) => assert.fail(`${what}: must be refused, returned ${typeof value}`),
    (reason) => reason,
  );
  assert.ok(ChordError.isInstance(error), `${what}: ${error?.stack ?? String(error)}`);
  assert.equal(error.code, 'invalid-argument', `${what}: ${error.message}`);
  assert.ok(error.message.includes(name), `${what}: ${JSON.stringify(error.message)} doesn't name ${name}`);
}

test('a text that is no string, and a logit bias for a token that the model lacks, are named', () =>
  withModel(FIXTURE, { threads: 1 }, async (model) => {
    for (const text of [5, null, undefined, {}])
      await refuses(() => model.tokenize(text), 'not a string or a Uint8Array', `tokenize(${text})`);
    const { vocabularySize } = model.info;
    const generate = (id) => model.generate('Hello', { ...GREEDY, logitBias: { [id]: 1 } }).text();
    await refuses(() => generate(vocabularySize), `logitBias has token ${vocabularySize}`, 'logitBias');
    assert.equal(typeof (await generate(vocabularySize - 1)), 'string');
  }));

test('level 2 refuses by name options that throw when read, false signals and lists with false lengths', () =>
  withModel(FIXTURE, { threads: 1 }, async (model) => {
    const text = await model.generate('Hello', GREEDY).text();
    const calls = {
      generate: (options) => model.generate('Hello', options).text(),
      tokenize: (options) => model.tokenize('Hello', options),
      detokenize: (options) => model.detokenize([1], options),
      logits: (options) => model.logits([1], options),
      loadModel: (options) => loadModel(FIXTURE, options),
    };
    for (const [name, call] of Object.entries(calls)) {
      await refuses(() => call({ signal: falseSignal }), 'signal', `${name}, a false signal`);
      await refuses(() => call(throwing('signal')), 'signal', `${name}, a signal that throws`);
      await refuses(
        () => call(Object.create(throwing('signal'))),
        'signal',
        `${name}, a prototype that throws`,
      );
      await refuses(() => call(throwing('unknown')), 'unknown', `${name}, an unknown option that throws`);
      await refuses(() => call(trapped), name, `${name}, a proxy`);
      await refuses(() => call(null), name, `${name}, null`);
    }
    for (const name of ['temperature', 'topK', 'seed', 'stop', 'logitBias', 'ignoreEos'])
      for (const value of [unprintable, trapped, revoked.proxy, Symbol('s'), 1n, thrower])
        await refuses(() => calls.generate({ [name]: value }), name, `${name}, ${typeof value}`);
    await refuses(() => calls.generate({ stop: [trapped] }), 'stop', 'a list of proxies');
    await refuses(
      () => calls.generate({ logitBias: new Map([[Symbol('s'), 1]]) }),
      'logitBias',
      'a symbol as token',
    );
    for (const kvType of [unprintable, Symbol('s'), trapped])
      await refuses(() => calls.loadModel({ kvType }), 'kvType', 'kvType');

    const lists = [
      { length: 1e15 },
      { length: 2 ** 53 - 1 },
      { length: -1 },
      { length: 1, 0: Symbol('s') },
      { length: 1, 0: unprintable },
      [1n],
      trapped,
      revoked.proxy,
      throwing('length'),
      Object.create(Int32Array.prototype),
      new Proxy(new Int32Array(3), {}),
    ];
    for (const ids of lists) {
      await refuses(() => model.generate(ids, GREEDY).text(), 'prompt', 'generate');
      await refuses(() => model.logits(ids), 'ids', 'logits');
      await refuses(() => model.detokenize(ids), 'ids', 'detokenize');
    }
    for (const bytes of [
      detached,
      Object.create(Uint8Array.prototype),
      new Proxy(new Uint8Array(3), {}),
      trapped,
      Symbol('s'),
    ])
      await refuses(() => model.tokenize(bytes), 'text', 'tokenize');
    assert.equal(await model.generate('Hello', GREEDY).text(), text);
  }));

test('chat refuses bodies and messages that throw when read', async () =>
  withModel(await withTemplate(CHATML), { threads: 1 }, async (model) => {
    const messages = [{ role: 'user', content: 'Hi' }];
    const create = (body, options) =>
      model.chat.completions.create({ messages, max_tokens: 2, ...body }, options);
    for (const [body, name] of [
      [{ messages: trapped }, 'messages'],
      [{ messages: revoked.proxy }, 'messages'],
      [{ messages: [trapped] }, 'messages[0]'],
      [{ messages: [throwing('role')] }, 'role'],
      [{ messages: [{ role: 'user', content: trapped }] }, 'content'],
      [{ messages: [{ role: 'user', content: [trapped] }] }, 'content[0]'],
      [{ messages: [{ role: unprintable, content: '' }] }, 'role'],
      [{ temperature: unprintable }, 'temperature'],
      [{ seed: 1n }, 'seed'],
      [{ stop: trapped }, 'stop'],
      [{ logit_bias: trapped }, 'logit_bias'],
      [{ extra_body: trapped }, 'extra_body'],
      [{ extra_body: throwing('top_k') }, 'top_k'],
      [{ signal: falseSignal }, 'signal'],
      [{ model: unprintable }, 'model'],
      [{ stream: true, stream_options: trapped }, 'stream_options'],
    ])
      await refuses(() => create(body), name, Object.keys(body).join());
    for (const body of [trapped, throwing('messages'), null, undefined, Symbol('s')])
      await refuses(() => model.chat.completions.create(body), '', 'a body');
    for (const options of [trapped, throwing('signal'), { signal: falseSignal }, null])
      if (options !== null) await refuses(() => create({}, options), '', 'options');
    for (const list of [trapped, revoked.proxy, null, 'Hi', ['Hi'], [, messages[0]], Array(2 ** 32 - 1)])
      await refuses(() => model.applyChatTemplate(list), 'messages', 'applyChatTemplate');
    await refuses(() => model.applyChatTemplate([throwing('role')]), 'messages', 'a message that throws');
    await refuses(
      () =>
        model.applyChatTemplate([
          {
            get role() {
              throw null;
            },
          },
        ]),
      'messages',
      'a message that throws null',
    );
    await refuses(() => model.applyChatTemplate(messages, throwing('tools')), 'tools', 'tools');
    await create({});
  }));

test("level 1 refuses values of a wrong type by name, and overridden properties of bytes don't mislead it", async () => {
  for (const options of [
    null,
    1,
    trapped,
    throwing('module'),
    { module: {} },
    { wasmUrl: Symbol('s') },
    { wasmUrl: 'http://' },
    { wasmUrl: unprintable },
  ])
    await refuses(() => init(options), '', `init(${typeof options})`);
  await init();
  const bytes = new Uint8Array(await readFile(FIXTURE));
  for (const wrong of [
    trapped,
    unprintable,
    Object.create(Uint8Array.prototype),
    { [Symbol.toStringTag]: 'Uint8Array' },
    new Proxy(bytes, {}),
    detached,
    Symbol('s'),
  ])
    await refuses(() => new WasmModel(wrong), 'ggufBytes', 'new WasmModel');
  const model = new WasmModel(
    Object.defineProperties(bytes.slice(), {
      subarray: { value: thrower },
      byteLength: { value: 3 },
      length: { get: thrower },
    }),
  );
  try {
    await refuses(() => model.set_config(1n, 0, 1, 0, 1), 'max_tokens', 'a bigint');
    const good = [4, 0, 1, 0, 1],
      names = ['max_tokens', 'temperature', 'top_p', 'top_k', 'repetition_penalty'];
    for (const [i, name] of names.entries())
      for (const value of [1n, Symbol('s'), unprintable, trapped, revoked.proxy, thrower])
        await refuses(() => model.set_config(...good.with(i, value)), name, name);
    for (const prompt of [Symbol('s'), unprintable, trapped]) {
      await refuses(() => model.generate(prompt), 'prompt', 'generate');
      await refuses(() => model.generate_async(prompt), 'prompt', 'generate_async');
    }
    assert.equal(typeof model.generate('Hello'), 'string');
  } finally {
    model.free();
  }
  for (const form of [unprintable, trapped, Symbol('s'), null, 1n])
    await refuses(() => format_chat('', 'Hi', form), 'format_chat', 'format_chat');
  assert.equal(ChordError.isInstance(revoked.proxy), false);
});
