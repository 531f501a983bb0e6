// SPDX-License-Identifier: Apache-2.0
// level2-process.test.mjs: level 2 in a Node process: the process exits by itself, dropped promises cause no
// unhandled rejection, a dead thread or worker is an error and not a hang. Most cases have their own
// process.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { FIXTURE, refused } from './level2.mjs';
import { WasmModel, capabilities, loadModel } from '../../dist/index.js';

const index = new URL('../../dist/index.js', import.meta.url).href;
/** A process that hangs is killed after this time. Its signal shows that. */
const LIMIT_MS = 60_000;

/**
 * Runs `code` as a module that has loadModel, ChordError and FIXTURE. Resolves to { end, output }: the exit
 * code, or the signal that ended the process, and all that it printed.
 */
function run(code, flags = []) {
  const text = `import { loadModel, ChordError } from ${JSON.stringify(index)}; const FIXTURE = ${JSON.stringify(FIXTURE)};\n${code}`;
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...flags, '--input-type=module', '-e', text], {
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    child.on('close', (status, signal) => resolve({ end: signal ?? status, output }));
  });
}

const cases = {
  'after dispose': `const model = await loadModel(FIXTURE); await model.generate('a', { maxTokens: 2 }).text(); await model.dispose(); console.log('done');`,
  'with an idle model and its threads': `const model = await loadModel(FIXTURE, { threads: 2 }); await model.generate('a', { maxTokens: 2 }).text(); console.log('done');`,
  'with an idle model in its own thread': `const model = await loadModel(FIXTURE, { worker: false }); await model.generate('a', { maxTokens: 2 }).text(); console.log('done');`,
  'with an abandoned generation': `const model = await loadModel(FIXTURE); const run = model.generate('a', { maxTokens: 200, ignoreEos: true }); await run.next(); console.log('done');`,
  'after a failed load': `try { await loadModel('/nothing.gguf'); } catch (error) { console.log(error.code === 'io' ? 'done' : error); }`,
  'after an aborted load': `const load = loadModel(FIXTURE, { signal: AbortSignal.timeout(1) }); try { await load; } catch {} console.log('done');`,
};
for (const [name, code] of Object.entries(cases)) {
  test(`the process exits by itself ${name}`, async () => {
    const { end, output } = await run(code);
    assert.equal(output.trim(), 'done');
    assert.equal(end, 0);
  });
}

// The child has no pipes to its parent, because pipes would keep its event loop alive.
test('a process stays alive until a model that was disposed of while it tokenised has ended', async () => {
  const text = `
    import { loadModel } from ${JSON.stringify(index)};
    const model = await loadModel(${JSON.stringify(FIXTURE)});
    const ids = model.tokenize('the fox '.repeat(100_000)).catch(() => {});
    await model.dispose();
    await ids;
    process.exitCode = 5;`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
    stdio: 'ignore',
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  assert.equal(
    await new Promise((resolve) => child.on('close', (status, signal) => resolve(signal ?? status))),
    5,
  );
});

test('a process stays alive while it awaits a call of the package', async () => {
  const { end, output } = await run(`
    const model = await loadModel(FIXTURE);
    const generate = (seed) => model.generate('a', { maxTokens: 50, seed, ignoreEos: true }).text();
    const texts = await Promise.all([1, 2, 3].map(generate));
    console.log(texts.length);`);
  assert.equal(output.trim(), '3');
  assert.equal(end, 0);
});

test("promises that aren't awaited cause no unhandled rejection", async () => {
  const { end, output } = await run(`
    process.on('unhandledRejection', (error) => { console.log('unhandled', error); process.exitCode = 3; });
    loadModel('/nothing.gguf'); loadModel(5); loadModel(FIXTURE, { signal: AbortSignal.abort() });
    for (const options of [{}, { worker: false }]) {
      const model = await loadModel(FIXTURE, options);
      const controller = new AbortController();
      model.tokenize(5); model.detokenize([-1]);
      model.logits([]); model.logits([1], { signal: AbortSignal.abort() });
      model.generate([]).text(); model.generate([]).next();
      model.generate('a', { signal: AbortSignal.abort() }).next();
      const run = model.generate('a', { maxTokens: 200, ignoreEos: true, signal: controller.signal });
      await run.next(); run.next(); run.next(); controller.abort(); run.return(); run.throw(new Error('x'));
      model.applyChatTemplate(5); model.generate('a').toReadableStream();
      const late = model.generate('a', { maxTokens: 100, ignoreEos: true });
      late.next();
      model.dispose(); late.next(); model.counters(); model.tokenize('a');
      await model.dispose();
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    console.log('done');`);
  assert.equal(output.trim(), 'done');
  assert.equal(end, 0);
});

test('when the engine worker dies, every call fails with internal, and the next load works', async () => {
  // The process terminates its engine worker itself. To the client that looks like a crash.
  const { end, output } = await run(`
    import { Worker } from 'node:worker_threads';
    const workers = [];
    const emit = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (...values) {
      workers.push(this);
      return emit.apply(this, values);
    };
    const model = await loadModel(FIXTURE, { threads: 1 });
    const run = model.generate('a', { maxTokens: 200, ignoreEos: true });
    await run.next();
    const waiting = model.logits([1]);
    await workers.at(-1).terminate();
    const codes = [];
    const rest = async () => { for await (const _ of run); };
    const code = (error) => error instanceof ChordError ? error.code : String(error);
    for (const call of [rest(), waiting, model.tokenize('a'), model.counters()])
      codes.push(await call.then(() => 'no error', code));
    await model.dispose();
    const again = await loadModel(FIXTURE);
    await again.generate('a', { maxTokens: 1 }).text();
    console.log(codes.join(' '));`);
  assert.equal(output.trim(), 'internal internal internal internal');
  assert.equal(end, 0);
});

test("when a pool thread can't be started, the others end, and the model runs with one thread", async () => {
  const worker = new Worker(new URL('./pool-breaker.mjs', import.meta.url));
  const reply = (isIt) =>
    new Promise((resolve) => {
      const listen = (message) => {
        if (!isIt(message)) return;
        worker.off('message', listen);
        resolve(message);
      };
      worker.on('message', listen);
    });
  await reply(({ type }) => type === 'up');
  worker.postMessage({
    op: 'load',
    call: 0,
    source: { kind: 'path', path: FIXTURE },
    options: { threads: 4 },
  });
  const { value } = await reply(({ type }) => type === 'result' || type === 'failed');
  assert.equal(value.info.threads, 1);
  assert.match(value.info.backendReason, /no more threads today/);
  let found;
  for (let i = 0; i < 100 && found?.alive !== 0; i++) {
    if (i > 0) await new Promise((resolve) => setTimeout(resolve, 50));
    worker.postMessage('threads');
    found = await reply(({ type }) => type === 'threads');
  }
  await worker.terminate();
  assert.deepEqual(found, { type: 'threads', made: 3, alive: 0 });
});

test(
  'when a pool thread dies, calls that compute fail with internal, and tokenize and dispose still work',
  { skip: availableParallelism() < 2 ? 'this machine runs one thread' : false },
  async () => {
    const worker = new Worker(new URL('./thread-killer.mjs', import.meta.url));
    await new Promise((resolve) => worker.once('message', resolve)); // the worker listens
    const ask = (message) =>
      new Promise((resolve) => {
        const listen = (reply) => {
          if (
            message === 'kill'
              ? reply.type !== 'killed'
              : reply.call !== message.call || !['result', 'failed'].includes(reply.type)
          )
            return;
          worker.off('message', listen);
          resolve(reply);
        };
        worker.on('message', listen);
        worker.postMessage(message);
      });
    const loaded = await ask({
      op: 'load',
      call: 0,
      source: { kind: 'path', path: FIXTURE },
      options: { threads: 2 },
    });
    assert.equal(loaded.value.info.threads, 2);
    assert.equal((await ask({ op: 'logits', call: 1, ids: [1, 2], all: false })).type, 'result');
    await ask('kill');
    const failed = await ask({ op: 'logits', call: 2, ids: [1, 2, 3], all: false });
    assert.equal(failed.type, 'failed');
    assert.equal(failed.error.code, 'internal');
    assert.match(failed.error.message, /a pool thread died/); // noticed at once, not after the pool's patience
    assert.equal(
      (await ask({ op: 'tokenize', call: 3, text: 'a', addSpecial: true, parseSpecial: true })).type,
      'result',
    );
    assert.equal((await ask({ op: 'dispose', call: 4 })).type, 'result');
    await worker.terminate();
  },
);

test('capabilities and probe_gpu answer where a browser never says whether it has an adapter', async () => {
  const had = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  const never = () => new Promise(() => {});
  const value = { gpu: { requestAdapter: never }, storage: { getDirectory: never } };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
  try {
    const [found, isAvailable] = await Promise.all([capabilities(), WasmModel.probe_gpu()]);
    assert.deepEqual([found.webgpu, found.opfs, isAvailable], [null, false, false]);
    value.gpu.requestAdapter = async () => ({ requestDevice: never });
    assert.equal(await WasmModel.probe_gpu(), false);
  } finally {
    Object.defineProperty(globalThis, 'navigator', had ?? { value: undefined, configurable: true });
  }
});

test('capabilities reports what this Node has: SIMD, threads and variant, but no WebGPU and no OPFS', async (t) => {
  const found = await capabilities();
  t.diagnostic(JSON.stringify(found));
  assert.equal(found.simd, true);
  assert.ok(found.threads >= 1);
  assert.equal(found.webgpu, null);
  assert.equal(found.opfs, false);
  assert.match(found.variant, found.relaxedSimd ? /^wasm32-relaxed(\+fma)?$/ : /^wasm32-simd$/);
});

test("two models at once don't affect each other", async () => {
  const [one, two] = await Promise.all([loadModel(FIXTURE), loadModel(FIXTURE, { worker: false })]);
  const options = { temperature: 0, maxTokens: 20, ignoreEos: true };
  const [a, b] = await Promise.all([
    one.generate('Hello', options).text(),
    two.generate('Hello', options).text(),
  ]);
  assert.equal(a, b);
  await one.dispose();
  await refused(one.tokenize('a'), 'disposed');
  assert.equal(await two.generate('Hello', options).text(), a);
  await two.dispose();
});

for (const [name, start] of Object.entries({
  run: `model.generate('a', { maxTokens: 200, ignoreEos: true })`,
  loop: `model.generate('a', { maxTokens: 200, ignoreEos: true })[Symbol.asyncIterator]()`,
  'stream of text': `model.generate('a', { maxTokens: 200, ignoreEos: true }).toReadableStream().values()`,
}))
  test(`a ${name} that was read in part and then dropped is stopped when it is collected`, async () => {
    const { end, output } = await run(
      `const model = await loadModel(FIXTURE, { threads: 1 });
      await (async () => { const run = ${start}; for (let i = 0; i < 3; i++) await run.next(); })();
      const refused = await model.logits([1]).catch((error) => error);
      console.log(refused.code, refused.hint);
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 20, gc()));
      console.log((await model.logits([1])).length > 0);
      // A run is not collected while its reader waits.
      const reads = Array.from({ length: 5 }, () => model.generate('b', { maxTokens: 40, ignoreEos: true }));
      const texts = reads.map((run) => run.text());
      reads.length = 0;
      const collecting = setInterval(gc, 1);
      console.log(new Set(await Promise.all(texts.map(async (text) => (await text).length > 20))));
      clearInterval(collecting);
      await model.dispose();`,
      ['--expose-gc'],
    );
    assert.match(output, /^busy .*return\(\).*\ntrue\nSet\(1\) { true }\n$/);
    assert.equal(end, 0);
  });
