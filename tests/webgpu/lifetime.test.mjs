// SPDX-License-Identifier: Apache-2.0
// What executors leave behind on a device: nothing. And a GPU that never answers.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { openModel, room, wasm } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const bytes = new Uint8Array(await readFile(new URL('../golden/f32-mha.gguf', import.meta.url)));
const IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5];

/** Counts the buffers of a device that aren't destroyed. `made(buffer)` may change each new buffer. */
function watchBuffers(device, made = () => undefined) {
  const alive = new Set();
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    alive.add(buffer);
    buffer.destroy = () => {
      alive.delete(buffer);
      destroy();
    };
    made(buffer);
    return buffer;
  };
  return alive;
}

test('models come and go fifty times on one device, and no buffer stays', { skip }, async (t) => {
  const opened = await room.openDevice(gpu);
  t.after(() => opened.device.destroy());
  const on = { opened, pipelines: new room.Pipelines(opened.device, opened.features) };
  const alive = watchBuffers(opened.device);
  let first;
  for (let i = 0; i < 50; i++) {
    const model = await openModel(gpu, bytes, { on });
    // A run makes the buffers that come late: output rows, parameters. Every tenth time is enough.
    if (i % 10 === 0) {
      const rows = await model.logits(IDS);
      first ??= rows;
      assert.deepEqual(rows, first);
    }
    model.free();
    assert.deepEqual(
      [...alive].map(({ label }) => label),
      [],
      `after ${i + 1} models`,
    );
  }
});

test('two models on one device compute beside each other', { skip }, async (t) => {
  const opened = await room.openDevice(gpu);
  t.after(() => opened.device.destroy());
  const on = { opened, pipelines: new room.Pipelines(opened.device, opened.features) };
  const [a, b] = [await openModel(gpu, bytes, { on }), await openModel(gpu, bytes, { on, kvType: 'f32' })];
  const [alone, other] = [await a.logits(IDS), await b.logits(IDS)];
  const [besideA, besideB] = await Promise.all([a.logits(IDS), b.logits(IDS)]);
  assert.deepEqual(besideA, alone);
  assert.deepEqual(besideB, other);
  a.free();
  assert.deepEqual(await b.logits(IDS), other, 'after the first was freed');
  b.free();
});

test('an adapter whose subgroups are wrong gets plain kernels, with the reason', { skip }, async (t) => {
  const opened = await room.openDevice(gpu);
  t.after(() => opened.device.destroy());
  class Wary extends room.SelfTest {
    run(on, ...rest) {
      return on.features.subgroups
        ? Promise.resolve({ part: 'f32', why: 'row 0 is wrong' })
        : super.run(on, ...rest);
    }
  }
  const engine = room.WasmEngine.load(await wasm(), bytes, { isExternal: true });
  t.after(() => engine.free());
  const program = room.readProgram(engine.instance, engine.file);
  const start = async (SelfTest) => {
    const begun = await room.GpuStart.open({ module: { ...room, SelfTest }, opened }, program);
    begun.begin(program);
    await begun.push(0, 0, bytes);
    return begun.finish();
  };
  const rowOf = async (executor) => {
    const session = engine.openSession();
    session.push(IDS);
    while (!(await executor.run(session, Infinity)).isDone) continue;
    const row = session.logits();
    executor.close(session);
    session.close();
    return row;
  };
  const executor = await start(Wary);
  assert.match(executor.downgrade, /plain kernels, because with subgroups and packed dots row 0 is wrong/);
  assert.equal(executor.features.subgroups, false);
  assert.ok(executor.selfTest.length > 0);
  assert.ok(executor.selfTest.every(({ difference, bound }) => difference <= bound));
  const row = await rowOf(executor);
  executor.free();

  const whole = await start(room.SelfTest);
  assert.equal(whole.downgrade, undefined);
  (await rowOf(whole)).forEach((x, i) => assert.ok(Math.abs(x - row[i]) < 1e-3));
  whole.free();
  class Never extends room.SelfTest {
    run() {
      return Promise.resolve({ part: 'f32', why: 'all is wrong' });
    }
  }
  await assert.rejects(start(Never), { code: 'no-webgpu', message: /computes wrongly: all is wrong/ });
});

/** Each wrong in one way: a kernel's text is changed on its way to the driver. */
const WRONG = {
  'f16 is wrong': {
    change: ['halve', '268u-', '240u-'],
    downgrade: /^without f16, because row \d of .* \(f16\), 'many' over f16, gives /,
    features: { f16Tiles: false, subgroups: true },
  },
  'lanes have another order': {
    change: ['probe_subgroup', 'subgroupShuffleXor(local,i)', 'subgroupShuffleXor(local,i^1u)'],
    downgrade: /^without subgroups, because lane 0 of 64 isn't in the order that kernels need/,
    features: { f16Tiles: true, subgroups: false },
  },
  'a kernel is refused': {
    change: ['matmul_half', 'fn main', 'fn main_'],
    downgrade: /^only plain kernels, because with subgroups and packed dots kernel matmul_half/,
    features: { f16Tiles: false, subgroups: false, packedDot: false },
  },
};
for (const [fault, { change, downgrade, features }] of Object.entries(WRONG))
  test(
    `an adapter on which ${fault} gets the kernels that are right, with the reason`,
    { skip },
    async (t) => {
      const opened = await room.openDevice(gpu, { f16Tiles: true, fastDot: false });
      t.after(() => opened.device.destroy());
      const create = opened.device.createShaderModule.bind(opened.device);
      const [kernel, from, to] = change;
      opened.device.createShaderModule = ({ label, code }) =>
        create({ label, code: label === kernel ? code.replace(from, to) : code });
      const file = new Uint8Array(await readFile(new URL('../golden/f16-fused.gguf', import.meta.url)));
      const engine = room.WasmEngine.load(await wasm(), file, { isExternal: true });
      t.after(() => engine.free());
      const program = room.readProgram(engine.instance, engine.file);
      // Without the dummy batch, whose kernels take most of the time to compile.
      const GpuExecutor = {
        open: async (parts) => Object.assign(await room.GpuExecutor.open(parts), { warm: async () => {} }),
      };
      const begun = await room.GpuStart.open({ module: { ...room, GpuExecutor }, opened }, program);
      begun.begin(program);
      await begun.push(0, 0, file);
      const executor = await begun.finish();
      assert.match(executor.downgrade, downgrade);
      for (const [name, value] of Object.entries(features))
        assert.equal(executor.features[name], value, name);
      assert.ok(executor.selfTest.every(({ difference, bound }) => difference <= bound));
      assert.equal(
        executor.selfTest.some(({ inputs }) => inputs === 'f16'),
        features.f16Tiles,
      );
      executor.free();
    },
  );

test(
  'a GPU that never answers ends a run with device-lost, which says how long it was waited for',
  { skip },
  async (t) => {
    const opened = await room.openDevice(gpu);
    t.after(() => opened.device.destroy());
    const on = { opened, pipelines: new room.Pipelines(opened.device, opened.features) };
    let isStuck = false;
    watchBuffers(opened.device, (buffer) => {
      const map = buffer.mapAsync.bind(buffer);
      buffer.mapAsync = (...range) => (isStuck ? new Promise(() => {}) : map(...range));
    });
    const model = await openModel(gpu, bytes, { on, patienceMs: 60_000 });
    const expected = await model.logits(IDS);
    model.free();
    const stuck = await openModel(gpu, bytes, { on, patienceMs: 300 });
    isStuck = true;
    await assert.rejects(stuck.logits(IDS), { code: 'device-lost', message: /has not answered for 0\.3 s/ });
    isStuck = false;
    stuck.free();
    const next = await openModel(gpu, bytes, { on });
    assert.deepEqual(await next.logits(IDS), expected);
    next.free();
  },
);
