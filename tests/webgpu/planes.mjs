// SPDX-License-Identifier: Apache-2.0
// planes.mjs: the specification of weights on the GPU, in JavaScript: decodes rows of every format as
// src/quant does, makes rows for tests, and brings rows into planes (dispatch.ts, Matrix).
import { readFile } from 'node:fs/promises';
import { upload } from './room.mjs';

/** The number that 16 bits of an IEEE binary16 mean. */
export function halfToNumber(h) {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 31;
  const mantissa = h & 1023;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
}
const half = (bytes, at) => halfToNumber(bytes[at] | (bytes[at + 1] << 8));
const signed = (byte) => (byte << 24) >> 24;
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const e2m1 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
const iq4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/** The grids of src/quant, by name; and all of them, as a buffer with such matrices begins with them. */
const tables = await readFile(new URL('../../src/quant/iq_grids_tables.c', import.meta.url), 'utf8');
const grids = Object.fromEntries(
  [...tables.matchAll(/#define (\w+)_GRID\(s\)((?:[^\n]*\\\n)+[^\n]*)/g)].map(([, name, list]) => [
    name.toLowerCase(),
    Uint16Array.from(list.match(/0x\w+/g), Number),
  ]),
);
const GRIDS = Uint16Array.from(
  ['iq2_xxs', 'iq2_xs', 'iq2_s', 'iq3_xxs', 'iq3_s', 'iq1_s'].flatMap((name) => [...grids[name]]),
);
const eightOf = (entry, k) => (entry >> ((k % 4) * 4 + (k >> 2) * 2)) & 3;
const iq2 = (entry, k, signs) => [8, 25, 43][eightOf(entry, k)] * ((signs >> k) & 1 ? -1 : 1);
const iq1 = (entry, k, isLess) => 8 * eightOf(entry, k) - 8 + (isLess ? -1 : 1);
const sevenSigns = (bits) => {
  let sum = 0;
  for (let k = 0; k < 7; k++) sum += (bits >> k) & 1;
  return (bits & 127) | ((sum & 1) << 7);
};
const u16 = (p, at) => p[at] | (p[at + 1] << 8);
const iq1mD = (p) => [0, 1, 2, 3].reduce((d, s) => d | ((p[49 + 2 * s] >> 4) << (4 * s)), 0);

// Each returns [d * scale, code, m * offset] of element i of the block p; -0 changes nothing that it is added
// to. src/quant/<format>.c has the diagram.
const nibble = (p, at, i) => (i < 16 ? p[at + i] & 15 : p[at + i - 16] >> 4);
const bit = (p, at, i) => (p[at + (i >> 3)] >> (i & 7)) & 1;
const kScale = (p, i) => (i < 4 ? p[4 + i] & 63 : (p[8 + i] & 15) | ((p[i] >> 6) << 4));
const kOffset = (p, i) => (i < 4 ? p[8 + i] & 63 : (p[8 + i] >> 4) | ((p[4 + i] >> 6) << 4));
const kTerm = (p, i, code) => [half(p, 0) * kScale(p, i >> 5), code, -half(p, 2) * kOffset(p, i >> 5)];
const kNibble = (p, at, i) => (p[at + (i >> 6) * 32 + (i & 31)] >> (((i >> 5) & 1) * 4)) & 15;
const pair = (p, at, i) => (p[at + (i >> 7) * 32 + (i & 31)] >> (((i >> 5) & 3) * 2)) & 3;
const q3Scale = (s, i) =>
  (((s[i % 8] >> ((i >> 3) * 4)) & 15) | (((s[8 + (i % 4)] >> ((i >> 2) * 2)) & 3) << 4)) - 32;
const terms = {
  f32: (p) => [1, view(p).getFloat32(0, true), -0],
  f16: (p) => [1, half(p, 0), -0],
  bf16: (p) => [1, new Float32Array(new Uint32Array([(p[0] << 16) | (p[1] << 24)]).buffer)[0], -0],
  q4_0: (p, i) => [half(p, 0), nibble(p, 2, i) - 8, -0],
  q4_1: (p, i) => [half(p, 0), nibble(p, 4, i), half(p, 2)],
  q5_0: (p, i) => [half(p, 0), (nibble(p, 6, i) | (bit(p, 2, i) << 4)) - 16, -0],
  q5_1: (p, i) => [half(p, 0), nibble(p, 8, i) | (bit(p, 4, i) << 4), half(p, 2)],
  q8_0: (p, i) => [half(p, 0), signed(p[2 + i]), -0],
  q2_k: (p, i) => [half(p, 80) * (p[i >> 4] & 15), pair(p, 16, i), -half(p, 82) * (p[i >> 4] >> 4)],
  q3_k: (p, i) => [
    half(p, 108) * q3Scale(p.subarray(96), i >> 4),
    (pair(p, 32, i) | (((p[i & 31] >> (i >> 5)) & 1) << 2)) - 4,
    -0,
  ],
  q4_k: (p, i) => kTerm(p, i, kNibble(p, 16, i)),
  q5_k: (p, i) => kTerm(p, i, kNibble(p, 48, i) | (((p[16 + (i & 31)] >> (i >> 5)) & 1) << 4)),
  q6_k: (p, i) => {
    const low = (p[(i >> 7) * 64 + (i & 63)] >> (((i >> 6) & 1) * 4)) & 15;
    return [half(p, 208) * signed(p[192 + (i >> 4)]), (low | (pair(p, 128, i) << 4)) - 32, -0];
  },
  iq4_nl: (p, i) => [half(p, 0), iq4[nibble(p, 2, i)], -0],
  iq4_xs: (p, i) => {
    const s = i >> 5;
    const scale =
      ((p[4 + (s >> 1)] >> ((s & 1) * 4)) & 15) | (((view(p).getUint16(2, true) >> (2 * s)) & 3) << 4);
    return [half(p, 0) * (scale - 32), iq4[nibble(p, 8 + 16 * s, i & 31)], -0];
  },
  q1_0: (p, i) => [half(p, 0), 2 * bit(p, 2, i) - 1, -0],
  q2_0: (p, i) => [half(p, 0), ((p[2 + (i >> 2)] >> ((i & 3) * 2)) & 3) - 1, -0],
  mxfp4: (p, i) => [2 ** (p[0] - 128), e2m1[nibble(p, 1, i)], -0],
  nvfp4: (p, i) => {
    const d = p[i >> 4];
    const [e, m] = [(d >> 3) & 15, d & 7];
    const scale = d === 0x7f ? 0 : e > 0 ? (8 + m) * 2 ** (e - 11) : m * 2 ** -10;
    const q = p[4 + (i >> 4) * 8 + (i & 7)];
    return [scale, e2m1[i & 8 ? q >> 4 : q & 15], -0];
  },
  tq1_0: (p, i) => {
    const [at, n] =
      i < 160 ? [i & 31, i >> 5] : i < 240 ? [32 + (i & 15), (i - 160) >> 4] : [48 + (i & 3), (i - 240) >> 2];
    return [half(p, 52), ((((p[at] * 3 ** n) & 255) * 3) >> 8) - 1, -0];
  },
  tq2_0: (p, i) => [half(p, 64), pair(p, 0, i) - 1, -0],
};

// Of part s the eight l have elements k; a four of IQ3 is half of an eight.
Object.assign(terms, {
  iq1_s: (p, i) => {
    const [s, l, k] = [i >> 5, (i >> 3) & 3, i & 7];
    const h = u16(p, 34 + 2 * s);
    const entry = grids.iq1_s[p[2 + 4 * s + l] | (((h >> (3 * l)) & 7) << 8)];
    return [(half(p, 0) / 8) * (2 * ((h >> 12) & 7) + 1), iq1(entry, k, h >> 15), -0];
  },
  iq1_m: (p, i) => {
    const [s, l, k] = [i >> 5, (i >> 3) & 3, i & 7];
    const h = p[32 + 2 * s + (l >> 1)] >> (4 * (l & 1));
    const scale = (u16(p, 48 + 2 * (s >> 1)) >> (6 * (s & 1) + 3 * (l >> 1))) & 7;
    const entry = grids.iq1_s[p[4 * s + l] | ((h & 7) << 8)];
    return [(halfToNumber(iq1mD(p)) / 8) * (2 * scale + 1), iq1(entry, k, (h >> 3) & 1), -0];
  },
  iq2_xxs: (p, i) => {
    const [s, l, k] = [i >> 5, (i >> 3) & 3, i & 7];
    const signs = view(p).getUint32(6 + 8 * s, true);
    const d = (half(p, 0) / 8) * (2 * (signs >>> 28) + 1);
    return [d, iq2(grids.iq2_xxs[p[2 + 8 * s + l]], k, sevenSigns(signs >>> (7 * l))), -0];
  },
  iq2_xs: (p, i) => {
    const q = u16(p, 2 + 2 * (i >> 3));
    const scale = (p[66 + (i >> 5)] >> (4 * ((i >> 4) & 1))) & 15;
    return [(half(p, 0) / 8) * (2 * scale + 1), iq2(grids.iq2_xs[q & 511], i & 7, sevenSigns(q >> 9)), -0];
  },
  iq2_s: (p, i) => {
    const entry = p[2 + (i >> 3)] | (((p[66 + (i >> 5)] >> (2 * ((i >> 3) & 3))) & 3) << 8);
    const scale = (p[74 + (i >> 5)] >> (4 * ((i >> 4) & 1))) & 15;
    return [(half(p, 0) / 8) * (2 * scale + 1), iq2(grids.iq2_s[entry], i & 7, p[34 + (i >> 3)]), -0];
  },
  iq3_xxs: (p, i) => {
    const [s, l] = [i >> 5, (i >> 3) & 3];
    const signs = view(p).getUint32(66 + 4 * s, true);
    const code = (grids.iq3_xxs[p[2 + (i >> 2)]] >> (4 * (i & 3))) & 7;
    const value = [2, 6, 10, 14, 18, 22, 26, 31][code];
    const d = (half(p, 0) / 2) * (2 * (signs >>> 28) + 1);
    return [d, (sevenSigns(signs >>> (7 * l)) >> (i & 7)) & 1 ? -value : value, -0];
  },
  iq3_s: (p, i) => {
    const entry = p[2 + (i >> 2)] | (((p[66 + (i >> 5)] >> ((i >> 2) & 7)) & 1) << 8);
    const value = 2 * ((grids.iq3_s[entry] >> (4 * (i & 3))) & 7) + 1;
    const scale = (p[106 + (i >> 6)] >> (4 * ((i >> 5) & 1))) & 15;
    return [half(p, 0) * (2 * scale + 1), (p[74 + (i >> 3)] >> (i & 7)) & 1 ? -value : value, -0];
  },
});

/** ggml's type id, elements and bytes of a block, the bytes d and m in it, where planes hold d apart. */
export const FORMATS = {
  f32: { type: 0, elements: 1, bytes: 4 },
  f16: { type: 1, elements: 1, bytes: 2 },
  bf16: { type: 30, elements: 1, bytes: 2 },
  q4_0: { type: 2, elements: 32, bytes: 18, d: 0, apart: true },
  q4_1: { type: 3, elements: 32, bytes: 20, d: 0, m: 2 },
  q5_0: { type: 6, elements: 32, bytes: 22, d: 0, apart: true },
  q5_1: { type: 7, elements: 32, bytes: 24, d: 0, m: 2 },
  q8_0: { type: 8, elements: 32, bytes: 34, d: 0, apart: true },
  q2_k: { type: 10, elements: 256, bytes: 84, d: 80, m: 82 },
  q3_k: { type: 11, elements: 256, bytes: 110, d: 108, apart: true },
  q4_k: { type: 12, elements: 256, bytes: 144, d: 0, m: 2 },
  q5_k: { type: 13, elements: 256, bytes: 176, d: 0, m: 2 },
  q6_k: { type: 14, elements: 256, bytes: 210, d: 208, apart: true },
  iq4_nl: { type: 20, elements: 32, bytes: 18, d: 0, apart: true },
  iq4_xs: { type: 23, elements: 256, bytes: 136, d: 0 },
  iq1_s: { type: 19, elements: 256, bytes: 50, d: 0, apart: true, grid: true },
  iq1_m: { type: 29, elements: 256, bytes: 56, grid: true },
  iq2_xxs: { type: 16, elements: 256, bytes: 66, d: 0, apart: true, grid: true },
  iq2_xs: { type: 17, elements: 256, bytes: 74, d: 0, apart: true, grid: true },
  iq2_s: { type: 22, elements: 256, bytes: 82, d: 0, apart: true, grid: true },
  iq3_xxs: { type: 18, elements: 256, bytes: 98, d: 0, apart: true, grid: true },
  iq3_s: { type: 21, elements: 256, bytes: 110, d: 0, apart: true, grid: true },
  q1_0: { type: 41, elements: 128, bytes: 18, d: 0, apart: true },
  q2_0: { type: 42, elements: 64, bytes: 18, d: 0, apart: true },
  mxfp4: { type: 39, elements: 32, bytes: 17, d: 0, dBytes: 1, apart: true },
  nvfp4: { type: 40, elements: 64, bytes: 36 },
  tq1_0: { type: 34, elements: 256, bytes: 54, d: 52, apart: true },
  tq2_0: { type: 35, elements: 256, bytes: 66, d: 64, apart: true },
};

/**
 * The elements of a row in file order, and for each |d * code| + |m|: what a product that takes the codes and
 * the offsets apart adds up. Exact but for the elements' own rounding to float32, as in src/quant.
 */
export function decodeRow(format, row) {
  const { elements, bytes } = FORMATS[format];
  const n = (row.length / bytes) * elements;
  const values = new Float32Array(n);
  const sizes = new Float64Array(n);
  for (let b = 0; b < n / elements; b++) {
    const block = row.subarray(b * bytes, (b + 1) * bytes);
    for (let i = 0; i < elements; i++) {
      const [d, code, m] = terms[format](block, i);
      values[b * elements + i] = Math.fround(Math.fround(d * code) + m);
      sizes[b * elements + i] = Math.abs(d * code) + Math.abs(m);
    }
  }
  return { values, sizes };
}

/** A generator of numbers in [0, 1) from a seed (mulberry32). */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const scales = {
  /** Around 0.01, of both signs. */
  sane: (random) => (random() < 0.5 ? 0 : 0x8000) | (0x1c00 + Math.floor(random() * 0x0c00)),
  zero: (random) => (random() < 0.6 ? (random() < 0.5 ? 0 : 0x8000) : 0x2400),
  largest: (random) => (random() < 0.5 ? 0x7bff : 0xfbff),
  subnormal: (random) => Math.floor(random() * 0x400) | (random() < 0.5 ? 0 : 0x8000),
};

/** The bytes of MXFP4. GPUs may take the two subnormal scales as 0. */
const exponents = {
  sane: (random) => 118 + Math.floor(random() * 6),
  zero: (random) => (random() < 0.6 ? 60 : 120),
  largest: () => 142,
  subnormal: (random) => 104 + Math.floor(random() * 12),
};

const nvfp4Scales = {
  sane: (random) => 24 + Math.floor(random() * 32),
  zero: (random) => (random() < 0.6 ? (random() < 0.5 ? 0 : 0x7f) : 0x38),
  largest: () => 0x7e,
  subnormal: (random) => Math.floor(random() * 8),
};

/**
 * A row of `n` elements in file order that the core accepts. `kind`: sane, zero (many scales are 0), largest
 * (the largest finite scales, codes at their ends) or subnormal (scales).
 */
export function randomRow(format, n, random, kind = 'sane') {
  const { elements, bytes, d, m } = FORMATS[format];
  const row = new Uint8Array((n / elements) * bytes);
  if (elements === 1) {
    for (let i = 0; i < n; i++) {
      let number = kind === 'zero' && random() < 0.5 ? 0 : random() * 2 - 1;
      if (kind === 'largest') number = number < 0 ? -60000 : 60000;
      if (format === 'f16')
        view(row).setUint16(2 * i, kind === 'sane' ? scales.sane(random) : scales[kind](random), true);
      else if (format === 'f32') view(row).setFloat32(4 * i, number, true);
      else view(row).setUint16(2 * i, new Uint32Array(new Float32Array([number]).buffer)[0] >>> 16, true);
    }
    return row;
  }
  const ends = [0xff, 0, 0xf0, 0x0f, 0xff, 0, 0x80, 0x7f];
  for (let i = 0; i < row.length; i++) {
    row[i] = Math.floor(random() * 256);
    if (kind === 'largest') row[i] = format === 'q8_0' ? (row[i] & 1 ? 0x7f : 0x81) : ends[row[i] % 8];
    if (format === 'q8_0' && row[i] === 0x80) row[i] = 0x81;
  }
  for (let at = 0; at < row.length; at += bytes) {
    if (format === 'nvfp4') for (let s = 0; s < 4; s++) row[at + s] = nvfp4Scales[kind](random);
    else if (format === 'mxfp4') row[at] = exponents[kind](random);
    else if (format === 'iq1_m')
      for (let s = 0, bits = scales[kind](random); s < 4; s++, bits >>= 4)
        row[at + 49 + 2 * s] = (row[at + 49 + 2 * s] & 15) | ((bits & 15) << 4);
    else view(row).setUint16(at + d, scales[kind](random), true);
    if (m !== undefined) view(row).setUint16(at + m, scales[kind](random), true);
  }
  return row;
}

/** Formats whose codes lie in whole fours of words. Their rows may be longer, to begin at such places. */
const IN_FOURS = ['q4_0', 'q8_0', 'q4_k', 'q5_k', 'q6_k', 'iq4_nl', 'mxfp4'];

/** Words of a row of `n` elements on the GPU. */
export function planeWords(format, n) {
  const { elements, bytes } = FORMATS[format];
  const length = (n / elements) * bytes;
  const more = (16 - (length % 16)) % 16;
  return IN_FOURS.includes(format) && more * 20 <= length ? (length + more) / 4 : Math.ceil(length / 4);
}

/**
 * Brings rows in file order (Uint8Arrays of equal length) into planes, one after the other: the blocks of a
 * row, and where a format's d is held apart the blocks without d, then all d, then zeros up to the next row.
 */
export function toPlanes(format, rows) {
  const { bytes, elements, d, dBytes = 2, apart } = FORMATS[format];
  const words = planeWords(format, ((rows[0]?.length ?? 0) / bytes) * elements);
  const planes = new Uint8Array(rows.length * words * 4);
  rows.forEach((row, r) => {
    const plane = planes.subarray(r * words * 4);
    if (!apart) return plane.set(row);
    const n = row.length / bytes;
    for (let b = 0; b < n; b++) {
      const block = row.subarray(b * bytes, (b + 1) * bytes);
      plane.set(block.subarray(0, d), b * (bytes - dBytes));
      plane.set(block.subarray(d + dBytes), b * (bytes - dBytes) + d);
      plane.set(block.subarray(d, d + dBytes), n * (bytes - dBytes) + dBytes * b);
    }
  });
  return new Uint32Array(planes.buffer);
}

/** Words at the beginning of a buffer with matrices of these formats: the grids, where one has a grid. */
export const headWords = (...formats) =>
  formats.some((name) => FORMATS[name].grid) ? new Uint32Array(GRIDS.buffer) : new Uint32Array(0);

/** A Matrix with these rows, in parts that begin at rows `cuts`: each in a buffer, after words of NaN. */
export function makeMatrix(device, format, n, rows, cuts = [0], gap = 3) {
  const head = headWords(format);
  const before = head.length + gap;
  const rowWords = planeWords(format, n);
  const planes = toPlanes(format, rows);
  const parts = cuts.map((firstRow, i) => {
    const nRows = (cuts[i + 1] ?? rows.length) - firstRow;
    const words = new Uint32Array(before + nRows * rowWords).fill(0x7e017e01); // a NaN in each half
    words.set(head);
    words.set(planes.subarray(firstRow * rowWords, (firstRow + nRows) * rowWords), before);
    return { view: { buffer: upload(device, words) }, offset: before, firstRow, nRows };
  });
  return { name: 'test', format, nIn: n, nRows: rows.length, rowWords, parts };
}
