// SPDX-License-Identifier: Apache-2.0
// level2-options.test.mjs: a number that a caller may set has the same range at every level; what isn't an
// option is refused by name.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import init, { ChordError, WasmModel } from '../../dist/index.js';
import { FIXTURE, GREEDY, refused, withModel } from './level2.mjs';

const MOST = 2 ** 31 - 1;
/**
 * [level 2's name, chat's name, position in set_config, a value below the range, a value above it, the range
 * as in messages].
 */
const ranges = [
  ['maxTokens', 'max_tokens', 0, 0, MOST + 1, `an integer from 1 to ${MOST}`],
  ['temperature', 'temperature', 1, -1e-9, 1000001, 'a number from 0 to 1000000'],
  ['topP', 'top_p', 2, -1e-9, 1.0000001, 'a number from 0 to 1'],
  ['topK', 'top_k', 3, -1, MOST + 1, `an integer from 0 to ${MOST}`],
  ['repetitionPenalty', 'repetition_penalty', 4, 9e-7, 1000001, 'a number from 0.000001 to 1000000'],
  ['minP', 'min_p', undefined, -1e-9, 1.0000001, 'a number from 0 to 1'],
  [
    'frequencyPenalty',
    'frequency_penalty',
    undefined,
    -1000001,
    1000001,
    'a number from -1000000 to 1000000',
  ],
  ['presencePenalty', 'presence_penalty', undefined, -1000001, 1000001, 'a number from -1000000 to 1000000'],
  ['seed', 'seed', undefined, -1, 2 ** 53, `an integer from 0 to ${2 ** 53 - 1}`],
];
const extras = ['top_k', 'min_p', 'repetition_penalty'];
const right = {
  maxTokens: 4,
  temperature: 0,
  topP: 1,
  topK: 0,
  repetitionPenalty: 1,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
};

test('level 1, level 2, chat and the worker refuse the same values in the same words', async () => {
  await init();
  const level1 = new WasmModel(new Uint8Array(await readFile(FIXTURE)));
  const worker = new Worker(new URL('../../dist/worker.js', import.meta.url));
  const ask = (options) =>
    new Promise((resolve) => {
      worker.once('message', (reply) => resolve(reply.error?.message ?? reply.type));
      const { maxTokens, seed, ...sampling } = { ...right, ...options };
      worker.postMessage({
        op: 'generate',
        call: 0,
        prompt: 'Hi',
        options: { maxTokens, seed, ignoreEos: false, stop: [], logprobs: false, sampling },
      });
    });
  const says = async (call) =>
    (async () => call())().then(
      () => 'taken',
      (error) => error.message,
    );
  try {
    await withModel(FIXTURE, { threads: 1 }, async (model) => {
      for (const [name, snake, position, below, above, range] of ranges) {
        for (const value of [below, above]) {
          const wanted = `is ${value}, not ${range}`;
          assert.equal(await says(() => model.generate('Hi', { [name]: value })), `${name} ${wanted}`);
          assert.equal(await ask({ [name]: value }), `${name} ${wanted}`);
          const [body, label] = extras.includes(snake)
            ? [{ extra_body: { [snake]: value } }, `extra_body.${snake}`]
            : [{ [snake]: value }, snake];
          assert.equal(
            await says(() =>
              model.chat.completions.create({ messages: [{ role: 'user', content: 'Hi' }], ...body }),
            ),
            `${label} ${wanted}`,
          );
          if (position === undefined) continue;
          const config = [4, 0, 1, 0, 1];
          config[position] = value;
          assert.equal(await says(() => level1.set_config(...config)), `set_config: ${snake} ${wanted}`);
        }
      }
    });
    assert.equal(await ask({}), 'no model is loaded', 'valid values must pass');
  } finally {
    level1.free();
    await worker.terminate();
  }
});

test('unknown, out-of-range and unsupported options are refused by name', () =>
  withModel(FIXTURE, {}, async (model) => {
    const refusals = [
      [{ tempreature: 0 }, 'tempreature'],
      [{ temperature: -1 }, 'temperature'],
      [{ temperature: NaN }, 'temperature'],
      [{ temperature: '0' }, 'temperature'],
      [{ topK: 1.5 }, 'topK'],
      [{ topK: -1 }, 'topK'],
      [{ topP: 2 }, 'topP'],
      [{ minP: -0.1 }, 'minP'],
      [{ maxTokens: 0 }, 'maxTokens'],
      [{ maxTokens: Infinity }, 'maxTokens'],
      [{ typicalP: 0.5 }, 'typicalP'],
      [{ grammar: 'root ::= "a"' }, 'grammar'],
      [{ jsonSchema: {} }, 'jsonSchema'],
      [{ regex: 'a' }, 'regex'],
      [{ seed: -1 }, 'seed'],
      [{ seed: 0.5 }, 'seed'],
      [{ stop: '' }, 'stop'],
      [{ stop: [1] }, 'stop'],
      [{ stop: [, 'a'] }, 'stop'],
      [{ logitBias: { x: 1 } }, 'logitBias'],
      [{ logitBias: { 1: NaN } }, 'logitBias'],
      [{ logitBias: 3 }, 'logitBias'],
      [{ ignoreEos: 1 }, 'ignoreEos'],
      [{ logprobs: 5 }, 'logprobs'],
      [{ repetitionPenalty: 0 }, 'repetitionPenalty'],
      [{ signal: {} }, 'signal'],
    ];
    for (const [options, name] of refusals) {
      assert.throws(
        () => model.generate('Hello', options),
        (error) =>
          error instanceof ChordError && error.code === 'invalid-argument' && error.message.includes(name),
        name,
      );
    }
    assert.throws(() => model.generate(42), { code: 'invalid-argument' });
    assert.equal(
      typeof (await model
        .generate('Hello', { maxTokens: 2, typicalP: 1, topK: undefined, grammar: undefined })
        .text()),
      'string',
    );
    assert.throws(() => model.generate('Hello', { ...GREEDY, logitBias: { 99999: 1 } }), {
      code: 'invalid-argument',
      message: /logitBias .*99999/,
    });
    await refused(model.generate([], GREEDY).text(), 'invalid-argument');
    await refused(model.generate([1, 99999], GREEDY).text(), 'invalid-argument', '99999');
    await refused(model.generate([1, 2.5], GREEDY).text(), 'invalid-argument', '2.5');
    await refused(model.tokenize(5), 'invalid-argument');
    await refused(model.tokenize('a', { addSpecials: true }), 'invalid-argument', 'addSpecials');
    await refused(model.detokenize([-1]), 'invalid-argument', '-1');
    await refused(model.logits('abc'), 'invalid-argument');
    await refused(model.logits([]), 'invalid-argument');
    assert.equal((await model.generate('Hello', GREEDY).text()).length > 0, true);
  }));
