// SPDX-License-Identifier: Apache-2.0
// api.test.mjs: how the WebGPU backend reaches Node: the file webgpu.js, Dawn in the thread of the caller and
// in a worker, what an error says where there is no GPU, and the build without the backend.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import init, { ChordError, WasmModel, estimateModel, loadModel } from '../../dist/index.js';
import { missing, useDriver } from './gpu.mjs';
import { load } from './room.mjs';

const execute = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const FIXTURE = path.join(root, 'tests/golden/q4_1-smollm.gguf');
const needsGpu = { skip: missing() || false };
useDriver();

/** Resolves to the error of `promise`, which has `code`. */
async function refused(promise, code) {
  const error = await promise.then(
    () => assert.fail('it succeeded'),
    (error) => error,
  );
  assert.ok(ChordError.isInstance(error), String(error.stack));
  assert.equal(error.code, code, error.message);
  return error;
}

/** Runs a script in a process of its own; resolves to the JSON that it printed. */
async function inProcess(folder, script) {
  const begin = performance.now();
  const { stdout } = await execute(process.execPath, ['--input-type=module', '-e', script], {
    cwd: folder,
    timeout: 60_000,
  });
  return { ...JSON.parse(stdout), ms: performance.now() - begin };
}

/** Runs `use` with a copy of the built package in a folder from which no package can be found. */
async function withCopy(dist, use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-gpu-'));
  try {
    await cp(dist, path.join(folder, 'dist'), { recursive: true });
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('webgpu.js is one file without imports, and exports what the worker asks of it', async () => {
  const text = await readFile(path.join(root, 'dist/webgpu.js'), 'utf8');
  assert.doesNotMatch(text, /\bimport\b/);
  assert.doesNotMatch(text, /from ?["']/);
  const { openDevice, Pipelines } = await import('../../dist/webgpu.js');
  assert.equal(typeof openDevice, 'function');
  assert.equal(typeof Pipelines, 'function');
});

test(
  'Dawn runs in a worker of Node, and the process ends when the device is destroyed',
  needsGpu,
  async () => {
    const worker = `
    import { parentPort } from 'node:worker_threads';
    import { create } from 'webgpu';
    import { openDevice } from ${JSON.stringify(path.join(root, 'dist/webgpu.js'))};
    const { device, adapter, features } = await openDevice(create([]));
    const buffer = device.createBuffer({ size: 8, usage: 9 });
    device.queue.writeBuffer(buffer, 0, new Uint32Array([3, 4]));
    await buffer.mapAsync(1);
    const sum = new Uint32Array(buffer.getMappedRange()).reduce((a, b) => a + b);
    device.destroy();
    parentPort.postMessage({ sum, adapter, features });
  `;
    const found = await inProcess(
      root,
      `import { Worker } from 'node:worker_threads';
    const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
    const message = await new Promise((resolve, reject) => {
      worker.on('message', resolve);
      worker.on('error', reject);
    });
    const code = await new Promise((resolve) => worker.on('exit', resolve));
    console.log(JSON.stringify({ ...message, code }));`,
    );
    assert.equal(found.sum, 7);
    assert.equal(found.code, 0);
    assert.ok(found.adapter.length > 0);
    assert.equal(typeof found.features.subgroups, 'boolean');
  },
);

test('without the package webgpu the error says what to install, and auto is the CPU with its reason', () =>
  withCopy(path.join(root, 'dist'), async (folder) => {
    const found = await inProcess(
      folder,
      `import { loadModel } from './dist/index.js';
      const [asked] = await Promise.allSettled([loadModel(${JSON.stringify(FIXTURE)}, { backend: 'webgpu' })]);
      const { code, message, hint } = asked.reason;
      const model = await loadModel(${JSON.stringify(FIXTURE)});
      const { backend, backendReason } = model.info;
      await model.dispose();
      console.log(JSON.stringify({ code, message, hint, backend, backendReason }));`,
    );
    assert.equal(found.code, 'no-webgpu', found.message);
    assert.match(found.message, /Node has no WebGPU/);
    assert.match(found.hint, /npm install webgpu/);
    assert.equal(found.backend, 'cpu');
    assert.match(found.backendReason, /^the CPU: outside a browser only backend: 'webgpu'/);
  }));

test("no adapter and a wrong flag are no-webgpu, in a worker, in the caller's thread and inside one file", async () => {
  const { loadModel: loadInline } = await import('../../dist/inline.js');
  for (const load of [loadModel, loadInline])
    for (const worker of [true, false]) {
      const asked = (gpu) => load(FIXTURE, { backend: 'webgpu', worker, gpu });
      const none = await refused(asked(['adapter=there is no such adapter']), 'no-webgpu');
      assert.match(none.message, /no adapter/);
      const wrong = await refused(asked(['backend=steam']), 'no-webgpu');
      assert.match(wrong.hint, /steam/);
      assert.doesNotMatch(wrong.message, /\n/);
    }
  await refused(loadModel(FIXTURE, { gpu: 'backend=vulkan' }), 'invalid-argument');
  await refused(loadModel(FIXTURE, { gpu: [5] }), 'invalid-argument');
});

test('a webgpuUrl that leads nowhere is an io error which names it', needsGpu, async () => {
  for (const webgpuUrl of ['file:///no/such/webgpu.js', new URL('file:///no/such/webgpu.js')]) {
    const error = await refused(loadModel(FIXTURE, { backend: 'webgpu', webgpuUrl }), 'io');
    assert.match(error.message, /no\/such\/webgpu\.js/);
    assert.match(error.hint, /webgpuUrl/);
  }
});

test('a build with WEBGPU=0 has no webgpu.js and says so', async () => {
  const into = `build/test/dist-no-webgpu-${process.pid}`;
  const dist = path.join(root, into);
  try {
    await execute(process.execPath, ['tools/build.mjs', '--into', into], {
      cwd: root,
      env: { ...process.env, WEBGPU: '0' },
    });
    const files = await readdir(dist);
    assert.ok(files.includes('index.js') && !files.includes('webgpu.js'), files.join(' '));
    for (const name of files.filter((name) => /\.c?js$/.test(name)))
      assert.doesNotMatch(await readFile(path.join(dist, name), 'utf8'), /\.\/webgpu\.js/, name);
    for (const file of ['index.js', 'inline.js']) {
      const none = await import(path.join(dist, file));
      const error = await refused(none.loadModel(FIXTURE, { backend: 'webgpu' }), 'no-webgpu');
      assert.match(error.message, /this build of the package has no WebGPU backend/);
      const model = await none.loadModel(FIXTURE);
      assert.equal(model.info.backend, 'cpu');
      await model.dispose();
    }
  } finally {
    await rm(dist, { recursive: true, force: true });
  }
});

test('bytes are read again for the CPU when the GPU fails, a stream is used up', async () => {
  const workerUrl = new URL('failing-worker.mjs', import.meta.url);
  const bytes = new Uint8Array(await readFile(FIXTURE));
  for (const source of [bytes, bytes.buffer, [bytes]]) {
    const model = await loadModel(source, { workerUrl });
    assert.equal(model.info.backend, 'cpu');
    assert.match(model.info.backendReason, /^the CPU: the GPU is lost; /);
    await model.dispose();
  }
  const { body } = new Response(bytes);
  for (const source of [body, new Response(bytes), [new Response(bytes)]])
    await refused(loadModel(source, { workerUrl }), 'no-webgpu');
  await refused(loadModel(bytes, { workerUrl, backend: 'webgpu' }), 'no-webgpu');
});

test('probe_gpu says whether Dawn has a device', needsGpu, async () => {
  assert.equal(await WasmModel.probe_gpu(), true);
  assert.equal(WasmModel.is_gpu_available(), true);
});

const PROMPT = 'The walk of';

/** Runs `use(model)` with a model of level 1 that takes the likeliest of 12 tokens. */
async function withModel(use) {
  await init();
  const model = new WasmModel(new Uint8Array(await readFile(FIXTURE)));
  model.set_config(12, 0, 1, 0, 1);
  try {
    return await use(model);
  } finally {
    model.free();
  }
}

async function textOf(stream) {
  let text = '';
  for await (const piece of stream) text += piece;
  return text;
}

test('init_gpu_async brings a model onto the GPU, which writes the same text', needsGpu, () =>
  withModel(async (model) => {
    const expected = model.generate(PROMPT);
    assert.throws(() => model.init_gpu(), { code: 'no-webgpu', hint: /init_gpu_async/ });
    const unused = model.generate_async(PROMPT);
    const going = model.init_gpu_async();
    const { hint } = await refused(unused.next(), 'busy');
    assert.match(hint, /await init_gpu_async/);
    assert.throws(() => model.generate(PROMPT), { code: 'busy', message: /on its way onto the GPU/ });
    await Promise.all([going, model.init_gpu_async()]);
    model.init_gpu();
    assert.equal(WasmModel.is_gpu_available(), true);
    const { backend, backendReason, memory, pagingReason } = model.get_model_info();
    assert.equal(pagingReason, 'all weights are on the GPU');
    assert.equal(backend, 'webgpu');
    assert.match(backendReason, /^WebGPU, as asked: /);
    assert.ok(memory.weights > 0 && memory.kv > 0 && memory.gpu > memory.weights + memory.kv);

    const before = model.counters();
    assert.equal(await textOf(unused), expected);
    const after = model.counters();
    assert.ok(after.gpuDispatches > before.gpuDispatches && after.gpuBytes > 0);
    assert.equal(after.wasmBytes, before.wasmBytes);
    for (const call of [() => model.generate(PROMPT), () => model.generate_stream(PROMPT, () => {})])
      assert.throws(call, { code: 'invalid-argument', hint: /generate_async/ });
    await model.init_gpu_async();

    // A stream that is left gives the model back after its step.
    for await (const piece of model.generate_async(PROMPT)) if (piece !== undefined) break;
    assert.equal(await textOf(model.generate_async(PROMPT)), expected);
    const left = model.generate_async(PROMPT);
    const pending = left.next();
    const { stepsRun } = model.counters();
    while (model.counters().stepsRun === stepsRun) await new Promise(setImmediate);
    await new Promise(setImmediate);
    await left.return();
    await pending; // the step's token, or the end if return() came before it
    assert.equal((await left.next()).done, true);
    assert.equal(await textOf(model.generate_async(PROMPT)), expected);
    const freed = model.generate_async(PROMPT);
    const last = freed.next();
    await new Promise(setImmediate);
    freed.free();
    await last;
    assert.equal(await textOf(model.generate_async(PROMPT)), expected);
  }),
);

test('a model without a GPU says why and goes on with the CPU', () =>
  withModel(async (model) => {
    const expected = model.generate(PROMPT);
    await refused(model.init_gpu_async({ gpu: ['adapter=there is no such adapter'] }), 'no-webgpu');
    await refused(model.init_gpu_async({ gpu: 'backend=vulkan' }), 'invalid-argument');
    await refused(model.init_gpu_async({ flags: [] }), 'invalid-argument');
    assert.throws(() => model.init_gpu(), { code: 'no-webgpu' });
    const { backend, backendReason } = model.get_model_info();
    assert.equal(backend, 'cpu');
    assert.match(backendReason, /^the CPU: WebGPU has no adapter/);
    assert.equal(model.generate(PROMPT), expected);
    assert.equal(model.counters().gpuDispatches, 0);
  }));

test('errors of webgpu.js are of the class that the package exports', needsGpu, () =>
  withModel(async (model) => {
    const going = model.init_gpu_async();
    model.free();
    const error = await refused(going, 'disposed');
    assert.ok(error instanceof ChordError);
    await refused(model.init_gpu_async(), 'disposed');
  }),
);

test('estimate, info and the loaded model name the same bytes on the GPU', needsGpu, async () => {
  const options = {
    backend: 'webgpu',
    gpu: ['enable-dawn-features=disable_workgroup_init'],
    contextLength: 64,
  };
  const { memory, residentBytes } = await estimateModel(FIXTURE, options);
  const reports = [];
  const onProgress = ({ phase, progress }) => reports.push(`${phase} ${progress}`);
  const model = await loadModel(FIXTURE, { ...options, cache: 'none', onProgress });
  assert.deepEqual(reports.slice(-2), ['upload 0.99', 'ready 1']);
  assert.deepEqual(model.info.memory, memory);
  assert.equal((await model.counters()).gpuBytes, memory.gpu);
  await model.dispose();
  const { memory: cpu } = await estimateModel(FIXTURE, { contextLength: 64, threads: 1 });
  assert.ok(Math.abs(residentBytes - cpu.total) < 0.2 * cpu.total, 'what the CPU would need');
  assert.ok(memory.total < cpu.total && cpu.gpu === 0);
  assert.ok(memory.weights / cpu.weights > 0.95 && memory.weights / cpu.weights < 1.05);
  assert.ok(memory.kv >= cpu.kv && memory.gpu > memory.kv + memory.weights);

  const size = (bytes) => `${(bytes / 1e3).toFixed(1)} kB|${(bytes / 1e6).toFixed(1)} MB`;
  for (const command of ['estimate', 'info']) {
    const args = [path.join(root, 'dist/cli.js'), command, FIXTURE, '--backend', 'webgpu', '--ctx', '64'];
    const { stdout } = await execute(process.execPath, args);
    const line = stdout.split('\n').find((text) => /on the GPU/.test(text));
    for (const bytes of [memory.gpu, memory.kv]) assert.match(line, new RegExp(size(bytes)), stdout);
  }
});

test('the command line runs on the GPU when it is asked to', needsGpu, async () => {
  const generate = (...more) =>
    execute(process.execPath, [
      path.join(root, 'dist/cli.js'),
      'generate',
      FIXTURE,
      PROMPT,
      ...['--temperature', '0', '--max-tokens', '12'],
      ...more,
    ]);
  const [cpu, gpu] = await Promise.all([generate('--backend', 'cpu'), generate('--backend', 'webgpu')]);
  assert.equal(gpu.stdout, cpu.stdout);
  assert.match(cpu.stderr, /\ncpu: the CPU, as asked/);
  assert.match(gpu.stderr, /\nwebgpu: WebGPU, as asked: /);
});

test(
  'info --dispatches prints what a token takes on the GPU, and says that the CPU takes none',
  needsGpu,
  async () => {
    const info = (...more) =>
      execute(process.execPath, [path.join(root, 'dist/cli.js'), 'info', FIXTURE, '--dispatches', ...more]);
    const [gpu, json, cpu] = await Promise.all([
      info('--backend', 'webgpu'),
      info('--json'),
      info('--backend', 'cpu'),
    ]);
    const { dispatches } = JSON.parse(json.stdout);
    const inLayer = dispatches.filter(({ label }) => /\/1(\/|$)/.test(label));
    assert.equal(inLayer.length, 6, gpu.stdout);
    assert.ok(inLayer.every(({ workgroups }) => workgroups > 0));
    for (const { label } of dispatches) assert.ok(gpu.stdout.includes(label), label);
    assert.ok(gpu.stdout.includes(`${dispatches.length} dispatches`));
    assert.match(cpu.stdout, /no dispatches: the model runs on the CPU/);
  },
);

test('the memory of released matrices is free, and the CPU executor refuses', async () => {
  const { WasmEngine } = await load('../wasm/engine');
  const module = await WebAssembly.compile(await readFile(path.join(root, 'build/wasm/wasm32-simd.wasm')));
  const engine = WasmEngine.load(module, new Uint8Array(await readFile(FIXTURE)));
  const { heap } = engine.instance;
  const { top } = heap;
  const released = engine.file.release();
  assert.ok(released > 0.9 * engine.file.planInfo.weight_bytes, `${released} bytes`);
  assert.equal(engine.file.release(), 0);
  assert.ok(heap.alloc(released / 8) + released / 8 < top);
  const session = engine.openSession();
  session.push([1]);
  assert.throws(() => engine.executor.run(session, 1), /external/);
  engine.free();
});
