// SPDX-License-Identifier: Apache-2.0
// attend.test.mjs: KV_STORE and ATTEND over paged caches against src/program/ops.def in float64, with all
// that the adapter offers and with nothing. Keys and values of the oracle are what the cache's type makes of
// them, computed here.
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
  room = await load('device', 'pipelines', 'attend', 'rows');
  gpu = await openGpu();
  benches = [await bench(room, gpu), await bench(room, gpu, plain)];
});
after(() => benches?.forEach(({ device }) => device.destroy()));

let seed = 7;
function random() {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 31 - 1;
}
const floats = (n, scale = 1) => Float32Array.from({ length: n }, () => scale * random());

/** Rounds to f16, ties to even, as pack2x16float does on every adapter seen. Largest: 65504. */
function toF16(x) {
  const a = Math.min(Math.abs(x), 65504);
  const step = 2 ** (Math.max(Math.floor(Math.log2(a || 1)), -14) - 10);
  const [whole, part] = [Math.floor(a / step), (a / step) % 1];
  const up = part > 0.5 || (part === 0.5 && whole % 2 === 1);
  return Math.sign(x) * (whole + (up ? 1 : 0)) * step;
}

/** What a cache of type `kv` keeps of a head's row. */
function kept(kv, row) {
  if (kv === 'f32') return Array.from(row);
  if (kv === 'f16') return Array.from(row, toF16);
  const out = [];
  for (let b = 0; b < row.length; b += 32) {
    const block = row.subarray(b, b + 32);
    const d = Math.fround(Math.max(...block.map(Math.abs)) / 127);
    for (const x of block) out.push(d > 0 ? toF16(d) * Math.sign(x) * Math.floor(Math.abs(x) / d + 0.5) : 0);
  }
  return out;
}

/** A slot of `rows` rows of `width` elements, with a stride that is wider. */
function slotOf(device, rows, width, data) {
  const stride = Math.ceil(width / 4) * 4 + 4;
  const all = new Float32Array(rows * stride).fill(777);
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

/**
 * A cache with room for `nTokens` positions, its table at word 3. Pages lie in the buffer in reverse, with a
 * page between each two that isn't in the table: all of its bytes stay as they were.
 */
function cacheOf({ device, pageBytes }, spec, nTokens) {
  const nPages = Math.ceil(nTokens / 32);
  const bytes = pageBytes(spec);
  const table = new Uint32Array(3 + nPages).fill(0xffffff);
  for (let i = 0; i < nPages; i++) table[3 + i] = 2 * (nPages - i);
  // NaN in every type: f16 and f32 0x7fff7fff, q8_0 scales too.
  const buffer = upload(device, new Uint32Array(((2 * nPages + 1) * bytes) / 4).fill(0x7fff7fff));
  return {
    cache: { window: 0, ...spec, view: { buffer }, table: 3 },
    pages: { buffer: upload(device, table) },
    isUnused: (at) => !table.subarray(3).includes(Math.floor(at / bytes)),
  };
}

/** A whole case: a context of keys and values, queries of the last nTokens of it. */
function caseOf({ nHead, nKv, kDim, vDim, vOut = vDim, context, nTokens, size = 1 }) {
  return {
    keys: floats(context * nKv * kDim, size),
    values: floats(context * nKv * vDim, size),
    queries: floats(nTokens * nHead * kDim, size),
    nHead,
    nKv,
    kDim,
    vDim,
    vOut,
    context,
    nTokens,
  };
}

/**
 * ATTEND as ops.def says, in float64, with a bound for each element. A score of magnitude S = sum|q k| scale
 * is computed with an error of at most (k_dim + 4) EPS S (its sum in any order, the scale) and 30 EPS cap of
 * the soft-cap; a weight exp(s - max) with a relative error of that, twice, and (6 + 4 |s - max|) EPS of exp
 * (scores more than 20 below the maximum count less than 1e-8 and at most 80 of them). The sums over n
 * positions have n roundings at most, numerator and denominator. `extra`: a relative error that queries and
 * keys together have before.
 */
function oracle(c, { kv, scale, softcap = 0, window = 0, sinks, extra = 0 }) {
  const { nHead, nKv, kDim, vDim, vOut, context, nTokens } = c;
  const rows = (x, width) =>
    Array.from({ length: context * nKv }, (_, i) => kept(kv, x.subarray(i * width, (i + 1) * width)));
  const keys = rows(c.keys, kDim);
  const values = vDim > 0 ? rows(c.values, vDim) : keys;
  const [want, bound] = [[], []];
  for (let t = 0; t < nTokens; t++)
    for (let h = 0; h < nHead; h++) {
      const position = context - nTokens + t;
      const begin = window > 0 ? Math.max(0, position - window + 1) : 0;
      const of = (j) => j * nKv + Math.floor(h / (nHead / nKv));
      const q = c.queries.subarray((t * nHead + h) * kDim, (t * nHead + h + 1) * kDim);
      const scores = [];
      let off = 0;
      for (let j = begin; j <= position; j++) {
        const k = keys[of(j)];
        let [score, size, qq, kk] = [0, 0, 0, 0];
        for (let i = 0; i < kDim; i++) {
          score += q[i] * k[i];
          size += Math.abs(q[i] * k[i]);
          qq += q[i] ** 2;
          kk += k[i] ** 2;
        }
        off = Math.max(off, ((kDim + 4) * EPS * size + extra * Math.sqrt(qq * kk)) * scale);
        score *= scale;
        scores.push(softcap > 0 ? softcap * Math.tanh(score / softcap) : score);
      }
      if (softcap > 0) off += 30 * EPS * softcap;
      if (scores.length === 1 && !sinks) off = 0; // its weight is 1, whatever the score
      const most = scores.reduce((top, s) => Math.max(top, s), sinks?.[h] ?? -Infinity);
      const weights = scores.map((s) => Math.exp(s - most));
      const total = weights.reduce((sum, w) => sum + w, sinks ? Math.exp(sinks[h] - most) : 0);
      const spread = Math.min(20, most - scores.reduce((least, s) => Math.min(least, s)));
      const relative = 2 * (2 * off + (6 + 4 * spread + weights.length + 8) * EPS);
      for (let d = 0; d < vOut; d++) {
        let [sum, size] = [0, 0];
        weights.forEach((w, j) => {
          const v = values[of(begin + j)][d];
          sum += (w / total) * v;
          size += (w / total) * Math.abs(v);
        });
        want.push(sum);
        bound.push(relative * size + 1e-30);
      }
    }
  return { want, bound };
}

function close(got, { want, bound }, what) {
  assert.equal(got.length, want.length, what);
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i] - want[i]);
    assert.ok(error <= bound[i], `${what}: element ${i} is ${got[i]}, not ${want[i]} +- ${bound[i]}`);
    compared(error, bound[i]);
  }
}

/** Stores a case's context in batches of `step` tokens, which end inside of pages. */
async function store(b, c, { cache, pages }, step = c.context > 1000 ? 5000 : 100) {
  for (let first = 0; first < c.context; first += step) {
    const n = Math.min(step, c.context - first);
    const part = (x, width) => slotOf(b.device, n, width, x.subarray(first * width, (first + n) * width));
    const dispatch = b.kvStore({
      label: 'kv_store',
      keys: part(c.keys, c.nKv * c.kDim),
      values: c.vDim > 0 ? part(c.values, c.nKv * c.vDim) : undefined,
      cache,
      pages,
    });
    await runDispatches(b, [dispatch], { nTokens: n, firstPosition: first, nOutputs: 0 });
  }
}

/** A case through the device: what it stored, and ATTEND's result. */
async function attended(b, c, { kv, scale, softcap, window, tokens, sinks }) {
  const { cache, pages, isUnused } = cacheOf(b, { ...c, kv, window }, c.context);
  await store(b, c, { cache, pages });
  const kept = new Uint8Array(await download(b.device, cache.view.buffer));
  const out = slotOf(b.device, c.nTokens, c.nHead * c.vOut);
  const shape = { nHead: c.nHead, vDim: c.vOut, tokens, cache, features: b.features };
  const dispatches = b.attend({
    label: 'attend',
    queries: slotOf(b.device, c.nTokens, c.nHead * c.kDim, c.queries),
    out,
    pages,
    scale,
    softcap,
    partial: { buffer: upload(b.device, b.partialBytes(shape) || 4) },
    sinks: sinks && { offset: 2, length: c.nHead },
    vectors: sinks && { buffer: upload(b.device, Float32Array.of(8, 8, ...sinks)) },
    ...shape,
  });
  const batch = { nTokens: c.nTokens, firstPosition: c.context - c.nTokens, nOutputs: 1 };
  await runDispatches(b, dispatches, batch);
  return { out: await rowsOf(b.device, out, c.nTokens), kept, isUnused, dispatches, batch };
}

/**
 * Checks rows of [type, shape of a case, options]. Compiling takes most of the time, so the rows take turns
 * on the two devices, unless `both`.
 */
async function checkAll(rows) {
  for (const [i, [kv, shape, options = {}]] of rows.entries()) {
    const c = caseOf(shape);
    const o = { kv, scale: 1 / Math.sqrt(c.kDim), softcap: 0, window: 0, ...options };
    const expected = oracle(c, o);
    for (const b of o.both ? benches : [benches[i % 2]])
      for (const tokens of o.tokens.split(' ')) {
        const { out, kept, isUnused } = await attended(b, c, { ...o, tokens });
        close(out, expected, `${tokens} ${kv} ${JSON.stringify(shape)}`);
        for (let i = 0; i < kept.length; i++)
          if (kept[i] !== [0xff, 0x7f][i % 2]) assert.ok(!isUnused(i), 'a page of others was written');
      }
  }
}

test('attend of many tokens, in tiles, over what kv_store wrote', { skip }, () =>
  checkAll([
    ['f32', { nHead: 4, nKv: 2, kDim: 64, vDim: 64, context: 70, nTokens: 35 }, { tokens: 'many', both: 1 }],
    ['f16', { nHead: 5, nKv: 1, kDim: 36, vDim: 0, vOut: 20, context: 50, nTokens: 50 }, { tokens: 'many' }],
    [
      'q8_0',
      { nHead: 4, nKv: 2, kDim: 32, vDim: 96, context: 170, nTokens: 110 },
      { window: 40, tokens: 'many' },
    ],
    [
      'f16',
      { nHead: 2, nKv: 2, kDim: 8, vDim: 80, context: 66, nTokens: 9, size: 4 },
      { softcap: 15, tokens: 'many', sinks: [3, 20] },
    ],
    // DeepSeek V2's latent keys.
    [
      'f16',
      { nHead: 3, nKv: 1, kDim: 576, vDim: 0, vOut: 512, context: 40, nTokens: 10 },
      { tokens: 'many' },
    ],
  ]),
);

test('attend of few tokens', { skip }, () =>
  checkAll([
    [
      'f16',
      { nHead: 6, nKv: 2, kDim: 80, vDim: 96, context: 150, nTokens: 5 },
      { window: 40, tokens: 'few' },
    ],
    [
      'q8_0',
      { nHead: 2, nKv: 2, kDim: 32, vDim: 32, context: 180, nTokens: 2 },
      { tokens: 'few', sinks: [1, -4] },
    ],
  ]),
);

test('attend of one token: ratios of heads, widths, and a position beyond the longest chunks', { skip }, () =>
  checkAll([
    ['f16', { nHead: 16, nKv: 1, kDim: 64, vDim: 64, context: 200, nTokens: 1 }, { tokens: 'one', both: 1 }],
    [
      'f16',
      { nHead: 1, nKv: 1, kDim: 256, vDim: 256, context: 400, nTokens: 1 },
      { window: 300, tokens: 'one' },
    ],
    ['q8_0', { nHead: 5, nKv: 1, kDim: 96, vDim: 64, context: 70, nTokens: 1 }, { tokens: 'one' }],
    [
      'f32',
      { nHead: 2, nKv: 2, kDim: 8, vDim: 6, context: 1, nTokens: 1, size: 4 },
      { softcap: 15, tokens: 'one', sinks: [2, 0] },
    ],
    ['f16', { nHead: 3, nKv: 1, kDim: 40, vDim: 0, vOut: 10, context: 40000, nTokens: 1 }, { tokens: 'one' }],
    ['f16', { nHead: 6, nKv: 1, kDim: 576, vDim: 0, vOut: 512, context: 140, nTokens: 1 }, { tokens: 'one' }],
    [
      'f32',
      { nHead: 2, nKv: 2, kDim: 8, vDim: 6, context: 6200, nTokens: 1 },
      { softcap: 15, tokens: 'one', sinks: [5, 11] },
    ],
  ]),
);

/** HEAD_NORM (weight: null, none; [], without weight) and ROPE of one token's heads, in float64. */
function prepared(x, width, weight, eps, rope) {
  const out = Float64Array.from(x);
  for (let h = 0; h < out.length; h += width) {
    const head = out.subarray(h, h + width);
    const mean = head.reduce((sum, z) => sum + z * z, 0) / width;
    if (weight) head.forEach((z, i) => (head[i] = (z / Math.sqrt(mean + eps)) * (weight[i] ?? 1)));
    for (let i = 0; rope && i < rope.nRot / 2; i++) {
      const [a, b] = rope.style === 0 ? [2 * i, 2 * i + 1] : [i, i + rope.nRot / 2];
      const [x0, x1] = [head[rope.first + a], head[rope.first + b]];
      const [cos, sin] = rope.pairs.subarray(2 * i);
      head[rope.first + a] = x0 * cos - x1 * sin;
      head[rope.first + b] = x0 * sin + x1 * cos;
    }
  }
  return out;
}

/** Last row of [rows][width] changed by `change`, in float64. */
function withLast(x, width, change) {
  const out = Float64Array.from(x);
  out.set(change(out.subarray(out.length - width)), out.length - width);
  return out;
}

const pairsOf = (nRot) =>
  Float32Array.from({ length: nRot }, (_, i) => (i % 2 ? Math.sin : Math.cos)(0.7 + Math.floor(i / 2)));

/** What attendFused and the kernels that it replaces take, and ATTEND's oracle over the same. */
function fusedCase(shape, { kv, norms = '', rope, window = 0, softcap = 0 }) {
  const c = caseOf(shape);
  const { nKv, kDim, vDim, vOut } = c;
  const eps = Math.fround(1e-6);
  const weights = { q: floats(kDim), k: floats(kDim) };
  const weightOf = (of) => (norms.includes(of.toUpperCase()) ? weights[of] : norms.includes(of) ? [] : null);
  const ready = {
    ...c,
    queries: prepared(c.queries, kDim, weightOf('q'), eps, rope),
    keys: withLast(c.keys, nKv * kDim, (x) => prepared(x, kDim, weightOf('k'), eps, rope)),
    values: withLast(c.values, nKv * vDim, (x) => prepared(x, vDim, norms.includes('v') && [], eps)),
  };
  // A norm sums kDim squares, twice (query and key); RoPE rounds six times. A key that is near the middle
  // of two values of its type may become the other.
  const step = { f32: 0, f16: 2 ** -10, q8_0: 1 / 64 }[kv];
  const extra = 2 * (kDim / 2 + 30) * EPS + step;
  const scale = 1 / Math.sqrt(kDim);
  const expected = oracle(ready, { kv, scale, softcap, window, extra });
  // A normed value of the last position.
  const relative = norms.includes('v') ? (vDim / 2 + 16) * EPS : 0;
  expected.bound = expected.bound.map((z, i) => z + relative * (Math.abs(expected.want[i]) + 3));
  return { c, eps, weights, vOut, scale, softcap, window, expected };
}

/** Runs attendFused ('one'), the kernels that it replaces ('plain'), or storeHeads and ATTEND ('heads'). */
async function fusedOut(b, f, { kv, norms = '', rope }, how) {
  const { c, eps, weights, scale, softcap } = f;
  const { nHead, nKv, kDim, vDim } = c;
  const { cache, pages } = cacheOf(b, { ...c, kv, window: f.window }, c.context);
  await store(b, { ...c, context: c.context - 1 }, { cache, pages });
  const last = (x, width) => slotOf(b.device, 1, width, x.subarray(x.length - width));
  const [queries, keys] = [last(c.queries, nHead * kDim), last(c.keys, nKv * kDim)];
  const values = vDim > 0 ? last(c.values, nKv * vDim) : undefined;
  const vectors = { buffer: upload(b.device, Float32Array.of(9, ...weights.q, ...weights.k)) };
  const vector = { q: { offset: 1, length: kDim }, k: { offset: 1 + kDim, length: kDim } };
  const normOf = (of) =>
    norms.includes(of.toUpperCase()) ? { weight: vector[of] } : norms.includes(of) ? {} : undefined;
  const turn = rope && { ...rope, angles: slotOf(b.device, 1, rope.nRot, rope.pairs) };
  const out = slotOf(b.device, 1, nHead * c.vOut);
  const shape = {
    label: 'x',
    features: b.features,
    queries,
    out,
    cache,
    pages,
    nHead,
    vDim: c.vOut,
    scale,
    softcap,
  };
  const partial = { buffer: upload(b.device, b.partialBytes({ ...shape, tokens: 'one' })) };
  const plain = () => [
    b.headNorm({ label: 'q', out: queries, nHead, headDim: kDim, eps, vectors, ...normOf('q') }),
    b.headNorm({ label: 'k', out: keys, nHead: nKv, headDim: kDim, eps, vectors, ...normOf('k') }),
    b.rope({ label: 'q', out: queries, nHead, headDim: kDim, ...turn }),
    b.rope({ label: 'k', out: keys, nHead: nKv, headDim: kDim, ...turn }),
    b.kvStore({ label: 'kv', keys, values, cache, pages }),
    ...b.attend({ ...shape, tokens: 'one', partial }),
  ];
  const raw = {
    ...shape,
    partial,
    keys,
    values,
    queryNorm: normOf('q'),
    keyNorm: normOf('k'),
    valueNorm: norms.includes('v'),
    eps,
    rope: turn,
    vectors,
  };
  const ways = {
    plain,
    one: () => b.attendFused(raw),
    heads: () => [b.storeHeads(raw), ...b.attend({ ...shape, tokens: 'one', partial })],
  };
  const batch = { nTokens: 1, firstPosition: c.context - 1, nOutputs: 1 };
  await runDispatches(b, ways[how](), batch);
  return rowsOf(b.device, out, 1);
}

test('attendFused is head norms, RoPE, KV store and attention of one token', { skip }, async () => {
  const neox = { nRot: 48, first: 0, style: 1, pairs: pairsOf(48) };
  const norm = { nRot: 16, first: 8, style: 0, pairs: pairsOf(16) };
  for (const [i, [shape, o]] of [
    [
      { nHead: 4, nKv: 2, kDim: 64, vDim: 64, context: 200 },
      { kv: 'f32', norms: 'QK', rope: neox },
    ],
    [
      { nHead: 12, nKv: 1, kDim: 32, vDim: 40, context: 129 },
      { kv: 'f16', rope: norm, softcap: 9 },
    ],
    [
      { nHead: 2, nKv: 1, kDim: 96, vDim: 32, context: 1 },
      { kv: 'q8_0', norms: 'qkv', rope: norm },
    ],
    [
      { nHead: 3, nKv: 3, kDim: 24, vDim: 0, vOut: 20, context: 90 },
      { kv: 'f32', norms: 'K', window: 50 },
    ],
  ].entries()) {
    const f = fusedCase({ ...shape, nTokens: 1 }, o);
    for (const b of i === 0 ? benches : [benches[i % 2]]) {
      close(await fusedOut(b, f, o, 'one'), f.expected, `fused ${JSON.stringify(shape)}`);
      if (i === 0) close(await fusedOut(b, f, o, 'plain'), f.expected, 'the kernels that it replaces');
      close(await fusedOut(b, f, o, 'heads'), f.expected, `storeHeads ${JSON.stringify(shape)}`);
    }
  }
});

test('storeHeads of several tokens is the kernels that it replaces', { skip }, async () => {
  const [nHead, nKv, kDim, vDim, n, firstPosition] = [3, 2, 40, 24, 3, 30];
  const rope = { nRot: 32, first: 4, style: 1 };
  const data = [floats(n * nHead * kDim), floats(n * nKv * kDim), floats(n * nKv * vDim), floats(n * 32)];
  for (const b of benches) {
    const results = [];
    for (const isFused of [false, true]) {
      const vectors = { buffer: upload(b.device, floats(2 * kDim).fill(0.5)) };
      const [queries, keys, values, angles] = data.map((x) => slotOf(b.device, n, x.length / n, x));
      const { cache, pages } = cacheOf(b, { kv: 'f32', nKv, kDim, vDim }, firstPosition + n);
      const weight = { offset: kDim, length: kDim };
      const common = { label: 'x', vectors, eps: 1e-5, weight, headDim: kDim, angles, ...rope };
      const plain = () => [
        b.headNorm({ ...common, out: queries, nHead }),
        b.headNorm({ ...common, out: keys, nHead: nKv }),
        b.rope({ ...common, out: queries, nHead }),
        b.rope({ ...common, out: keys, nHead: nKv }),
        b.kvStore({ label: 'x', keys, values, cache, pages }),
      ];
      const raw = { queries, keys, values, queryNorm: { weight }, keyNorm: { weight } };
      const fused = () => [
        b.storeHeads({ ...common, ...raw, rope: { angles, ...rope }, nHead, cache, pages }),
      ];
      await runDispatches(b, isFused ? fused() : plain(), { nTokens: n, firstPosition, nOutputs: 0 });
      const stored = new Float32Array(await download(b.device, cache.view.buffer));
      results.push([...(await rowsOf(b.device, queries, n)), ...stored]);
    }
    const [want, got] = results;
    // Both are wrong by at most (kDim / 2 + 30) EPS of a normed pair, which is at most 0.5 sqrt(2 kDim).
    const bound = 2 * (kDim / 2 + 30) * EPS * 0.5 * Math.sqrt(2 * kDim);
    assert.ok(got.filter((x) => !Number.isNaN(x)).length >= n * (nHead * kDim + nKv * (kDim + vDim)));
    want.forEach((x, i) => {
      const same = Number.isNaN(x) ? Number.isNaN(got[i]) : Math.abs(got[i] - x) <= bound;
      assert.ok(same, `element ${i} is ${got[i]}, not ${x}`);
      if (!Number.isNaN(x)) compared(Math.abs(got[i] - x), bound);
    });
  }
});

test('kernels of attention keep within 16 KiB of workgroup memory', { skip }, () => {
  const view = { buffer: null };
  const slot = { view, width: 8, stride: 8 };
  for (let width = 8; width <= 640; width += 8)
    for (const group of [1, 2, 5, 8, 16])
      for (const vDim of [width, 0, 8])
        for (const tokens of ['one', 'few']) {
          const cache = { view, kv: 'f16', nKv: 1, kDim: width, vDim, window: 0, table: 0 };
          const common = { label: 'x', queries: slot, out: slot, pages: view, partial: view, vectors: view };
          const shape = { ...common, cache, nHead: group, vDim: vDim || width, scale: 1, softcap: 0, tokens };
          const [{ constants: c }] = room.attend(shape);
          // The arrays of attend_split and of query_raw.
          const part = Math.max(c.K_LANES * (c.ROWS * (c.THREADS / c.K_LANES) + 1), 8 * c.THREADS);
          const words =
            c.ROWS * (8 * c.K8 + c.CHUNK + c.ROW_LANES + 2) +
            Math.max(part, 8 * (c.K8 + c.V8)) +
            c.CHUNK / 32 +
            (c.ROWS + 2) * 16;
          assert.ok(4 * words <= 16384, `${width} ${vDim} ${group}: ${4 * words} bytes`);
        }
});
