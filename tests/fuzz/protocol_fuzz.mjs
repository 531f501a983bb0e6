// SPDX-License-Identifier: Apache-2.0
// protocol_fuzz.mjs: posts messages of any shape to the engine worker, from a seed: `protocol_fuzz.mjs
// [--seconds N] [--seed N]` (or FUZZ_SECONDS, FUZZ_SEED). Each round starts a worker and posts 50 to 300
// messages in bursts, without waiting: valid messages, valid messages with one field changed, and nonsense.
// Checked:
//   every opened call gets one answer within the time limit;
//   every failure is a record with a message and a known code, and the code is never `internal`;
//   the worker never dies, and at the round's end it still loads, answers and disposes.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { generator } from './seeded.mjs';

const { values } = parseArgs({ options: { seconds: { type: 'string' }, seed: { type: 'string' } } });
const seconds = Number(values.seconds ?? process.env.FUZZ_SECONDS ?? 10);
const firstSeed = Number(values.seed ?? process.env.FUZZ_SEED ?? Date.now() % 1e9);
const MODEL = fileURLToPath(new URL('../golden/q4_1-smollm.gguf', import.meta.url));
const model = new Uint8Array(await readFile(MODEL));
/** The template engine's module. */
const engine = new Uint8Array(await readFile(new URL('../../build/wasm/template.wasm', import.meta.url)));
const CODES = new Set([
  'invalid-argument',
  'invalid-gguf',
  'unsupported-architecture',
  'unsupported-quantization',
  'unsupported-tokenizer',
  'out-of-memory',
  'context-full',
  'io',
  'http',
  'aborted',
  'busy',
  'disposed',
]);
const CONTROLS = new Set(['chunk', 'end', 'fail', 'taken', 'pong', 'cancel']);
/** A round takes well under a second. The limit is long because the machine may be busy. */
const ROUND_MS = 30_000;

const ODD = [
  undefined,
  null,
  0,
  -1,
  1,
  0.5,
  NaN,
  Infinity,
  -Infinity,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 31),
  '',
  'x',
  '\u0000',
  '\ud800',
  true,
  false,
  [],
  {},
  [[]],
  new Uint8Array(3),
  new Int32Array(2),
  new ArrayBuffer(4),
  new Map(),
  new Date(0),
  /x/,
  10n,
  'load',
  'wasm32',
  Array(100).fill(1e9),
];

function makeIds(random) {
  const n = random.pick([0, 1, 2, 5, 31, 32, 33, 70, 255, 256, 300]);
  const ids = Array.from({ length: n }, () =>
    random.chance(0.002) ? random.pick([-1, 402, 1e9, 0.5, NaN, '1', null]) : random.below(402),
  );
  return random.chance(0.3) ? Int32Array.from(ids) : ids;
}

const makeText = (random) =>
  random.pick([
    '',
    'Hello',
    'a\ud800b',
    '<|im_start|>user\nhi<|im_end|>',
    '\u{1f600}'.repeat(9),
    ' '.repeat(300),
    'x'.repeat(random.below(3000)),
    new Uint8Array(random.below(50)).map(() => random.below(256)),
  ]);

function makeOptions(random) {
  return {
    maxTokens: random.pick([1, 2, 5, 20, 1000]),
    ignoreEos: random.chance(0.5),
    seed: random.pick([undefined, 0, 1, 2 ** 53 - 1]),
    stop: random.pick([[], ['a'], ['ab', 'b'], ['\ud800'], ['x'.repeat(5000)], ['']]),
    logprobs: random.chance(0.2),
    topLogprobs: random.pick([undefined, 0, 20]),
    controls: random.pick([undefined, true, false]),
    sampling: {
      temperature: random.pick([0, 0.8, 1e6, 1e-30]),
      topK: random.pick([0, 1, 40, 2 ** 31 - 1]),
      topP: random.pick([0, 0.5, 1]),
      minP: random.pick([0, 0.05, 1]),
      repetitionPenalty: random.pick([1, 1.1, 1e-6, 1e6]),
      frequencyPenalty: random.pick([0, 1, -1e6]),
      presencePenalty: random.pick([0, 1e6]),
      bias: random.pick([
        undefined,
        [],
        [[1, 5]],
        [
          [401, -1e30],
          [0, 1e30],
        ],
        [[402, 1]],
      ]),
    },
  };
}

/** Returns a message of a valid shape. In the worker's state it may still be an error. */
function makeMessage(random, round) {
  const call = random.chance(0.9) ? round.next++ : random.below(round.next + 1);
  const known = () => random.below(round.next + 2);
  const op = random.pick([
    'load',
    'chunk',
    'end',
    'fail',
    'tokenize',
    'tokenize',
    'render',
    'render',
    'detokenize',
    'logits',
    'generate',
    'generate',
    'taken',
    'taken',
    'taken',
    'pong',
    'cancel',
    'cancel',
    'counters',
    'profile',
    'dispose',
    'open-session',
    'fork-session',
    'close-session',
  ]);
  const session = random.pick([undefined, 0, 0, 1, 1, 2, 3, random.below(20)]);
  switch (op) {
    case 'load':
      return {
        op,
        call,
        source: makeSource(random),
        options: {
          contextLength: random.pick([undefined, 1, 32, 256, 2 ** 31 - 1]),
          kvType: random.pick([undefined, 'f16', 'f32', 'q8_0']),
          threads: random.pick([1, 1, 2, undefined, 256]),
        },
      };
    case 'chunk':
      return {
        op,
        call: random.pick([round.pushed, known()]),
        file: random.pick([0, 0, undefined, 1, 255, 256, -1]),
        bytes: random.pick([
          new Uint8Array(),
          model.slice(0, 1 << 19),
          model.slice(random.below(model.length)),
          new Uint8Array(2 << 20),
        ]),
      };
    case 'end':
      return { op, call: random.pick([round.pushed, known()]) };
    case 'fail':
      return { op, call: random.pick([round.pushed, known()]), error: { code: 'io', message: 'unplugged' } };
    case 'tokenize':
      return {
        op,
        call,
        text: makeText(random),
        addSpecial: random.chance(0.5),
        parseSpecial: random.chance(0.5),
      };
    case 'render':
      return {
        op,
        call,
        module: random.pick([undefined, engine, engine, engine, engine, 'bytes', new Uint8Array()]),
        template: random.pick([
          '{{ messages | length }}',
          '{% for m in messages %}{{ m.content }}{% endfor %}',
          '{{ raise_exception("no") }}',
          '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}',
          String(makeText(random)),
        ]),
        variables: random.pick(['{"messages": [{"content": "Hi"}]}', '{}', '[', String(makeText(random))]),
        now: random.pick([[2026, 1, 31, 12, 0, 0], [0, 0, 0, 0, 0, 0], [], undefined, 3]),
        mergeSystem: random.chance(0.5),
      };
    case 'detokenize':
      return { op, call, ids: makeIds(random), skipSpecial: random.chance(0.5) };
    case 'logits':
      return { op, call, session, ids: makeIds(random), all: random.chance(0.5) };
    case 'generate':
      return {
        op,
        call,
        session,
        prompt: random.chance(0.5) ? makeIds(random) : String(makeText(random)),
        options: makeOptions(random),
      };
    case 'fork-session':
    case 'close-session':
      return { op, call, session };
    case 'taken':
      return { op, call: known(), count: random.pick([0, 1, 1, 5, 2 ** 31 - 1]) };
    case 'dispose':
      return random.chance(0.03) ? { op, call } : { op: 'counters', call };
    default:
      return { op, call: op === 'cancel' || op === 'pong' ? known() : call };
  }
}

/**
 * Returns messages whose faults this fuzzer found. Every round posts them, because a seed makes other
 * messages as soon as an op is added. These are a stop list and a bias list with a hole. `map` skips holes,
 * so the holes weren't checked, and packStops failed with `internal`.
 */
function found(random) {
  const options = makeOptions(random);
  return [
    { op: 'generate', prompt: 'Hi', options: { ...options, stop: [, 'a'] } },
    {
      op: 'generate',
      prompt: 'Hi',
      options: { ...options, sampling: { ...options.sampling, bias: [, [1, 5]] } },
    },
  ];
}

const SHARDS = [1, 2, 3].map(
  (no) => new URL(`../golden/shards/f16-fused-0000${no}-of-00003.gguf`, import.meta.url).pathname,
);

const makeSource = (random) =>
  random.chance(0.15)
    ? {
        kind: 'files',
        files: random.chance(0.5)
          ? SHARDS.map((path) => ({ kind: 'path', path }))
          : Array.from({ length: random.below(4) }, () => makeFile(random)),
      }
    : makeFile(random);

const makeFile = (random) =>
  random.pick([
    { kind: 'path', path: MODEL },
    { kind: 'path', path: MODEL },
    { kind: 'path', path: '/nothing/there' },
    { kind: 'path', path: '\u0000' },
    { kind: 'url', file: { url: 'http://127.0.0.1:1/x', name: 'x' } },
    { kind: 'url', file: { url: 'not a url', name: 'x' } },
    { kind: 'url', file: { url: `data:text/html,<html></html>`, name: 'x' } },
    { kind: 'blob', blob: new Blob([model]), name: 'b' },
    { kind: 'blob', blob: new Blob([model.subarray(0, 9999)]), name: 'b' },
    {
      kind: 'pushed',
      name: 'p',
      totalBytes: random.pick([undefined, 0, model.length, 2 ** 53 - 1]),
      phase: 'read',
    },
  ]);

/** Replaces or deletes one field of `message`, at any depth. */
function spoil(random, message) {
  const path = [message];
  for (;;) {
    const at = path.at(-1);
    const key = random.pick(Object.keys(at));
    const inner = at[key];
    if (
      inner !== null &&
      typeof inner === 'object' &&
      !ArrayBuffer.isView(inner) &&
      !(inner instanceof Blob) &&
      Object.keys(inner).length > 0 &&
      random.chance(0.6)
    ) {
      at[key] = Array.isArray(inner) ? [...inner] : { ...inner };
      path.push(at[key]);
      continue;
    }
    if (random.chance(0.15)) delete at[key];
    else at[key] = random.pick(ODD);
    return message;
  }
}

/** Runs a round. Resolves to a description of its fault, or null. */
async function round(seed) {
  const random = generator(seed);
  const worker = new Worker(new URL('../../dist/worker.js', import.meta.url));
  const state = { next: 0, pushed: 0 };
  const sends = new Map(); // call -> messages with its number that have no answer yet
  const open = new Set(); // calls that have had no answer since they were opened
  const sent = []; // the last messages, for the report
  let problem = null;
  let onChange = () => {};
  const wrong = (text) => {
    problem ??= `${text}\n  last messages: ${sent
      .slice(-4)
      .map((message) => {
        try {
          return JSON.stringify(message, (_, value) =>
            typeof value === 'bigint' ? `${value}n` : value,
          )?.slice(0, 300);
        } catch {
          return String(message);
        }
      })
      .join('\n    ')}`;
    onChange();
  };
  worker.on('error', (error) => wrong(`the worker died: ${error?.stack ?? error}`));
  worker.on('exit', () => wrong('the worker ended'));
  worker.on('message', (reply) => {
    if (reply.type === 'failed') {
      if (
        !CODES.has(reply.error?.code) ||
        typeof reply.error.message !== 'string' ||
        reply.error.message === ''
      )
        wrong(`failed with ${JSON.stringify(reply.error)}`);
    } else if (reply.type !== 'result') return;
    if (reply.call < 0) return; // the answer to a message that opened no call
    const left = (sends.get(reply.call) ?? 0) - 1;
    if (left < 0) wrong(`call ${reply.call} got one answer too many: ${JSON.stringify(reply).slice(0, 200)}`);
    sends.set(reply.call, left);
    open.delete(reply.call);
    onChange();
  });
  const post = (message) => {
    let copy;
    try {
      copy = structuredClone(message);
    } catch {
      return; // it couldn't reach a worker either
    }
    sent.push(copy);
    const call = copy?.call;
    if (Number.isSafeInteger(call) && call >= 0 && !CONTROLS.has(copy.op)) {
      sends.set(call, (sends.get(call) ?? 0) + 1);
      open.add(call);
    }
    worker.postMessage(copy);
  };
  const answered = async () => {
    const late = setTimeout(
      () => wrong(`no answer within ${ROUND_MS / 1000} s to ${[...open].slice(0, 9)}`),
      ROUND_MS,
    );
    while (open.size > 0 && problem === null) await new Promise((resolve) => (onChange = resolve));
    clearTimeout(late);
  };

  if (random.chance(0.7))
    post({
      op: 'load',
      call: state.next++,
      source: { kind: 'path', path: MODEL },
      options: { threads: random.pick([1, 2]) },
    });
  if (random.chance(0.8)) await answered();
  for (const message of found(random)) post({ ...message, call: state.next++ });
  const messages = 50 + random.below(250);
  for (let i = 0; i < messages && problem === null; i++) {
    let message = makeMessage(random, state);
    if (message.op === 'load' && message.source.kind === 'pushed') state.pushed = message.call;
    if (random.chance(0.25)) message = spoil(random, message);
    if (random.chance(0.02)) message = random.pick(ODD);
    post(message);
    if (random.chance(0.1)) await new Promise((resolve) => setImmediate(resolve));
  }
  // A generation without a reader, or a pushed load, would wait for ever: cancel every call. The first
  // answer to a number that was sent twice removes it from `open`, so `sends` lists the calls.
  for (const [call, left] of sends) if (left > 0) post({ op: 'cancel', call });
  await answered();
  const last = async (message) => {
    if (problem !== null) return;
    post({ ...message, call: state.next++ });
    await answered();
  };
  await last({ op: 'load', source: { kind: 'path', path: MODEL }, options: { threads: 1 } });
  await last({ op: 'logits', ids: [1, 2, 3], all: false });
  await last({ op: 'dispose' });
  onChange = () => {};
  const fault = problem;
  problem = 'over'; // the end of the worker isn't a fault from here on
  await worker.terminate();
  return fault;
}

const end = Date.now() + seconds * 1000;
let passed = 0,
  failed = 0;
for (let seed = firstSeed; Date.now() < end && failed === 0; seed++) {
  const found = await round(seed);
  if (found === null) passed += 1;
  else {
    failed += 1;
    console.log(`FAIL --seed ${seed}: ${found}`);
  }
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed > 0 ? 1 : 0);
