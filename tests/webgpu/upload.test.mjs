// SPDX-License-Identifier: Apache-2.0
// Weights on their way into planes: every byte of a model's matrices at its place on the GPU, however the
// chunks are cut and wherever a binding ends; errors of the GPU as typed errors.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { missing, openGpu } from './gpu.mjs';
import { compared, ran } from './ledger.mjs';
import { headWords, planeWords } from './planes.mjs';
import { bench, download, load } from './room.mjs';

const skip = missing() || false;
let room, gpu, own, plain;
const benches = [];

/** A device, until the tests are over. */
async function open(options) {
  const grids = () => new Uint8Array(headWords('iq1_m').buffer);
  const made = { ...(await bench(room, gpu, options)), grids };
  benches.push(made);
  return made;
}

before(async () => {
  if (skip) return;
  room = await load('device', 'pipelines', 'formats', 'placement', 'upload');
  gpu = await openGpu();
  own = await open();
  plain = await open({ without: ['subgroups', 'packedDot', 'immediates'] });
});
after(() => benches.forEach(({ device }) => device.destroy()));

/** The byte of a scale that decides: the second of an f16, the only one of MXFP4. */
const decides = (format, place) => place + (format === 'mxfp4' ? 0 : 1);
/** Where the f16 of a block are that must be finite: d and m of the diagrams in src/quant. */
const SCALES = {
  ...Object.fromEntries(
    ['q4_0', 'q5_0', 'q8_0', 'iq4_nl', 'iq4_xs', 'q1_0', 'q2_0', 'mxfp4'].map((name) => [name, [0]]),
  ),
  ...Object.fromEntries(
    ['iq1_s', 'iq2_xxs', 'iq2_xs', 'iq2_s', 'iq3_xxs', 'iq3_s'].map((name) => [name, [0]]),
  ),
  iq1_m: [], // four nibbles: a test of its own
  ...Object.fromEntries(['q4_1', 'q5_1', 'q4_k', 'q5_k'].map((name) => [name, [0, 2]])),
  ...{
    q2_k: [80, 82],
    q3_k: [108],
    q6_k: [208],
    tq1_0: [52],
    tq2_0: [64],
    nvfp4: [],
    f32: [],
    f16: [],
    bf16: [],
  },
};

/** Tensors of every format behind each other, with gaps as GGUF leaves them. `rows`: rows of each. */
function makeFile(formats, { rows = 5, file = 0, blocks = 3, first = 0 } = {}) {
  let offset = 96;
  const tensors = formats.map((format, i) => {
    const { elements, bytes } = room.FORMATS[format];
    // An odd number of elements of the formats of two bytes: a row that ends inside a word.
    const nIn = elements === 1 ? 2 * blocks + 1 : elements * blocks;
    const tensor = { index: first + i, name: `t${i}.${format}`, format, nIn, nRows: rows, file, offset };
    tensor.bytes = (nIn / elements) * bytes * rows;
    offset += Math.ceil(tensor.bytes / 32) * 32;
    return tensor;
  });
  const data = new Uint8Array(offset + 64);
  let state = 17 + file;
  for (let i = 0; i < data.length; i++) data[i] = (state = (state * 1103515245 + 12345) % 2 ** 31) >> 16;
  for (const { format, offset, bytes } of tensors)
    for (const place of SCALES[format])
      for (let at = decides(format, place); at < bytes; at += room.FORMATS[format].bytes)
        data[offset + at] &= 0xbf;
  for (const { format, offset, bytes } of tensors)
    for (let at = 55; format === 'iq1_m' && at < bytes; at += 56) data[offset + at] &= 0xbf;
  return { tensors, data };
}

const joined = (list) => Uint8Array.from(list.flatMap((bytes) => [...bytes]));

/** The planes of a tensor's rows, made as dispatch.ts describes them: the oracle. */
function planesOf({ format, nIn, nRows, offset, bytes }, data) {
  const { elements, bytes: size } = room.FORMATS[format];
  const rowBytes = bytes / nRows;
  const words = planeWords(format, nIn);
  const out = new Uint8Array(nRows * words * 4);
  const apart = [
    ...['q4_0', 'q5_0', 'q8_0', 'iq4_nl', 'q1_0', 'q2_0', 'mxfp4', 'q3_k', 'q6_k', 'tq1_0', 'tq2_0'],
    ...['iq1_s', 'iq2_xxs', 'iq2_xs', 'iq2_s', 'iq3_xxs', 'iq3_s'],
  ];
  const d = apart.includes(format) ? SCALES[format][0] : undefined;
  const after = d + (format === 'mxfp4' ? 1 : 2);
  for (let r = 0; r < nRows; r++) {
    const row = data.subarray(offset + r * rowBytes, offset + (r + 1) * rowBytes);
    const blocks = Array.from({ length: nIn / elements }, (_, b) => row.subarray(b * size, (b + 1) * size));
    const bodies = blocks.map((block) =>
      d === undefined ? block : joined([block.subarray(0, d), block.subarray(after)]),
    );
    const ds = d === undefined ? [] : blocks.map((block) => block.subarray(d, after));
    out.set(joined([...bodies, ...ds]), r * words * 4);
  }
  return out;
}

const cut = (data, size) =>
  Array.from({ length: Math.ceil(data.length / size) }, (_, i) => [
    i * size,
    data.subarray(i * size, (i + 1) * size),
  ]);

/** Uploads files in chunks of `size` and compares all matrices with the oracle. Returns the uploader. */
async function check(on, files, { size = Infinity, groups = [], maxBinding = on.features.maxBinding } = {}) {
  const features = { ...on.features, maxBinding };
  const tensors = files.flatMap(({ tensors }) => tensors);
  const uploader = await on.Uploader.open({ ...on, features, tensors, groups });
  on.device.pushErrorScope('validation');
  for (const [file, { data }] of files.entries())
    for (const [offset, bytes] of cut(data, Math.min(size, data.length)))
      await uploader.push(file, offset, bytes);
  assert.ok(uploader.isComplete);
  ran([{ kernel: 'planes' }], features);
  const matrices = await uploader.finish();
  assert.equal((await on.device.popErrorScope())?.message, undefined);
  await compare(on, matrices, files);
  return { uploader, matrices };
}

async function compare(on, matrices, files) {
  const buffers = new Map();
  const hasGrids = files.some(({ tensors }) => tensors.some(({ format }) => /^iq[1-3]/.test(format)));
  for (const { tensors, data } of files)
    for (const tensor of tensors) {
      const matrix = matrices.get(tensor.index);
      const expected = planesOf(tensor, data);
      assert.equal(matrix.rowWords * tensor.nRows * 4, expected.byteLength);
      let row = 0;
      for (const { view, offset, firstRow, nRows } of matrix.parts) {
        if (!buffers.has(view.buffer)) {
          const whole = await download(on.device, view.buffer);
          buffers.set(view.buffer, whole);
          const head = headWords('iq1_m');
          if (hasGrids) assert.deepEqual(new Uint32Array(whole, 0, head.length), head);
        }
        const bytes = matrix.rowWords * 4;
        const got = new Uint8Array(buffers.get(view.buffer), offset * 4, nRows * bytes);
        assert.equal(firstRow, row);
        assert.deepEqual(got, expected.slice(row * bytes, (row + nRows) * bytes), tensor.name);
        compared();
        row += nRows;
      }
      assert.equal(row, tensor.nRows, tensor.name);
    }
}

describe('weights are brought into planes', { skip }, () => {
  const all = () => Object.keys(room.FORMATS);

  for (const size of [1, 3, 17, 4096, Infinity])
    test(`in chunks of ${size} bytes`, async () => {
      const { uploader } = await check(own, [makeFile(all())], { size });
      assert.equal(
        uploader.counters.bytesUploaded,
        makeFile(all()).tensors.reduce((a, t) => a + t.bytes, 0),
      );
      uploader.destroy();
    });

  test('without immediates, and with an even number of blocks', async () => {
    const { uploader } = await check(plain, [makeFile(all(), { blocks: 4, rows: 9 })], { size: 1000 });
    uploader.destroy();
  });

  test('with rows that are longer for the sake of reads of four words', async () => {
    const file = makeFile(all(), { blocks: 13 });
    const { uploader, matrices } = await check(own, [file], { size: 999 });
    for (const { format, rowWords } of matrices.values())
      if (['q4_0', 'q8_0', 'q6_k', 'iq4_nl'].includes(format)) assert.equal(rowWords % 4, 0, format);
    uploader.destroy();
  });

  test('in parts, where a binding holds less than a matrix', async () => {
    const head = headWords('iq1_m').byteLength;
    const { uploader, matrices } = await check(own, [makeFile(all(), { rows: 21 })], {
      size: 777,
      maxBinding: head + 2048,
    });
    const parts = [...matrices.values()].map(({ parts }) => parts.length);
    assert.ok(Math.max(...parts) > 4 && Math.min(...parts) === 1, parts.join());
    for (const { parts } of matrices.values())
      for (const { view } of parts) assert.ok(view.buffer.size <= head + 2048);
    uploader.destroy();
  });

  test('of several files, and files without a matrix', async () => {
    const formats = all();
    const files = [
      makeFile(formats.slice(0, 5)),
      makeFile([], { file: 1 }),
      makeFile(formats.slice(5), { file: 2, first: 5 }),
    ];
    const { uploader } = await check(own, files, { size: 501 });
    uploader.destroy();
  });

  test('through a staging buffer that is filled several times', async () => {
    // 12,000 rows of 3 * 210 and 3 * 34 bytes: 8.4 MiB of staging. Small bindings make small staging buffers.
    const { uploader } = await check(own, [makeFile(['q6_k', 'q8_0', 'q4_k'], { rows: 500 })], {
      size: 40_000,
      maxBinding: 65_536,
    });
    assert.ok(uploader.counters.submits > 4, `${uploader.counters.submits} submits`);
    uploader.destroy();
  });

  test('more dispatches than there are slots for their parameters', async () => {
    const formats = Array.from({ length: 150 }, (_, i) => ['q8_0', 'q6_k', 'f16'][i % 3]);
    const { uploader } = await check(plain, [makeFile(formats, { rows: 2, blocks: 1 })]);
    assert.equal(uploader.counters.gpuDispatches, 150);
    uploader.destroy();
  });

  test('from rows, which a model that is loaded already gives', async () => {
    const file = makeFile(all(), { rows: 7 });
    const uploader = await own.Uploader.open({ ...own, tensors: file.tensors, groups: [] });
    await uploader.pushRows(({ offset, bytes, nRows }, first, count, into) =>
      into.set(
        file.data.subarray(offset + (first * bytes) / nRows, offset + ((first + count) * bytes) / nRows),
      ),
    );
    await compare(own, await uploader.finish(), [file]);
    uploader.destroy();
  });
});

test('the matrices of a program, and the groups that a product reads', { skip }, () => {
  const tensor = (name, isMatrix) => ({
    name,
    isMatrix,
    format: 'Q4_K',
    type: 12,
    nIn: 256,
    nRows: 1,
    file: 0,
    offset: 0,
    bytes: 144,
  });
  const tensors = ['embd', 'norm', 'q', 'k', 'bias'].map((name) => tensor(name, !/norm|bias/.test(name)));
  const ops = [
    { name: 'EMBED', weight: [0, -1, -1, -1, -1, -1] },
    { name: 'MATMUL', weight: Int32Array.of(2, 3, -1, 4, -1, -1) },
    { name: 'MATMUL', weight: [0, -1, -1, -1, -1, -1] },
  ];
  const weights = room.weightsOf({ ops, tensors });
  assert.deepEqual(weights.groups, [[2, 3], [0]]);
  assert.deepEqual(
    weights.tensors.map(({ index, format }) => [index, format]),
    [
      [0, 'q4_k'],
      [2, 'q4_k'],
      [3, 'q4_k'],
    ],
  );
});

describe('where matrices lie', { skip }, () => {
  test('a group is in one buffer, also if its tensors are far apart in the file', () => {
    const { tensors } = makeFile(
      Array.from({ length: 40 }, () => 'q4_k'),
      { rows: 10 },
    );
    const groups = [
      [0, 20, 39],
      [5, 30],
      [7, 7],
      [30, 8],
    ];
    const { parts, buffers } = room.placeTensors(tensors, groups, 16_384);
    const bufferOf = (i) => parts.get(i)[0].buffer;
    assert.equal(bufferOf(0), bufferOf(20));
    assert.equal(bufferOf(0), bufferOf(39));
    assert.equal(bufferOf(5), bufferOf(30));
    assert.equal(parts.size, 40);
    assert.ok(buffers.every((bytes) => bytes <= 16_384));
    // No byte belongs to two matrices.
    for (const [a, [x]] of parts)
      for (const [b, [y]] of parts)
        if (a < b && x.buffer === y.buffer) assert.ok(Math.abs(x.offset - y.offset) * 4 >= 10 * 3 * 144);
  });

  test('buffers hold at most 5 % more than the matrices have in the file', () => {
    for (const format of Object.keys(room.FORMATS)) {
      const { tensors } = makeFile([format, format, format], { rows: 512, blocks: 4 });
      const { buffers } = room.placeTensors(tensors, [[0, 1]], 128 << 20);
      const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
      const all = buffers.reduce((a, b) => a + b);
      if (format === 'f16' || format === 'bf16') continue; // rows of 9 elements: nobody has them
      assert.ok(all <= 1.05 * bytes, `${format}: ${all} for ${bytes}`);
    }
  });

  test('a row that no binding holds is refused by its tensor', () => {
    const { tensors } = makeFile(['f32'], { blocks: 1000 });
    assert.throws(() => room.placeTensors(tensors, [], 4096), {
      code: 'no-webgpu',
      message: /'t0.f32'.*8004/,
    });
  });
});

describe('faults of an upload', { skip }, () => {
  const tensors = () => makeFile(['q8_0', 'q4_k']).tensors;
  const stub = (replaced) =>
    new Proxy(own.device, {
      get(device, key) {
        const value = replaced[key] ?? device[key];
        return typeof value === 'function' ? value.bind(device) : value;
      },
    });

  test('memory that the GPU refuses is out-of-memory, and what was allocated is freed', async () => {
    const made = [];
    const device = stub({
      createBuffer: (descriptor) => {
        made.push(own.device.createBuffer(descriptor));
        return made.at(-1);
      },
      async popErrorScope() {
        await own.device.popErrorScope();
        return { message: 'VK_ERROR_OUT_OF_DEVICE_MEMORY' };
      },
    });
    const opening = own.Uploader.open({ ...own, device, tensors: tensors(), groups: [] });
    await assert.rejects(opening, { code: 'out-of-memory', message: /can't hold \d+ bytes.*DEVICE_MEMORY/ });
    own.device.pushErrorScope('validation');
    own.device.queue.writeBuffer(made[0], 0, new Uint8Array(4));
    const encoder = own.device.createCommandEncoder();
    encoder.copyBufferToBuffer(made[0], 0, made[1], 0, 4);
    own.device.queue.submit([encoder.finish()]);
    assert.match((await own.device.popErrorScope()).message, /destroyed/);
  });

  test('createBuffer that throws is out-of-memory', async () => {
    const device = stub({
      createBuffer() {
        throw new RangeError('createBuffer failed, size is too large');
      },
    });
    const opening = own.Uploader.open({ ...own, device, tensors: tensors(), groups: [] });
    await assert.rejects(opening, { code: 'out-of-memory', message: /too large/ });
  });

  test('a device that is lost under way is device-lost', async () => {
    const lost = await bench(room, gpu);
    const { data, tensors } = makeFile(['q8_0', 'q4_k']);
    const uploader = await lost.Uploader.open({ ...lost, tensors, groups: [] });
    await uploader.push(0, 0, data.subarray(0, 200));
    lost.device.destroy();
    await lost.device.lost;
    await assert.rejects(uploader.push(0, 200, data.subarray(200)), { code: 'device-lost' });
    await assert.rejects(lost.Uploader.open({ ...lost, tensors, groups: [] }), { code: 'device-lost' });
    uploader.destroy();
  });

  test('an upload waits for a slow GPU, and at most 24 MiB are under way', async () => {
    const done = [];
    let written = 0;
    const proxy = (target, replaced) =>
      new Proxy(target, {
        get(_, key) {
          const value = replaced[key] ?? target[key];
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    const queue = proxy(own.device.queue, {
      onSubmittedWorkDone: () => new Promise((resolve) => done.push(resolve)),
      writeBuffer: (...all) => {
        written += all[2].byteLength;
        own.device.queue.writeBuffer(...all);
      },
    });
    const rows = 40 << 10;
    const tensor = { index: 0, name: 't', format: 'f32', nIn: 256, nRows: rows, file: 0, offset: 0 };
    const tensors = [{ ...tensor, bytes: rows * 1024 }];
    const uploader = await own.Uploader.open({
      ...own,
      device: proxy(own.device, { queue }),
      tensors,
      groups: [],
    });
    const pushing = uploader.push(0, 0, new Uint8Array(rows * 1024));
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(written, Math.min(24 + i * 8, 40) << 20);
      done.shift()();
    }
    await pushing;
    uploader.destroy();
  });

  test('a scale that is not finite is invalid-gguf, which names tensor and row', async () => {
    for (const [format, places] of Object.entries(SCALES)) {
      assert.ok(format in room.FORMATS);
      if (format === 'iq1_m') continue;
      for (const place of [...places, undefined])
        for (const size of [1, 7, Infinity]) {
          const { data, tensors } = makeFile(['f16', format, 'q8_0'], { rows: 9 });
          const { offset, bytes } = tensors[1];
          const at = offset + (bytes / 9) * 5 + room.FORMATS[format].bytes + place;
          if (place !== undefined)
            data.set(
              [
                [format === 'mxfp4' ? 255 : 0, 0x7c],
                [format === 'mxfp4' ? 255 : 1, 0xfe],
              ][size & 1],
              at,
            );
          // In the other bytes the same bits are allowed.
          for (let i = offset; i < offset + bytes; i++)
            if (!places.some((p) => decides(format, p) === (i - offset) % room.FORMATS[format].bytes))
              data[i] |= 0x7c;
          const uploader = await own.Uploader.open({ ...own, tensors, groups: [] });
          const pushing = (async () => {
            for (const [from, part] of cut(data, Math.min(size, data.length)))
              await uploader.push(0, from, part);
          })();
          if (place === undefined) await pushing;
          else
            await assert.rejects(pushing, {
              code: 'invalid-gguf',
              message: new RegExp(`tensor 't1.${format}': row 5 holds a block that no quantiser writes`),
            });
          uploader.destroy();
        }
    }
  });

  test('the d of IQ1_M, which is in four nibbles, is checked also where chunks are cut in it', async () => {
    for (const [low, high] of [
      [0xc0, 0x70],
      [0xf0, 0xff],
      [0x80, 0x70],
      [0xc0, 0x60],
    ])
      for (const size of [1, 2, 3, 7, Infinity]) {
        const { data, tensors } = makeFile(['f16', 'iq1_m', 'q8_0'], { rows: 9 });
        const { offset, bytes } = tensors[1];
        const at = offset + (bytes / 9) * 5 + 56;
        [data[at + 53], data[at + 55]] = [low, high];
        const uploader = await own.Uploader.open({ ...own, tensors, groups: [] });
        const pushing = (async () => {
          for (const [from, part] of cut(data, Math.min(size, data.length)))
            await uploader.push(0, from, part);
        })();
        if ((low & 0xc0) !== 0xc0 || (high & 0x70) !== 0x70) await pushing;
        else
          await assert.rejects(pushing, { code: 'invalid-gguf', message: /tensor 't1.iq1_m': row 5 holds/ });
        uploader.destroy();
      }
  });

  test('bytes that are missing are named, and an upload that is not complete does not finish', async () => {
    const { data, tensors } = makeFile(['q8_0', 'q4_k']);
    const uploader = await own.Uploader.open({ ...own, tensors, groups: [] });
    await uploader.push(0, 0, data.subarray(0, 200));
    await assert.rejects(uploader.push(0, 300, data.subarray(300)), { code: 'internal', message: /t0.q8_0/ });
    await assert.rejects(uploader.push(1, 0, data), { code: 'internal' });
    await assert.rejects(uploader.finish(), { code: 'internal' });
    uploader.destroy();
  });
});
