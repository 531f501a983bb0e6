// SPDX-License-Identifier: Apache-2.0
// The weight formats as kernels read them: blocks in the file, and planes on the GPU (dispatch.ts, Matrix).
import type { FormatName, Matrix } from './dispatch.js';

export interface Format {
  /** Elements and bytes of a block. */
  readonly elements: number;
  readonly bytes: number;
  /** Where the bytes `d` are in the file's block, if the plane holds them after all blocks; otherwise -1. */
  readonly d: number;
  /** Bytes of d: 2 if absent. One byte is the exponent of MXFP4. */
  readonly dBytes?: number;
  readonly isFloat: boolean;
  /** An element is d * code + m, not only d * code. */
  readonly hasOffset: boolean;
  /** Where the f16 (MXFP4: the byte) of a block are that scale all its elements, or are an offset of them. */
  readonly scales: readonly number[];
  /** Each 16 elements have a scale of their own, not each 32. */
  readonly has16?: boolean;
  /** Its text has codes_F: the codes lie in whole fours of words. */
  readonly inFours?: boolean;
  /** Texts of kernels/formats that its own text needs. */
  readonly needs: readonly string[];
}

const float = (bytes: number, ...needs: string[]): Format => ({
  elements: 1,
  bytes,
  d: -1,
  isFloat: true,
  hasOffset: false,
  scales: [],
  needs,
});
/** A format whose d is taken out. */
const split = (elements: number, bytes: number, d: number, ...needs: string[]): Format => ({
  elements,
  bytes,
  d,
  isFloat: false,
  hasOffset: false,
  scales: [d],
  needs,
});
/** A format whose blocks stay as they are. */
const whole = (elements: number, bytes: number, scales: readonly number[], ...needs: string[]): Format => ({
  elements,
  bytes,
  d: -1,
  isFloat: false,
  hasOffset: scales.length > 1,
  scales,
  needs,
});

export const FORMATS: Readonly<Record<FormatName, Format>> = {
  f32: float(4),
  f16: float(2, 'halves'),
  bf16: float(2, 'halves'),
  q4_0: { ...split(32, 18, 0), inFours: true },
  q4_1: whole(32, 20, [0, 2]),
  q5_0: split(32, 22, 0),
  q5_1: whole(32, 24, [0, 2]),
  q8_0: { ...split(32, 34, 0), inFours: true },
  q2_k: { ...whole(256, 84, [80, 82]), has16: true },
  q3_k: { ...split(256, 110, 108), has16: true },
  q4_k: { ...whole(256, 144, [0, 2], 'k_scales'), inFours: true },
  q5_k: { ...whole(256, 176, [0, 2], 'k_scales'), inFours: true },
  q6_k: { ...split(256, 210, 208), has16: true, inFours: true },
  iq4_nl: { ...split(32, 18, 0, 'iq4_values'), inFours: true },
  iq4_xs: whole(256, 136, [0], 'iq4_values'),
  iq1_s: split(256, 50, 0, 'grids'),
  iq1_m: { ...whole(256, 56, [], 'grids'), has16: true },
  iq2_xxs: split(256, 66, 0, 'grids'),
  iq2_xs: { ...split(256, 74, 0, 'grids'), has16: true },
  iq2_s: { ...split(256, 82, 0, 'grids'), has16: true },
  iq3_xxs: split(256, 98, 0, 'grids'),
  iq3_s: split(256, 110, 0, 'grids'),
  q1_0: split(128, 18, 0),
  q2_0: split(64, 18, 0),
  mxfp4: { ...split(32, 17, 0, 'e2m1_values'), dBytes: 1, inFours: true },
  nvfp4: { ...whole(64, 36, [], 'e2m1_values'), has16: true },
  tq1_0: split(256, 54, 52),
  tq2_0: split(256, 66, 64),
};

/** Bytes of the grids of all IQ formats, with which a buffer of such matrices begins. */
export const GRIDS_BYTES = 9216;
export const hasGrid = (format: FormatName): boolean => FORMATS[format].needs.includes('grids');

/**
 * The first block with a scale or offset that isn't finite in `bytes`, which are those of rows from byte
 * `at` on; -1: none. `before`: the two bytes before them. The core refuses these too (chord_format_check in
 * src/quant/quant.h).
 */
export function badBlock(name: FormatName, at: number, bytes: Uint8Array, before: Uint8Array): number {
  const { scales, bytes: size, dBytes } = FORMATS[name];
  if (name === 'iq1_m') return badSplit(at, bytes, before);
  let first = Infinity;
  // The second byte of an f16 has all bits of the exponent.
  const [second, bad] = dBytes === 1 ? [0, 0xff] : [1, 0x7c];
  for (const place of scales) {
    for (let i = (((place + second - at) % size) + size) % size; i < bytes.byteLength; i += size)
      if ((bytes[i]! & bad) === bad) {
        first = Math.min(first, Math.floor((at + i) / size));
        break;
      }
  }
  return first === Infinity ? -1 : first;
}

/** Of IQ1_M: d is four top nibbles of a block, and its exponent is in those of bytes 53 and 55. */
function badSplit(at: number, bytes: Uint8Array, before: Uint8Array): number {
  for (let i = (111 - (at % 56)) % 56; i < bytes.byteLength; i += 56)
    if ((bytes[i]! & 0x70) === 0x70 && ((i < 2 ? before[i]! : bytes[i - 2]!) & 0xc0) === 0xc0)
      return Math.floor((at + i) / 56);
  return -1;
}

/**
 * The texts that matrices need (`with`), and functions that choose the format by the segment's number
 * (`glue`).
 * All matrices are quantised, or all are floats. `areFours`: their rows begin at multiples of four words.
 */
export function textsOf(
  matrices: readonly Matrix[],
  packedDot: boolean,
  areFours = false,
): { with: string[]; glue: string } {
  const names = [...new Set(matrices.map(({ format }) => format))];
  const isFloat = FORMATS[names[0]!].isFloat;
  const needed = names.flatMap((name) => [...FORMATS[name].needs, name]);
  const texts = [...new Set(needed)].map((name) => `formats/${name}`);
  const choose = (call: (name: string) => string): string => {
    if (names.length === 1) return `return ${call(names[0]!)};`;
    const cases = matrices.map(({ format }, s) => `if(s==${s}u){return ${call(format)};}`);
    return `${cases.slice(0, -1).join('')}return ${call(matrices.at(-1)!.format)};`;
  };
  const value = choose((name) => `value_${name}(row,b,j)`);
  const word = choose((name) => `word_${name}(row,b,j)`);
  const codes = choose((name) => `codes_${name}(row,b)`);
  const words = (name: string, from: number): string =>
    `vec4u(${[0, 1, 2, 3].map((i) => `word_${name}(row,b,${from + i}u)`).join()})`;
  const ofWords = names
    .filter((name) => !FORMATS[name].inFours)
    .map(
      (name) =>
        `fn codes_${name}(row:u32,b:u32)->Codes{return Codes(${words(name, 0)},${words(name, 4)});}\n`,
    );
  const weights = areFours ? 'weights_fours' : 'weights_words';
  const scale = choose((name) => `scale_${name}(row,b)`);
  return isFloat
    ? {
        with: ['blocks', weights, ...texts, 'group_floats'],
        glue: `fn value(s:u32,row:u32,b:u32,j:u32)->vec4f{${value}}`,
      }
    : {
        with: ['blocks', weights, ...texts, packedDot ? 'unpack_packed' : 'unpack_shifts', 'group_codes'],
        glue:
          `${ofWords.join('')}fn codes(s:u32,row:u32,b:u32)->Codes{${codes}}\n` +
          `fn word(s:u32,row:u32,b:u32,j:u32)->u32{${word}}\n` +
          `fn scale(s:u32,row:u32,b:u32)->vec4f{${scale}}`,
      };
}
