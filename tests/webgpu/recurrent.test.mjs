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
/** Tokens of the batches of a sequence. */
const BATCHES = [1, 3, 6, 1];
const TOKENS = BATCHES.reduce((a, b) => a + b);

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
   * Runs a sequence in BATCHES, each from the state of the one before, and compares its outputs and its last
   * state with `want`: rows of `width` outputs, and the state, each with magnitudes (`bound` makes a bound of
   * token t and a magnitude). `dispatchOf` gets a batch's first token, its number of tokens, and places.
   */
  async function inBatches(room, what, { width, rows, s, sizes }, bound, dispatchOf) {
    const { device } = room;
    // Three states; batches use them in turns. Garbage at first: a sequence starts with zeros.
    const states = upload(device, new Float32Array(3 * s.length).fill(99));
    let [at, state] = [0, 2];
    for (const count of BATCHES) {
      const next = (state + 1) % 3;
      const out = makeSlot(device, count, width);
      const pages = { buffer: upload(device, new Uint32Array([7, state, next])) };
      const dispatch = dispatchOf(at, count, { out, states: { buffer: states }, pages, table: 1 });
      await runDispatches(room, [dispatch], { nTokens: count, firstPosition: at, nOutputs: 1 });
      const got = new Float32Array(await download(device, out.view.buffer));
      for (let t = 0; t < count; t++) {
        const { out: want, bound: size } = rows[at + t];
        want.forEach((z, i) =>
          near(`${what} token ${at + t} element ${i}`, got[t * out.stride + i], z, bound(at + t, size[i])),
        );
        assert.equal(got[t * out.stride + width], 777);
      }
      [at, state] = [at + count, next];
    }
    const left = new Float32Array(await download(device, states)).subarray(state * s.length);
    s.forEach((z, i) => near(`${what} state ${i}`, left[i], z, bound(TOKENS, sizes[i])));
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
    const x = Array.from({ length: TOKENS }, () =>
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
    const want = { width: nHead * vDim, rows, s: s.flatMap((one) => [...one]) };
    want.sizes = sizes.flatMap((one) => [...one]);
    // exp of the decay, the logistic and a token's sums: kDim + 40 roundings of what was added up, per token.
    const bound = (t, size) => (t + 1) * (kDim + 40) * EPS * size;
    await inBatches(room, `${kDim}x${vDim}`, want, bound, (at, count, places) =>
      scan({
        ...shape,
        ...places,
        label: 'scan',
        input: makeSlot(device, count, width, (t, i) => x[at + t][i]),
        steps: makeSlot(device, count, nHead, (t, i) => steps[at + t][i]),
        gates: isDelta ? makeSlot(device, count, nHead, (t, i) => gates[at + t][i]) : undefined,
        decay: { offset: 1, length: nHead },
        skip: hasSkip ? { offset: 1 + nHead, length: nHead } : undefined,
        ...(isFused && { norm: { eps: 1e-5 }, soft: { offset: 1 + 2 * nHead, length: nHead } }),
        vectors: { buffer: vectors },
      }),
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

  const logistic = (z) => 1 / (1 + Math.exp(-z));

  /**
   * WKV of ops.def in double, from zero states; `bound`: the magnitudes of what was added up. Of a token: r,
   * w, k, v and a, [n] each.
   */
  function weighed({ nHead, headDim, eps, hasNorm }, tokens, weights) {
    const n = nHead * headDim;
    const [s, sizes] = [0, 1].map(() => new Float64Array(n * headDim));
    const rows = tokens.map((token) => {
      const [out, bound] = [new Float64Array(n), new Float64Array(n)];
      for (let first = 0; first < n; first += headDim) {
        const of = (x) => Array.from(x.subarray(first, first + headDim));
        const [r, w, k, v] = [token.r, token.w, token.k, token.v].map(of);
        const a = of(token.a).map(logistic);
        const [unit, inner, bonus, gain, bias] = weights.map(of);
        const c = k.map((z, i) => z * unit[i]);
        const length = Math.max(Math.hypot(...c), 1e-12);
        const key = k.map((z, i) => z + (a[i] - 1) * z * inner[i]);
        const decay = w.map((z) => Math.exp(-0.606531 * logistic(z)));
        let [sum, sumSize] = [0, 0];
        for (let i = 0; i < headDim; i++) {
          sum += r[i] * key[i] * bonus[i];
          sumSize += Math.abs(r[i] * k[i] * bonus[i]) * (1 + Math.abs(inner[i]));
        }
        const [raw, rawSize] = [new Float64Array(headDim), new Float64Array(headDim)];
        for (let j = 0; j < headDim; j++) {
          let [gone, goneSize] = [0, 0];
          const at = (i) => (first + i) * headDim + j;
          for (let i = 0; i < headDim; i++) {
            gone += (c[i] / length) * s[at(i)];
            goneSize += Math.abs(c[i] / length) * sizes[at(i)];
          }
          for (let i = 0; i < headDim; i++) {
            const b = (a[i] * c[i]) / length;
            const keySize = Math.abs(k[i]) * (1 + Math.abs(inner[i]));
            s[at(i)] = decay[i] * s[at(i)] + key[i] * v[j] - b * gone;
            sizes[at(i)] = decay[i] * sizes[at(i)] + keySize * Math.abs(v[j]) + Math.abs(b) * goneSize;
            raw[j] += r[i] * s[at(i)];
            rawSize[j] += Math.abs(r[i]) * sizes[at(i)];
          }
        }
        const mean = raw.reduce((x, y) => x + y) / headDim;
        const squares = raw.reduce((x, y) => x + (y - mean) ** 2, 0) / headDim;
        const by = hasNorm ? 1 / Math.sqrt(squares + eps) : 1;
        // A norm's element has the errors of its own, of the mean and of the variance.
        const worst = Math.max(...rawSize);
        for (let j = 0; j < headDim; j++) {
          const normed = hasNorm ? (raw[j] - mean) * by * gain[j] + bias[j] : raw[j];
          const size = hasNorm
            ? 2 * worst * by * Math.abs(gain[j]) * (1 + Math.abs(raw[j] - mean) * by) + Math.abs(bias[j])
            : rawSize[j];
          out[first + j] = normed + sum * v[j];
          bound[first + j] = size + sumSize * Math.abs(v[j]);
        }
      }
      return { out, bound };
    });
    return { rows, s, sizes };
  }

  async function checkWkv(room, o) {
    const { device, wkv } = room;
    const { nHead, headDim, hasNorm } = o;
    const n = nHead * headDim;
    const random = randomFrom(n);
    const draw = (least, most) => Float32Array.from({ length: n }, () => least + (most - least) * random());
    const tokens = Array.from({ length: TOKENS }, () => ({
      r: draw(-1, 1),
      w: draw(-6, 6),
      k: draw(-1, 1),
      v: draw(-1, 1),
      a: draw(-3, 3),
    }));
    tokens[4].k.fill(0, 0, headDim); // a head's key without a length
    tokens[5].r = tokens[5].r.map((z) => z / 100); // outputs so small that the norm's eps counts
    const weights = [draw(0.5, 1.5), draw(0, 1), draw(-1, 1), draw(0.5, 1.5), draw(-1, 1)];
    const { rows, s, sizes } = weighed({ ...o, eps: Math.fround(64e-5) }, tokens, weights);
    const vectors = upload(device, Float32Array.from([9, ...weights.flatMap((w) => [...w])]));
    const vector = (i) => ({ offset: 1 + i * n, length: n });
    // A key's length, two logistics and exp beside the sums of a token.
    const bound = (t, size) => (t + 1) * (3 * headDim + 60) * EPS * size;
    await inBatches(room, `${headDim}`, { width: n, rows, s, sizes }, bound, (at, count, places) => {
      const pair = (x, y) => makeSlot(device, count, 2 * n, (t, i) => tokens[at + t][i < n ? x : y][i % n]);
      return wkv({
        ...places,
        label: 'wkv',
        receptances: pair('r', 'w'),
        keys: pair('k', 'v'),
        rates: makeSlot(device, count, n, (t, i) => tokens[at + t].a[i]),
        nHead,
        headDim,
        unit: vector(0),
        inner: vector(1),
        bonus: vector(2),
        norm: hasNorm ? { gain: vector(3), bias: vector(4), eps: 64e-5 } : undefined,
        vectors: { buffer: vectors },
      });
    });
  }

  it('WKV is the recurrence of RWKV 7', async () => {
    for (const room of rooms) {
      await checkWkv(room, { nHead: 3, headDim: 16, hasNorm: false });
      await checkWkv(room, { nHead: 2, headDim: 64, hasNorm: true });
      await checkWkv(room, { nHead: 1, headDim: 128, hasNorm: true });
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
