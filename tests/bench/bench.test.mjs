// SPDX-License-Identifier: Apache-2.0
// bench.test.mjs: the benchmark's arithmetic and its errors, with an engine that only waits.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { tensorIn, work } from '../../bench/file.mjs';
import { measure, watchGaps } from '../../bench/measure.mjs';
import { aborts, DEFAULT, estimate, fitting, MEASURES, stepOf, stepsOf } from '../../bench/plan.mjs';
import { wantedTicks } from '../../bench/machine.mjs';
import { makePrompt } from '../../bench/prompts.mjs';
import { spread, summarize, summarizeCeilings, table } from '../../bench/report.mjs';
import { COLUMNS, fileOf, keep, linesOf, rowsOf } from '../../bench/results.mjs';

/** An engine that waits instead of computing. `wrong` overrides what it reports about a generation. */
function engineOf(wrong = {}) {
  const seen = { loaded: 0, closed: 0, forgot: 0 };
  return {
    seen,
    threads: 1,
    version: 'x',
    canAbort: true,
    memory: async () => 1e6,
    load: async () => {
      seen.loaded += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
    },
    forget: () => void (seen.forgot += 1),
    async *generate(prompt, maxTokens, signal) {
      for (let n = 1; n <= (wrong.tokens ?? maxTokens); n++) {
        await new Promise((resolve) => setTimeout(resolve, signal ? 30 : 1));
        if (!wrong.isDeaf) signal?.throwIfAborted();
        yield n;
      }
      return { promptTokens: prompt.split(' ').length, cachedTokens: 0, promptMs: 1, text: '', ...wrong };
    },
    close: async () => void (seen.closed += 1),
  };
}
const prompt = (count) => ({ text: Array(count).fill('a').join(' '), count });
const plan = {
  threads: 1,
  contextLength: 64,
  warmUp: { prompt: prompt(2), tokens: 2 },
  steps: [
    { name: 'd8', prompt: prompt(8), tokens: 4 },
    { name: 'gap', prompt: prompt(3), tokens: 2, gap: true },
    { name: 'abort', prompt: prompt(9), tokens: 1, abortMs: 1 },
  ],
};

test('a measurement returns times and counts, clears the cache before each step and closes the engine', async () => {
  const engine = engineOf();
  const { loadMs, memoryBytes, steps } = await measure(engine, null, plan);
  assert.ok(loadMs >= 0 && memoryBytes === 1e6);
  assert.deepEqual(
    [steps.d8.count, steps.d8.tokens, steps.d8.promptMs, steps.d8.gapMs],
    [8, 3, 1, undefined],
  );
  for (const ms of [steps.d8.firstMs, steps.d8.decodeMs, steps.gap.gapMs, steps.abort.abortMs])
    assert.ok(ms > 0);
  assert.deepEqual(Object.keys(steps.abort), ['abortMs']);
  assert.deepEqual(engine.seen, { loaded: 1, closed: 1, forgot: 4 });
});

test('start is the time of a second load and its first token, is measured last, and closes that model too', async () => {
  const start = { name: 'start', prompt: prompt(3), tokens: 1, load: true };
  const engine = engineOf();
  const { steps } = await measure(engine, null, { ...plan, steps: [start, ...plan.steps] });
  assert.deepEqual(Object.keys(steps), ['d8', 'gap', 'abort', 'start']);
  assert.deepEqual(Object.keys(steps.start), ['startMs', 'text']);
  assert.ok(steps.start.startMs > 15); // the load is included; its timer of 20 ms may fire a little early
  assert.deepEqual(engine.seen, { loaded: 2, closed: 2, forgot: 4 });
  const wrong = engineOf({ promptTokens: 2 });
  await assert.rejects(measure(wrong, null, { ...plan, steps: [start] }), /prompt: 2, not 3/);
  assert.equal(wrong.seen.closed, 2);
});

test("an abort that came too late or was ignored is reported; an engine that can't abort has no such figure", async () => {
  const late = { ...plan, steps: [{ name: 'abort', prompt: prompt(9), tokens: 1, abortMs: 10_000 }] };
  assert.deepEqual((await measure(engineOf(), null, late)).steps.abort, { late: true });
  assert.equal((await measure(engineOf({ isDeaf: true }), null, plan)).steps.abort.deaf, true);
  assert.equal((await measure({ ...engineOf(), canAbort: false }, null, plan)).steps.abort, undefined);
});

test('a gap is as long as the thread was blocked', async () => {
  const watch = watchGaps();
  await new Promise((resolve) => setTimeout(resolve, 5));
  const end = performance.now() + 40;
  while (performance.now() < end);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(watch.stop() >= 40);
});

test('a gap belongs to the lap that it is in: while a model loads, reads a prompt, or writes', async () => {
  const block = (ms) => {
    const end = performance.now() + ms;
    while (performance.now() < end);
  };
  for (const blocked of ['load', 'prefill', 'decode']) {
    const engine = engineOf();
    const { load, generate } = engine;
    engine.load = async () => {
      await load();
      if (blocked === 'load' && engine.seen.loaded === 2) block(80);
    };
    engine.generate = async function* (...given) {
      const isMeasured = given[0].length > 3;
      for await (const n of { [Symbol.asyncIterator]: () => generate(...given) }) {
        if (isMeasured && blocked === (n === 1 ? 'prefill' : 'decode')) {
          block(80);
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        yield n;
      }
      return { promptTokens: given[0].split(' ').length, cachedTokens: 0, promptMs: 1, text: '' };
    };
    const step = { name: 'gaps', prompt: prompt(3), tokens: 3, gap: true, load: true };
    const { gaps } = (await measure(engine, null, { ...plan, steps: [step] })).steps;
    for (const phase of ['load', 'prefill', 'decode'])
      assert.equal(gaps[`${phase}GapMs`] >= 80, phase === blocked, `${blocked}: ${JSON.stringify(gaps)}`);
  }
});

test('cached tokens, another prompt length or an early stop make a measurement fail, and the engine is closed', async () => {
  for (const [wrong, reason] of [
    [{ cachedTokens: 1 }, /cache: 1, not 0/],
    [{ promptTokens: 7 }, /prompt: 7, not/],
    [{ tokens: 1 }, /generated: 1, not 2/],
  ]) {
    const engine = engineOf(wrong);
    await assert.rejects(measure(engine, null, plan), reason);
    assert.equal(engine.seen.closed, 1);
  }
});

test('prompts have exactly the tokens asked for, start differently, and are the same every time', async () => {
  const tokenize = async (text) => ['<bos>', ...text.match(/ ?.{1,4}/g)]; // longer words are two tokens
  const texts = [];
  for (const number of [0, 1, 2, 40, 41, 80]) {
    const { text, count } = await makePrompt(tokenize, number, 33);
    assert.equal(count, 33);
    assert.equal((await tokenize(text)).length, 33);
    assert.deepEqual(await makePrompt(tokenize, number, 33), { text, count });
    texts.push(text);
  }
  assert.equal(new Set(texts.map((text) => text.split(' ')[0])).size, texts.length);
  await assert.rejects(
    makePrompt(async () => ['one'], 0, 2),
    /no text of 2 tokens/,
  );
});

test('measures share steps, only the second load comes after the abort, and the context holds the longest step', () => {
  for (const name of MEASURES)
    if (!['load', 'memory'].includes(name)) assert.equal(stepsOf([name], 64).steps[0].name, stepOf(name));
  const { steps, contextLength } = stepsOf(
    ['prefill512', 'decode512', 'prefill128', 'abort', 'start', 'ttft'],
    64,
  );
  assert.deepEqual(
    steps.map(({ name, count, tokens }) => [name, count, tokens]),
    [
      ['d0', 16, 1],
      ['d128', 128, 1],
      ['d512', 512, 64],
      ['abort', 2000, 1],
      ['start', 16, 1],
    ],
  );
  assert.equal(contextLength, 2304);
  assert.deepEqual(fitting(MEASURES, 64, 2048).leftOut, ['prefill2048', 'decode2048', 'abort']);
  assert.deepEqual(fitting(DEFAULT, 64, 8192).leftOut, []);
});

test('the default run takes 5 to 13 minutes, and wllama aborts only when asked to and only once', () => {
  const engines = ['ours', 'simd', 'node', 'wllama', 'native'];
  const seconds = estimate(
    { engines, threads: [1, 2], repeat: 5, ceilings: true, isAsked: false, ...stepsOf(DEFAULT, 64) },
    98e6,
  );
  assert.ok(seconds > 300 && seconds < 760, `the estimate is ${seconds} s, 300 to 760 are allowed`);
  assert.deepEqual(
    ['ours', 'wllama'].map((engine) => [
      aborts(engine, 1, true),
      aborts(engine, 0, true),
      aborts(engine, 0, false),
    ]),
    [
      [true, true, true],
      [false, true, false],
    ],
  );
});

/** Returns a tensor's entry of a GGUF header. */
function entry(name, dims, type) {
  const bytes = Buffer.alloc(8 + name.length + 4 + dims.length * 8 + 12);
  bytes.writeBigUInt64LE(BigInt(name.length));
  bytes.write(name, 8);
  bytes.writeUInt32LE(dims.length, 8 + name.length);
  dims.forEach((n, i) => bytes.writeBigUInt64LE(BigInt(n), 12 + name.length + i * 8));
  bytes.writeUInt32LE(type, 12 + name.length + dims.length * 8);
  return bytes;
}

test("a token reads all weights except an embedding matrix that isn't also the output matrix", () => {
  const embedding = entry('token_embd.weight', [64, 100], 8),
    output = entry('output.weight', [64, 100], 1),
    words = Buffer.from('\x0d\0\0\0\0\0\0\0output.weight\xff\xff\xff\xff', 'latin1');
  const facts = { parameters: 20_000, weightBytes: 50_000 };
  assert.deepEqual(tensorIn(Buffer.concat([words, output]), 'output.weight'), {
    elements: 6400,
    bytes: 12800,
  });
  assert.deepEqual(work(Buffer.concat([words, embedding]), facts), {
    bytesPerToken: 50_000,
    maddsPerPromptToken: 13_600,
  });
  assert.deepEqual(work(Buffer.concat([embedding, output]), facts), {
    bytesPerToken: 43_200,
    maddsPerPromptToken: 7200,
  });
  assert.equal(work(words, facts), null);
});

test('values are summarised by median, minimum and maximum, and ceilings also by thread count', () => {
  assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3, values: [3, 1, 2] });
  assert.equal(spread([4, 1, 2, 3]).median, 2.5);
  const found = summarizeCeilings([
    { threads: 1, readGBs: 10, dot: { relaxed: 30 } },
    { threads: 2, readGBs: 20, dot: {} },
    { threads: 1, readGBs: 12, dot: { relaxed: 34 } },
  ]);
  assert.deepEqual(
    [found[1].readGBs.median, found[1].relaxed.median, found[2].readGBs.median, found[2].relaxed],
    [11, 32, 20, undefined],
  );
});

test('a table has ratios to both peers and shares of the ceilings, names failed and missing engines, and says when the machine was busy', () => {
  const settings = {
    repeat: 1,
    threads: [1],
    measures: ['load', 'start', 'prefill512', 'decode512', 'abort'],
    decode: 64,
    contextLength: 2304,
    leftOut: ['decode2048'],
  };
  const run = (engine, loadMs, prefill, decode, abort = {}) => ({
    engine,
    wanted: 1,
    busy: 0.1,
    loadMs,
    steps: {
      d512: { count: 512, firstMs: 512e3 / prefill, tokens: 63, decodeMs: 63e3 / decode },
      start: { startMs: loadMs + 250 },
      abort,
    },
  });
  const runs = [
    run('ours', 500, 120, 60, { abortMs: 5 }),
    run('simd', 600, 60, 30, { late: true }),
    run('wllama', 2000, 12, 10, { abortMs: 50, deaf: true }),
    { engine: 'native', wanted: 1, busy: 0.1, error: 'out of luck' },
  ];
  const record = {
    machine: { cpu: 'C', cores: 2, vnni: false, load: [0, 0, 0] },
    model: {
      file: 'm.gguf',
      bytes: 1e6,
      architecture: 'llama',
      quantization: 'Q4_1',
      trainedContextLength: 2048,
      kvBytesPerToken: 1e4,
      work: { bytesPerToken: 1e8, maddsPerPromptToken: 1e8 },
    },
    settings,
    engines: ['ours', 'simd', 'wllama', 'native'],
    versions: { ours: '1' },
    missing: {},
    runs,
    ceilings: [{ threads: 1, readGBs: 12, dot: { relaxed: 24, relaxed16: 24, relaxed32: 20, i16: 10 } }],
  };
  record.summary = summarize(record);
  const near = (found, wanted) =>
    Object.entries(wanted).forEach(([engine, value]) =>
      assert.ok(Math.abs(found[engine] - value) < 1e-6, `${engine}: ${found[engine]}`),
    );
  const [load, start, prefill, decode, abort] = record.summary;
  near(load.ratios.ours, { wllama: 4 });
  near(start.ratios.ours, { wllama: 3 });
  near(prefill.ratios.ours, { wllama: 10 });
  near(prefill.ratios.simd, { wllama: 5 });
  near(decode.ratios.ours, { wllama: 6 });
  near(abort.ratios.ours, { wllama: 10 });
  assert.equal(prefill.ratios.ours.native, undefined);
  near(prefill.shares, { ours: 0.5, simd: 0.6 });
  // The speed of wasm's dot products doesn't limit a peer.
  assert.deepEqual(Object.keys(prefill.shares), ['ours', 'simd']);
  near(decode.shares, { ours: (60 * (1e8 + 544e4)) / 12e9, wllama: (10 * (1e8 + 544e4)) / 12e9 });
  const text = table(record);
  assert.match(text, /load to first token after 16, warm, s\n +Chromium, relaxed +0\.75 .*3\.00\n/);
  assert.match(
    text,
    /prefill 512, tokens\/s\n +Chromium, relaxed +120 \(120\.\.120\) +10\.0 +50 %\n +Chromium, simd +60\.0 \(60\.0\.\.60\.0\) +5\.00 +60 %\n +wllama +12\.0/,
  );
  assert.match(text, /FAILED native llama\.cpp, 1 thread\(s\): out of luck/);
  assert.match(text, /Left out, the model's context is 2048: decode2048/);
  assert.match(text, /over before the abort: Chromium, simd\.\nThe prefill ignored the abort: wllama\./);
  assert.match(
    text,
    /1 thread in the browser: memory read 12\.0 .*\n.*relaxed into 32 bits 20\.0 .*into 16 bits 24\.0 .*i16 10\.0/,
  );
  assert.match(text, /quiet before every measurement/);
  runs[1].busy = 1.5;
  const busy = table({ ...record, missing: { native: 'no such thing' } });
  assert.match(busy, /NOT QUIET: before 1 of 4 measurements other processes used up to 1\.5 cores/);
  assert.match(busy, /native llama\.cpp is missing: no such thing/);
  assert.doesNotMatch(busy, /host/, "stolen time must be left out where the system doesn't report it");

  Object.assign(runs[1], { busy: 0.1 });
  runs.forEach((each, i) => (each.stolen = [0.01, 0.02, 0.03, null][i]));
  assert.match(
    table(record),
    /host gave 2\.0 % \(1\.0 %\.\.3\.0 %\) of the wanted processor time to other guests\.\nThe machine was quiet/,
  );
  runs[2].again = 1;
  assert.match(
    table(record),
    /other guests\.\n1 of 4 measurements were repeated because the machine host gave away more than 10 %\.\nThe machine was quiet/,
  );
  runs[2].stolen = 0.2;
  assert.match(
    table(record),
    /NOT QUIET: during 1 of 4 measurements the machine host gave away more than 10 %/,
  );
});

test("time that the machine host gives to other guests counts as wanted time; idle and waiting time don't", () => {
  // user nice system idle iowait irq softirq steal guest guest_nice; user includes guest
  assert.deepEqual(wantedTicks('cpu  100 20 30 4000 500 6 7 80 9 1\ncpu0 50 1 1 1 1 1 1 1 1 1\n'), {
    wanted: 243,
    stolen: 80,
  });
});

/** A benchmark run's record with only the fields that its rows need. */
const finished = {
  date: '2026-11-28T02:57:03.338Z',
  isQuiet: true,
  machine: { cpu: 'AMD EPYC (shared)', flags: ['avx2', 'avx512f', 'avx_vnni'] },
  model: { file: 'm, "best".gguf' },
  versions: {
    ours: 'wasm-chord 0.1.0 779db78+, wasm32-relaxed, Chromium 156.0.1',
    wllama: '3.13.0, llama.cpp b1, Chromium 156.0.1',
    native: 'llama.cpp v0.5.0, node-llama-cpp 3.22.1',
  },
  summary: [
    {
      title: 'prefill 512, tokens/s',
      threads: 2,
      engines: { ours: spread([1234.56, 0.5, 2000]), wllama: spread([10]), native: spread([20]) },
    },
  ],
  ceilings: [{ threads: 2, readGBs: 12, dot: { i16: 10, relaxed: 24 } }],
};

test('a finished benchmark run becomes one row per figure, with date, commit and versions, and one per ceiling of the machine', () => {
  const run = ['2026-11-28T02:57Z', '779db78+', 'm, "best".gguf'];
  assert.deepEqual(rowsOf(finished), [
    [...run, 'Chromium 156.0.1 wasm32-relaxed', '2', 'prefill 512, tokens/s', '1235', '0.5', '2000'],
    [...run, 'wllama 3.13.0', '2', 'prefill 512, tokens/s', '10', '10', '10'],
    [...run, 'node-llama-cpp 3.22.1', '2', 'prefill 512, tokens/s', '20', '20', '20'],
    [...run, 'ceiling', '2', 'memory read, GB/s', '12', '12', '12'],
    [...run, 'ceiling', '2', 'dot of 16 bits, GMAC/s', '10', '10', '10'],
  ]);
  assert.equal(
    rowsOf(finished).every((row) => row.length === COLUMNS.length),
    true,
  );
  assert.equal(linesOf([['a', 'b,c', 'd"e']]), 'a,"b,c","d""e"\n');
});

test('each machine has its own results file; a later run appends rows, a disturbed run appends none', async () => {
  assert.equal(fileOf(finished.machine), 'amd-epyc-avx-vnni.csv');
  assert.equal(fileOf({ cpu: 'Apple M9', flags: null }), 'apple-m9.csv');
  const folder = await mkdtemp(path.join(tmpdir(), 'bench-'));
  try {
    assert.equal(await keep(folder, { ...finished, isQuiet: false }), undefined);
    assert.deepEqual(await readdir(folder), []);
    for (let run = 0; run < 2; run++) await keep(folder, finished);
    const lines = (await readFile(path.join(folder, 'amd-epyc-avx-vnni.csv'), 'utf8')).split('\n');
    assert.equal(lines.length, 1 + 2 * 5 + 1);
    assert.equal(lines[0], COLUMNS.join(','));
    assert.equal(lines[1], lines[6]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('every file in bench/results has the columns that a benchmark run writes', async () => {
  const folder = new URL('../../bench/results/', import.meta.url);
  const row = /^2\d{3}-\d\d-\d\dT\d\d:\d\dZ,[0-9a-f]{7}\+?,[^,]+,[^,]+,\d+,"[^"]+",[\d.]+,[\d.]+,[\d.]+$/;
  for (const name of await readdir(folder)) {
    const [head, ...lines] = (await readFile(new URL(name, folder), 'utf8')).trimEnd().split('\n');
    assert.equal(head, COLUMNS.join(','), name);
    for (const line of lines) assert.match(line, row, name);
  }
});
