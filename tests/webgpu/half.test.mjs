// SPDX-License-Identifier: Apache-2.0
// half.test.mjs: products of prompts whose inputs and codes are f16 in workgroup memory, against sums in
// double: with words on any device, and with the type f16 where the device has it, as Firefox over lavapipe.
//
// Bounds. The scaled inputs: TILES in ts/webgpu/tiles.ts. Products over them: eps = 2^-23 allows any
// rounding; a term passes the 32 sums of its group, the n / 32 sums of groups, and ten operations: scales,
// offset, bias, old value. Products below 2^-126 may become 0.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { missing, openGpu } from './gpu.mjs';
import { compared } from './ledger.mjs';
import { FORMATS, decodeRow, halfToNumber, makeMatrix, randomFrom, randomRow } from './planes.mjs';
import { bench, download, load, runDispatches, upload } from './room.mjs';

const EPS = 2 ** -23;
const TINY = 2 ** -126;

describe('MATMUL over f16', { skip: missing() || false }, () => {
  let tile;
  const rooms = [];
  before(async () => {
    const modules = await load('device', 'pipelines', 'matmul', 'tiles');
    const gpu = await openGpu();
    tile = modules.TILES.find(({ inputs }) => inputs === 'f16');
    rooms.push(await bench(modules, gpu, { f16Tiles: true, fastDot: false }));
    const without = ['f16', 'subgroups', 'packedDot', 'immediates'];
    rooms.push(await bench(modules, gpu, { f16Tiles: true, without }));
  });
  after(() => rooms.forEach(({ device }) => device.destroy()));

  /** Element i of token t, of inputs like those that models have, or like none. */
  const KINDS = {
    plain: (random) => random() * 4 - 2,
    /** Some past what f16 holds, beside small ones. */
    outliers: (random, t, i) => (random() * 2 - 1) * (i % 37 === t ? 6e4 : i % 61 === 0 ? 1e7 : 1e-3),
    /** Groups of zeros, and of numbers whose power would overflow. */
    tiny: (random, t, i) => (random() * 2 - 1) * [1e-36, 0, 1e-30, 1e-5][((i >> 5) + t) & 3],
  };

  function makeInput(device, n, count, random, kind) {
    const stride = Math.ceil((n + 1) / 4) * 4;
    const floats = new Float32Array(stride * count).fill(NaN);
    for (let t = 0; t < count; t++)
      for (let i = 0; i < n; i++) floats[t * stride + i] = KINDS[kind](random, t, i);
    return { floats, stride, slot: { view: { buffer: upload(device, floats) }, width: n, stride } };
  }

  function near(what, got, want, bound) {
    const error = Math.abs(got - want);
    if (!(error <= bound)) assert.fail(`${what}: ${got}, not ${want} +- ${bound}`);
    compared(error, bound);
  }

  /** The inputs of token t as stage() wrote them; checks them against `x` and their sums. */
  function stagedInputs(bytes, n, t, x, what) {
    const groups = Math.ceil(n / 32);
    const values = new Float64Array(n);
    for (let b = 0; b < groups; b++) {
      const at = (t * groups + b) * 80;
      const halves = Array.from(new Uint16Array(bytes, at, 32), halfToNumber);
      const [scale, ...sums] = new Float32Array(bytes, at + 64, 4);
      assert.ok(Number.isInteger(Math.log2(scale)), `${what}: a power of two`);
      const group = Array.from({ length: 32 }, (_, i) => x[32 * b + i]).slice(0, n - 32 * b);
      const largest = Math.max(...group.map(Math.abs));
      halves.forEach((h, i) => {
        assert.ok(Number.isFinite(h), `${what}: an overflow`);
        if (i >= group.length) return assert.equal(h, 0, `${what}: behind the row`);
        values[32 * b + i] = h * scale;
        near(
          `${what} ${32 * b + i}`,
          h * scale,
          group[i],
          2 ** -10 * Math.abs(group[i]) + 2 ** -28 * largest + TINY,
        );
      });
      for (const half of [0, 1]) {
        const list = halves.slice(16 * half, 16 * half + 16);
        const size = list.reduce((sum, h) => sum + Math.abs(h), 0);
        const want = list.reduce((sum, h) => sum + h, 0) * scale;
        near(`${what}: sum ${b}`, sums[half], want, 17 * EPS * size * scale + TINY);
      }
    }
    return values;
  }

  /** One to three matrices. Returns the NMSE against sums over the inputs themselves. */
  async function check(
    room,
    { n, formats, rows, nTokens, kind = 'plain', weights = 'sane', add = false, cuts },
  ) {
    const { device, features, matmul, stage, stagedBytes } = room;
    const random = randomFrom(n * 7 + nTokens);
    const made = formats.map((format) => {
      const files = Array.from({ length: rows }, () => randomRow(format, n, random, weights));
      return { files, format, decoded: files.map((row) => decodeRow(format, row)) };
    });
    const { floats, stride, slot } = makeInput(device, n, nTokens, random, kind);
    const outStride = Math.ceil((rows + 1) / 4) * 4;
    const outs = made.map(() => upload(device, new Float32Array(outStride * (nTokens + 1)).fill(7)));
    const vectors = Float32Array.from({ length: rows + 3 }, () => random());
    const view = { buffer: upload(device, nTokens * stagedBytes(tile, n)) };
    const matrices = made.map(({ format, files }) => makeMatrix(device, format, n, files, cuts));
    assert.ok(tile.takes(matrices));
    const dispatches = matmul({
      label: 'test',
      input: slot,
      nIn: n,
      matrices: matrices.map((matrix, s) => ({
        matrix,
        rows: { first: 0, count: rows },
        bias: { offset: 3, length: rows },
        out: { view: { buffer: outs[s] }, width: rows, stride: outStride },
      })),
      add,
      rowsOf: 'batch',
      tokens: 'many',
      vectors: { buffer: upload(device, vectors) },
      features,
      staged: { tile, view },
    });
    for (const { kernel } of dispatches) assert.equal(kernel, 'matmul_half');
    const batch = { nTokens, firstPosition: 0, nOutputs: 1 };
    await runDispatches(
      room,
      [stage({ tile, label: 'test', input: slot, nIn: n, out: view }), ...dispatches],
      batch,
    );
    const bytes = await download(device, view.buffer);
    let [wrong, whole] = [0, 0];
    const inputs = Array.from({ length: nTokens }, (_, t) => {
      const x = floats.subarray(t * stride, t * stride + n);
      return { x, staged: stagedInputs(bytes, n, t, x, `${formats} ${kind} token ${t}`) };
    });
    for (const [s, { format, decoded }] of made.entries()) {
      const got = new Float32Array(await download(device, outs[s]));
      for (let t = 0; t <= nTokens; t++)
        for (let r = 0; r < outStride; r++) {
          const at = t * outStride + r;
          const what = `${format} ${n}x${rows} ${kind} ${weights}: row ${r} token ${t}`;
          if (r >= rows || t === nTokens) {
            assert.equal(got[at], 7, what);
            continue;
          }
          const other = vectors[3 + r] + (add ? 7 : 0);
          let [sum, size, exact] = [other, Math.abs(other), other];
          decoded[r].values.forEach((w, i) => {
            sum += w * inputs[t].staged[i];
            size += decoded[r].sizes[i] * Math.abs(inputs[t].staged[i]);
            exact += w * inputs[t].x[i];
          });
          near(what, got[at], sum, (42 + n / 32) * EPS * size + n * TINY);
          wrong += (got[at] - exact) ** 2;
          whole += (exact - other) ** 2;
        }
    }
    return wrong / whole;
  }

  const formats = Object.entries(FORMATS).filter(([name, { elements }]) => elements > 1 || name === 'f16');
  formats.forEach(([format, { elements }], i) =>
    it(`multiplies ${format} by f16 inputs`, async () => {
      const n = elements === 1 ? 165 : Math.max(96, 2 * elements);
      const nmse = await check(rooms[i % 2], { n, formats: [format], rows: 37, nTokens: 65 });
      // Four times what rounding to nearest leaves: a device may truncate.
      assert.ok(nmse > 1e-9 && nmse < 2 ** -20 / 3, `NMSE ${nmse}`);
    }),
  );

  it('multiplies short rows', async () => {
    await check(rooms[0], { n: 5, formats: ['f16'], rows: 3, nTokens: 9 });
    await check(rooms[1], { n: 32, formats: ['q8_0'], rows: 1, nTokens: 64, kind: 'tiny' });
  });

  it('holds outliers and tiny numbers beside each other', async () => {
    for (const kind of ['outliers', 'tiny'])
      for (const format of ['q4_k', 'f16'])
        for (const room of rooms)
          await check(room, { n: 512, formats: [format], rows: 70, nTokens: 10, kind });
  });

  it('holds the largest, subnormal and zero scales of weights', async () => {
    for (const weights of ['largest', 'subnormal', 'zero'])
      for (const format of ['q6_k', 'f16'])
        await check(rooms[0], { n: 256, formats: [format], rows: 9, nTokens: 33, weights });
  });

  it('takes two matrices, adds to the output, takes a matrix in parts', async () => {
    await check(rooms[0], { n: 256, formats: ['q4_k', 'q6_k'], rows: 70, nTokens: 9, add: true });
    await check(rooms[1], { n: 64, formats: ['q4_0', 'f16'], rows: 20, nTokens: 12, cuts: [0, 4, 12] });
  });

  it('uses the type f16 where the device has it', async () => {
    const { device, features, tileOf } = rooms[0];
    const isFirefox = /Firefox/.test(globalThis.navigator?.userAgent);
    assert.equal(features.f16, device.features.has('shader-f16'));
    if (isFirefox) assert.ok(features.f16, 'Firefox over lavapipe has f16');
    assert.equal(tile.with(features)[0], features.f16 ? 'half_native' : 'half_words');
    assert.equal(tile.with(rooms[1].features)[0], 'half_words');
    for (const [format, inputs] of [['q4_k', 'f16'], ['f16', 'f16'], ['f32'], ['bf16']])
      assert.equal(tileOf([{ format, nIn: 256 }], features)?.inputs, inputs);
    // Packed dots are preferred where they are fast.
    assert.equal(tileOf([{ format: 'q4_k', nIn: 256 }], { ...features, fastDot: true }).inputs, 'q8');
    assert.equal(tileOf([{ format: 'f16', nIn: 256 }], { ...features, fastDot: true }).inputs, 'f16');
    assert.equal(tileOf([{ format: 'q4_k', nIn: 256 }], { ...features, f16Tiles: false }), undefined);
  });
});
