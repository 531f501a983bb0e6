// SPDX-License-Identifier: Apache-2.0
// recurrent.test.mjs: the kernels of linear recurrences against src/program/ops.def in float64, in batches of
// several sizes that continue at their states.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { missing, openGpu } from './gpu.mjs';
import { compared } from './ledger.mjs';
import { randomFrom } from './planes.mjs';
import { bench, download, load, runDispatches, upload } from './room.mjs';

const EPS = 2 ** -23;

describe('recurrences', { skip: missing() || false }, () => {
  const rooms = [];
  before(async () => {
    const modules = await load('device', 'pipelines', 'recurrent');
    const gpu = await openGpu();
    rooms.push(await bench(modules, gpu));
    rooms.push(await bench(modules, gpu, { without: ['subgroups', 'packedDot', 'immediates'] }));
  });
  after(() => rooms.forEach(({ device }) => device.destroy()));

  function near(what, got, want, bound) {
    const error = Math.abs(got - want);
    if (!(error <= bound)) assert.fail(`${what}: ${got}, not ${want} +- ${bound}`);
    compared(error, bound);
  }

  /** A slot of random rows; what is behind a row's elements is 777. */
  function makeSlot(device, rows, width, make) {
    const stride = Math.ceil(width / 4) * 4 + 4;
    const floats = new Float32Array(rows * stride).fill(777);
    for (let t = 0; t < rows && make; t++)
      for (let i = 0; i < width; i++) floats[t * stride + i] = make(t, i);
    return { view: { buffer: upload(device, floats) }, width, stride, floats };
  }

  /**
   * The recurrence in double, from a zero state. Beside each value goes the sum of the magnitudes of its
   * terms: errors grow with what was added up, not with what is left.
   */
  function scanned({ nHead, nKeys, kDim, vDim, qAt, kAt, vAt, isDelta, qScale, kScale }, x, steps, gates, w) {
    const s = Array.from({ length: nHead }, () => new Float64Array(kDim * vDim));
    const sizes = s.map((one) => new Float64Array(one.length));
    const rows = x.map((row, t) => {
      const [out, bound] = [new Float64Array(nHead * vDim), new Float64Array(nHead * vDim)];
      for (let h = 0; h < nHead; h++) {
        const g = isDelta ? h % nKeys : Math.floor(h / (nHead / nKeys));
        const decay = Math.exp(steps[t][h] * w.decay[h]);
        for (let c = 0; c < vDim; c++) {
          const v = row[vAt + h * vDim + c];
          let [kS, kSize] = [0, 0];
          for (let r = 0; r < kDim; r++) {
            kS += row[kAt + g * kDim + r] * s[h][r * vDim + c];
            kSize += Math.abs(row[kAt + g * kDim + r]) * sizes[h][r * vDim + c];
          }
          const by = isDelta ? 1 / (1 + Math.exp(-gates[t][h])) : steps[t][h];
          const u = by * (isDelta ? v - decay * kScale * kS : v);
          const uSize = by * (Math.abs(v) + (isDelta ? decay * kScale * kSize : 0));
          for (let r = 0; r < kDim; r++) {
            const [q, k, at] = [row[qAt + g * kDim + r], row[kAt + g * kDim + r], r * vDim + c];
            s[h][at] = decay * s[h][at] + kScale * k * u;
            sizes[h][at] = decay * sizes[h][at] + kScale * Math.abs(k) * uSize;
            out[h * vDim + c] += qScale * q * s[h][at];
            bound[h * vDim + c] += qScale * Math.abs(q) * sizes[h][at];
          }
          out[h * vDim + c] += (w.skip?.[h] ?? 0) * v;
          bound[h * vDim + c] += Math.abs((w.skip?.[h] ?? 0) * v);
        }
      }
      return { out, bound };
    });
    return { rows, s, sizes };
  }

  async function check(room, o) {
    const { device, scan } = room;
    const { nHead, nKeys, kDim, vDim, isDelta, hasSkip = false, isFused = false } = o;
    const random = randomFrom(kDim + vDim);
    const [qAt, kAt, vAt] = [3, 3 + nKeys * kDim, 5 + 2 * nKeys * kDim];
    const shape = { ...o, qAt, kAt, vAt, qScale: kDim ** -0.5, kScale: isDelta ? 0.5 : 1 };
    const width = vAt + nHead * vDim;
    const batches = [1, 3, 6, 1];
    const total = batches.reduce((a, b) => a + b);
    const x = Array.from({ length: total }, () =>
      Float32Array.from({ length: width }, () => random() * 2 - 1),
    );
    const steps = x.map(() => Float32Array.from({ length: nHead }, () => random()));
    const gates = x.map(() => Float32Array.from({ length: nHead }, () => random() * 4 - 2));
    const w = {
      decay: Float32Array.from({ length: nHead }, () => -random()),
      skip: hasSkip ? Float32Array.from({ length: nHead }, () => random()) : undefined,
    };
    const soft = Float32Array.from({ length: nHead }, () => random() * 4 - 2);
    // Fused: what the scan has is the norm of q and k, and the softplus of the steps.
    const normed = x.map((row) => {
      const to = Float64Array.from(row);
      for (let at = qAt; at < qAt + 2 * nKeys * kDim; at += kDim) {
        const squares = row.subarray(at, at + kDim).reduce((sum, z) => sum + z * z, 0);
        for (let i = at; i < at + kDim; i++) to[i] /= Math.sqrt(squares / kDim + Math.fround(1e-5));
      }
      return to;
    });
    const softened = steps.map((row) => Float64Array.from(row, (z, h) => Math.log1p(Math.exp(z + soft[h]))));
    const given = isFused ? [normed, softened] : [x, steps];
    const { rows, s, sizes } = scanned(shape, ...given, gates, w);
    const vectors = upload(device, Float32Array.from([9, ...w.decay, ...(w.skip ?? soft), ...soft]));
    // Three states; batches use them in turns. Garbage at first: a sequence starts with zeros.
    const n = nHead * kDim * vDim;
    const states = upload(device, new Float32Array(3 * n).fill(99));
    // exp of the decay, the logistic and a token's sums: kDim + 40 roundings of what was added up, per token.
    const bound = (t, size) => (t + 1) * (kDim + 40) * EPS * size;
    let [at, state] = [0, 2];
    for (const count of batches) {
      const next = (state + 1) % 3;
      const out = makeSlot(device, count, nHead * vDim);
      const dispatch = scan({
        ...shape,
        label: 'scan',
        input: makeSlot(device, count, width, (t, i) => x[at + t][i]),
        steps: makeSlot(device, count, nHead, (t, i) => steps[at + t][i]),
        gates: isDelta ? makeSlot(device, count, nHead, (t, i) => gates[at + t][i]) : undefined,
        out,
        decay: { offset: 1, length: nHead },
        skip: hasSkip ? { offset: 1 + nHead, length: nHead } : undefined,
        ...(isFused && { norm: { eps: 1e-5 }, soft: { offset: 1 + 2 * nHead, length: nHead } }),
        vectors: { buffer: vectors },
        states: { buffer: states },
        pages: { buffer: upload(device, new Uint32Array([7, state, next])) },
        table: 1,
      });
      await runDispatches(room, [dispatch], { nTokens: count, firstPosition: at, nOutputs: 1 });
      const got = new Float32Array(await download(device, out.view.buffer));
      for (let t = 0; t < count; t++) {
        const { out: want, bound: size } = rows[at + t];
        want.forEach((z, i) =>
          near(
            `${kDim}x${vDim} token ${at + t} element ${i}`,
            got[t * out.stride + i],
            z,
            bound(at + t, size[i]),
          ),
        );
        assert.equal(got[t * out.stride + nHead * vDim], 777);
      }
      [at, state] = [at + count, next];
    }
    const left = new Float32Array(await download(device, states)).subarray(state * n, (state + 1) * n);
    s.forEach((one, h) =>
      one.forEach((z, i) => near(`state ${h} ${i}`, left[h * kDim * vDim + i], z, bound(total, sizes[h][i]))),
    );
  }

  it('SCAN is a gated delta net', async () => {
    for (const room of rooms) {
      await check(room, { nHead: 4, nKeys: 2, kDim: 32, vDim: 20, isDelta: true });
      await check(room, { nHead: 2, nKeys: 2, kDim: 128, vDim: 128, isDelta: true });
      await check(room, { nHead: 3, nKeys: 1, kDim: 20, vDim: 4, isDelta: true });
      await check(room, { nHead: 4, nKeys: 2, kDim: 32, vDim: 20, isDelta: true, isFused: true });
    }
  });

  it('SCAN is the one of Mamba 2', async () => {
    for (const room of rooms) {
      await check(room, { nHead: 4, nKeys: 2, kDim: 16, vDim: 24, isDelta: false, hasSkip: true });
      await check(room, { nHead: 2, nKeys: 1, kDim: 128, vDim: 64, isDelta: false });
    }
  });

  it('SPLIT gives halves of heads to two slots', async () => {
    for (const room of rooms) {
      const { device, split } = room;
      const [nTokens, nHead, headDim] = [3, 5, 18];
      const random = randomFrom(5);
      const input = makeSlot(device, nTokens, 2 * nHead * headDim, () => random());
      const outs = [
        makeSlot(device, nTokens, nHead * headDim),
        makeSlot(device, nTokens, nHead * headDim + 8),
      ];
      await runDispatches(room, [split({ label: 'split', input, outs, nHead, headDim })], {
        nTokens,
        firstPosition: 0,
        nOutputs: 0,
      });
      for (const [half, out] of outs.entries()) {
        const got = new Float32Array(await download(device, out.view.buffer));
        for (let t = 0; t < nTokens; t++) {
          for (let i = 0; i < nHead * headDim; i++) {
            const from = Math.floor(i / headDim) * 2 * headDim + half * headDim + (i % headDim);
            assert.equal(got[t * out.stride + i], input.floats[t * input.stride + from]);
          }
          assert.equal(got[t * out.stride + nHead * headDim], 777);
        }
      }
      compared();
    }
  });
});
