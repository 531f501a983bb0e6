// SPDX-License-Identifier: Apache-2.0
// encode.test.mjs: ENCODE, ATTEND of whole texts, and POOL against src/program/ops.def in float64, with all
// that the adapter offers and with nothing; and the bits of a text alone and in company.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { missing, openGpu } from './gpu.mjs';
import { compared } from './ledger.mjs';
import { bench, download, load, runDispatches, upload } from './room.mjs';

const EPS = 2 ** -24;
const plain = { without: ['subgroups', 'packedDot', 'immediates'] };
const skip = missing() || false;
let room, gpu, benches;
before(async () => {
  if (skip) return;
  room = await load('device', 'pipelines', 'encode');
  gpu = await openGpu();
  benches = [await bench(room, gpu), await bench(room, gpu, plain)];
});
after(() => benches?.forEach(({ device }) => device.destroy()));

let seed = 11;
function random() {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 31 - 1;
}
const floats = (n, scale = 1) => Float32Array.from({ length: n }, () => scale * random());

/** A slot of `rows` rows of `width` elements, whose stride is wider; behind them a row of NaN. */
function slotOf(device, rows, width, data) {
  const stride = Math.ceil(width / 4) * 4 + 4;
  const all = new Float32Array((rows + 1) * stride).fill(data ? NaN : 777);
  for (let r = 0; r < rows && data; r++) all.set(data.subarray(r * width, (r + 1) * width), r * stride);
  return { view: { buffer: upload(device, all) }, width, stride };
}
async function rowsOf(device, { view, width, stride }, rows) {
  const all = new Float32Array(await download(device, view.buffer));
  const out = new Float32Array(rows * width);
  for (let i = 0; i < all.length; i++) {
    const r = Math.floor(i / stride);
    if (r < rows && i % stride < width) out[r * width + (i % stride)] = all[i];
    else assert.equal(all[i], 777, `element ${i} isn't the op's`);
  }
  return out;
}

/** First row and number of rows of each text. */
const runsOf = (device, texts) => {
  let first = 0;
  const pairs = texts.flatMap((n) => [(first += n) - n, n]);
  return { buffer: upload(device, Uint32Array.from(pairs)) };
};

/** The biases of llama.cpp, as their papers say: ALiBi's slopes for 2^n heads and between; T5's buckets. */
function biasOf({ nHead, maxBias, table, nBuckets }, head, far) {
  if (maxBias > 0) {
    const p = 2 ** Math.floor(Math.log2(nHead));
    const slope =
      head < p ? 2 ** ((-maxBias / p) * (head + 1)) : 2 ** ((-maxBias / 2 / p) * (2 * (head - p) + 1));
    return -slope * Math.abs(far);
  }
  if (table === undefined) return 0;
  const half = nBuckets / 2;
  const exact = half / 2;
  const n = Math.abs(far);
  // At 16, 32 and 64 the logarithm is exact but for rounding: half a bucket's thousandth keeps it there.
  const more = (Math.log(n / exact) / Math.log(128 / exact)) * (half - exact);
  const bucket = n < exact ? n : Math.min(half - 1, exact + Math.floor(more + 1e-4));
  return table[(bucket + (far > 0 ? half : 0)) * nHead + head];
}

/**
 * ENCODE as ops.def says, in float64, with a bound for each element, which attend.test.mjs derives; a bias
 * adds three roundings of itself to a score.
 */
function oracle(c, o) {
  const { nHead, nKv, dim, vDim = dim, texts, queries, keys, values } = c;
  const { reach, isCausal = false, scale, softcap = 0, sinks } = o;
  const [want, bound] = [[], []];
  let first = 0;
  for (const n of texts) {
    for (let t = 0; t < n; t++)
      for (let h = 0; h < nHead; h++) {
        const begin = Math.max(0, t - (reach ?? n));
        const end = isCausal ? t + 1 : Math.min(n, t + (reach ?? n) + 1);
        const of = (x, j) => {
          const width = x.length / c.rows / nKv;
          const at = ((first + j) * nKv + Math.floor(h / (nHead / nKv))) * width;
          return x.subarray(at, at + width);
        };
        const at = ((first + t) * nHead + h) * dim;
        const q = queries.subarray(at, at + dim);
        const scores = [];
        let off = 0;
        for (let j = begin; j < end; j++) {
          const k = of(keys, j);
          let [score, size] = [0, 0];
          for (let i = 0; i < dim; i++) {
            score += q[i] * k[i];
            size += Math.abs(q[i] * k[i]);
          }
          const bias = biasOf({ ...o, nHead }, h, j - t);
          off = Math.max(off, (dim + 4) * EPS * size * scale + 3 * EPS * (Math.abs(bias) + size * scale));
          score = score * scale + bias;
          scores.push(softcap > 0 ? softcap * Math.tanh(score / softcap) : score);
        }
        if (softcap > 0) off += 30 * EPS * softcap;
        const most = Math.max(...scores, sinks?.[h] ?? -Infinity);
        const weights = scores.map((s) => Math.exp(s - most));
        const total = weights.reduce((a, b) => a + b, sinks ? Math.exp(sinks[h] - most) : 0);
        const spread = Math.min(20, most - Math.min(...scores));
        const relative = 2 * (2 * off + (6 + 4 * spread + weights.length + 8) * EPS);
        for (let d = 0; d < vDim; d++) {
          let [sum, size] = [0, 0];
          weights.forEach((w, i) => {
            const v = of(values ?? keys, begin + i)[d];
            sum += (w / total) * v;
            size += (w / total) * Math.abs(v);
          });
          want.push(sum);
          bound.push(relative * size + 1e-30);
        }
      }
    first += n;
  }
  return { want, bound };
}

function caseOf({ nHead, nKv, dim, vDim = dim, isFirst = false, texts, size = 1 }) {
  const rows = texts.reduce((a, b) => a + b);
  return {
    ...{ nHead, nKv, dim, vDim, texts, rows },
    queries: floats(rows * nHead * dim, size),
    keys: floats(rows * nKv * dim, size),
    values: isFirst ? undefined : floats(rows * nKv * vDim),
  };
}

async function encoded(b, c, o) {
  const { nHead, nKv, dim, vDim, texts, rows } = c;
  const out = slotOf(b.device, rows, nHead * vDim);
  const vectors = Float32Array.of(9, 9, 9, ...(o.table ?? o.sinks ?? []));
  const dispatch = b.encode({
    label: 'encode',
    queries: slotOf(b.device, rows, nHead * dim, c.queries),
    keys: slotOf(b.device, rows, nKv * dim, c.keys),
    values: c.values && slotOf(b.device, rows, nKv * vDim, c.values),
    out,
    nHead,
    nKv,
    kDim: dim,
    vDim,
    reach: o.reach,
    softcap: o.softcap,
    sinks: o.sinks && { offset: 3, length: nHead },
    isCausal: o.isCausal ?? false,
    scale: o.scale,
    maxBias: o.maxBias ?? 0,
    table: o.table && { offset: 3, length: o.table.length },
    nBuckets: o.nBuckets ?? 0,
    runs: runsOf(b.device, texts),
    vectors: { buffer: upload(b.device, vectors) },
  });
  await runDispatches(b, [dispatch], { nTokens: rows, firstPosition: 0, nOutputs: 1, texts });
  return rowsOf(b.device, out, rows);
}

async function check(b, shape, options = {}) {
  const c = caseOf(shape);
  const o = { scale: 1 / Math.sqrt(c.dim), ...options };
  const got = await encoded(b, c, o);
  const { want, bound } = oracle(c, o);
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i] - want[i]);
    const what = `${JSON.stringify(shape)}: element ${i}`;
    assert.ok(error <= bound[i], `${what} is ${got[i]}, not ${want[i]} +- ${bound[i]}`);
    compared(error, bound[i]);
  }
  return { c, o, got };
}

test('encode: texts of one to many tiles, heads of any width', { skip }, async () => {
  await check(benches[0], { nHead: 4, nKv: 4, dim: 16, texts: [1, 37, 5, 64] });
  await check(benches[1], { nHead: 6, nKv: 2, dim: 36, texts: [33, 2] });
  await check(benches[0], { nHead: 3, nKv: 1, dim: 5, texts: [70], size: 3 });
});

test('encode: windows, and rows that see none behind them', { skip }, async () => {
  await check(benches[1], { nHead: 2, nKv: 2, dim: 8, texts: [90, 7, 40] }, { reach: 10 });
  await check(benches[0], { nHead: 4, nKv: 2, dim: 8, texts: [50, 33] }, { isCausal: true });
  await check(benches[1], { nHead: 2, nKv: 1, dim: 12, texts: [70, 9] }, { reach: 15, isCausal: true });
});

test('encode: the biases of ALiBi and of T5', { skip }, async () => {
  await check(benches[0], { nHead: 6, nKv: 6, dim: 8, texts: [45, 3] }, { maxBias: 8 });
  for (const [nBuckets, isCausal] of [
    [32, false],
    [64, true],
    [4, false],
  ]) {
    const table = floats(nBuckets * 2, 3);
    const options = { nBuckets, table, isCausal, scale: 1 };
    await check(benches[1], { nHead: 2, nKv: 2, dim: 8, texts: [150, 20] }, options);
  }
});

test(
  'attention of whole texts: values of another width or within the keys, a soft-cap, sinks',
  { skip },
  async () => {
    const isCausal = true;
    await check(
      benches[0],
      { nHead: 4, nKv: 2, dim: 12, vDim: 20, texts: [40, 9] },
      { isCausal, softcap: 2 },
    );
    await check(
      benches[1],
      { nHead: 3, nKv: 1, dim: 36, vDim: 20, isFirst: true, texts: [7, 35] },
      { isCausal },
    );
    const sinks = [1, -2, 0, 3];
    await check(benches[0], { nHead: 4, nKv: 4, dim: 8, texts: [50, 3] }, { isCausal, reach: 15, sinks });
  },
);

test('a text has the same bits alone and in company', { skip }, async () => {
  for (const options of [{ maxBias: 8 }, { reach: 7 }]) {
    const shape = { nHead: 4, nKv: 2, dim: 20, texts: [9, 70, 33] };
    const { c, o, got } = await check(benches[0], shape, options);
    let first = 0;
    for (const n of c.texts) {
      const part = (x) => x.subarray((first * x.length) / c.rows, ((first + n) * x.length) / c.rows);
      const [queries, keys, values] = [c.queries, c.keys, c.values].map(part);
      const alone = await encoded(benches[0], { ...c, texts: [n], rows: n, queries, keys, values }, o);
      assert.deepEqual(new Uint8Array(alone.buffer), new Uint8Array(Float32Array.from(part(got)).buffer));
      compared();
      first += n;
    }
  }
});

test('pool: the mean, the first, the last row of each text, and all rows', { skip }, async () => {
  const [texts, width] = [[3, 1, 20], 77];
  const x = floats(24 * width, 4);
  for (const [kind, b] of [
    [0, benches[0]],
    [1, benches[0]],
    [1, benches[1]],
    [2, benches[1]],
    [3, benches[0]],
  ]) {
    const count = kind === 0 ? 24 : 3;
    const out = slotOf(b.device, count, width);
    const input = slotOf(b.device, 24, width, x);
    const dispatch = b.pool({ label: 'pool', input, out, width, kind, runs: runsOf(b.device, texts) });
    await runDispatches(b, [dispatch], { nTokens: 24, firstPosition: 0, nOutputs: count, texts });
    const got = await rowsOf(b.device, out, count);
    for (let r = 0, first = 0; r < count; first += texts[r++])
      for (let i = 0; i < width; i++) {
        const at = (row) => x[row * width + i];
        let [sum, size] = [0, 0];
        for (let t = 0; t < texts[r]; t++) {
          sum += at(first + t) / texts[r];
          size += Math.abs(at(first + t)) / texts[r];
        }
        const want = kind === 0 ? at(r) : [0, sum, at(first), at(first + texts[r] - 1)][kind];
        // A sum has a rounding for each row, 1 / n and the product one each; a copy has none.
        const bound = kind === 1 ? (texts[r] + 2) * EPS * size : 0;
        const error = Math.abs(got[r * width + i] - want);
        assert.ok(
          error <= bound,
          `kind ${kind}: row ${r} element ${i} is ${got[r * width + i]}, not ${want}`,
        );
        compared(error, bound);
      }
  }
});
