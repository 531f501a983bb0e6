// SPDX-License-Identifier: Apache-2.0
// api_fuzz.mjs: calls level 1, level 2 and chat from a seed, with valid arguments and with any other values.
//
//   node tests/fuzz/api_fuzz.mjs [--seconds N] [--seed N]
//
// A round that fails prints its seed. The same seed makes the same calls.
//
// Checked for each call: it ends within the time limit. It throws nothing but a ChordError with a code of
// CODES (`internal` isn't one), or the value that the caller threw or aborted with. After each round the
// models must generate the same texts as before.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import init, { ChordError, WasmModel, format_chat, loadModel } from '../../dist/index.js';
import { CHATML, withTemplate } from '../ts/chat.mjs';
import { generator } from './seeded.mjs';

const { values } = parseArgs({ options: { seconds: { type: 'string' }, seed: { type: 'string' } } });
const seconds = Number(values.seconds ?? process.env.FUZZ_SECONDS ?? 10);
const firstSeed = Number(values.seed ?? process.env.FUZZ_SEED ?? Date.now() % 1e9);
const FIXTURE = fileURLToPath(new URL('../golden/q4_1-smollm.gguf', import.meta.url));
const CODES = new Set([
  'invalid-argument',
  'invalid-gguf',
  'context-full',
  'io',
  'out-of-memory',
  'busy',
  'no-webgpu',
]);
/** A call takes milliseconds. The limit is long because the machine may be busy. */
const CALL_MS = 30_000;
const bytes = new Uint8Array(await readFile(FIXTURE));
const withChat = await withTemplate(CHATML);

/** Thrown by the getters, traps, callbacks and signals of this file. A call may rethrow it. */
class Own extends TypeError {}

const PROTOTYPES = [
  AbortSignal,
  Map,
  Set,
  Uint8Array,
  Int32Array,
  Array,
  Blob,
  URL,
  ReadableStream,
  Promise,
  WebAssembly.Module,
  Error,
].map((of) => of.prototype);

/** Returns a value of any kind. */
function makeOdd(random, depth = 0) {
  const fail = () => {
    throw new Own('of the caller');
  };
  const inner = () => (depth > 2 ? random.pick([undefined, 1, 'x']) : makeOdd(random, depth + 1));
  const kind = random.below(25);
  switch (kind) {
    case 0:
    case 1:
      return random.pick([undefined, null, true, false]);
    case 2:
    case 3:
      return random.pick([
        0,
        -0,
        1,
        -1,
        0.5,
        NaN,
        Infinity,
        -Infinity,
        2 ** 31 - 1,
        2 ** 31,
        2 ** 53,
        -(2 ** 31),
        1e308,
        5e-324,
      ]);
    case 4:
    case 5:
      return random.pick([
        '',
        'x',
        '\u0000',
        '\ud800',
        'constructor',
        '__proto__',
        '1',
        'auto',
        'f16',
        'user',
        ' '.repeat(999),
      ]);
    case 6:
      return random.pick([Symbol(), Symbol('s'), Symbol.iterator]);
    case 7:
      return random.pick([0n, 1n, -(2n ** 70n)]);
    case 8:
      return random.pick([fail, () => inner, async () => {}, Math.max]);
    case 9:
      return Array.from({ length: random.below(5) }, inner);
    // An array of holes. A longer one would keep a template busy too long.
    case 10:
      return Array(random.pick([1, 3, 2 ** 16]));
    case 11:
      return { length: random.pick([1e15, 2 ** 53 - 1, -1, 0.5, 2 ** 26 + 1, 3, '3']), 0: inner() };
    case 12:
      return Object.create(random.pick(PROTOTYPES));
    case 13:
      return Object.create(null);
    case 14:
      return Object.defineProperty({}, random.pick(NAMES), { get: fail, enumerable: random.chance(0.7) });
    case 15:
      return Object.create(Object.defineProperty({}, random.pick(NAMES), { get: fail, enumerable: true }));
    case 16:
      return new Proxy(
        random.pick([{}, [], fail, new Uint8Array(3), new Map()]),
        Object.fromEntries(
          ['get', 'has', 'ownKeys', 'getPrototypeOf', 'getOwnPropertyDescriptor', 'set']
            .filter(() => random.chance(0.4))
            .map((trap) => [trap, fail]),
        ),
      );
    case 17: {
      const { proxy, revoke } = Proxy.revocable(random.pick([{}, []]), {});
      revoke();
      return proxy;
    }
    case 18:
      return {
        toString: fail,
        valueOf: fail,
        toJSON: fail,
        [Symbol.toPrimitive]: fail,
        get [Symbol.toStringTag]() {
          return fail();
        },
      };
    case 19:
      return {
        [Symbol.iterator]: random.pick([fail, 1, () => ({ next: fail }), () => ({}), () => 1]),
        length: 2,
      };
    case 20: {
      const list = random.pick([new Uint8Array(4), new Int32Array(4)]);
      if (random.chance(0.5)) structuredClone(list.buffer, { transfer: [list.buffer] });
      return list;
    }
    case 21:
      return random.pick([
        new Map([[inner(), inner()]]),
        new Set([inner()]),
        new Date(NaN),
        /x/g,
        new Float64Array([1, NaN, 5]),
        new DataView(new ArrayBuffer(4)),
        new Error('x'),
      ]);
    case 22: {
      const cycle = { role: 'user', content: 'x' };
      cycle[random.pick(NAMES)] = cycle;
      return cycle;
    }
    case 23:
      return Object.fromEntries(Array.from({ length: random.below(4) }, () => [random.pick(NAMES), inner()]));
    default:
      return AbortSignal.abort(random.pick([new Own('aborted'), undefined]));
  }
}

const NAMES = [
  'signal',
  'length',
  'temperature',
  'topK',
  'maxTokens',
  'stop',
  'seed',
  'role',
  'content',
  'messages',
  'then',
  'toString',
  'aborted',
  'constructor',
  '0',
  'type',
  'logitBias',
  'threads',
  'onProgress',
  'all',
  'addSpecial',
  'tools',
  'stream',
  'extra_body',
  'nothing',
];

/**
 * Returns options with the fields of `rights`: some are valid, some odd, some missing, and one may be
 * unknown. Sometimes returns a value of any kind instead.
 */
function makeOptions(random, rights) {
  if (random.chance(0.05)) return makeOdd(random);
  const options = {};
  for (const [name, right] of Object.entries(rights)) {
    if (random.chance(0.5)) options[name] = random.chance(0.8) ? right() : makeOdd(random);
  }
  if (random.chance(0.05)) options[random.pick(NAMES)] = makeOdd(random);
  return random.chance(0.9) ? options : Object.create(options);
}

const makeSignal = (random) =>
  random.pick([undefined, new AbortController().signal, AbortSignal.abort(new Own('aborted'))]);
const makeText = (random) =>
  random.pick(['', 'Hello', 'a\ud800b', '<|im_start|>', 'x'.repeat(random.below(300)), 'The walk of']);
const makeIds = (random) =>
  Array.from({ length: random.pick([0, 1, 3, 40, 300]) }, () =>
    random.chance(0.01) ? makeOdd(random) : random.below(402),
  );
const orOdd = (random, right, chance = 0.25) => (random.chance(chance) ? makeOdd(random) : right());

const makeGenerateOptions = (random) =>
  makeOptions(random, {
    maxTokens: () => random.pick([1, 2, 9]),
    temperature: () => random.pick([0, 0.8]),
    topK: () => random.below(50),
    topP: () => random.next(),
    minP: () => random.next(),
    typicalP: () => 1,
    repetitionPenalty: () => 1 + random.next(),
    frequencyPenalty: () => random.next(),
    presencePenalty: () => 0,
    seed: () => random.below(9),
    ignoreEos: () => random.chance(0.5),
    logprobs: () => random.chance(0.5),
    topLogprobs: () => random.below(22),
    stop: () => random.pick(['a', ['b', 'cd'], []]),
    logitBias: () => random.pick([{ 5: 3 }, new Map([[7, -Infinity]]), {}, { 402: 1 }]),
    signal: () => makeSignal(random),
  });

const makeTool = (random) => ({
  type: orOdd(random, () => 'function', 0.1),
  function: orOdd(
    random,
    () =>
      makeOptions(random, {
        name: () => random.pick(['f', 'g', makeText(random)]),
        description: () => makeText(random),
        parameters: () => orOdd(random, () => ({ type: 'object', properties: {} }), 0.2),
      }),
    0.1,
  ),
});
const makeCall = (random) =>
  makeOptions(random, {
    id: () => 'a',
    type: () => 'function',
    function: () => ({ name: 'f', arguments: random.pick(['{}', '{"a": 1}', makeText(random)]) }),
  });
const makeMessage = (random) =>
  makeOptions(random, {
    role: () => random.pick(['user', 'assistant', 'tool', 'system', 'developer']),
    content: () => random.pick([makeText(random), null, [{ type: 'text', text: makeText(random) }]]),
    tool_calls: () => [makeCall(random)],
    tool_call_id: () => 'a',
    reasoning_content: () => makeText(random),
  });

const makeBody = (random) =>
  makeOptions(random, {
    messages: () => [
      { role: 'user', content: makeText(random) },
      ...(random.chance(0.3) ? [makeMessage(random)] : []),
      ...(random.chance(0.2) ? [makeOdd(random)] : []),
    ],
    max_tokens: () => random.pick([1, 4]),
    temperature: () => 0,
    top_p: () => 0.5,
    stream: () => random.chance(0.5),
    stop: () => 'x',
    seed: () => 1,
    logit_bias: () => ({ 5: 1 }),
    logprobs: () => random.chance(0.5),
    extra_body: () => makeOptions(random, { top_k: () => 3, min_p: () => 0 }),
    signal: () => makeSignal(random),
    user: () => makeOdd(random),
    tools: () => Array.from({ length: random.below(3) }, () => makeTool(random)),
    tool_choice: () => random.pick(['auto', 'none', 'required', { type: 'function' }]),
    parallel_tool_calls: () => random.chance(0.5),
    reasoning_effort: () => 'low',
    chat_template_kwargs: () => ({ enable_thinking: false, deep: [{ a: makeText(random) }] }),
    tool_format: () => random.pick(['auto', 'none', 'hermes']),
    reasoning_format: () => random.pick(['auto', 'none']),
    add_generation_prompt: () => random.chance(0.5),
    continue_final_message: () => random.chance(0.5),
    chat_template: () => 'tool_use',
    top_logprobs: () => random.below(22),
    n: () => 1 + random.below(3),
    response_format: () => ({ type: 'text' }),
    stream_options: () => ({ include_usage: true }),
    model: () => 'any',
    messages2: () => undefined,
  });

/** Reads a generation in one of four ways. */
async function read(random, run) {
  switch (random.below(4)) {
    case 0:
      return run.text?.();
    case 1:
      for await (const _ of run);
      return run.text?.();
    case 2:
      for await (const _ of run) break;
      return undefined;
    default:
      for await (const _ of run.toReadableStream());
      return undefined;
  }
}

/**
 * The calls: [name, weight, function]. A level 1 stream is read in part, may get a throw(), and is freed.
 */
const CALLS = [
  [
    'set_config',
    3,
    ({ level1 }, random) =>
      level1.set_config(...[9, 0.8, 0.95, 40, 1].map((right) => orOdd(random, () => right, 0.15))),
  ],
  ['generate (1)', 2, ({ level1 }, random) => level1.generate(orOdd(random, () => makeText(random)))],
  [
    'generate_stream',
    2,
    ({ level1 }, random) =>
      level1.generate_stream(
        orOdd(random, () => makeText(random)),
        orOdd(random, () => () => {
          if (random.chance(0.1)) throw new Own('in a callback');
          return makeOdd(random);
        }),
      ),
  ],
  [
    'generate_async',
    3,
    async ({ level1 }, random) => {
      const stream = level1.generate_async(orOdd(random, () => makeText(random)));
      try {
        for (let n = random.below(4); n > 0; n--) await stream.next();
        if (random.chance(0.3)) await stream.throw(new Own('into a stream'));
      } finally {
        stream.free();
      }
    },
  ],
  ['new WasmModel', 1, (_, random) => new WasmModel(makeOdd(random)).free()],
  [
    'format_chat',
    2,
    (_, random) =>
      format_chat(
        orOdd(random, () => 'Be brief.'),
        orOdd(random, () => 'Hi'),
        orOdd(random, () => 'chatml'),
      ),
  ],
  [
    'generate',
    8,
    ({ level2 }, random) =>
      read(
        random,
        level2.generate(
          orOdd(random, () => random.pick([makeText(random), makeIds(random)])),
          makeGenerateOptions(random),
        ),
      ),
  ],
  [
    'tokenize',
    3,
    ({ level2 }, random) =>
      level2.tokenize(
        orOdd(random, () => makeText(random)),
        makeOptions(random, {
          addSpecial: () => true,
          parseSpecial: () => false,
          signal: () => makeSignal(random),
        }),
      ),
  ],
  [
    'detokenize',
    3,
    ({ level2 }, random) =>
      level2.detokenize(
        orOdd(random, () => makeIds(random)),
        makeOptions(random, { skipSpecial: () => true, signal: () => makeSignal(random) }),
      ),
  ],
  [
    'logits',
    2,
    ({ level2 }, random) =>
      level2.logits(
        orOdd(random, () => makeIds(random)),
        makeOptions(random, { all: () => random.chance(0.5), signal: () => makeSignal(random) }),
      ),
  ],
  [
    'applyChatTemplate',
    3,
    ({ level2 }, random) =>
      level2.applyChatTemplate(
        orOdd(random, () => [{ role: 'user', content: orOdd(random, () => 'Hi') }]),
        makeOptions(random, {
          addGenerationPrompt: () => random.chance(0.5),
          continueFinalMessage: () => random.chance(0.2),
          tools: () => [],
          chatTemplate: () => random.pick(['default', 'tool_use']),
          templateKwargs: () => ({ enable_thinking: false }),
          toolsInText: () => true,
          signal: () => makeSignal(random),
        }),
      ),
  ],
  [
    'format_chat_messages',
    2,
    ({ level1 }, random) =>
      level1.format_chat_messages(
        orOdd(random, () =>
          random.pick([
            '[]',
            '[{"role": "user", "content": "Hi"}]',
            '{"messages": [null]}',
            '{"messages": [',
          ]),
        ),
      ),
  ],
  [
    'chat',
    8,
    async ({ level2 }, random) => {
      const answer = await level2.chat.completions.create(
        makeBody(random),
        random.chance(0.3) ? makeOptions(random, { signal: () => makeSignal(random) }) : undefined,
      );
      if (typeof answer.toReadableStream === 'function') await read(random, answer);
    },
  ],
  [
    'loadModel',
    1,
    async (_, random) => {
      const options = makeOptions(random, {
        backend: () => 'cpu',
        threads: () => 1,
        contextLength: () => random.pick([1, 64]),
        kvType: () => random.pick(['f16', 'q8_0', 'f32']),
        cache: () => 'auto',
        onProgress: () =>
          random.pick([
            () => {},
            () => {
              throw new Own('in a callback');
            },
          ]),
        signal: () => makeSignal(random),
      });
      try {
        options.worker = false; // thousands of workers would take too long
      } catch {
        // `options` isn't an object, or is a proxy that throws.
      }
      await (await loadModel(bytes, options)).dispose();
    },
  ],
];
const BAG = CALLS.flatMap((call) => Array(call[1]).fill(call));

/** Returns a text of `error`, which may be any value, for the report. */
const shown = (error) => {
  try {
    return String(error?.stack ?? error).slice(0, 1500);
  } catch {
    return 'a value that cannot be shown';
  }
};

/** Makes one call. Resolves to a description of its fault, or null. */
async function fault(call, models, random) {
  let timer;
  const late = new Promise(
    (resolve) => (timer = setTimeout(() => resolve(`no end within ${CALL_MS / 1000} s`), CALL_MS)),
  );
  const ended = (async () => call(models, random))().then(
    () => null,
    (error) => {
      // An AbortError is the default reason of an abort.
      if (error instanceof Own || (error instanceof DOMException && error.name === 'AbortError')) return null;
      if (!ChordError.isInstance(error)) return `threw ${shown(error)}`;
      return CODES.has(error.code) && error.message !== '' ? null : `threw ${error.code}: ${shown(error)}`;
    },
  );
  const wrong = await Promise.race([ended, late]);
  clearTimeout(timer);
  return wrong;
}

/** Resolves to the models' answers to a fixed prompt, which must be the same after every round. */
async function answer({ level1, level2 }) {
  level1.set_config(8, 0, 1, 0, 1);
  return JSON.stringify([
    level1.generate('Hello'),
    await level2.generate('Hello', { temperature: 0, maxTokens: 8 }).text(),
  ]);
}

process.on('unhandledRejection', (error) => {
  console.log(`FAIL unhandled rejection: ${shown(error)}`);
  process.exit(1);
});

await init();
const level1 = new WasmModel(bytes);
/** In a worker the engine gets structured clones of the arguments, without a worker the caller's objects. */
const both = [await loadModel(withChat, { threads: 1 }), await loadModel(withChat, { worker: false })];
const expected = await answer({ level1, level2: both[0] });
const end = Date.now() + seconds * 1000;
let passed = 0,
  failed = 0,
  calls = 0;
for (let seed = firstSeed; Date.now() < end && failed === 0; seed++) {
  const random = generator(seed);
  const models = { level1, level2: both[seed % 2] };
  let problem = null;
  for (let i = 0; i < 100 && problem === null; i++) {
    const [name, , call] = random.pick(BAG);
    const wrong = await fault(call, models, random);
    if (wrong !== null) problem = `call ${i}, ${name}: ${wrong}`;
    calls += 1;
  }
  if (problem === null && (await answer(models)) !== expected)
    problem = "the models' answers must be the same as before the round";
  if (problem === null) passed += 1;
  else {
    failed += 1;
    console.log(`FAIL --seed ${seed}: ${problem}`);
  }
}
console.log(`seed ${firstSeed}: ${calls} calls; ${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed > 0 ? 1 : 0);
