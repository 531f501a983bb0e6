// SPDX-License-Identifier: Apache-2.0
// matmul.test.mjs: products on the GPU against sums in double, in every format.
//
// The bound. A kernel adds n products of |d code| |x| and |m| |x| in float32 in some order. With eps = 2^-23,
// which allows any rounding, the sum of n terms is off by at most n eps times the sum of their magnitudes. A
// product, a scale's product, the sums of offset, bias and old value are six operations more.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { missing, openGpu } from './gpu.mjs';
import { FORMATS, decodeRow, makeMatrix, planeWords, randomFrom, randomRow, toPlanes } from './planes.mjs';
import { bench, download, load, runDispatches, upload } from './room.mjs';

const EPS = 2 ** -23;

describe('MATMUL', { skip: missing() || false }, () => {
  const rooms = [];
  before(async () => {
    const modules = await load('device', 'pipelines', 'matmul');
    const gpu = await openGpu();
    rooms.push(await bench(modules, gpu));
    rooms.push(await bench(modules, gpu, { without: ['subgroups', 'packedDot', 'immediates'] }));
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

  /** Compares element r of row t with a sum in double over the elements of `row`. */
  function expect(what, got, { row, x, bias = 0, old = 0 }) {
    let sum = bias + old;
    let size = Math.abs(bias) + Math.abs(old);
    row.values.forEach((w, i) => {
      sum += w * x[i];
      size += row.sizes[i] * Math.abs(x[i]);
    });
    const bound = (row.values.length + 6) * EPS * size;
    if (!(Math.abs(got - sum) <= bound)) assert.fail(`${what}: ${got}, not ${sum} +- ${bound}`);
  }

  /**
   * One to three segments of one input: { format, rows, first, count, bias, cuts }. Their matrices lie in one
   * buffer, unless `cuts` splits one.
   */
  async function check(
    room,
    { n, segments, tokens, nTokens, add = false, rowsOf = 'batch', kind = 'sane', ...more },
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
    const matrices = shareBuffer(device, n, made);
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
          else
            expect(what, got[at], {
              row: decoded[first + r],
              x: floats.subarray(t * stride),
              bias: bias ? vectors[3 + s + r] : 0,
              old: add ? outs[s].y[at] : 0,
            });
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

  /** Matrices one after the other in one buffer; those with cuts in buffers of their own. */
  function shareBuffer(device, n, made) {
    let offset = 5;
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
    const all = new Uint32Array(offset).fill(0x7e017e01);
    for (const [at, planes] of words) all.set(planes, at);
    const view = { buffer: upload(device, all) };
    return matrices.map((m) => ({ ...m, parts: m.parts.map((part) => ({ view, ...part })) }));
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

  it('lets each lane take several groups of a long row', async () => {
    for (const n of [544, 1056, 2080])
      await check(rooms[1], { n, segments: [{ format: 'q8_0', rows: 5 }], tokens: 'one', nTokens: 1 });
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
});
