// SPDX-License-Identifier: Apache-2.0
// The self-test of a load: products over rows of the model's own weights, on this adapter, compared with the
// core's decoder and sums in double. An adapter or a driver that computes wrongly is found before the first
// token, whatever its kernels' compiler did.
import type { Program, SelfTested } from '../executor.js';
import type { OpenDevice } from './device.js';
import type { Dispatch, Matrix, Slot } from './dispatch.js';
import { Usage } from './flags.js';
import { FORMATS } from './formats.js';
import { matmul } from './matmul.js';
import { Commands } from './commands.js';
import type { Pipelines } from './pipelines.js';
import { Readback } from './readback.js';
import { Sampler } from './sample.js';
import { stage, stagedBytes, tileOf } from './tiles.js';
import type { Tile } from './tiles.js';

/** Rows of each format that are compared. */
const ROWS = 4;
/** Tokens of a comparison, by the kind of kernel. */
const TOKENS = { one: 1, many: 9 } as const;
/** Invocations of the workgroups whose kernels use subgroups. */
const GROUPS = [64, 128];
/** Unit roundoff of float32. */
const EPS = 2 ** -24;

interface Sample {
  readonly tensor: number;
  readonly type: number;
  readonly nIn: number;
  readonly file: number;
  readonly offset: number;
  /** The first rows in file form, and how many of their bytes have come. */
  readonly bytes: Uint8Array;
  filled: number;
}

/** What is wrong, and what of the GPU it needs: 'f32' is what every kernel needs. */
export interface Fault {
  readonly part: 'subgroups' | Inputs;
  readonly why: string;
}

type Inputs = SelfTested['inputs'];
type Kind = [tokens: keyof typeof TOKENS, tile?: Tile];
type On = OpenDevice & { readonly pipelines: Pipelines };
/** Makes a slot on the GPU that the test's end destroys. */
type MakeSlot = (label: string, count: number, width: number) => Slot;

/** Keeps the first rows of a matrix of each format while a model is loaded, and compares with them. */
export class SelfTest {
  readonly #program: Program;
  readonly #samples: readonly Sample[];
  /** What run() has compared: the worst of each format and kernel. */
  readonly found: SelfTested[] = [];

  constructor(program: Program) {
    this.#program = program;
    const formats = new Map<string, Sample>();
    program.tensors.forEach(({ isMatrix, format, type, nIn, nRows, file, offset, bytes }, tensor) => {
      if (!isMatrix || formats.has(format) || !(format.toLowerCase() in FORMATS)) return;
      const length = (bytes / nRows) * Math.min(ROWS, nRows);
      formats.set(format, { tensor, type, nIn, file, offset, bytes: new Uint8Array(length), filled: 0 });
    });
    this.#samples = [...formats.values()];
  }

  /** Takes bytes of a file, in any order of files. */
  push(file: number, offset: number, bytes: Uint8Array): void {
    for (const sample of this.#samples) {
      const from = sample.offset + sample.filled - offset;
      if (sample.file !== file || from < 0 || from >= bytes.byteLength) continue;
      const part = bytes.subarray(from, from + sample.bytes.byteLength - sample.filled);
      sample.bytes.set(part, sample.filled);
      sample.filled += part.byteLength;
    }
  }

  /** Resolves to what is wrong first; undefined: nothing. */
  async run(
    opened: OpenDevice,
    pipelines: Pipelines,
    matrices: ReadonlyMap<number, Matrix>,
  ): Promise<Fault | undefined> {
    this.found.length = 0;
    const on = { ...opened, pipelines };
    const { features } = opened;
    const disorder = features.subgroups ? await disorderOf(on) : undefined;
    if (disorder !== undefined) return { part: 'subgroups', why: disorder };
    for (const sample of this.#samples) {
      if (sample.filled < sample.bytes.byteLength) continue;
      const matrix = matrices.get(sample.tensor)!;
      const rows = this.#decoded(sample);
      const tile = tileOf([matrix], features);
      const kinds: Kind[] = [['one'], ['many'], ...(tile ? [['many', tile] as Kind] : [])];
      for (const [tokens, by] of kinds) {
        const inputs: Inputs = by?.inputs ?? 'f32';
        const { difference, bound, ...worst } = await compare(on, matrix, rows, tokens, by);
        const format = matrix.format.toUpperCase();
        this.found.push({ format, tokens: TOKENS[tokens], inputs, difference, bound });
        if (!(difference <= bound)) {
          const why = `row ${worst.row} of ${matrix.name} (${matrix.format}), '${tokens}' over ${inputs}, gives ${worst.got}, not ${worst.sum}`;
          return { part: inputs, why };
        }
      }
    }
    return undefined;
  }

  #decoded({ type, nIn, bytes, tensor }: Sample): Float32Array[] {
    const { bytes: all, nRows } = this.#program.tensors[tensor]!;
    const length = all / nRows;
    return Array.from({ length: bytes.byteLength / length }, (_, row) =>
      this.#program.decode(type, bytes.subarray(row * length, (row + 1) * length), nIn),
    );
  }
}

/** Encodes dispatches in a batch of `count` rows, and resolves to the rows of the slot that they write. */
async function resultsOf(
  { device, pipelines }: On,
  count: number,
  prepare: (make: MakeSlot) => { dispatches: Dispatch[]; out: Slot },
): Promise<Float32Array> {
  const made: GPUBuffer[] = [];
  const make = (label: string, size: number, usage: number): GPUBuffer => {
    const buffer = device.createBuffer({
      label: `self-test ${label}`,
      size,
      usage: usage | Usage.copyTarget,
    });
    made.push(buffer);
    return buffer;
  };
  const makeSlot = (label: string, rows: number, width: number): Slot => {
    const stride = Math.ceil(width / 4) * 4;
    const buffer = make(label, Math.max(1, rows * stride) * 4, Usage.storage | Usage.copySource);
    return { view: { buffer }, width, stride };
  };
  const batch = make('batch', 16, Usage.uniform);
  device.queue.writeBuffer(batch, 0, new Uint32Array([count, 0, 0, 0]));
  const commands = new Commands(device, pipelines, batch);
  const sampler = new Sampler(device, { nVocab: 1, nRecords: 1 });
  const readback = new Readback(device, sampler, 1);
  try {
    const { dispatches, out } = prepare(makeSlot);
    const encoder = device.createCommandEncoder({ label: 'self-test' });
    const shape = { nTokens: count, firstPosition: 0, nOutputs: 0 };
    commands.encode(encoder, await commands.ready(dispatches), shape);
    commands.submit(encoder);
    return await readback.rows(out.view.buffer, count, out.width, out.stride);
  } finally {
    for (const buffer of made) buffer.destroy();
    commands.destroy();
    readback.destroy();
    sampler.free();
  }
}

/** Products of the first rows of a matrix with inputs, by the kernel of `tokens` and `tile`. */
async function compare(
  on: On,
  matrix: Matrix,
  rows: readonly Float32Array[],
  tokens: Kind[0],
  tile: Tile | undefined,
): Promise<Worst> {
  const { nIn } = matrix;
  const count = TOKENS[tokens];
  const stride = Math.ceil(nIn / 4) * 4;
  const x = inputs(count, nIn, stride);
  const label = 'self-test';
  const y = await resultsOf(on, count, (make) => {
    const [input, out] = [make('x', count, nIn), make('y', count, rows.length)];
    on.device.queue.writeBuffer(input.view.buffer, 0, x);
    const staged = tile && { tile, view: make('staged', count, stagedBytes(tile, nIn) / 4).view };
    const product = matmul({
      label,
      input,
      nIn,
      matrices: [{ matrix, rows: { first: 0, count: rows.length }, out }],
      rowsOf: 'batch',
      tokens,
      vectors: make('vectors', 1, 1).view,
      features: on.features,
      ...(staged && { staged }),
    });
    const first = staged ? [stage({ tile: staged.tile, label, input, nIn, out: staged.view })] : [];
    return { dispatches: [...first, ...product], out };
  });
  return worstOf(rows, x, stride, y, tile?.inputs ?? 'f32');
}

/**
 * Whether subgroups are what kernels take them for: invocations that follow each other in a workgroup do so
 * in a subgroup, whose size is a power of two within the adapter's bounds. WGSL doesn't promise it.
 */
async function disorderOf(on: On): Promise<string | undefined> {
  const { subgroupMin, subgroupMax } = on.features;
  for (const threads of GROUPS) {
    const sizes = await resultsOf(on, 1, (make) => {
      const out = make('lanes', 1, threads);
      const probe = {
        kernel: 'probe_subgroup',
        label: `probe_subgroup/${threads}`,
        overrides: { THREADS: threads },
      };
      const rest = { params: [], buffers: [out.view], work: () => ({ madds: 0, bytes: 0 }) };
      return { dispatches: [{ ...probe, ...rest, groups: () => [1, 1, 1] }], out };
    });
    const wrong = sizes.findIndex(
      (size) =>
        !(size >= Math.min(subgroupMin, threads) && size <= subgroupMax && Number.isInteger(Math.log2(size))),
    );
    if (wrong >= 0)
      return `lane ${wrong} of ${threads} isn't in the order that kernels need (${sizes[wrong]})`;
  }
  return undefined;
}

/**
 * Numbers in [-1, 1) that are the same on every machine. Of several tokens the last has outliers, as models
 * have them, which f16 without a scale can't hold.
 */
function inputs(count: number, width: number, stride: number): Float32Array<ArrayBuffer> {
  const x = new Float32Array(count * stride);
  let state = 1;
  for (let t = 0; t < count; t++)
    for (let i = 0; i < width; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      x[t * stride + i] = (state / 2 ** 31 - 1) * (t > 0 && t === count - 1 && i % 61 === 0 ? 1e6 : 1);
    }
  return x;
}

/**
 * What the form of inputs changes at most: each weight times half a step of q8, max |x| / 127 of a group of
 * 32, or times what TILES in tiles.ts says of f16.
 */
function roundingOf(row: Float32Array, x: Float32Array, form: Inputs): number {
  let sum = 0;
  if (form === 'f32') return sum;
  for (let at = 0; at < row.length; at += 32) {
    const group = x.subarray(at, at + 32);
    const largest = group.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    row.subarray(at, at + 32).forEach((w, i) => {
      const off = form === 'q8' ? largest / 254 : 2 ** -10 * Math.abs(group[i]!) + 2 ** -28 * largest;
      sum += off * Math.abs(w);
    });
  }
  return sum;
}

interface Worst {
  readonly difference: number;
  readonly bound: number;
  readonly row: number;
  readonly got: number;
  readonly sum: number;
}

/**
 * Compares products y[token][row] with sums in double: the one that is closest to its bound, or furthest
 * above it. In any order of n + 1 float operations, each term is rounded at most n + 1 times, and a weight,
 * d * code + m, twice: the error is at most (n + 4) * eps * sum |w| |x|, and a row of offsets has terms
 * |m| |x| that cancel, which 4 times covers.
 */
function worstOf(
  rows: readonly Float32Array[],
  x: Float32Array,
  stride: number,
  y: Float32Array,
  form: Inputs,
): Worst {
  let worst: Worst | undefined;
  for (let t = 0; t * rows.length < y.length; t++)
    for (const [r, row] of rows.entries()) {
      let [sum, size] = [0, 0];
      row.forEach((w, i) => {
        const term = w * x[t * stride + i]!;
        sum += term;
        size += Math.abs(term);
      });
      const got = y[t * rows.length + r]!;
      const inputs = x.subarray(t * stride, t * stride + row.length);
      const rounded = roundingOf(row, inputs, form);
      const bound = 4 * (row.length + 4) * EPS * (size + rounded) + rounded + Number.MIN_VALUE;
      const difference = Math.abs(got - sum);
      // Not a number is the worst of all.
      if (worst === undefined || !(difference / bound <= worst.difference / worst.bound))
        worst = { difference, bound, row: r, got, sum };
      if (Number.isNaN(difference)) return worst;
    }
  return worst!;
}
