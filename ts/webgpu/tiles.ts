// SPDX-License-Identifier: Apache-2.0
// The kernels of products of many tokens, and which of them a product takes. Some read inputs that a dispatch
// before them has brought into another form (stage).
import type { Dispatch, Features, Matrix, Slot, View } from './dispatch.js';
import { FORMATS } from './formats.js';

const THREADS = 64;

/** A form of inputs, and the kernel of products that reads it. */
export interface Tile {
  readonly inputs: 'q8' | 'f16';
  readonly kernel: string;
  /** The kernel of EXPERTS. Undefined: experts of this device's prompts read inputs as they are. */
  readonly experts?: string;
  /** The kernel that makes the form, and bytes of a group of 32 elements in it. */
  readonly stage: string;
  readonly groupBytes: number;
  /** Texts of the product's kernel, except those of formats and segments. */
  with(features: Features): string[];
  /** Whether the device gains by it. */
  isFor(features: Features): boolean;
  /** Whether it can be multiplied with these matrices, which lie side by side. */
  takes(matrices: readonly Matrix[]): boolean;
}

/**
 * In order of preference; the first that the device and the matrices fit is taken, and matmul.wgsl, over
 * inputs in f32, where none does. A kernel over subgroup matrices would be the first entry: its `isFor`
 * would ask `features.subgroupMatrices` for a size with f32 sums. There is none yet: no browser has them
 * without a flag.
 *
 * q8: a packed dot is four multiply-adds in an instruction.
 *
 * f16: half of the workgroup memory, so that twice as many workgroups have room (10 kB for 64 x 64, and f32
 * needs 12 kB for 64 x 32), half of the bytes read from it, and each code is unpacked once for 64 tokens, not
 * for 32. Sums stay f32: registers don't become fewer. Products of one to eight tokens wait for weights,
 * which they keep in registers, and gain nothing. F32 and BF16 would lose bits of weights, so they stay f32.
 *
 * How wrong f16 is: codes are exact, an input is off by u = 2^-11 of itself (2^-10 where a device
 * truncates) or by 2^-28 of its group's largest. So a product is off by at most 2^-10 sum|w||x| + 2^-28
 * sum|w| max|x|, besides the roundings of f32. Errors of rounding are independent, with a variance of at
 * most u^2 / 3 of the input's square: NMSE 8e-8 a product, and 3e-5 with q8, whose step is max|x| / 127.
 */
export const TILES: readonly Tile[] = [
  {
    inputs: 'q8',
    kernel: 'matmul_packed',
    experts: 'experts_packed',
    stage: 'quantize',
    groupBytes: 36,
    with: () => ['packed'],
    isFor: ({ fastDot }) => fastDot,
    takes: (matrices) => matrices.every(({ format, nIn }) => !FORMATS[format].isFloat && nIn % 32 === 0),
  },
  {
    inputs: 'f16',
    kernel: 'matmul_half',
    stage: 'halve',
    groupBytes: 80,
    with: ({ f16 }) => [f16 ? 'half_native' : 'half_words'],
    isFor: ({ f16Tiles }) => f16Tiles,
    takes: (matrices) => matrices.every(({ format }) => !FORMATS[format].isFloat || format === 'f16'),
  },
];

/** Undefined: inputs stay as they are. */
export const tileOf = (matrices: readonly Matrix[], features: Features): Tile | undefined =>
  TILES.find((tile) => tile.isFor(features) && tile.takes(matrices));

/** The same of a stack of experts. */
export function expertsTileOf(stack: Matrix, features: Features): (Tile & { experts: string }) | undefined {
  const tile = tileOf([stack], features);
  return tile?.experts === undefined ? undefined : { ...tile, experts: tile.experts };
}

/** Bytes of a row of inputs in a tile's form. */
export const stagedBytes = ({ groupBytes }: Tile, nIn: number): number => Math.ceil(nIn / 32) * groupBytes;

/** The most bytes that stage() writes for a row on this device; 0: nothing is staged. */
export function mostStagedBytes(features: Features, nIn: number, isOfExperts = false): number {
  const tiles = TILES.filter((tile) => tile.isFor(features) && (!isOfExperts || tile.experts !== undefined));
  return Math.max(0, ...tiles.map((tile) => stagedBytes(tile, nIn)));
}

/** Brings rows of the batch into a tile's form. `out` holds stagedBytes() for each. */
export function stage(o: {
  readonly tile: Tile;
  readonly label: string;
  readonly input: Slot;
  readonly nIn: number;
  readonly out: View;
}): Dispatch {
  const { tile, label, input, nIn, out } = o;
  return {
    kernel: tile.stage,
    label: `${tile.stage}/${tile.inputs}/${label}`,
    with: ['inputs'],
    overrides: { N_IN: nIn, X_STRIDE: input.stride / 4 },
    params: [],
    buffers: [out, input.view],
    groups: ({ nTokens }) => [Math.ceil(nIn / 32 / THREADS), nTokens, nTokens === 0 ? 0 : 1],
    work: () => ({ madds: 0, bytes: 0 }),
  };
}
