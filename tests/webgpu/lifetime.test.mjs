// SPDX-License-Identifier: Apache-2.0
// What executors leave behind on a device: nothing. And a GPU that never answers.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { openModel, room } from './engine.mjs';
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
