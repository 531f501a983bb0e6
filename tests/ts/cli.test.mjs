// SPDX-License-Identifier: Apache-2.0
// cli.test.mjs: the npm bin as a process: what it prints where, its exit status, Ctrl-C, a closed pipe.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadModel, version } from '../../dist/index.js';
import { CHATML, withContext, withTemplate } from './chat.mjs';
import { budgetFor, withPagedModel } from './paged-model.mjs';

const bin = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const MODEL = fileURLToPath(new URL('../golden/q4_1-smollm.gguf', import.meta.url));
const TEXT = 'Hello world';

/** Runs the command line for at most a minute. `onOutput(child)` is called at the first piece of stdout. */
function run(parameters, { stdin = '', env = {}, onOutput } = {}) {
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [...process.execArgv.filter((flag) => flag.startsWith('--experimental')), bin, ...parameters],
      { timeout: 60_000, env: { ...process.env, ...env } },
    );
    let stdout = '',
      stderr = '';
    child.stdout.on('data', (data) => {
      if (stdout === '') onOutput?.(child);
      stdout += data;
    });
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    child.stdin.on('error', () => {}).end(stdin);
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

const lines = (text) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

async function withModel(use) {
  const model = await loadModel(MODEL);
  try {
    return await use(model);
  } finally {
    await model.dispose();
  }
}

const COMMANDS = [
  'chat',
  'generate',
  'info',
  'tokenize',
  'embed',
  'logits',
  'estimate',
  'bench',
  'pull',
  'list',
  'rm',
];

test('--help and --version print to stdout with status 0; --help lists every command and the exit status', async () => {
  for (const parameters of [['--help'], ['-h'], ['help']]) {
    const { status, stdout, stderr } = await run(parameters);
    assert.equal(status, 0);
    assert.equal(stderr, '');
    for (const word of [...COMMANDS, '--json', 'Exit status']) assert.ok(stdout.includes(word), word);
  }
  assert.equal((await run(['--version'])).stdout, `${version()}\n`);
});

test("each command's help has its usage, its options and examples that parse", async () => {
  for (const name of COMMANDS) {
    const first = await run([name, '--help']);
    assert.equal(first.status, 0);
    assert.match(
      first.stdout,
      new RegExp(`^Usage: wasm-chord ${name} ${name === 'list' ? '' : 'MODEL'}`, 'm'),
    );
    assert.match(first.stdout, /^ {2}--json +JSON/m);
    assert.ok(first.stdout.split('\n').every((line) => line.length <= 110));
    const examples = first.stdout.match(/^ {2}.*wasm-chord [a-z]+.*$/gm);
    assert.ok(examples.length >= 2, `${examples.length} examples`);
    const tries = examples.map(async (example) => {
      const words = example.match(/wasm-chord ([^|<>]*)/)[1].match(/"[^"]*"|\S+/g);
      // No file and no server is there, so the command fails after its words were understood.
      const parameters = words.map((word) =>
        word
          .replaceAll('"', '')
          .replace('model.gguf', 'missing.gguf')
          .replace(/https:|hf:/, 'ftp:'),
      );
      const { status, stderr } = await run(parameters, { env: { WASM_CHORD_CACHE: '/missing' } });
      assert.equal(status, name === 'list' ? 0 : 1, `${example}: ${stderr}`);
    });
    await Promise.all(tries);
  }
  for (const parameters of [
    ['help', 'logits'],
    ['logits', MODEL, 'x', '-h'],
  ])
    assert.deepEqual(await run(parameters), await run(['logits', '--help']));
  assert.match((await run(['generate', '--help'])).stdout, /--ignore-eos/);
  assert.doesNotMatch((await run(['chat', '--help'])).stdout, /--ignore-eos/);
});

test('a misspelt option or command names the nearest one', async () => {
  for (const [parameters, expected] of [
    [['generate', MODEL, TEXT, '--tempreature', '0'], 'did you mean --temperature?'],
    [['chat', MODEL, '--sytem', 'x'], 'did you mean --system?'],
    [['info', MODEL, '--thread=2'], 'did you mean --threads?'],
    [['generate', MODEL, TEXT, '--max', '2'], 'did you mean --max-tokens?'],
    [['tokenise', MODEL], "did you mean 'tokenize'?"],
    [['sing', MODEL], 'the commands are '],
    [['help', 'chatt'], "did you mean 'chat'?"],
  ]) {
    const { status, stderr } = await run(parameters);
    assert.equal(status, 2);
    assert.ok(stderr.includes(expected), stderr);
  }
  const { stderr } = await run(['info', MODEL, '--zzzzzzzzz']);
  assert.doesNotMatch(stderr, /did you mean/);
  assert.match(stderr, /Try 'wasm-chord info --help'/);
});

test('a value may begin with a minus, and a text after --', async () => {
  const flags = ['--max-tokens', '1', '--quiet', '--temperature', '0'];
  assert.equal((await run(['generate', MODEL, TEXT, ...flags, '--frequency-penalty', '-0.5'])).status, 0);
  assert.equal((await run(['tokenize', MODEL, '--json', '--', '-x'])).status, 0);
  const { status, stderr } = await run(['tokenize', MODEL, '-x']);
  assert.deepEqual([status, /goes after --/.test(stderr)], [2, true], stderr);
});

test('wrong usage is status 2, names what is wrong on stderr and prints nothing on stdout', async () => {
  const cases = [
    [[], 'no command is given'],
    [['sing'], "'sing'"],
    [['info'], 'no model is given'],
    [['info', MODEL, 'x'], "'x'"],
    [['generate', MODEL, 'a', 'b'], "'b'"],
    [['generate', MODEL, TEXT, '--tempreature', '0'], '--tempreature'],
    [['generate', MODEL, TEXT, '--temperature', 'hot'], "'hot'"],
    [['generate', MODEL, TEXT, '--max-tokens', '1.5'], "'1.5'"],
    [['generate', MODEL, TEXT, '--max-tokens'], '--max-tokens'],
    [['generate', MODEL, TEXT, '--ids', '1,2'], '--ids'],
    [['tokenize', MODEL, TEXT, '--temperature', '0'], '--temperature'],
    [['logits', MODEL, '--ids', '1,x'], "'x'"],
    [['generate', MODEL, TEXT, '--system', 'x'], '--chat'],
    [['info', MODEL, '--kv', 'q1'], '--kv'],
    [['info', MODEL, '--json=yes'], '--json'],
    [['generate', MODEL, TEXT, '--backend', 'gpu'], "'gpu'"],
    [['generate', MODEL, TEXT, '--gpu', 'backend=vulkan'], '--backend webgpu'],
    [['logits', MODEL, TEXT, '--full'], '--json'],
    [['logits', MODEL, TEXT, '--json', '--full', '--top', '3'], '--top'],
    [['bench', MODEL, '--repeat', '0'], '--repeat'],
  ];
  const answers = await Promise.all(cases.map(([parameters]) => run(parameters)));
  for (const [index, { status, stdout, stderr }] of answers.entries()) {
    const [parameters, word] = cases[index];
    assert.equal(status, 2, parameters.join(' '));
    assert.ok(stderr.includes(word), `${parameters.join(' ')}: ${stderr}`);
    assert.equal(stdout, '');
  }
});

test('a failure is status 1, and its code is on stderr', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-cli-'));
  try {
    const damaged = path.join(folder, 'damaged.gguf');
    await writeFile(damaged, 'no model at all, but long enough to look at');
    for (const [file, code] of [
      [damaged, 'invalid-gguf'],
      [path.join(folder, 'missing.gguf'), 'io'],
    ]) {
      const { status, stdout, stderr } = await run(['info', file]);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.match(
        stderr,
        new RegExp(
          `^wasm-chord: ${code}: .*${path.basename(file).replace('.', '\\.')}|^wasm-chord: ${code}: `,
        ),
      );
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('info prints facts about the model; info --json prints the info object', () =>
  withModel(async (model) => {
    const { status, stdout, stderr } = await run(['info', MODEL]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^file +q4_1-smollm\.gguf$/m);
    assert.match(stdout, /^architecture +llama$/m);
    assert.match(stdout, /^context +256 tokens; the model was trained on 256$/m);
    assert.equal(stderr, '', "no progress is drawn when stderr isn't a terminal");
    assert.match(stdout, /^makes +text, embeddings \(pooling last\)$/m);
    const [info] = lines((await run(['info', MODEL, '--json', '--threads', '1'])).stdout);
    assert.equal(info.architecture, model.info.architecture);
    assert.equal(info.parameters, model.info.parameters);
    assert.equal(info.threads, 1);
  }));

test('estimate says from the header what a model needs, whether it fits and why; --ctx auto and --memory as in a load', async () => {
  const [found, ...more] = lines((await run(['estimate', MODEL, '--json', '--ctx', '128'])).stdout);
  assert.equal(more.length, 0);
  assert.deepEqual([found.fits, found.contextLength, found.fileBytes], [true, 128, (await stat(MODEL)).size]);
  const [info] = lines((await run(['info', MODEL, '--json', '--ctx', '128'])).stdout);
  assert.deepEqual(found.memory, info.memory);
  const table = await run(['estimate', MODEL]);
  assert.match(table.stdout, /^needs +[\d.]+ MB with 256 tokens of context: weights [\d.]+ kB, KV cache/m);
  assert.match(table.stdout, /KV cache [\d.]+ .B \(f16\), activations [\d.]+ .B, vocabulary [\d.]+ .B$/m);
  assert.match(table.stdout, /^fits +yes: /m);
  assert.doesNotMatch(table.stdout, /\d{6}/, 'bytes without a unit');
  assert.equal((await run(['info', MODEL, '--ctx', 'auto', '--memory', '1GB'])).status, 0);
  const small = await run(['info', MODEL, '--memory', '100kB']);
  assert.equal(small.status, 1);
  assert.match(small.stderr, /memoryBudget allows 100000/);
  const none = await run(['estimate', MODEL, '--memory', '100kB']);
  assert.match(none.stdout, /^fits +no: .*memoryBudget allows 100\.0 kB$/m);
  assert.match(none.stdout, /^context +none fits$/m);
  for (const wrong of [
    ['--memory', 'much'],
    ['--ctx', 'long'],
  ])
    assert.equal((await run(['estimate', MODEL, ...wrong])).status, 2);
});

test('generate, info and estimate say of a paged model how many layers are paged, and the bytes that a token reads', () =>
  withPagedModel(async (file) => {
    const { least } = await budgetFor(file, 0, { threads: 1 });
    const how = ['--threads', '1', '--memory', String(least)];
    const written = await run(['generate', file, '--ids', '1,2', '--max-tokens', '2', ...how]);
    assert.match(written.stderr, /\(length\), 6 layers paged: \d+\.\d MB read a token/);
    assert.match(
      (await run(['info', file, ...how])).stdout,
      /^memory .*, 6 layers paged: \d+\.\d MB read a token$/m,
    );
    const { stdout } = await run(['estimate', file, ...how]);
    assert.match(stdout, /^context +at most \d+ tokens fit with so many layers in memory$/m);
    const whole = await run(['generate', file, '--ids', '1,2', '--max-tokens', '2', '--threads', '1']);
    assert.doesNotMatch(whole.stderr, /paged/);
  }));

test('embed prints a vector for the text, or for each line of stdin', () =>
  withModel(async (model) => {
    const texts = ['Hello world', 'a river'];
    const vectors = (await model.embed(texts)).map((vector) => Array.from(vector));
    const stdin = `${texts.join('\n')}\n`;
    assert.deepEqual(lines((await run(['embed', MODEL, '--json'], { stdin })).stdout), [
      { embeddings: vectors },
    ]);
    const { stdout } = await run(['embed', MODEL, texts[1], '--pooling', 'mean', '--raw']);
    const [mean] = await model.embed([texts[1]], { pooling: 'mean', normalize: false });
    assert.deepEqual(stdout.trim().split(' ').map(Number), Array.from(mean));
    const wrong = await run(['embed', MODEL, 'x', '--pooling', 'sum']);
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, /--pooling: 'sum' isn't mean, cls, last, rank, none/);
  }));

test('tokenize prints ids with their texts; the text is an argument, an option or stdin', () =>
  withModel(async (model) => {
    const ids = await model.tokenize(TEXT);
    const pieces = ['H', 'el', 'l', 'o', ' w', 'or', 'l', 'd'];
    for (const [parameters, stdin] of [
      [[TEXT], ''],
      [['--text', TEXT], ''],
      [[], TEXT],
      [['-'], TEXT],
    ])
      assert.deepEqual(lines((await run(['tokenize', MODEL, ...parameters, '--json'], { stdin })).stdout), [
        { ids, pieces },
      ]);
    const { stdout } = await run(['tokenize', MODEL, TEXT]);
    assert.deepEqual(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => Number(line.trim().split(/\s/)[0])),
      ids,
    );
    const special = '<|im_start|>';
    for (const parseSpecial of [true, false]) {
      const flags = parseSpecial ? [] : ['--no-parse'];
      assert.deepEqual(
        lines((await run(['tokenize', MODEL, special, '--json', ...flags])).stdout)[0].ids,
        await model.tokenize(special, { parseSpecial }),
      );
    }
  }));

test('generate streams the text to stdout and its figures to stderr', () =>
  withModel(async (model) => {
    const text = await model.generate(TEXT, { maxTokens: 12, temperature: 0 }).text();
    const flags = ['--max-tokens', '12', '--temperature', '0'];
    const plain = await run(['generate', MODEL, TEXT, ...flags]);
    assert.equal(plain.status, 0, plain.stderr);
    assert.equal(plain.stdout, `${text}\n`);
    assert.match(plain.stderr, /12 written at [\d.]+ tokens\/s \(length\)/);
    assert.equal((await run(['generate', MODEL, TEXT, ...flags, '--quiet'])).stderr, '');

    const events = lines((await run(['generate', MODEL, TEXT, ...flags, '--json'])).stdout);
    const { stats } = events.pop();
    assert.equal(events.map((event) => event.text).join(''), text);
    assert.equal(stats.tokens, 12);
    assert.equal(stats.finishReason, 'length');

    const ids = (await model.tokenize(TEXT)).join(',');
    assert.equal((await run(['generate', MODEL, '--ids', ids, ...flags])).stdout, `${text}\n`);
    const seeded = () =>
      run(['generate', MODEL, TEXT, '--max-tokens', '12', '--seed', '7', '--temperature', '2', '-q']);
    const [first, second] = await Promise.all([seeded(), seeded()]);
    assert.equal(first.stdout, second.stdout);
  }));

test('generate --profile prints the time of each op; with --json it prints the entries', async () => {
  const table = await run(['generate', MODEL, TEXT, '--max-tokens', '5', '--ignore-eos', '--profile']);
  assert.equal(table.status, 0);
  assert.match(table.stderr, /^op +ops +ms +ms\/token +share$/m);
  assert.match(table.stderr, /^MATMUL ffn_gate\+ffn_up +2 +\d+\.\d +\d+\.\d{3} +\d+\.\d %$/m);
  const json = await run([
    'generate',
    MODEL,
    TEXT,
    '--max-tokens',
    '5',
    '--ignore-eos',
    '--profile',
    '--json',
  ]);
  assert.ok(
    lines(json.stdout)
      .at(-1)
      .profile.some(({ op, count, ms }) => op === 'MATMUL ffn_down' && count === 2 && ms > 0),
  );
});

test('one line end that ends the text of stdin is dropped; --exact keeps it', () =>
  withModel(async (model) => {
    for (const [stdin, flags, text] of [
      [`${TEXT}\n`, [], TEXT],
      [`${TEXT}\r\n`, [], TEXT],
      [`${TEXT}\n\n`, [], `${TEXT}\n`],
      [`${TEXT}\n`, ['--exact'], `${TEXT}\n`],
    ]) {
      const { stdout } = await run(['tokenize', MODEL, '--json', ...flags], { stdin });
      assert.deepEqual(lines(stdout)[0].ids, await model.tokenize(text), JSON.stringify([stdin, flags]));
    }
    const greedy = ['--temperature', '0', '--max-tokens', '4', '--quiet'];
    const argument = await run(['generate', MODEL, TEXT, ...greedy]);
    assert.equal((await run(['generate', MODEL, ...greedy], { stdin: `${TEXT}\n` })).stdout, argument.stdout);
    const [{ top }] = lines((await run(['logits', MODEL, '--json'], { stdin: `${TEXT}\n` })).stdout);
    const row = await model.logits(await model.tokenize(TEXT));
    assert.equal(top[0].logit, Math.max(...row));
  }));

test('logits prints the largest logits with their texts; with --json only those, and whole rows with --full', () =>
  withModel(async (model) => {
    const ids = await model.tokenize(TEXT);
    const row = Array.from(await model.logits(ids));
    const flags = ['logits', MODEL, TEXT];
    const events = lines((await run([...flags, '--json', '--full'])).stdout);
    assert.equal(events.length, 1);
    assert.equal(events[0].position, ids.length - 1);
    assert.deepEqual(events[0].logits, row);
    assert.equal(lines((await run([...flags, '--json', '--all', '--full'])).stdout).length, ids.length);
    const { stdout } = await run([...flags, '--top', '3']);
    assert.equal(stdout.trimEnd().split('\n').length, 4);
    assert.equal(Number(stdout.split('\n')[1].trim().split(/\s/)[0]), row.indexOf(Math.max(...row)));

    const json = lines((await run([...flags, '--json', '--top', '3', '--all'])).stdout);
    assert.deepEqual(
      json.map(({ position }) => position),
      ids.map((_, index) => index),
    );
    const largest = row.map((logit, token) => ({ token, logit })).sort((a, b) => b.logit - a.logit);
    assert.deepEqual(
      json.at(-1).top.map(({ token, logit }) => ({ token, logit })),
      largest.slice(0, 3),
    );
    for (const { token, text } of json.at(-1).top)
      assert.equal(text, (await model.detokenize([...ids, token])).slice(TEXT.length));
    assert.equal(lines((await run([...flags, '--json'])).stdout)[0].top.length, 10);
  }));

test('bench prints speeds at each depth, load, abort and memory; with --json one object and nothing else', async () => {
  const flags = ['bench', MODEL, '--repeat', '2', '--depths', '0,64,100000', '--threads', '1'];
  const { status, stdout, stderr } = await run([...flags, '--json']);
  assert.deepEqual([status, stderr], [0, '']);
  const [found, ...more] = lines(stdout);
  assert.equal(more.length, 0);
  assert.deepEqual(found.leftOut, [100000]);
  assert.deepEqual(
    found.depths.map(({ depth }) => depth),
    [0, 64],
  );
  for (const { prefillTokensPerSecond, decodeTokensPerSecond } of found.depths)
    assert.ok(prefillTokensPerSecond > 0 && decodeTokensPerSecond > 0);
  assert.ok(found.loadMs > 0 && found.memoryBytes > 1e6 && found.threads === 1);
  assert.ok(found.abortMs === null || found.abortMs >= 0);
  const table = (await run(flags)).stdout;
  for (const line of [
    /^64 +[\d.]+ +[\d.]+$/m,
    /^load +\d+ ms$/m,
    /^memory +[\d.]+ MB$/m,
    /^left out: depth 100000;/m,
  ])
    assert.match(table, line);
});

/** Runs `use(file)` with a fixture that has room for a long text. */
async function withLongContext(use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-cli-'));
  try {
    const file = path.join(folder, 'long.gguf');
    await writeFile(file, withContext(new Uint8Array(await readFile(MODEL)), 100_000));
    return await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const ENDLESS = [TEXT, '--max-tokens', '90000', '--ignore-eos', '--ctx', '100000'];

test('Ctrl-C stops the generation, the stats say abort, and the process ends by the signal', () =>
  withLongContext(async (file) => {
    const { signal, status, stdout, stderr } = await run(['generate', file, ...ENDLESS, '--json'], {
      onOutput: (child) => child.kill('SIGINT'),
    });
    assert.equal(status, null);
    assert.equal(signal, 'SIGINT');
    assert.equal(stderr, '');
    const { stats } = lines(stdout).pop();
    assert.equal(stats.finishReason, 'abort');
  }));

test('a full disk behind stdout is status 1, and stderr says so', async () => {
  const full = await open('/dev/full', 'w').catch(() => undefined);
  if (full === undefined) return;
  const { status, stderr } = spawnSync(process.execPath, [bin, 'tokenize', MODEL, TEXT], {
    stdio: ['ignore', full.fd, 'pipe'],
    encoding: 'utf8',
  });
  await full.close();
  assert.equal(status, 1);
  assert.match(stderr, /^wasm-chord: io: can't write to stdout: .*ENOSPC/);
});

test("generate --chat gives a tiny model its system turn, unless --system has another or ''", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-cli-'));
  try {
    const file = path.join(folder, 'chat.gguf');
    await writeFile(file, await withTemplate(CHATML));
    const ask = async (...more) =>
      (await run(['generate', file, 'Hi', '--chat', '--temperature', '0', '--max-tokens', '8', ...more]))
        .stdout;
    const preset = await ask();
    assert.equal(preset, await ask('--system', 'You are a helpful assistant.'));
    assert.notEqual(preset, await ask('--system', ''));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('the help names the folder of downloads that is in use, and has no two blanks in a usage', async () => {
  const { stdout } = await run(['--help'], { env: { WASM_CHORD_CACHE: '/data/models' } });
  assert.match(stdout, /kept\nin \/data\/models \(WASM_CHORD_CACHE/);
  assert.match((await run(['list', '--help'])).stdout, /^Usage: wasm-chord list \[OPTIONS\]$/m);
});

test('when the reader closes the pipe, the command ends without an error', () =>
  withLongContext(async (file) => {
    const { status, stderr } = await run(['generate', file, ...ENDLESS], {
      onOutput: (child) => child.stdout.destroy(),
    });
    assert.equal(status, 0);
    assert.equal(stderr, '');
  }));
