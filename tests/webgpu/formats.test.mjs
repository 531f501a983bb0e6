// SPDX-License-Identifier: Apache-2.0
// formats.test.mjs: every weight format on the GPU, element by element, through EMBED. The judge is
// planes.mjs, which is compared with the goldens of gguf's own dequantizer first.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { missing, openGpu } from './gpu.mjs';
import { compared } from './ledger.mjs';
import { FORMATS, decodeRow, makeMatrix, randomFrom, randomRow } from './planes.mjs';
import { bench, download, load, runDispatches, upload } from './room.mjs';

/** The goldens of src/quant: each a format's name, a row in file order and its elements as bits. */
async function goldens() {
  const list = [];
  const nameOf = (id) => Object.entries(FORMATS).find(([, { type }]) => type === id)[0];
  const file = await readFile(new URL('../golden/quant.bin', import.meta.url));
  for (let at = 0; at < file.length;) {
    const [type, blocks, bytes] = [0, 4, 8].map((i) => file.readInt32LE(at + i));
    const end = at + 12 + bytes;
    const n = 4 * blocks * FORMATS[nameOf(type)].elements;
    at = end + n;
    const want = new Uint32Array(new Uint8Array(file.subarray(end, end + n)).buffer);
    list.push([nameOf(type), new Uint8Array(file.subarray(end - bytes, end)), want]);
  }
  const header = await readFile(new URL('../quant/goldens.h', import.meta.url), 'utf8');
  for (const [, type, text, numbers] of header.matchAll(/\{ (\d+), \d+,([^{]*)\{([^}]*)\}/g)) {
    const bytes = [...text.matchAll(/\\x(..)/g)].map(([, hex]) => parseInt(hex, 16));
    list.push([
      nameOf(Number(type)),
      Uint8Array.from(bytes),
      Uint32Array.from(numbers.match(/0x\w+/g), Number),
    ]);
  }
  return list;
}

describe('the decode of planes.mjs', () => {
  it('equals gguf bit for bit, in every format', async () => {
    const list = await goldens();
    for (const [name, row, want] of list)
      assert.deepEqual(new Uint32Array(decodeRow(name, row).values.buffer), want, name);
    assert.deepEqual([...new Set(list.map(([name]) => name))].sort(), Object.keys(FORMATS).sort());
  });
});

describe('EMBED', { skip: missing() || false }, () => {
  let modules;
  let gpu;
  const rooms = [];
  before(async () => {
    modules = await load('device', 'pipelines', 'matmul', 'formats', 'placement');
    gpu = await openGpu();
    rooms.push(await bench(modules, gpu));
    rooms.push(await bench(modules, gpu, { without: ['subgroups', 'packedDot', 'immediates'] }));
  });
  after(() => rooms.forEach(({ device }) => device.destroy()));

  /** Looks up `ids` at positions 5 and up, and compares every element. */
  async function check(room, format, n, kind, isPadded) {
    const { device, features, embed } = room;
    const random = randomFrom(n + format.length);
    const rows = Array.from({ length: 5 }, () => randomRow(format, n, random, kind));
    const matrix = makeMatrix(device, format, n, rows, n % 2 ? [0] : [0, 2]);
    assert.equal(matrix.rowWords, room.rowWords({ format, nIn: n }), `${format}: words of a row`);
    const ids = [4, 0, 77, 3, 1, 2, 2, -1];
    const tokens = upload(device, new Uint32Array([99, 99, 99, 99, 99, ...ids]));
    const stride = Math.ceil((n + 3) / 4) * 4;
    const y = upload(device, new Float32Array(stride * ids.length).fill(7));
    const out = { view: { buffer: y }, width: n, stride };
    const dispatches = embed({
      matrix,
      width: n,
      scale: 2,
      isPadded,
      tokens: { buffer: tokens },
      out,
      features,
    });
    await runDispatches(room, dispatches, { nTokens: ids.length, firstPosition: 5, nOutputs: 1 });
    const got = new Float32Array(await download(device, y));
    ids.forEach((id, t) => {
      const row = rows[id < 0 && isPadded ? 0 : id];
      const want = row !== undefined ? decodeRow(format, row).values : new Float32Array(n).fill(3.5);
      for (let i = 0; i < stride; i++) {
        const value = i < n ? 2 * want[i] : 7;
        if (got[t * stride + i] !== value)
          assert.fail(
            `${format} ${kind} ${n}: row ${t} element ${i} is ${got[t * stride + i]}, not ${value}`,
          );
        compared();
      }
    });
  }

  for (const [format, { elements }] of Object.entries(FORMATS)) {
    it(`gives the elements of ${format}, exactly`, async () => {
      for (const room of rooms)
        for (const n of elements === 1 ? [37, 5, 96] : [elements, 3 * elements])
          await check(room, format, n, 'sane');
      await check(rooms[0], format, 2 * elements, 'sane', true);
      for (const kind of elements === 1 ? ['zero'] : ['zero', 'largest', 'subnormal'])
        await check(rooms[0], format, elements === 1 ? 64 : 2 * elements, kind);
    });
  }
});
