// SPDX-License-Identifier: Apache-2.0
// level2-device.test.mjs: what the package finds on the device, and what it says about it: a process that
// grants little address space, a machine with one core, multiply-adds that are fused.
import assert from 'node:assert/strict';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { promisify } from 'node:util';
import init, { loadModel } from '../../dist/index.js';
import { VARIANTS } from './judged.mjs';
import { FIXTURE, GREEDY, refused, withModel } from './level2.mjs';

const MiB = 2 ** 20;

/** Runs `use` in a process that grants no WebAssembly memory with a maximum above `bytes`. */
async function grantedAtMost(bytes, use) {
  const { Memory } = WebAssembly;
  const tried = [];
  WebAssembly.Memory = function (descriptor) {
    tried.push(descriptor.maximum * 65536);
    if (descriptor.maximum * 65536 > bytes) throw new RangeError('could not allocate memory');
    return new Memory(descriptor);
  };
  try {
    await use(tried);
  } finally {
    WebAssembly.Memory = Memory;
  }
}

test('a process that grants 64 MiB of address space runs a small model, and one that grants 110 MiB gets 96', async () => {
  for (const [granted, got] of [
    [64, 64],
    [110, 96],
    [255, 192],
    [4096, 4096],
  ])
    await grantedAtMost(granted * MiB, (tried) =>
      withModel(FIXTURE, { worker: false }, async (model) => {
        assert.equal(tried.at(-1), got * MiB);
        assert.equal(typeof (await model.generate('Hello', { ...GREEDY, maxTokens: 2 }).text()), 'string');
      }),
    );
});

test('a process that grants less is out-of-memory, and the message has the last maximum tried', () =>
  grantedAtMost(64 * MiB - 1, async () => {
    const error = await refused(loadModel(FIXTURE, { worker: false }), 'out-of-memory', `${64 * MiB} bytes`);
    assert.match(error.hint, /dispose/);
  }));

test('on a machine with one core the reason is the machine, unless the caller asked for one thread', async () => {
  const { availableParallelism } = os;
  os.availableParallelism = () => 1;
  syncBuiltinESMExports();
  try {
    await withModel(FIXTURE, { worker: false }, ({ info }) =>
      assert.match(info.backendReason, /1 thread: the machine has only one/),
    );
    await withModel(FIXTURE, { worker: false, threads: 1 }, ({ info }) =>
      assert.match(info.backendReason, /1 thread, as asked/),
    );
  } finally {
    os.availableParallelism = availableParallelism;
    syncBuiltinESMExports();
  }
});

test('a context beyond the trained one is refused, and the message has both lengths', async () => {
  for (const contextLength of [257, 1_000_000, 2 ** 31 - 1])
    await refused(loadModel(FIXTURE, { contextLength }), 'invalid-argument', String(contextLength), '256');
  await withModel(FIXTURE, { contextLength: 256 }, ({ info }) => assert.equal(info.contextLength, 256));
});

test('init refuses an option that it does not know, before and after a success', async () => {
  await refused(init({ wasmURL: 'x' }), 'invalid-argument', 'wasmURL');
  await init();
  await refused(init({ wasmURL: 'x' }), 'invalid-argument', 'wasmURL');
  await refused(init(5), 'invalid-argument');
});

/** Prints the variant, and the bits of a fixture's logits as a hash. */
const LOGITS = `
  const { loadModel } = await import(${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)});
  const { createHash } = await import('node:crypto');
  const model = await loadModel(${JSON.stringify(FIXTURE)}, { threads: 1 });
  const logits = await model.logits([1, 2, 3, 4, 5, 6, 7, 8]);
  const { variant } = model.info;
  await model.dispose();
  console.log(variant, createHash('sha256').update(new Uint8Array(logits.buffer)).digest('hex'));
`;

test("the variant's name has +fma where relaxed multiply-adds are fused, and tells apart what rounds apart", async (t) => {
  const run = async (...flags) => {
    const command = [...VARIANTS['wasm32-relaxed'], ...flags, '--input-type=module', '-e', LOGITS];
    return (await promisify(execFile)(process.execPath, command)).stdout.trim().split(' ');
  };
  const [variant, hash] = await run();
  const [plain, plainHash] = await run('--no-enable-fma3'); // on ARM the flag changes nothing
  t.diagnostic(`${variant} ${hash.slice(0, 8)}, with --no-enable-fma3 ${plain} ${plainHash.slice(0, 8)}`);
  for (const name of [variant, plain]) assert.match(name, /^wasm32-relaxed(\+fma)?$/);
  assert.equal(variant === plain, hash === plainHash);
  const isX64 = process.arch === 'x64';
  if (isX64) assert.equal(plain, 'wasm32-relaxed');
  if (process.platform === 'linux' && isX64)
    assert.equal(variant.endsWith('+fma'), / fma /.test(await readFile('/proc/cpuinfo', 'utf8')));
});
