// SPDX-License-Identifier: Apache-2.0
// load.test.mjs: a load onto the GPU in the engine worker, from the sources, with an executor that computes
// nothing: which bytes reach the GPU, what the host holds meanwhile, and what happens when the GPU fails
// before, in and after the data.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { wgslTexts } from '../../tools/wgsl.mjs';
import { llamaHeader } from '../ts/header.mjs';
import { missing, openGpu } from './gpu.mjs';
import { download } from './room.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const needsGpu = { skip: missing() || false };
const FIXTURE = path.join(root, 'tests/golden/qwen2-q4_k.gguf');
const MiB = 2 ** 20;

let room, gpu;
/** What chooseBackend() resolves to. */
const chosen = { gpu: undefined, reason: '' };
const engines = [];

before(async () => {
  if (needsGpu.skip) return;
  const outfile = path.join(root, `build/test/webgpu/load-${process.pid}.mjs`);
  await mkdir(path.dirname(outfile), { recursive: true });
  globalThis.backend = { chooseBackend: async () => ({ ...chosen }), openGpu: async () => chosen.gpu };
  const names = ['errors', 'webgpu/index', 'worker/load', 'load/meter', 'wasm/describe'];
  await build({
    stdin: { contents: names.map((name) => `export * from './ts/${name}.js';`).join('\n'), resolveDir: root },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'es2022',
    define: { WEBGPU: 'true', IMPORT: 'undefined' },
    plugins: [wgslTexts, swapBackend],
    logLevel: 'warning',
  });
  room = await import(pathToFileURL(outfile).href);
  gpu = await openGpu();
});
after(() => engines.forEach((engine) => engine.free()));

/** Puts the test's choice in place of chunk.ts. */
const swapBackend = {
  name: 'swap-backend',
  setup(build) {
    build.onResolve({ filter: /webgpu\/chunk\.js$/ }, () => ({ path: 'chunk', namespace: 'test' }));
    build.onLoad({ filter: /.*/, namespace: 'test' }, () => ({
      contents: 'export const { chooseBackend, openGpu } = globalThis.backend;',
    }));
  },
};

/** An executor whose logits are largest for the id after the last one. `Stub.last` keeps what it got. */
class Stub {
  name = 'webgpu';
  holdsCaches = true;
  gpuMemory = { weights: 3, kv: 4, total: 9 };
  counters = { gpuDispatches: 1, gpuBytes: 2, gpuBytesRead: 3, submits: 4, submitsAhead: 3, readbacks: 5 };
  isFreed = false;
  constructor(parts) {
    Object.assign(this, parts);
    Stub.last = this;
  }
  async run(batches) {
    const { ids, rows } = batches.nextBatch();
    const { nVocab } = this.program;
    const logits = new Float32Array(rows.length * nVocab);
    rows.forEach((row, i) => (logits[i * nVocab + ((ids[row] + 1) % nVocab)] = 1));
    batches.acceptBatch(logits);
    return { isDone: rows.length > 0, work: ids.length };
  }
  async warm() {}
  loadVectors() {}
  free() {
    this.isFreed = true;
    for (const { parts } of this.matrices.values()) for (const { view } of parts) view.buffer.destroy();
  }
}

/** A self-test that finds nothing, without the time that its kernels take to compile. */
class Passed {
  push() {}
  async run() {}
}

/** Opens a device for the next load. `Executor`: a class in place of Stub. */
async function choose({ Executor = Stub, ...replaced } = {}) {
  const opened = await room.openDevice(gpu);
  const GpuExecutor = { open: async (parts) => new Executor(parts) };
  chosen.gpu = { opened, module: { ...room, GpuExecutor, SelfTest: Passed, ...replaced } };
  chosen.reason = 'WebGPU: the test';
  return opened.device;
}

/** A file in chunks of `size` bytes. `onRead` is called before each read with the bytes read so far. */
function fileOf(bytes, { size = 65_536, opensAgain = true, onRead = () => {}, name = 'model.gguf' } = {}) {
  const file = {
    name,
    isPushed: false,
    opened: 0,
    opensAgain: async () => opensAgain,
    async open() {
      file.opened += 1;
      let at = 0;
      return {
        name,
        phase: 'read',
        totalBytes: bytes.byteLength,
        async read() {
          await onRead(at);
          const chunk = bytes.subarray(at, at + size);
          at += chunk.byteLength;
          return chunk.byteLength > 0 ? chunk : undefined;
        },
        async close() {},
      };
    },
  };
  return file;
}

function jobOf(files, { signal = new AbortController().signal, ...options } = {}) {
  const meter = new room.BufferMeter();
  const wasm = new URL('../../dist/', import.meta.url).href;
  return {
    options: { backend: 'auto', wasm, threads: 1, cache: 'none', ...options },
    signal,
    meter,
    mayThread: false,
    files: [files].flat(),
    onBytes() {},
    onProgress() {},
  };
}

async function load(files, options) {
  const job = jobOf(files, options);
  const loaded = await room.loadEngine(job);
  engines.push(loaded.engine);
  const { engine, compiled, why, reason } = loaded;
  return { ...loaded, meter: job.meter, info: room.describe(engine, compiled, why, reason) };
}

/** A hash of all matrices on the GPU, by their tensors' names. */
async function digest(executor, device) {
  const buffers = new Map();
  const hash = createHash('sha256');
  for (const { name, parts, rowWords } of [...executor.matrices.values()].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    hash.update(name);
    for (const { view, offset, nRows } of parts) {
      if (!buffers.has(view.buffer)) buffers.set(view.buffer, await download(device, view.buffer));
      hash.update(new Uint8Array(buffers.get(view.buffer), offset * 4, nRows * rowWords * 4));
    }
  }
  return hash.digest('hex');
}

/** The first token that a model generates after id 5, and whether it computed on the stub. */
async function next({ engine }) {
  const session = engine.openSession();
  session.push([5]);
  await engine.executor.run(session, 1e15);
  const logits = session.logits();
  engine.closeSession(session);
  return logits.indexOf(Math.max(...logits));
}

/** A llama of F16 matrices of more than 4 MB in all: large enough for 'auto'. */
function largeModel(sizes = {}) {
  const header = llamaHeader({ layers: 2, width: 256, ff: 1024, heads: 4, vocabulary: 4000, ...sizes });
  const { layers = 2, width = 256, ff = 1024, vocabulary = 4000 } = sizes;
  const matrices = 2 * (2 * width * vocabulary + layers * (4 * width * width + 3 * width * ff));
  const bytes = new Uint8Array(header.byteLength + matrices + (2 * layers + 1) * width * 4 + 32);
  bytes.set(header);
  // 0x2c2c: 0.065 as F16, and 2.4e-12 as F32 in vectors.
  bytes.fill(0x2c, header.byteLength);
  return bytes;
}

test(
  'weights stream onto the GPU in chunks of any size, and info and the executor say so',
  needsGpu,
  async () => {
    const bytes = await readFile(FIXTURE);
    const hashes = new Set();
    for (const size of [bytes.byteLength, 4099, 65_536]) {
      const device = await choose();
      const loaded = await load(fileOf(bytes, { size }), { backend: 'webgpu' });
      const { engine, info } = loaded;
      hashes.add(await digest(Stub.last, device));
      assert.equal(await next(loaded), 6);
      assert.equal(info.backend, 'webgpu');
      assert.match(info.backendReason, /^WebGPU: the test; 1 thread: the GPU computes/);
      const { weights, kv, gpu: all } = info.memory;
      assert.deepEqual({ weights, kv, total: all }, Stub.last.gpuMemory);
      const { tensors } = Stub.last.program;
      const matrices = tensors.filter(({ isMatrix }) => isMatrix);
      assert.equal(
        loaded.bytesUploaded,
        matrices.reduce((sum, tensor) => sum + tensor.bytes, 0),
      );
      const inWasm = engine.file.planInfo.weight_bytes;
      assert.ok(inWasm < 0.1 * loaded.bytesUploaded, 'vectors only are in wasm');
      assert.ok(
        tensors.some((tensor, i) => !tensor.isMatrix && Stub.last.program.vector(i)?.[0] !== undefined),
      );
      engine.free();
      assert.ok(Stub.last.isFreed);
      assert.equal((await device.lost).reason, 'destroyed');
    }
    assert.equal(hashes.size, 1);

    // The same bytes as the upload alone writes.
    const { device, ...opened } = await room.openDevice(gpu);
    const pipelines = new room.Pipelines(device, opened.features);
    const { tensors, groups } = room.weightsOf(Stub.last.program);
    const uploader = await room.Uploader.open({ device, ...opened, pipelines, tensors, groups });
    await uploader.push(0, 0, bytes);
    assert.equal(await digest({ matrices: await uploader.finish() }, device), [...hashes][0]);
    device.destroy();
  },
);

test('at most 128 MiB are on the host while 300 MB stream onto the GPU', needsGpu, async () => {
  const bytes = largeModel({ layers: 6, width: 1024, ff: 6144, heads: 16, vocabulary: 16_000 });
  assert.ok(bytes.byteLength > 300e6);
  await choose();
  const { engine, meter, bytesUploaded } = await load(fileOf(bytes, { size: MiB }));
  const host = engine.instance.heap.size + meter.peak;
  assert.ok(bytesUploaded > 300e6);
  assert.ok(host <= 128 * MiB, `${host / MiB} MiB`);
  engine.free();
});

test("'auto' leaves a small model on the CPU, and says why", needsGpu, async () => {
  const device = await choose();
  const { info } = await load(fileOf(await readFile(FIXTURE)));
  assert.equal(info.backend, 'cpu');
  assert.match(info.backendReason, /^the CPU: the model is small: \d+ dispatches/);
  assert.equal((await device.lost).reason, 'destroyed');
});

/** Faults of the GPU, by the stage at which they happen. `opened`: how often the file is read. */
const faults = {
  'the GPU has no memory for the weights': {
    opened: 1,
    reason: /can't hold \d+ bytes of weights: none left/,
    replaced: () => ({
      Uploader: {
        open: async () => Promise.reject(new Error("the GPU can't hold 5 bytes of weights: none left")),
      },
    }),
  },
  'the GPU is lost while weights stream': {
    opened: 2,
    reason: /lost/,
    onRead: (device) => (at) => {
      if (at > 3 * MiB) device.destroy();
    },
  },
  'the executor has no memory': {
    opened: 2,
    reason: /no memory for the context/,
    replaced: () => ({ GpuExecutor: { open: () => Promise.reject(new Error('no memory for the context')) } }),
  },
  'a kernel does not compile': {
    opened: 2,
    reason: /kernel matvec/,
    replaced: () => ({
      Executor: class extends Stub {
        async warm() {
          throw new Error('kernel matvec: an error');
        }
      },
    }),
  },
  'the self-test finds an error': {
    opened: 2,
    reason: /computes wrongly: matvec\/q4_k is 3 off/,
    replaced: () => ({
      SelfTest: class extends Passed {
        async run() {
          return { part: 'f32', why: 'matvec/q4_k is 3 off' };
        }
      },
    }),
  },
  'the device reports a validation error': {
    opened: 2,
    reason: /computes wrongly: .*exceeds/,
    replaced: () => ({
      Executor: class extends Stub {
        async warm() {
          this.opened.device.createBuffer({ size: 2 ** 50, usage: 128 });
          await this.opened.device.queue.onSubmittedWorkDone();
        }
      },
    }),
  },
};

for (const [name, { reason, opened, replaced = () => ({}), onRead }] of Object.entries(faults))
  test(`${name}: 'auto' goes on with the CPU, 'webgpu' is refused`, needsGpu, async () => {
    const bytes = largeModel();
    const begin = async () => {
      const device = await choose(replaced());
      return [device, (options) => fileOf(bytes, { size: 100_000, onRead: onRead?.(device), ...options })];
    };
    const [device, file] = await begin();
    const source = file();
    const loaded = await load(source);
    assert.equal(loaded.info.backend, 'cpu');
    assert.match(loaded.info.backendReason, /^the CPU: /);
    assert.match(loaded.info.backendReason, reason);
    assert.equal(source.opened, opened);
    assert.ok(Number.isFinite(await next(loaded)));
    assert.equal(loaded.bytesUploaded, 0);
    assert.equal((await device.lost).reason, 'destroyed');
    loaded.engine.free();

    const [, asked] = await begin();
    const refused = load(asked(), { backend: 'webgpu' });
    await assert.rejects(refused, (error) => error.code === 'no-webgpu' && reason.test(error.message));

    const [, once] = await begin();
    const unrepeatable = load(once({ opensAgain: false }));
    if (opened === 1) return assert.equal((await unrepeatable).info.backend, 'cpu');
    await assert.rejects(unrepeatable, {
      code: 'no-webgpu',
      message: reason,
      hint: /only once.*backend: 'cpu'/,
    });
  });

test(
  "a scale that isn't finite is the CPU's error on the GPU, and no other backend is tried",
  needsGpu,
  async () => {
    const bytes = new Uint8Array(await readFile(FIXTURE));
    chosen.gpu = undefined;
    const whole = await load(fileOf(bytes));
    const { tensors } = room.readOps(whole.engine.instance, whole.engine.file);
    whole.engine.free();
    const { name, offset, nIn } = tensors.filter(({ format }) => format === 'Q4_K').at(-1);
    bytes.set([0, 0x7e], offset + (nIn / 256) * 144 * 4 + 2); // dmin of row 4
    const error = {
      code: 'invalid-gguf',
      message: new RegExp(
        `^model.gguf: the file is damaged.*: tensor '${name}': row 4 holds a block that no`,
      ),
    };
    chosen.gpu = undefined;
    await assert.rejects(load(fileOf(bytes)), error);
    for (const backend of ['auto', 'webgpu']) {
      await choose();
      const file = fileOf(bytes);
      await assert.rejects(load(file, { backend }), error);
      assert.equal(file.opened, 1);
    }
  },
);

test('shards give the same matrices as the whole file', needsGpu, async () => {
  const golden = (name) => readFile(path.join(root, 'tests/golden', name));
  const shard = (stem, no) => golden(`shards/${stem}-0000${no}-of-00003.gguf`);
  const sources = [[await golden('f16-fused.gguf')]];
  for (const stem of ['f16-fused', 'f16-fused-small-first'])
    sources.push(await Promise.all([1, 2, 3].map((no) => shard(stem, no))));
  const hashes = new Set();
  for (const source of sources) {
    const device = await choose();
    const files = source.map((bytes, i) => fileOf(bytes, { size: 3000, name: `${i}.gguf` }));
    const { engine } = await load(files, { backend: 'webgpu' });
    hashes.add(await digest(Stub.last, device));
    engine.free();
  }
  assert.equal(hashes.size, 1);
});

test('a file that ends before its last matrix is refused by the tensor', needsGpu, async () => {
  const bytes = await readFile(FIXTURE);
  const device = await choose();
  const cut = fileOf(bytes.subarray(0, bytes.byteLength - 3000));
  const { open } = cut;
  cut.open = async () => ({ ...(await open()), totalBytes: undefined });
  const loading = load(cut, { backend: 'webgpu' });
  await assert.rejects(loading, { code: 'invalid-gguf', message: /model.gguf.*'output.weight'/ });
  assert.equal((await device.lost).reason, 'destroyed');
});

test('an abort ends a load whose GPU answers nothing', needsGpu, async () => {
  const stop = new AbortController();
  await choose({
    Executor: class extends Stub {
      warm() {
        setTimeout(() => stop.abort(new Error('enough')), 20);
        return new Promise(() => {});
      }
    },
  });
  await assert.rejects(load(fileOf(largeModel()), { signal: stop.signal }), { message: 'enough' });
});

/** Fails as an executor does whose device is lost. It counts the tokens that it evaluates. */
class Mortal extends Stub {
  evaluated = [];
  #isLost = false;
  constructor(parts) {
    super(parts);
    parts.opened.device.lost.then(() => (this.#isLost = true));
  }
  async run(batches) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (this.#isLost) throw new room.ChordError('device-lost', 'the GPU was lost: the test');
    const { firstPosition } = batches.nextBatch();
    this.evaluated.push(firstPosition);
    return super.run(batches);
  }
}

test(
  'a run goes on after its device was lost, and other sessions are evaluated again',
  needsGpu,
  async () => {
    const bytes = await readFile(FIXTURE);
    let device = await choose({ Executor: Mortal });
    const source = fileOf(bytes);
    const { engine } = await load(source, { backend: 'webgpu' });
    const [a, b] = [engine.openSession(), engine.openSession()];
    const until = async (session) => {
      while (!(await engine.executor.run(session, 1e9)).isDone) continue;
      const logits = session.logits();
      return logits.indexOf(Math.max(...logits));
    };
    a.push([5, 6, 7]);
    b.push([9]);
    assert.equal(await until(a), 8);
    assert.equal(await until(b), 10);
    const hash = await digest(Stub.last, device);
    const first = Stub.last;
    device.destroy();
    device = await choose({ Executor: Mortal });

    a.push([8]);
    assert.equal(await until(a), 9);
    assert.ok(first.isFreed && Stub.last !== first);
    assert.equal(source.opened, 2);
    assert.equal(await digest(Stub.last, device), hash);
    b.push([10]);
    assert.equal(await until(b), 11);
    assert.deepEqual(
      Stub.last.evaluated,
      [0, 0],
      'all tokens are evaluated again, those of an idle session too',
    );
    assert.deepEqual([...a.tokens()], [5, 6, 7, 8]);
    assert.equal(engine.executor.counters.submits, 8);
    assert.equal(engine.executor.counters.gpuBytes, 2);

    // A GPU that doesn't come back: the error says so, and the session keeps its tokens.
    device.destroy();
    await device.lost;
    chosen.gpu = undefined;
    a.push([9]);
    await assert.rejects(until(a), { code: 'device-lost', message: /the test; it can't be used again: / });
    device = await choose({ Executor: Mortal });
    assert.equal(await until(a), 10);
    engine.free();
    assert.equal((await device.lost).reason, 'destroyed');
  },
);

test('a GPU that is lost again and again is given up', needsGpu, async () => {
  class Dead extends Stub {
    static made = 0;
    constructor(parts) {
      super(parts);
      Dead.made += 1;
    }
    async run() {
      throw new room.ChordError('device-lost', 'the GPU was lost: always');
    }
    free() {}
  }
  await choose({ Executor: Dead });
  const { engine } = await load(fileOf(await readFile(FIXTURE)), { backend: 'webgpu' });
  const session = engine.openSession();
  session.push([5]);
  for (let i = 0; i < 3; i++) {
    await choose({ Executor: Dead });
    assert.equal((await engine.executor.run(session, 1e9)).isDone, false);
  }
  await assert.rejects(engine.executor.run(session, 1e9), { code: 'device-lost', message: /always$/ });
  assert.equal(Dead.made, 4);
  engine.free();
});

test('an estimate says what the GPU will hold, and leaves nothing there', needsGpu, async () => {
  const bytes = largeModel();
  const device = await choose();
  const job = jobOf(fileOf(bytes));
  const estimate = await room.estimateEngine(job);
  assert.equal((await device.lost).reason, 'destroyed');
  assert.equal(estimate.backend, 'webgpu');
  const page = 2 * 2 * 256 * 2 * 32; // layers, keys and values, width, bytes, tokens
  const { weights, kv, gpu: all, total } = estimate.memory;
  assert.equal(kv, page * (2048 / 32 + 1));
  assert.ok(Math.abs(weights - bytes.byteLength) < 0.01 * bytes.byteLength);
  assert.ok(all > weights + kv && total < bytes.byteLength);
  assert.match(estimate.why, new RegExp(`; the GPU needs ${all} bytes, and doesn't say how many it has$`));
});

test(
  'the largest context is one that the bindings of the GPU hold, and a refusal names it',
  needsGpu,
  async () => {
    const gpuMemoryOf = (opened, program) => {
      if (program.nCtx > 1000) throw new room.ChordError('no-webgpu', 'keys and values are too large');
      return room.gpuMemoryOf(opened, program);
    };
    await choose({ gpuMemoryOf });
    const estimate = await room.estimateEngine(jobOf(fileOf(largeModel()), { contextLength: 500 }));
    assert.equal(estimate.largestContextLength, 992);
    await choose({ gpuMemoryOf });
    await assert.rejects(room.loadEngine(jobOf(fileOf(largeModel()), { backend: 'webgpu' })), {
      code: 'no-webgpu',
      hint: /^contextLength: 992 fits/,
    });
  },
);

test('what no binding of the GPU holds is known before the data is read', needsGpu, async () => {
  const refuse = () => {
    throw new room.ChordError('no-webgpu', 'keys and values take 5 bytes, a binding holds 4', {
      hint: 'less',
    });
  };
  for (const call of [room.estimateEngine, room.loadEngine]) {
    const file = fileOf(largeModel());
    const device = await choose({ gpuMemoryOf: refuse });
    const found = await call(jobOf(file, { backend: 'auto' }));
    assert.equal((await device.lost).reason, 'destroyed');
    const { placement = 'resident', reason: why = found.backendReason } = found;
    assert.equal(placement, 'resident');
    assert.match(why, /^the CPU: keys and values take 5 bytes, a binding holds 4/);
    assert.equal(file.opened, 1);
    found.engine?.free();

    await choose({ gpuMemoryOf: refuse });
    await assert.rejects(call(jobOf(fileOf(largeModel()), { backend: 'webgpu' })), {
      code: 'no-webgpu',
      message: /keys and values take 5 bytes/,
    });
  }
});
