// SPDX-License-Identifier: Apache-2.0
// estimate.test.mjs: estimateModel says from the header alone what loadModel then reports and what the memory
// then reaches; budgets and machines that are too small are refused before the data is read.
import assert from 'node:assert/strict';
import { createReadStream, existsSync, openAsBlob, readdirSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { estimateModel, listModels, loadModel } from '../../dist/index.js';
import { llamaHeader } from './header.mjs';
import { FIXTURE, GREEDY, SMOLLM2, needsModel, refused, withModel } from './level2.mjs';

const WASM_PAGE = 65536;
/** Bytes in `memory.total` for blocks that a call allocates for a while (ts/wasm/loader.ts). */
const BLOCKS = 256 << 10;
const golden = new URL('../golden/', import.meta.url);
const folder = fileURLToPath(new URL('../../models/', import.meta.url));
const realModels = existsSync(folder)
  ? readdirSync(folder)
      .filter((name) => name.endsWith('.gguf'))
      .map((name) => `${folder}${name}`)
  : [];

/** A llama of zeros: 4 KiB of KV per token in f16, trained for 2048 tokens. */
function zeros(context = 2048) {
  const header = llamaHeader({ layers: 4, width: 256, ff: 64, heads: 4, vocabulary: 300, context });
  const file = new Uint8Array(header.length + 8e6);
  file.set(header);
  return file;
}

/** Fills the context of `model`, and resolves to the size of its memory. */
async function filled(model) {
  const { contextLength } = model.info;
  await model.logits(Array.from({ length: contextLength }, (_, i) => 1 + (i % 200)));
  return (await model.counters()).wasmBytes;
}

/** Asserts that `estimate` says what the model loaded with the same options reports and takes. */
async function holds(t, source, options) {
  const estimate = await estimateModel(source, options);
  const { fileBytes, kvType, fits, why, availableBytes, largestContextLength, ...more } = estimate;
  const { placement, residentBytes, ...info } = more;
  await withModel(source, options, async (model) => {
    assert.deepEqual(info, model.info);
    const bytes = await filled(model);
    const { total } = info.memory;
    t.diagnostic(`${info.name || info.architecture}: ${total} bytes estimated, ${bytes} reached`);
    assert.ok(bytes <= total + WASM_PAGE, `${bytes} bytes, ${total} were estimated`);
    assert.ok(bytes >= total - BLOCKS, `only ${bytes} bytes, ${total} were estimated`);
  });
  assert.ok(fits && info.memory.total <= availableBytes, why);
  assert.deepEqual([placement, residentBytes], ['resident', info.memory.total]);
  assert.equal(fileBytes, statSync(source).size);
  assert.equal(kvType, options.kvType ?? 'f16');
  assert.equal(largestContextLength, info.trainedContextLength);
  assert.ok(why.includes(`${info.memory.total} bytes`) && why.includes(`${info.contextLength} tokens`), why);
}

test('an estimate has what the loaded model reports, and the memory that a full context reaches, for every fixture', async (t) => {
  const fixtures = readdirSync(golden).filter((name) => name.endsWith('.gguf'));
  assert.ok(fixtures.length > 10);
  for (const [i, name] of fixtures.entries())
    await holds(t, fileURLToPath(new URL(name, golden)), {
      threads: 1 + (i % 2),
      ...(i % 3 === 1 && { kvType: 'f32' }),
      ...(i % 3 === 2 && { contextLength: 100 }),
    });
});

test('the same for each real model that is here', async (t) => {
  for (const file of realModels) await holds(t, file, { contextLength: 96, threads: 2 });
  if (realModels.length === 0) t.skip('models/ is empty');
});

test('the parts of the estimate add up, and the KV cache grows with context and type', async () => {
  const of = (options) => estimateModel(FIXTURE, { threads: 1, ...options });
  const [small, large, wide] = [
    await of({ contextLength: 64 }),
    await of({ contextLength: 128 }),
    await of({ contextLength: 128, kvType: 'f32' }),
  ];
  const { weights, vocabulary, activations, kv, total } = small.memory;
  assert.ok(weights > 0 && vocabulary > 0 && activations > 0 && kv > 0);
  assert.ok(total > weights + vocabulary + activations + kv);
  assert.equal(large.memory.kv, 2 * kv);
  const header = 64 * 4; // bytes of the pages' own headers, 4 pages
  assert.ok(Math.abs(wide.memory.kv - 2 * large.memory.kv) <= header);
  assert.equal(small.trainedContextLength, 256);
  assert.equal(small.contextLength, 64);
  // Each helper has a stack of its own, of the size that the Makefile gives the linker.
  const two = await of({ contextLength: 64, threads: 2 });
  const stacks = (two.threads - 1) * 65536;
  assert.equal(two.memory.total - two.memory.activations, total - activations + stacks);
});

test('the estimate has what a session of a long context takes before its first token', async () => {
  const context = 2 ** 20; // 4 bytes for each id and 4 for each position are 8 MiB
  const header = llamaHeader({ layers: 1, width: 32, ff: 32, heads: 1, vocabulary: 300, context });
  const file = new Uint8Array(header.length + 1e5);
  file.set(header);
  const options = { threads: 1, contextLength: context };
  const { memory } = await estimateModel(file, options);
  await withModel(file, options, async (model) => {
    await model.logits([1]);
    const { wasmBytes } = await model.counters();
    const expected = memory.total - memory.kv;
    assert.ok(wasmBytes <= expected + WASM_PAGE, `${wasmBytes} bytes, ${expected} were estimated`);
    assert.ok(wasmBytes >= expected - BLOCKS, `only ${wasmBytes} bytes, ${expected} were estimated`);
  });
});

async function withServer(file, use) {
  const { size } = statSync(file);
  const served = { bytes: 0, open: 0 };
  const server = createServer((_, response) => {
    served.open += 1;
    const { socket } = response;
    const before = socket.bytesWritten;
    response.on('close', () => {
      served.open -= 1;
      served.bytes += socket.bytesWritten - before;
    });
    createReadStream(file).pipe(response.writeHead(200, { 'content-length': size }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${server.address().port}/model.gguf`, served);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('of a URL only the header is downloaded, and the connection is closed', needsModel, (t) =>
  withServer(SMOLLM2, async (url, served) => {
    const { size } = statSync(SMOLLM2);
    for (const worker of [true, false]) {
      served.bytes = 0;
      const estimate = await estimateModel(url, { worker });
      while (served.open > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      t.diagnostic(`${served.bytes} of ${size} bytes were sent`);
      assert.equal(estimate.fileBytes, size);
      assert.ok(served.bytes < size / 5, `${served.bytes} bytes were sent`);
    }
  }),
);

test('an estimate of a URL writes nothing into the cache, and reads a whole copy of it without the server', async () => {
  const cache = await mkdtemp(path.join(os.tmpdir(), 'chord-estimate-'));
  try {
    const [address, before] = await withServer(FIXTURE, async (url) => {
      const found = await estimateModel(url, { cache, threads: 1 });
      assert.deepEqual(await listModels({ cache }), []);
      await withModel(url, { cache, threads: 1 }, () => {});
      return [url, found];
    });
    assert.equal((await listModels({ cache }))[0]?.isComplete, true);
    assert.deepEqual(await estimateModel(address, { cache, threads: 1 }), before);
    await refused(estimateModel(address, { cache: 'none' }), 'io');
  } finally {
    await rm(cache, { recursive: true });
  }
});

test('a source that the page pushes is left behind the header: a stream is cancelled, bytes and a Blob stay whole', async () => {
  const bytes = new Uint8Array(await readFile(FIXTURE));
  const { fileBytes, ...expected } = await estimateModel(FIXTURE, { threads: 1 });
  for (const worker of [true, false]) {
    let isCancelled = false;
    let sent = 0;
    const stream = new ReadableStream({
      pull(controller) {
        if (sent >= bytes.length) return new Promise(() => undefined); // never ends
        controller.enqueue(bytes.slice(sent, (sent += 10_000)));
      },
      cancel() {
        isCancelled = true;
      },
    });
    const found = await estimateModel(stream, { threads: 1, worker });
    assert.equal(found.memory.weights, expected.memory.weights);
    assert.equal(found.fileBytes, fileBytes); // the end of the last tensor
    assert.ok(isCancelled && sent <= bytes.length);
  }
  for (const source of [bytes, bytes.buffer, await openAsBlob(FIXTURE), new Response(bytes)]) {
    const found = await estimateModel(source, { threads: 1 });
    assert.equal(found.memory.weights, expected.memory.weights);
    assert.equal(found.memory.kv, expected.memory.kv);
  }
  assert.equal(bytes.byteLength, statSync(FIXTURE).size);
});

test('an estimate makes no big memory: it has the header, and no weights', needsModel, async () => {
  const { Memory } = WebAssembly;
  const memories = [];
  WebAssembly.Memory = function (descriptor) {
    memories.push(new Memory(descriptor));
    return memories.at(-1);
  };
  try {
    const { memory } = await estimateModel(SMOLLM2, { worker: false });
    assert.equal(memories.length, 1);
    assert.ok(memories[0].buffer.byteLength < memory.total / 8, `${memories[0].buffer.byteLength} bytes`);
  } finally {
    WebAssembly.Memory = Memory;
  }
});

test('a model that does not fit is an estimate, and the sentence has the bytes needed and available', async () => {
  const header = llamaHeader({ layers: 32, width: 4096, ff: 11008, heads: 32, vocabulary: 32000 });
  const stalled = () =>
    new ReadableStream({
      start: (controller) => controller.enqueue(header),
      pull: () => new Promise(() => undefined),
    });
  const estimate = await estimateModel(stalled());
  assert.equal(estimate.fits, false);
  assert.equal(estimate.largestContextLength, 0);
  assert.doesNotMatch(estimate.why, /not known/);
  assert.ok(estimate.memory.weights > 13.4e9 && estimate.memory.total > estimate.memory.weights);
  assert.match(estimate.why, new RegExp(`needs ${estimate.memory.total} bytes .*${estimate.availableBytes}`));
  const error = await refused(loadModel(stalled()), 'out-of-memory', `${estimate.memory.total} bytes`);
  assert.ok(error.message.includes(String(estimate.availableBytes)), error.message);
  assert.doesNotMatch(error.hint, /contextLength|memoryBudget/); // weights of 13 GB fit with no context
  // 32 layers of 2 x 4096 values of 2 bytes per token, and the pages' headers
  const perToken = estimate.memory.kv / estimate.contextLength;
  assert.ok(perToken >= 32 * 2 * 4096 * 2 && perToken < 32 * 2 * 4096 * 2 + 4, `${perToken}`);
});

test('a budget refuses a context that could never be filled, the hint names one that fits, and auto takes it', async () => {
  const bytes = zeros();
  const total = async (contextLength) =>
    (await estimateModel(bytes, { threads: 1, contextLength })).memory.total;
  const [whole, half, least] = [await total(2048), await total(1024), await total(256)];
  const own = { threads: 1, paging: 'never' };
  const load = (options, use) => withModel(bytes, { ...own, ...options }, use);

  const memoryBudget = Math.ceil(whole / WASM_PAGE) * WASM_PAGE;
  await load({ memoryBudget }, async (model) => {
    assert.equal(model.info.contextLength, 2048);
    assert.ok((await filled(model)) <= memoryBudget);
  });
  const tight = Math.ceil(half / WASM_PAGE) * WASM_PAGE;
  const error = await refused(
    loadModel(bytes, { ...own, memoryBudget: tight }),
    'out-of-memory',
    `${whole} bytes`,
    `memoryBudget allows ${tight}`,
  );
  const named = Number(/contextLength: (\d+)/.exec(error.hint)[1]);
  assert.ok(named >= 1024 && named < 1024 + WASM_PAGE / 4096 + 32, error.hint);
  const q8 = Number(/kvType: 'q8_0' with contextLength: (\d+)/.exec(error.hint)[1]);
  assert.ok(q8 > 1.5 * named && q8 <= 2048, error.hint);
  for (const options of [{ contextLength: named }, { contextLength: 'auto' }])
    await load({ ...options, memoryBudget: tight }, async (model) => {
      assert.equal(model.info.contextLength, named);
      assert.ok((await filled(model)) <= tight);
    });
  await load({ kvType: 'q8_0', contextLength: q8, memoryBudget: tight }, async (model) => {
    assert.ok((await filled(model)) <= tight);
  });
  await refused(
    loadModel(bytes, { ...own, contextLength: named + 32, memoryBudget: tight }),
    'out-of-memory',
  );
  await refused(
    loadModel(bytes, { ...own, contextLength: 'auto', memoryBudget: least - WASM_PAGE }),
    'out-of-memory',
  );
  const estimate = await estimateModel(bytes, { ...own, memoryBudget: tight });
  assert.deepEqual([estimate.fits, estimate.largestContextLength], [false, named]);
  await load({ contextLength: 'auto' }, (model) => assert.equal(model.info.contextLength, 2048));
});

test('a budget too small for the header is out-of-memory too, which names it, and an estimate that does not fit', async () => {
  for (const memoryBudget of [1, 1000, 100_000, 1_200_000, 2_000_000]) {
    const { hint } = await refused(
      loadModel(FIXTURE, { memoryBudget }),
      'out-of-memory',
      `memoryBudget allows ${memoryBudget}`,
    );
    assert.match(hint, /larger memoryBudget/);
    assert.doesNotMatch(hint, /contextLength/);
    const estimate = await estimateModel(FIXTURE, { memoryBudget });
    assert.deepEqual([estimate.fits, estimate.availableBytes], [false, memoryBudget]);
    assert.match(estimate.why, new RegExp(`memoryBudget allows ${memoryBudget}$`));
  }
});

test('a budget of memory.total fits, to the byte', async () => {
  for (const [source, contextLength] of [
    [FIXTURE, 256],
    [zeros(), 512],
  ]) {
    const options = { threads: 1, contextLength, paging: 'never' };
    const { memory } = await estimateModel(source, options);
    for (const memoryBudget of [memory.total, memory.total - 1]) {
      const { fits, availableBytes } = await estimateModel(source, { ...options, memoryBudget });
      assert.deepEqual([fits, availableBytes], [memoryBudget === memory.total, memoryBudget]);
    }
    await withModel(source, { ...options, memoryBudget: memory.total }, async (model) =>
      assert.ok((await filled(model)) < memory.total + WASM_PAGE),
    );
    await refused(loadModel(source, { ...options, memoryBudget: memory.total - 1 }), 'out-of-memory');
  }
});

test("contextLength 'auto' that doesn't fit names the least context, and no shorter one where none fits", async () => {
  const bytes = zeros();
  const { memory } = await estimateModel(bytes, { threads: 1, contextLength: 256 });
  const of = (memoryBudget) => ({ threads: 1, contextLength: 'auto', memoryBudget, paging: 'never' });
  const { hint } = await refused(
    loadModel(bytes, of(memory.total - 1)),
    'out-of-memory',
    `needs ${memory.total} bytes with a context of 256 tokens`,
  );
  assert.match(hint, /what fits: contextLength: 224/);
  const none = await refused(loadModel(bytes, of(4e6)), 'out-of-memory', 'with a context of 256 tokens');
  assert.doesNotMatch(none.hint, /contextLength/);
});

test('a budget holds when pages are given later: the call fails with out-of-memory, and its session and model go on', async () => {
  const bytes = zeros();
  const { memory } = await estimateModel(bytes, { threads: 1, contextLength: 512 });
  const worker = new Worker(new URL('../../dist/worker.js', import.meta.url));
  const calls = new Map();
  worker.on('message', (reply) => {
    if (reply.type === 'rows') worker.postMessage({ op: 'taken', call: reply.call, count: 1 });
    if (reply.type === 'result') calls.get(reply.call).resolve(reply.value);
    if (reply.type === 'failed') calls.get(reply.call).reject(reply.error);
  });
  let next = 0;
  const ask = (message) =>
    new Promise((resolve, reject) => {
      calls.set(next, { resolve, reject });
      worker.postMessage({ ...message, call: next++ });
    });
  const ids = Array.from({ length: 512 }, (_, i) => 1 + (i % 200));
  const logits = (session, n) => ask({ op: 'logits', session, ids: ids.slice(0, n), all: false });
  try {
    const loading = ask({
      op: 'load',
      source: { kind: 'blob', blob: new Blob([bytes]), name: 'zeros' },
      options: { threads: 1, contextLength: 512, memoryBudget: memory.total + 512 * 1024 },
    });
    await loading;
    await logits(0, 512);
    const second = await ask({ op: 'open-session' });
    await assert.rejects(logits(second, 512), { code: 'out-of-memory' });
    await logits(0, 512);
    await logits(second, 32);
    await ask({ op: 'close-session', session: second });
    const { wasmBytes } = await ask({ op: 'counters' });
    // A memory has whole pages.
    assert.ok(wasmBytes < memory.total + 512 * 1024 + WASM_PAGE, `${wasmBytes}`);
  } finally {
    await worker.terminate();
  }
});

test('a machine with too little memory is refused by its own bytes, and memoryBudget replaces them', async () => {
  const bytes = zeros();
  const { memory } = await estimateModel(bytes, { worker: false });
  const { totalmem } = os;
  os.totalmem = () => memory.total - 1;
  syncBuiltinESMExports();
  try {
    const estimate = await estimateModel(bytes, { worker: false, paging: 'never' });
    assert.deepEqual([estimate.fits, estimate.availableBytes], [false, memory.total - 1]);
    assert.match(estimate.why, /this machine has/);
    await refused(loadModel(bytes, { worker: false, paging: 'never' }), 'out-of-memory', 'this machine has');
    await withModel(bytes, { worker: false, memoryBudget: 2 ** 32 }, async (model) =>
      assert.equal(typeof (await model.generate([1], { ...GREEDY, maxTokens: 2 }).text()), 'string'),
    );
  } finally {
    os.totalmem = totalmem;
    syncBuiltinESMExports();
  }
});

test('where the memory is not known, an estimate that fits says so', async () => {
  const { totalmem } = os;
  const { constrainedMemory } = process;
  process.constrainedMemory = () => 0;
  os.totalmem = () => {
    throw new Error('not allowed');
  };
  syncBuiltinESMExports();
  try {
    const { fits, why } = await estimateModel(FIXTURE, { worker: false });
    assert.ok(fits);
    assert.match(why, /how much memory this device has is not known.*telephone/);
    const named = await estimateModel(FIXTURE, { worker: false, memoryBudget: 1e9 });
    assert.doesNotMatch(named.why, /known/);
  } finally {
    os.totalmem = totalmem;
    process.constrainedMemory = constrainedMemory;
    syncBuiltinESMExports();
  }
});

test('headers that are hostile or unknown give the errors of loadModel', async () => {
  const good = new Uint8Array(await readFile(FIXTURE));
  const unknown = good.slice();
  const at = Buffer.from(good).indexOf('general.architecture') + 20 + 4 + 8;
  unknown.set(Buffer.from('nolla'), at);
  for (const [bytes, code] of [
    [good.subarray(0, 5000), 'invalid-gguf'],
    [new Uint8Array(0), 'invalid-gguf'],
    [Buffer.from('<!doctype html><p>not here'), 'invalid-gguf'],
    [Buffer.from('GGUF\\x03\\0\\0\\0'.padEnd(4000, '\\xff'), 'latin1'), 'invalid-gguf'],
    [unknown, 'unsupported-architecture'],
  ]) {
    const loaded = await refused(loadModel(bytes), code);
    const estimated = await refused(estimateModel(bytes), code);
    assert.deepEqual([estimated.message, estimated.hint], [loaded.message, loaded.hint]);
  }
  await refused(estimateModel('/no/such/file.gguf'), 'io');
  await refused(estimateModel(undefined), 'invalid-argument');
  // A trained context above the library's maximum is no reason to fail.
  const far = await estimateModel(zeros(2 ** 31 - 1), { memoryBudget: 2 ** 30 });
  assert.ok(far.largestContextLength > 100_000 && far.largestContextLength <= 2 ** 24);
  assert.equal(far.trainedContextLength, 2 ** 31 - 1);
});

test('options are checked by name, and a signal ends an estimate', async () => {
  for (const [name, value] of [
    ['memoryBudget', 0],
    ['memoryBudget', -1],
    ['memoryBudget', 1.5],
    ['memoryBudget', '1e9'],
    ['memoryBudget', Infinity],
    ['contextLength', 'max'],
    ['contextLength', 0],
    ['kvType', 'q1'],
    ['memorybudget', 1],
  ])
    for (const call of [loadModel, estimateModel])
      await refused(call(FIXTURE, { [name]: value }), 'invalid-argument', name);
  await refused(
    estimateModel(FIXTURE, { thread: 1 }),
    'invalid-argument',
    "estimateModel has no option 'thread'",
  );
  const reason = new Error('enough');
  await assert.rejects(estimateModel(FIXTURE, { signal: AbortSignal.abort(reason) }), reason);
  const abort = new AbortController();
  const stalled = new ReadableStream({ pull: () => new Promise(() => undefined) });
  const estimating = estimateModel(stalled, { signal: abort.signal });
  setTimeout(() => abort.abort(reason), 20);
  await assert.rejects(estimating, reason);
});
