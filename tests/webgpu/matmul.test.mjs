// SPDX-License-Identifier: Apache-2.0
// matmul.test.mjs: products on the GPU against sums in double, in every format.
//
// The bound. A kernel adds n products of |d code| |x| and |m| |x| in float32 in some order. With eps = 2^-23,
// which allows any rounding, the sum of n terms is off by at most n eps times the sum of their magnitudes. A
// product, a scale's product, the sums of offset, bias and old value are six operations more.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { missing, openGpu } from './gpu.mjs';
import { compared } from './ledger.mjs';
import {
  FORMATS,
  decodeRow,
  headWords,
  makeMatrix,
  planeWords,
  randomFrom,
  randomRow,
  toPlanes,
} from './planes.mjs';
import { bench, download, load, runDispatches, upload } from './room.mjs';

const EPS = 2 ** -23;

describe('MATMUL', { skip: missing() || false }, () => {
  const rooms = [];
  before(async () => {
    const modules = await load('device', 'pipelines', 'matmul', 'tiles');
    const gpu = await openGpu();
    rooms.push(await bench(modules, gpu, { fastDot: true, f16Tiles: false }));
    const without = ['subgroups', 'packedDot', 'immediates'];
    rooms.push(await bench(modules, gpu, { f16Tiles: false, without }));
  });
  after(() => rooms.forEach(({ device }) => device.destroy()));

  /** An input slot of n random elements in `count` rows, with NaN between the rows. */
  function makeInput(device, n, count, random, size = 1) {
    const stride = Math.ceil((n + 1) / 4) * 4;
    const floats = new Float32Array(stride * count).fill(NaN);
    for (let t = 0; t < count; t++)
      for (let i = 0; i < n; i++) floats[t * stride + i] = (random() * 2 - 1) * size;
    return { floats, stride, slot: { view: { buffer: upload(device, floats) }, width: n, stride } };
  }

  /** The product in double of the elements of `row` with x, and the sum of its terms' magnitudes. */
  function product(row, x, bias = 0, sizes = x) {
    let sum = bias;
    let size = Math.abs(bias);
    row.values.forEach((w, i) => {
      sum += w * x[i];
      size += row.sizes[i] * Math.abs(sizes[i]);
    });
    return { sum, size };
  }

  function near(what, got, want, bound) {
    const error = Math.abs(got - want);
    if (!(error <= bound)) assert.fail(`${what}: ${got}, not ${want} +- ${bound}`);
    compared(error, bound);
  }

  /**
   * One to three segments of one input: { format, rows, first, count, bias, cuts }. Their matrices lie in one
   * buffer, unless `cuts` splits one.
   */
  async function check(
    room,
    { n, segments, tokens, nTokens, add = false, rowsOf = 'batch', kind = 'sane', at = 5, ...more },
  ) {
    const { device, features, matmul } = room;
    const random = randomFrom(n * 31 + nTokens);
    const made = segments.map(
      ({ format, rows, first = 0, count = rows - first, bias = false, cuts = [0] }) => {
        const files = Array.from({ length: rows }, () => randomRow(format, n, random, kind));
        return {
          format,
          files,
          decoded: files.map((row) => decodeRow(format, row)),
          first,
          count,
          bias,
          cuts,
        };
      },
    );
    const matrices = shareBuffer(device, n, made, at);
    const { floats, stride, slot } = makeInput(device, n, nTokens, random);
    const vectors = Float32Array.from({ length: 700 }, () => random() * 4 - 2);
    const outs = made.map(({ count }) => {
      const y = Float32Array.from({ length: Math.ceil((count + 1) / 4) * 4 * (nTokens + 1) }, () => random());
      return { y, stride: Math.ceil((count + 1) / 4) * 4, buffer: upload(device, y) };
    });
    const dispatches = matmul({
      label: 'test',
      input: slot,
      nIn: n,
      matrices: made.map(({ first, count, bias }, s) => ({
        matrix: matrices[s],
        rows: { first, count },
        ...(bias ? { bias: { offset: 3 + s, length: count } } : {}),
        out: { view: { buffer: outs[s].buffer }, width: count, stride: outs[s].stride },
      })),
      add,
      rowsOf,
      tokens,
      vectors: { buffer: upload(device, vectors) },
      features,
      ...more,
    });
    // Only rows that all begin at multiples of four words are read in fours.
    const areFours = at % 4 === 0 && made.every(({ format }) => planeWords(format, n) % 4 === 0);
    for (const { kernel, with: texts } of dispatches)
      assert.equal(texts.includes('weights_fours'), kernel === 'matvec' && areFours);
    const batch = {
      nTokens,
      firstPosition: 0,
      nOutputs: nTokens,
      [rowsOf === 'batch' ? 'nOutputs' : 'nTokens']: 1,
    };
    await runDispatches(room, dispatches, batch);
    for (const [s, { format, decoded, first, count, bias }] of made.entries()) {
      const got = new Float32Array(await download(device, outs[s].buffer));
      for (let t = 0; t <= nTokens; t++)
        for (let r = 0; r < outs[s].stride; r++) {
          const at = t * outs[s].stride + r;
          const what = `${format} ${kind} ${n}x${count} ${tokens} ${nTokens}: segment ${s} row ${r} token ${t}`;
          if (t === nTokens || r >= count) assert.equal(got[at], outs[s].y[at], what);
          else {
            const old = add ? outs[s].y[at] : 0;
            const x = floats.subarray(t * stride);
            const { sum, size } = product(decoded[first + r], x, bias ? vectors[3 + s + r] : 0);
            near(what, got[at], sum + old, (n + 6) * EPS * (size + Math.abs(old)));
          }
        }
    }
    const { madds, bytes } = dispatches
      .map((d) => d.work(batch))
      .reduce((a, b) => ({ madds: a.madds + b.madds, bytes: a.bytes + b.bytes }));
    assert.equal(
      madds,
      made.reduce((sum, { count }) => sum + count * n * nTokens, 0),
    );
    assert.equal(
      bytes,
      made.reduce((sum, { count, format }) => sum + count * planeWords(format, n) * 4, 0),
    );
    return dispatches.length;
  }

  /** Matrices one after the other in one buffer, from word `first` on; those with cuts in buffers of their
   *own. */
  function shareBuffer(device, n, made, first = 5) {
    const head = headWords(...made.map(({ format }) => format));
    let offset = head.length + first;
    const words = [];
    const matrices = made.map(({ format, files, cuts }) => {
      if (cuts.length > 1) return makeMatrix(device, format, n, files, cuts);
      const planes = toPlanes(format, files);
      const at = offset;
      words.push([at, planes]);
      offset += planes.length;
      const part = { offset: at, firstRow: 0, nRows: files.length };
      return {
        name: 'test',
        format,
        nIn: n,
        nRows: files.length,
        rowWords: planeWords(format, n),
        parts: [part],
      };
    });
    const all = new Uint32Array(Math.ceil(offset / 4) * 4).fill(0x7e017e01);
    all.set(head);
    for (const [at, planes] of words) all.set(planes, at);
    const view = { buffer: upload(device, all) };
    return matrices.map((m) => ({ ...m, parts: m.parts.map((part) => ({ view, ...part })) }));
  }

  /** Products with inputs that quantize() wrote, judged with the codes and scales that it wrote. */
  async function checkQuantised(room, { n, formats, rows, nTokens, add = false }) {
    const { device, features, matmul, stage, TILES } = room;
    const tile = TILES.find(({ inputs }) => inputs === 'q8');
    const random = randomFrom(n + nTokens);
    const made = formats.map((format) => {
      const files = Array.from({ length: rows }, () => randomRow(format, n, random));
      return { format, files, cuts: [0], decoded: files.map((row) => decodeRow(format, row)) };
    });
    const matrices = shareBuffer(device, n, made);
    const { slot } = makeInput(device, n, nTokens, random, 2);
    const stride = Math.ceil((rows + 1) / 4) * 4;
    const outs = formats.map(() => upload(device, new Float32Array(stride * nTokens).fill(7)));
    const words = (n + n / 8) / 4;
    const view = { buffer: upload(device, nTokens * words * 4) };
    const dispatches = matmul({
      label: 'test',
      input: slot,
      nIn: n,
      matrices: matrices.map((matrix, s) => ({
        matrix,
        rows: { first: 0, count: rows },
        out: { view: { buffer: outs[s] }, width: rows, stride },
      })),
      add,
      rowsOf: 'batch',
      tokens: 'many',
      vectors: { buffer: upload(device, 16) },
      features,
      staged: { tile, view },
    });
    assert.deepEqual(
      dispatches.map(({ kernel }) => kernel),
      ['matmul_packed'],
    );
    const batch = { nTokens, firstPosition: 0, nOutputs: 1 };
    await runDispatches(
      room,
      [stage({ tile, label: 'test', input: slot, nIn: n, out: view }), ...dispatches],
      batch,
    );
    const q = await download(device, view.buffer);
    for (const [s, { format, decoded }] of made.entries()) {
      const got = new Float32Array(await download(device, outs[s]));
      for (let t = 0; t < nTokens; t++) {
        const codes = new Int8Array(q, t * words * 4, n);
        const scales = new Float32Array(q, (t * words + n / 4) * 4, n / 32);
        const x = Float64Array.from(codes, (code, i) => code * scales[i >> 5]);
        for (let r = 0; r < stride; r++) {
          const what = `${format} ${n}x${rows} q8 ${nTokens}: row ${r} token ${t}`;
          if (r >= rows) assert.equal(got[t * stride + r], 7, what);
          else {
            const { sum, size } = product(decoded[r], x);
            const old = add ? 7 : 0;
            near(what, got[t * stride + r], sum + old, (n / 32 + 10) * EPS * (size + old));
          }
        }
      }
    }
  }

  const ACTIVATIONS = [
    { z: () => 0, f: (x) => Math.max(x, 0) },
    { z: (x) => x, f: (x) => x / (1 + Math.exp(-x)) },
    {
      z: (x) => 1.5957691216057308 * (x + 0.044715 * x ** 3),
      f: (x) => (x * (1 + Math.tanh(0.7978845608028654 * (x + 0.044715 * x ** 3)))) / 2,
    },
  ];

  /**
   * norm, x + norm(h) before it (`plus`), and gate and up (`glu`) in one dispatch. The bound: each norm is a
   * sum of n squares, whose root is off by n / 2 + 4 eps; x and norm(h) count apart in the terms' sizes.
   */
  async function checkFused(
    room,
    { n, formats, rows, nTokens, tokens, weighted = true, plus, glu, bias = true },
  ) {
    const { device, features, matmul } = room;
    const random = randomFrom(n + nTokens);
    const made = formats.map((format) => {
      const files = Array.from({ length: rows }, () => randomRow(format, n, random));
      return { format, files, cuts: [0], decoded: files.map((row) => decodeRow(format, row)) };
    });
    const matrices = shareBuffer(device, n, made);
    const x = makeInput(device, n, nTokens, random, 0.5);
    const h = makeInput(device, n, nTokens, random, 3);
    const vectors = Float32Array.from({ length: 3 * n + 700 }, () => random() * 2 - 1);
    const stride = Math.ceil((rows + 1) / 4) * 4;
    const outs = formats.map(() => upload(device, new Float32Array(stride * nTokens).fill(7)));
    const sum = upload(device, new Float32Array(x.stride * nTokens).fill(7));
    const weights = weighted
      ? [
          { offset: 1, length: n },
          { offset: n + 2, length: n },
        ]
      : [];
    const dispatches = matmul({
      label: 'test',
      input: x.slot,
      nIn: n,
      matrices: matrices.map((matrix, s) => ({
        matrix,
        rows: { first: 0, count: rows },
        ...(bias ? { bias: { offset: 2 * n + 3 + 100 * s, length: rows } } : {}),
        out: { view: { buffer: outs[s] }, width: rows, stride },
      })),
      rowsOf: 'batch',
      tokens,
      vectors: { buffer: upload(device, vectors) },
      features,
      norm: { weight: weights[0], eps: 0.01 },
      ...(plus && {
        plus: { h: h.slot, sum: { ...x.slot, view: { buffer: sum } }, weight: weights[1], eps: 0.1 },
      }),
      ...(glu !== undefined && { glu }),
    });
    assert.equal(dispatches.length, 1);
    await runDispatches(room, dispatches, { nTokens, firstPosition: 0, nOutputs: 1 });
    const got = await Promise.all(outs.map(async (out) => new Float32Array(await download(device, out))));
    const sums = new Float32Array(await download(device, sum));
    for (let t = 0; t < nTokens; t++) {
      const row = (floats) => Array.from(floats.subarray(t * x.stride, t * x.stride + n));
      const root = (list, eps) => Math.sqrt(list.reduce((total, v) => total + v * v, 0) / n + eps);
      const weight = (number, i) => (weighted ? vectors[weights[number].offset + i] : 1);
      const added = row(h.floats).map((v, i) => (plus ? (v / root(row(h.floats), 0.1)) * weight(1, i) : 0));
      const whole = row(x.floats).map((v, i) => v + added[i]);
      const what = `${formats} ${n}x${rows} ${tokens} ${nTokens}: token ${t}`;
      for (let i = 0; i < x.stride; i++)
        if (!plus || i >= n) assert.equal(sums[t * x.stride + i], 7, `${what}: behind the sum`);
        else
          near(
            `${what} sum ${i}`,
            sums[t * x.stride + i],
            whole[i],
            (n + 12) * EPS * (Math.abs(added[i]) + 1),
          );
      const scale = 1 / root(whole, 0.01);
      const normed = whole.map((v, i) => v * scale * weight(0, i));
      const sizes = whole.map((v, i) => (Math.abs(v - added[i]) + Math.abs(added[i])) * scale * weight(0, i));
      for (let r = 0; r < stride; r++) {
        const at = t * stride + r;
        if (r >= rows) {
          for (const list of got) assert.equal(list[at], 7, `${what}: behind the results`);
          continue;
        }
        const each = made.map(({ decoded }, s) =>
          product(decoded[r], normed, bias ? vectors[2 * n + 3 + 100 * s + r] : 0, sizes),
        );
        const bounds = each.map(({ size }) => (3 * n + 30) * EPS * size);
        if (glu === undefined) {
          each.forEach(({ sum: want }, s) => near(`${what} row ${r} of ${s}`, got[s][at], want, bounds[s]));
          continue;
        }
        // A slope is at most 1.13; exp is off by 3 + 2 |z| eps.
        const { f, z } = ACTIVATIONS[glu];
        const [gate, up] = each.map(({ sum: value }) => value);
        const active = f(gate);
        const own = (10 + 2 * Math.abs(z(gate))) * 2 * EPS * Math.abs(active * up);
        const slopes = 1.13 * bounds[0] * (Math.abs(up) + bounds[1]) + Math.abs(active) * bounds[1];
        near(`${what} row ${r}`, got[0][at], active * up, own + slopes);
        assert.equal(got[1][at], 7);
      }
    }
  }

  for (const [format, { elements }] of Object.entries(FORMATS)) {
    it(`multiplies ${format} by 1 to 65 tokens`, async () => {
      const long = { n: elements === 1 ? 165 : Math.max(96, 2 * elements), segments: [{ format, rows: 37 }] };
      const short = { n: elements === 1 ? 5 : elements, segments: [{ format, rows: 3 }] };
      await check(rooms[0], { ...long, tokens: 'one', nTokens: 1 });
      for (const nTokens of [3, 8]) await check(rooms[1], { ...long, tokens: 'few', nTokens });
      for (const nTokens of [9, 65]) await check(rooms[0], { ...long, tokens: 'many', nTokens });
      await check(rooms[1], { ...short, tokens: 'one', nTokens: 1 });
      await check(rooms[0], { ...short, tokens: 'many', nTokens: 64 });
    });
  }

  for (const format of ['f16', 'q4_k', 'q6_k', 'q5_0'])
    it(`multiplies ${format} with scales of zero, the largest and subnormal ones`, async () => {
      for (const kind of ['zero', 'largest', 'subnormal'])
        for (const [nTokens, tokens] of [
          [1, 'one'],
          [33, 'many'],
        ])
          await check(rooms[0], { n: 256, segments: [{ format, rows: 9 }], tokens, nTokens, kind });
    });

  it('reads four words at once where rows begin at such places', async () => {
    for (const [i, format] of ['q4_0', 'q8_0', 'q4_k', 'q5_k', 'q6_k', 'iq4_nl'].entries()) {
      const one = { n: 768, segments: [{ format, rows: 37, first: 3 }], at: 8 };
      assert.equal(planeWords(format, 768) % 4, 0);
      await check(rooms[i % 2], { ...one, tokens: 'one', nTokens: 1 });
      if (i % 3 === 0) await check(rooms[(i + 1) % 2], { ...one, tokens: 'few', nTokens: 5 });
    }
    // Formats that have no such reads beside formats that have them, and a matrix that prevents them.
    const shared = ['q6_k', 'q2_k', 'q8_0'].map((format) => ({ format, rows: 9 }));
    await check(rooms[0], { n: 1024, segments: shared, tokens: 'one', nTokens: 1, at: 4 });
    await check(rooms[0], { n: 768, segments: shared, tokens: 'one', nTokens: 1, at: 4 });
    await check(rooms[1], { n: 768, segments: shared.slice(1, 2), tokens: 'one', nTokens: 1, at: 4 });
    await check(rooms[1], {
      n: 64,
      segments: [{ format: 'f16', rows: 9 }],
      tokens: 'one',
      nTokens: 1,
      at: 4,
    });
  });

  it('lets each lane take several groups of a long row', async () => {
    for (const n of [544, 1056, 2080])
      await check(rooms[1], { n, segments: [{ format: 'q8_0', rows: 5 }], tokens: 'one', nTokens: 1 });
  });

  it('gives a team more rows of a large matrix', async () => {
    await check(rooms[0], { n: 32, segments: [{ format: 'q8_0', rows: 8195 }], tokens: 'one', nTokens: 1 });
    const formats = ['q8_0', 'q4_0'];
    await checkFused(rooms[0], {
      n: 32,
      formats,
      rows: 4099,
      nTokens: 1,
      tokens: 'one',
      glu: 1,
      bias: false,
    });
  });

  it('takes one to three matrices of different formats, ranges of rows, biases', async () => {
    const three = [
      { format: 'q4_k', rows: 37, first: 4, count: 21, bias: true },
      { format: 'q6_k', rows: 3 },
      { format: 'q5_0', rows: 70, first: 8, bias: true },
    ];
    const floats = [
      { format: 'bf16', rows: 5 },
      { format: 'f32', rows: 9 },
    ];
    for (const [nTokens, tokens] of [
      [1, 'one'],
      [5, 'few'],
    ])
      assert.equal(await check(rooms[nTokens % 2], { n: 256, segments: three, tokens, nTokens }), 1);
    assert.equal(await check(rooms[0], { n: 256, segments: floats, tokens: 'one', nTokens: 1 }), 1);
    const mixed = [...floats, { format: 'q8_0', rows: 7 }];
    assert.equal(await check(rooms[0], { n: 64, segments: mixed, tokens: 'one', nTokens: 1 }), 3);
  });

  it('takes a matrix in parts', async () => {
    const segments = [
      { format: 'q4_1', rows: 40, first: 8, count: 25, bias: true, cuts: [0, 4, 12, 20, 36] },
    ];
    assert.equal(await check(rooms[0], { n: 64, segments, tokens: 'one', nTokens: 1 }), 3);
  });

  it('adds to the output, and takes rows of output', async () => {
    for (const [nTokens, tokens] of [
      [1, 'one'],
      [2, 'few'],
      [1, 'many'],
      [33, 'many'],
    ])
      for (const rowsOf of ['batch', 'output'])
        await check(rooms[0], {
          n: 64,
          segments: [{ format: 'q8_0', rows: 19, bias: true }],
          tokens,
          nTokens,
          add: true,
          rowsOf,
        });
  });

  it('spreads more workgroups than a dimension holds', async () => {
    const { device, features, matmul } = rooms[0];
    const batch = { nTokens: 1, firstPosition: 0, nOutputs: 1 };
    const floats = Float32Array.from({ length: 100 }, (_, r) => r + 1);
    const out = upload(device, 400);
    const view = { buffer: upload(device, floats) };
    const make = (rows) =>
      matmul({
        label: 'test',
        input: { view: { buffer: upload(device, new Float32Array([3, 0, 0, 0])) }, width: 1, stride: 4 },
        nIn: 1,
        matrices: [
          {
            matrix: {
              name: 'test',
              format: 'f32',
              nIn: 1,
              nRows: rows,
              rowWords: 1,
              parts: [{ view, offset: 0, firstRow: 0, nRows: rows }],
            },
            rows: { first: 0, count: rows },
            out: { view: { buffer: out }, width: rows, stride: rows },
          },
        ],
        rowsOf: 'output',
        tokens: 'few', // eight rows a workgroup
        vectors: { buffer: upload(device, 16) },
        features,
      })[0];
    assert.deepEqual(make(8 * 65535).groups(batch), [65535, 1, 1]);
    assert.deepEqual(make(8 * 65535 + 1).groups(batch), [32768, 2, 1]);
    // As if a dimension held five: 13 workgroups in three rows of five.
    await runDispatches(rooms[0], [{ ...make(100), groups: () => [5, 3, 1] }], batch);
    const got = new Float32Array(await download(device, out, 400));
    assert.deepEqual(
      got,
      floats.map((value) => 3 * value),
    );
    compared();
  });

  it('brings inputs into q8', async () => {
    const { device, stage, TILES } = rooms[0];
    const tile = TILES.find(({ inputs }) => inputs === 'q8');
    const [n, count] = [96, 5];
    const x = makeInput(device, n, count, randomFrom(5), 3);
    x.floats.fill(0, 0, 32); // a group of zeros
    x.floats.fill(1e-40, x.stride, x.stride + 32); // 1 / d would overflow
    device.queue.writeBuffer(x.slot.view.buffer, 0, x.floats);
    const words = (n + n / 8) / 4;
    const out = upload(device, count * words * 4);
    const dispatch = stage({ tile, label: 'test', input: x.slot, nIn: n, out: { buffer: out } });
    await runDispatches(rooms[0], [dispatch], { nTokens: count, firstPosition: 0, nOutputs: 1 });
    const got = await download(device, out);
    for (let t = 0; t < count; t++)
      for (let i = 0; i < n; i++) {
        const d = new Float32Array(got, (t * words + n / 4) * 4)[i >> 5];
        const code = new Int8Array(got, t * words * 4)[i];
        const value = x.floats[t * x.stride + i];
        // Half a step, and the rounding of value / d <= 127, whose reciprocal is off by 2.5 eps.
        near(`token ${t} element ${i}`, d * code, value, d * (0.5 + 127 * 5 * EPS) + 1e-37);
      }
  });

  for (const [format, { elements }] of Object.entries(FORMATS).filter(([, f]) => f.elements > 1))
    it(`multiplies ${format} by q8 inputs`, async () => {
      const n = Math.max(96, 2 * elements);
      await checkQuantised(rooms[0], { n, formats: [format], rows: 37, nTokens: 65 });
    });

  it('takes up to three matrices with q8 inputs', async () => {
    await checkQuantised(rooms[0], {
      n: 256,
      formats: ['q4_k', 'q6_k', 'q4_0'],
      rows: 70,
      nTokens: 9,
      add: true,
    });
    const { tileOf, features } = rooms[0];
    assert.equal(tileOf([{ format: 'q4_k', nIn: 256 }], features)?.inputs, 'q8');
    assert.equal(tileOf([{ format: 'f16', nIn: 256 }], features), undefined);
    assert.equal(tileOf([{ format: 'q4_k', nIn: 256 }], rooms[1].features), undefined);
  });

  it('fuses a norm', async () => {
    const formats = ['q4_k', 'q6_k', 'q4_k'];
    await checkFused(rooms[0], { n: 512, formats, rows: 21, nTokens: 1, tokens: 'one' });
    await checkFused(rooms[1], { n: 512, formats, rows: 21, nTokens: 5, tokens: 'few', weighted: false });
    await checkFused(rooms[1], { n: 37, formats: ['f16'], rows: 3, nTokens: 2, tokens: 'few', bias: false });
  });

  it('fuses the sum with a norm before a norm, and writes the sum once', async () => {
    const formats = ['q8_0', 'q4_1', 'q8_0'];
    await checkFused(rooms[0], { n: 640, formats, rows: 70, nTokens: 1, tokens: 'one', plus: true });
    await checkFused(rooms[1], { n: 640, formats: ['q5_1'], rows: 9, nTokens: 8, tokens: 'few', plus: true });
    await checkFused(rooms[0], {
      n: 36,
      formats: ['f32'],
      rows: 9,
      nTokens: 1,
      tokens: 'one',
      plus: true,
      weighted: false,
    });
  });

  it('fuses gate and up, with each activation', async () => {
    const formats = ['q4_k', 'q5_k'];
    for (const glu of [0, 1, 2])
      await checkFused(rooms[0], {
        n: 256,
        formats,
        rows: 37,
        nTokens: 1,
        tokens: 'one',
        glu,
        bias: glu === 1,
      });
    await checkFused(rooms[1], {
      n: 256,
      formats: ['q4_0', 'q4_0'],
      rows: 19,
      nTokens: 3,
      tokens: 'few',
      glu: 2,
    });
    await checkFused(rooms[0], {
      n: 96,
      formats: ['q8_0', 'q8_0'],
      rows: 5,
      nTokens: 1,
      tokens: 'one',
      glu: 1,
      plus: true,
    });
  });
});
