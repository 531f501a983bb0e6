// SPDX-License-Identifier: Apache-2.0
// The self-test of a load: products over rows of the model's own weights, on this adapter, compared with the
// core's decoder and sums in double. An adapter or a driver that computes wrongly is found before the first
// token, whatever its kernels' compiler did.
import type { Program, SelfTested } from '../executor.js';
import type { OpenDevice } from './device.js';
import type { Matrix, Slot } from './dispatch.js';
import { Usage } from './flags.js';
import { FORMATS } from './formats.js';
import { matmul, quantisedBytes, quantize, takesQuantised } from './matmul.js';
import type { Tokens } from './matmul.js';
import { Commands } from './commands.js';
import type { Pipelines } from './pipelines.js';
import { Readback } from './readback.js';
import { Sampler } from './sample.js';

/** Rows of each format that are compared. */
const ROWS = 4;
/** Tokens of a comparison, by the kind of kernel; 'q8': of many tokens over q8 inputs. */
const TOKENS: readonly (readonly [Tokens | 'q8', number])[] = [
  ['one', 1],
  ['many', 9],
  ['q8', 10],
];
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

  /** Resolves to what is wrong; undefined: nothing. */
  async run(
    opened: OpenDevice,
    pipelines: Pipelines,
    matrices: ReadonlyMap<number, Matrix>,
  ): Promise<string | undefined> {
    this.found.length = 0;
    for (const sample of this.#samples) {
      if (sample.filled < sample.bytes.byteLength) continue;
      for (const [tokens, count] of TOKENS) {
        const matrix = matrices.get(sample.tensor)!;
        const { features } = opened;
        if (tokens === 'q8' && !(features.fastDot && takesQuantised([matrix], features))) continue;
        const { difference, bound, ...worst } = await this.#compare(sample, matrix, tokens, count, {
          ...opened,
          pipelines,
        });
        this.found.push({ format: matrix.format.toUpperCase(), tokens: count, difference, bound });
        if (!(difference <= bound))
          return `row ${worst.row} of ${matrix.name} (${matrix.format}), '${tokens}' gives ${worst.got}, not ${worst.sum}: this GPU or its driver computes wrongly`;
      }
    }
    return undefined;
  }

  async #compare(
    sample: Sample,
    matrix: Matrix,
    kind: Tokens | 'q8',
    count: number,
    { device, features, pipelines }: OpenDevice & { readonly pipelines: Pipelines },
  ): Promise<Worst> {
    const { nIn } = sample;
    const rows = this.#decoded(sample);
    const stride = Math.ceil(nIn / 4) * 4;
    const x = inputs(count, nIn, stride);
    const made: GPUBuffer[] = [];
    const make = (label: string, bytes: number, usage: number): GPUBuffer => {
      const buffer = device.createBuffer({ label: `self-test ${label}`, size: Math.max(16, bytes), usage });
      made.push(buffer);
      return buffer;
    };
    const storage = Usage.storage | Usage.copySource | Usage.copyTarget;
    const batch = make('batch', 16, Usage.uniform | Usage.copyTarget);
    device.queue.writeBuffer(batch, 0, new Uint32Array([count, 0, 0, 0]));
    const slot = (label: string, width: number): Slot => {
      const wide = Math.ceil(width / 4) * 4;
      return { view: { buffer: make(label, count * wide * 4, storage) }, width, stride: wide };
    };
    const [input, out] = [slot('x', nIn), slot('y', rows.length)];
    device.queue.writeBuffer(input.view.buffer, 0, x);
    const commands = new Commands(device, pipelines, batch);
    const sampler = new Sampler(device, { nVocab: 1, nRecords: 1 });
    const readback = new Readback(device, sampler, 1);
    try {
      const isQ8 = kind === 'q8';
      const q8 = { buffer: make('q8', isQ8 ? count * quantisedBytes(nIn) : 16, storage) };
      const first = isQ8 ? [quantize({ label: 'self-test', input, nIn, out: q8 })] : [];
      const product = matmul({
        label: 'self-test',
        input,
        nIn,
        matrices: [{ matrix, rows: { first: 0, count: rows.length }, out }],
        rowsOf: 'batch',
        tokens: isQ8 ? 'many' : kind,
        vectors: { buffer: make('vectors', 16, storage) },
        features,
        ...(isQ8 && { quantised: q8 }),
      });
      const encoder = device.createCommandEncoder({ label: 'self-test' });
      const shape = { nTokens: count, firstPosition: 0, nOutputs: 0 };
      commands.encode(encoder, await commands.ready([...first, ...product]), shape);
      commands.submit(encoder);
      const y = await readback.rows(out.view.buffer, count, rows.length, out.stride);
      return worstOf(rows, x, stride, y, isQ8);
    } finally {
      for (const buffer of made) buffer.destroy();
      commands.destroy();
      readback.destroy();
      sampler.free();
    }
  }

  #decoded({ type, nIn, bytes, tensor }: Sample): Float32Array[] {
    const { bytes: all, nRows } = this.#program.tensors[tensor]!;
    const length = all / nRows;
    return Array.from({ length: bytes.byteLength / length }, (_, row) =>
      this.#program.decode(type, bytes.subarray(row * length, (row + 1) * length), nIn),
    );
  }
}

/** Numbers in [-1, 1) that are the same on every machine. */
function inputs(count: number, width: number, stride: number): Float32Array<ArrayBuffer> {
  const x = new Float32Array(count * stride);
  let state = 1;
  for (let t = 0; t < count; t++)
    for (let i = 0; i < width; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      x[t * stride + i] = state / 2 ** 31 - 1;
    }
  return x;
}

/** What q8 inputs change at most: half a step, max |x| / 127 of a block of 32, times each weight. */
function roundingOf(row: Float32Array, x: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < row.length; at += 32) {
    const largest = x.subarray(at, at + 32).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    sum += (largest / 254) * row.subarray(at, at + 32).reduce((total, w) => total + Math.abs(w), 0);
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
  isQ8: boolean,
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
      const rounded = isQ8 ? roundingOf(row, inputs) : 0;
      const bound = 4 * (row.length + 4) * EPS * (size + rounded) + rounded + Number.MIN_VALUE;
      const difference = Math.abs(got - sum);
      // Not a number is the worst of all.
      if (worst === undefined || !(difference / bound <= worst.difference / worst.bound))
        worst = { difference, bound, row: r, got, sum };
      if (Number.isNaN(difference)) return worst;
    }
  return worst!;
}
