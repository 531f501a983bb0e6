// SPDX-License-Identifier: Apache-2.0
// memory64.test.mjs: wasm64-relaxed, the core with 64-bit addresses, in a Node that has Memory64.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { capabilities, estimateModel, loadModel } from '../../dist/index.js';
import { assertFixture } from '../reference/asserts.mjs';
import { readGolden } from '../reference/golden.mjs';
import { withHeapAt } from '../reference/heap-at.mjs';
import { fixtureNames } from './judged.mjs';
import { refused } from './level2.mjs';
import { inNode, longContext, moduleUrl, needsNode, node } from './memory64.mjs';

const GiB = 2 ** 30;

async function judged(options) {
  const script = fileURLToPath(new URL('judged.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(node, [script, 'fixtures', JSON.stringify(options)], {
    maxBuffer: 1 << 26,
  });
  return JSON.parse(stdout);
}

/** Asserts that each fixture has the logits of wasm32-relaxed with the module at `wasmUrl`. */
async function assertSame(narrow, wasmUrl, options) {
  const wide = await judged({ ...options, wasmUrl });
  for (const name of await fixtureNames()) {
    assert.equal(wide[name].hash, narrow[name].hash, `${name}: other logits with 64-bit addresses`);
    assert.deepEqual(wide[name].greedy, narrow[name].greedy);
    assert.equal(wide[name].threads, options.threads);
    assertFixture(name, await readGolden(name), wide[name]);
  }
}

const narrow = needsNode.skip ? undefined : judged({ threads: 2, wasmUrl: moduleUrl('wasm32-relaxed') });
narrow?.catch(() => undefined);

test(
  'every fixture has the same logits in wasm64-relaxed as in wasm32-relaxed, to the last bit',
  needsNode,
  async () => {
    for (const threads of [1, 2]) await assertSame(await narrow, moduleUrl('wasm64-relaxed'), { threads });
  },
);

test(
  'weights, KV cache and stacks that lie past 4 GiB and 8 GiB give the same logits',
  needsNode,
  async () => {
    const module = await readFile(new URL('../../build/wasm/wasm64-relaxed.wasm', import.meta.url));
    const folder = await mkdtemp(path.join(tmpdir(), 'chord-high-'));
    try {
      for (const address of [4 * GiB - 65536, 9 * GiB]) {
        const file = path.join(folder, `${address}.wasm`);
        await writeFile(file, withHeapAt(module, address));
        await assertSame(await narrow, pathToFileURL(file).href, { threads: 2 });
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test('capabilities() says memory64 exactly where a module and JavaScript can make such a memory', async () => {
  let made = true;
  try {
    made = new WebAssembly.Memory({ address: 'i64', initial: 1n, maximum: 1n, shared: true }).grow(0n) === 1n;
  } catch {
    made = false;
  }
  assert.equal((await capabilities()).memory64, made);
});

/** Calls `use` with the path of a fixture that was trained for 2^24 tokens, and its bytes. */
async function withLong(use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'chord-long-'));
  try {
    const file = path.join(folder, 'long.gguf');
    const bytes = await longContext('f32-mha');
    await writeFile(file, bytes);
    await use(file, bytes);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Loads and estimates each of `cases` in a process, and returns what was found. */
async function found({ estimateModel, loadModel }, { file, cases }) {
  const { createReadStream, readFileSync } = await import('node:fs');
  const { Readable } = await import('node:stream');
  const sources = {
    path: () => file,
    bytes: () => new Uint8Array(readFileSync(file)),
    stream: () => Readable.toWeb(createReadStream(file, { highWaterMark: 3000 })),
    file: () => new File([readFileSync(file)], 'long.gguf'),
  };
  const all = [];
  for (const [source, options] of cases) {
    const { worker, ...others } = options;
    const estimate = await estimateModel(sources[source](), others);
    const model = await loadModel(sources[source](), options);
    const logits = await model.logits([1, 2, 3, 4, 5]);
    const { wasmBytes } = await model.counters();
    all.push({ info: model.info, estimate, wasmBytes, logits: [...logits] });
    await model.dispose();
  }
  return all;
}

test(
  'a plan above 4 GiB takes wasm64-relaxed, from every kind of source; a smaller one stays in wasm32',
  needsNode,
  () =>
    withLong(async (file) => {
      const wide = { contextLength: 2 ** 24, backend: 'cpu', threads: 2 };
      const [small, ...large] = await inNode(
        node,
        {
          file,
          cases: [
            ['path', { ...wide, contextLength: 2 ** 23 }],
            ['path', wide],
            ['bytes', wide],
            ['stream', wide],
            ['file', wide],
            ['path', { ...wide, threads: 1, worker: false }],
          ],
        },
        found,
      );
      assert.match(small.info.variant, /^wasm32-relaxed/);
      assert.ok(small.estimate.largestContextLength === 2 ** 24, 'with 64-bit addresses all of it fits');
      for (const { info, estimate, wasmBytes, logits } of large) {
        assert.match(info.variant, /^wasm64-relaxed(\+fma)?$/);
        assert.match(info.variantReason, /needs more than 4 GiB/);
        assert.ok(info.memory.total > 2 ** 32 && info.memory.kv > 2 ** 32);
        assert.ok(wasmBytes < 2 ** 28, 'pages are taken as tokens come');
        assert.equal(info.contextLength, 2 ** 24);
        assert.deepEqual(logits, small.logits);
        assert.ok(estimate.fits);
        assert.equal(estimate.variant, info.variant);
        assert.ok(estimate.availableBytes > 2 ** 32);
        if (info.threads === 2) assert.deepEqual(estimate.memory, info.memory);
      }
    }),
);

test('a budget of 4 GiB or less stays in wasm32 and is what the error names', needsNode, () =>
  withLong(async (file) => {
    const errors = await inNode(node, { file }, async ({ loadModel }, { file }) => {
      const texts = [];
      for (const memoryBudget of [2 ** 32, 2 ** 30, 5 * 2 ** 30])
        texts.push(
          await loadModel(file, { contextLength: 2 ** 24, memoryBudget }).catch(
            ({ code, message, hint }) => `${code}: ${message} ${hint}`,
          ),
        );
      return texts;
    });
    for (const [i, budget] of [2 ** 32, 2 ** 30, 5 * 2 ** 30].entries()) {
      assert.match(errors[i], /^out-of-memory: /);
      assert.ok(errors[i].includes(`memoryBudget allows ${budget}`), errors[i]);
      assert.match(errors[i], /what fits: contextLength: \d+/);
    }
  }),
);

const hasMemory64 = (await capabilities()).memory64;
test(
  'without Memory64 such a model is refused before its data, with the reason and what fits',
  { skip: hasMemory64 && 'this Node has Memory64' },
  () =>
    withLong(async (file, bytes) => {
      const options = { contextLength: 2 ** 24 };
      // A stream of the header, which then stalls: no byte of the data is asked for.
      const header = new ReadableStream({ start: (to) => to.enqueue(bytes.subarray(0, -1000)) });
      for (const source of [file, header]) {
        const { hint } = await refused(loadModel(source, options), 'out-of-memory', 'has no Memory64');
        assert.match(hint, /what fits: contextLength: \d{7}/);
      }
      const estimate = await estimateModel(file, options);
      assert.equal(estimate.fits, false);
      assert.match(estimate.why, /has no Memory64/);
      assert.match(estimate.variant, /^wasm32/);
    }),
);

/** Loads `file` with two contexts in a process that grants 64-bit memories of at most 6 GiB. */
async function grantedSix({ loadModel }, { file, contexts }) {
  const { Memory } = WebAssembly;
  const tried = [];
  WebAssembly.Memory = function (descriptor) {
    if (descriptor.address === 'i64' && descriptor.maximum > 1)
      tried.push(Number(descriptor.maximum) / 16384);
    if (descriptor.maximum > 98304) throw new RangeError('could not allocate memory');
    return new Memory(descriptor);
  };
  const results = [];
  for (const contextLength of contexts) {
    const loading = loadModel(file, { contextLength, threads: 1, worker: false, backend: 'cpu' });
    results.push(
      await loading.then(
        async (model) => {
          const { variant } = model.info;
          await model.logits([1, 2, 3]);
          await model.dispose();
          return variant;
        },
        ({ code, message }) => `${code}: ${message}`,
      ),
    );
  }
  return { results, tried };
}

test(
  'the ladder of 64-bit maximums is walked down, and what the process grants is what the error names',
  needsNode,
  () =>
    withLong(async (file) => {
      const given = { file, contexts: [2 ** 24, 12e6] };
      const { results, tried } = await inNode(node, given, grantedSix);
      assert.deepEqual(tried, [16, 12, 8, 6, 16, 12, 8, 6]); // GiB
      assert.match(results[0], /^out-of-memory: /);
      assert.ok(results[0].includes(`a WebAssembly memory can have ${6 * GiB}`), results[0]);
      assert.match(results[1], /^wasm64-relaxed/);
    }),
);
