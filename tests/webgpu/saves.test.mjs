// SPDX-License-Identifier: Apache-2.0
// saves.test.mjs: sessions on the GPU, saved and restored, there and on the CPU.
import test from 'node:test';
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../dist/index.js';
import { missing, useDriver } from './gpu.mjs';
import { load } from './room.mjs';

const skip = missing() || false;
useDriver();
const fixture = (name) => fileURLToPath(new URL(`../golden/${name}.gguf`, import.meta.url));
const webgpuUrl = new URL('watched-webgpu.mjs', import.meta.url);
const ids = Array.from({ length: 75 }, (_, i) => (i * 37) % 290);
/** See gpu.mjs. */
const gpuFlags = ['enable-dawn-features=disable_workgroup_init'];
const options = { maxTokens: 8, temperature: 0.8, seed: 5, ignoreEos: true };

async function using(name, loads, use) {
  const models = [];
  try {
    for (const more of loads)
      models.push(await loadModel(fixture(name), { worker: false, webgpuUrl, gpu: gpuFlags, ...more }));
    await use(...models);
  } finally {
    for (const model of models) await model.dispose();
  }
}
async function tokensOf(run) {
  const tokens = [];
  for await (const { token } of run) tokens.push(token);
  return tokens;
}
const begun = async (model) => {
  const session = await model.createSession();
  await tokensOf(session.generate(ids, options));
  return session;
};
async function restored(model, save) {
  const session = await model.createSession();
  await session.restore(save);
  return session;
}
/** What comes next, of a session whose tokens are `all`. */
const goOn = (session, all) => tokensOf(session.generate([...all, 7], options));

for (const [name, kvType] of [
  ['f32-odd-tied', 'f16'],
  ['gemma3-f32', 'q8_0'],
])
  test(`${name}, ${kvType}: a session goes on where it was saved, on the GPU and on the CPU`, { skip }, () =>
    using(
      name,
      [
        { backend: 'webgpu', kvType },
        { backend: 'cpu', kvType },
      ],
      async (gpu, cpu) => {
        for (const [from, other] of [
          [gpu, cpu],
          [cpu, gpu],
        ]) {
          const session = await begun(from);
          const save = await session.save();
          const all = session.tokens;
          const same = await restored(from, save);
          assert.deepEqual(same.tokens, all);
          assert.deepEqual(await same.save(), save, 'the same bytes again');
          const moved = await restored(other, save);
          assert.deepEqual(await moved.save(), save, "the other one's bytes");
          const expected = await goOn(session, all);
          assert.deepEqual(await goOn(same, all), expected);
          assert.deepEqual(await goOn(moved, all), expected);
          const { tokensPrefilled } = await other.counters();
          assert.ok(tokensPrefilled < 2 * ids.length + 16, 'what was restored is evaluated no more');
        }
      },
    ),
  );

test('keys and values of a save are those of the CPU, each at its place', { skip }, () =>
  using(
    'f32-odd-tied',
    [
      { backend: 'webgpu', kvType: 'f32' },
      { backend: 'cpu', kvType: 'f32' },
    ],
    async (gpu, cpu) => {
      const saves = [];
      for (const model of [gpu, cpu]) {
        const session = await model.createSession();
        await tokensOf(session.generate(ids, { ...options, maxTokens: 1 }));
        saves.push(await session.save());
      }
      const [got, want] = saves.map((save) => {
        const floats = save.length - 8 - 2 * 2 * 20 * 4 * ids.length; // layers, K and V, width
        return new Float32Array(save.slice(floats, -8).buffer);
      });
      assert.equal(got.length, want.length);
      let [error, power] = [0, 0];
      want.forEach((x, i) => {
        error += (got[i] - x) ** 2;
        power += x * x;
      });
      // Sums of at most 100 terms in another order: each is off by 100 * 2^-24 of its size at most, 6e-6.
      assert.ok(error / power < 1e-9, `NMSE ${error / power}`);
    },
  ),
);

test('a damaged save is refused, and a lost GPU evaluates a restored session again', { skip }, () =>
  using('f32-mha', [{ backend: 'webgpu' }], async (model) => {
    const device = globalThis.devices.at(-1);
    const session = await begun(model);
    const save = await session.save();
    const all = session.tokens;
    const damaged = save.slice();
    damaged[save.length - 400] ^= 1;
    const other = await model.createSession();
    await assert.rejects(other.restore(damaged), { code: 'integrity' });
    await assert.rejects(other.restore(save.subarray(0, 4000)), { code: 'integrity' });
    await other.restore(save);
    const expected = await goOn(session, all);
    device.destroy();
    assert.deepEqual(await goOn(other, all), expected);
    // The next loss is in the middle of a save.
    globalThis.devices.at(-1).destroy();
    await assert.rejects(other.save(), { code: 'device-lost', hint: 'save the session again' });
    assert.ok((await other.save()).length > 0);
  }),
);

test('pieces of a page: every byte of a row once, states behind each other', async () => {
  const { piecesOf } = await load('saves');
  const cache = { kind: 0, n_kv: 2, k_dim: 96, v_dim: 32, window: 0, n_state: 0, cls: 0 };
  const state = { ...cache, kind: 2, cls: 1 };
  for (const [kv, rows] of [
    ['f32', 4],
    ['f16', 2],
    ['q8_0', 34 / 32],
  ]) {
    const program = { kv, caches: [cache, { ...state, n_state: 3 }, { ...state, n_state: 8 }] };
    const { caches, bytes } = piecesOf(program, 0);
    assert.equal(bytes, 2 * 32 * (96 + 32) * rows);
    const [core, gpu] = ['core', 'gpu'].map((side) =>
      caches
        .get(0)
        .map((piece) => [piece[side], piece[side] + piece.bytes])
        .sort(([a], [b]) => a - b),
    );
    core.forEach(([from], i) => assert.equal(from, i === 0 ? 0 : core[i - 1][1]));
    assert.equal(core.at(-1)[1], bytes);
    gpu.forEach(([from], i) => assert.ok(i === 0 || from >= gpu[i - 1][1]));
    const states = piecesOf(program, 1);
    assert.deepEqual([...states.caches.values()].flat(), [
      { core: 0, gpu: 0, bytes: 12 },
      { core: 16, gpu: 0, bytes: 32 },
    ]);
    assert.equal(states.bytes, 48);
  }
});
