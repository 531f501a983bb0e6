// SPDX-License-Identifier: Apache-2.0
// The weight formats as kernels read them: blocks in the file, and planes on the GPU (dispatch.ts, Matrix).
import type { FormatName, Matrix } from './dispatch.js';

export interface Format {
  /** Elements and bytes of a block. */
  readonly elements: number;
  readonly bytes: number;
  /** Where the bytes `d` are in the file's block, if the plane holds them after all blocks; otherwise -1. */
  readonly d: number;
  readonly isFloat: boolean;
  /** An element is d * code + m, not only d * code. */
  readonly hasOffset: boolean;
  /** Each 16 elements have a scale of their own, not each 32. */
  readonly has16?: boolean;
  /** Texts of kernels/formats that its own text needs. */
  readonly needs: readonly string[];
}

const float = (bytes: number, ...needs: string[]): Format => ({
  elements: 1,
  bytes,
  d: -1,
  isFloat: true,
  hasOffset: false,
  needs,
});
/** A format whose d is taken out. */
const split = (elements: number, bytes: number, d: number, ...needs: string[]): Format => ({
  elements,
  bytes,
  d,
  isFloat: false,
  hasOffset: false,
  needs,
});
/** A format whose blocks stay as they are. */
const whole = (elements: number, bytes: number, hasOffset: boolean, ...needs: string[]): Format => ({
  elements,
  bytes,
  d: -1,
  isFloat: false,
  hasOffset,
  needs,
});

export const FORMATS: Readonly<Record<FormatName, Format>> = {
  f32: float(4),
  f16: float(2, 'halves'),
  bf16: float(2, 'halves'),
  q4_0: split(32, 18, 0),
  q4_1: whole(32, 20, true),
  q5_0: split(32, 22, 0),
  q5_1: whole(32, 24, true),
  q8_0: split(32, 34, 0),
  q2_k: { ...whole(256, 84, true), has16: true },
  q3_k: { ...split(256, 110, 108), has16: true },
  q4_k: whole(256, 144, true, 'k_scales'),
  q5_k: whole(256, 176, true, 'k_scales'),
  q6_k: { ...split(256, 210, 208), has16: true },
  iq4_nl: split(32, 18, 0, 'iq4_values'),
  iq4_xs: whole(256, 136, false, 'iq4_values'),
  q1_0: split(128, 18, 0),
  q2_0: split(64, 18, 0),
};

/**
 * The texts that matrices need (`with`), and functions that choose the format by the segment's number
 * (`glue`).
 * All matrices are quantised, or all are floats.
 */
export function textsOf(matrices: readonly Matrix[], packedDot: boolean): { with: string[]; glue: string } {
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
  const scale = choose((name) => `scale_${name}(row,b)`);
  return isFloat
    ? {
        with: ['blocks', ...texts, 'group_floats'],
        glue: `fn value(s:u32,row:u32,b:u32,j:u32)->vec4f{${value}}`,
      }
    : {
        with: ['blocks', ...texts, packedDot ? 'unpack_packed' : 'unpack_shifts', 'group_codes'],
        glue:
          `fn word(s:u32,row:u32,b:u32,j:u32)->u32{${word}}\n` +
          `fn scale(s:u32,row:u32,b:u32)->vec4f{${scale}}`,
      };
}
