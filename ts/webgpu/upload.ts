// SPDX-License-Identifier: Apache-2.0
// Weights on their way to the GPU. Chunks of the file come in order and in any size, and go straight into the
// buffers of the weights, or, where rows are brought into planes, into a staging buffer from which a kernel
// writes them to their place. No copy of a matrix is made on the host.
//
// A queue runs writes and submitted commands in order. So one staging buffer is enough: a write to it waits
// for the kernel that reads what was there before.
import { ChordError } from '../errors.js';
import type { Program } from '../executor.js';
import { asked } from './asked.js';
import type { Dispatch, Features, FormatName, Matrix } from './dispatch.js';
import { Usage } from './flags.js';
import { FORMATS, badBlock, hasGrid } from './formats.js';
import { answered, firstLine } from './patience.js';
import type { CompiledKernel, Pipelines } from './pipelines.js';
import { placeTensors, rowBytes, rowWords } from './placement.js';
import type { Placement, TensorEntry } from './placement.js';

export type { TensorEntry } from './placement.js';

/** Bytes of the staging buffer, and bytes written between two submits: large beside the cost of a submit. */
const STEP = 8 << 20;
/** Submits under way. The host holds at most AHEAD + 1 times STEP bytes for the queue. */
const AHEAD = 2;
/** Bytes of rows that `pushRows` asks for at once. */
const ROWS = 1 << 20;
/** Dispatches between two submits, and their parameters: dynamic parts of one uniform buffer. */
const SLOTS = 64;
const SLOT = 256;

const nothing = { madds: 0, bytes: 0 };
const planes: Dispatch = {
  kernel: 'planes',
  label: 'planes',
  params: [],
  buffers: [],
  groups: () => [0, 0, 0],
  work: () => nothing,
};

export interface UploadOptions {
  readonly device: GPUDevice;
  readonly features: Features;
  readonly pipelines: Pipelines;
  readonly tensors: readonly TensorEntry[];
  /** Indices of tensors that one dispatch reads: each group in one buffer, if a binding can hold it. */
  readonly groups: readonly (readonly number[])[];
  /** Program.grids. */
  readonly grids?: Program['grids'];
}

/** TypeScript's library doesn't have it yet. */
type Immediates = GPUComputePassEncoder & { setImmediates(offset: number, data: Uint32Array): void };

/** The matrices of a program that is planned, and the groups of those that one product reads. */
export function weightsOf({ ops, tensors }: Pick<Program, 'ops' | 'tensors'>): {
  tensors: TensorEntry[];
  groups: number[][];
} {
  for (const { isMatrix, format, name } of tensors)
    if (isMatrix && !(format.toLowerCase() in FORMATS))
      throw new ChordError('no-webgpu', `the GPU has no kernels for ${format}, the type of tensor '${name}'`);
  const products = ops.filter(({ name }) => name === 'MATMUL' || name === 'EXPERTS');
  return {
    tensors: tensors.flatMap(({ isMatrix, format, ...tensor }, index) =>
      isMatrix ? [{ ...tensor, index, format: format.toLowerCase() as FormatName }] : [],
    ),
    groups: products.map(({ name, weight }) =>
      [...weight].slice(0, name === 'EXPERTS' ? 2 : 3).filter((index) => index >= 0),
    ),
  };
}

/** Where the weights will lie on a device. */
export const placementOf = (
  o: Pick<UploadOptions, 'device' | 'features' | 'tensors' | 'groups'>,
): Placement =>
  placeTensors(o.tensors, o.groups, Math.min(o.features.maxBinding, o.device.limits.maxBufferSize));

/** The matrices by their tensors' indices, in the buffers of a placement. */
export const matricesOf = (
  tensors: readonly TensorEntry[],
  placement: Placement,
  buffers: readonly GPUBuffer[],
): Map<number, Matrix> =>
  new Map(
    tensors.map(({ index, name, format, nIn, nRows }) => {
      const parts = placement.parts
        .get(index)!
        .map(({ buffer, ...part }) => ({ view: { buffer: buffers[buffer]! }, ...part }));
      return [index, { name, format, nIn, nRows, rowWords: rowWords({ format, nIn }), parts }];
    }),
  );

/** A part of a tensor's bytes on the way into one buffer. */
interface Run {
  readonly buffer: GPUBuffer;
  readonly bytes: number;
  /** Where the next bytes go. */
  to: number;
  filled: number;
  /** The kernel's parameters, for rows that are brought into planes. */
  readonly dispatch?: { readonly target: GPUBuffer; readonly params: Uint32Array<ArrayBuffer> };
}

/** Allocates the buffers of all weights, and fills them. One caller at a time. */
export class Uploader {
  readonly #device: GPUDevice;
  readonly #placement: Placement;
  /** In the order of the files. */
  readonly #order: readonly TensorEntry[];
  readonly #buffers: GPUBuffer[] = [];
  #staging: GPUBuffer | undefined;
  #slots: GPUBuffer | undefined;
  #batch: GPUBuffer | undefined;
  #kernel: CompiledKernel | undefined;
  #lost: string | undefined;

  #at = 0;
  /** Bytes of tensor `#at` that have come. */
  #filled = 0;
  #run: Run | undefined;
  /** Bytes of the run that don't fill a word yet: the queue writes whole words. */
  readonly #carry = new Uint8Array(4);
  #carried = 0;
  /** The last two bytes that came. */
  #before = new Uint8Array(2);
  #stagingUsed = 0;
  #slotsUsed = 0;
  #written = 0;
  #commands: { encoder: GPUCommandEncoder; pass: GPUComputePassEncoder } | undefined;
  readonly #underWay: Promise<unknown>[] = [];
  #uploaded = 0;
  #submits = 0;
  #dispatches = 0;

  private constructor(options: UploadOptions) {
    const { device, tensors } = options;
    this.#device = device;
    this.#placement = placementOf(options);
    this.#order = [...tensors].sort((a, b) => a.file - b.file || a.offset - b.offset);
    void device.lost.then(({ message }) => (this.#lost ??= message || 'no reason is known'));
  }

  /**
   * Allocates the buffers and compiles the kernel.
   *
   * Throws `out-of-memory` when the GPU doesn't have the bytes, `device-lost`, and `no-webgpu` when a binding
   * can't hold a row.
   */
  static async open(options: UploadOptions): Promise<Uploader> {
    const uploader = new Uploader(options);
    try {
      const staged = options.tensors.filter(isStaged);
      await uploader.#allocate(staged, options.features);
      if (options.tensors.some(({ format }) => hasGrid(format))) uploader.#writeGrids(options.grids!());
      if (staged.length > 0) uploader.#kernel = await options.pipelines.get(planes);
      uploader.#checkLost();
      return uploader;
    } catch (error) {
      uploader.destroy();
      throw error;
    }
  }

  /** Bytes of all buffers of this upload. */
  get gpuBytes(): number {
    const others = [this.#staging, this.#slots, this.#batch];
    return [...this.#buffers, ...others].reduce((sum, buffer) => sum + (buffer?.size ?? 0), 0);
  }

  get counters(): { bytesUploaded: number; submits: number; gpuDispatches: number } {
    return { bytesUploaded: this.#uploaded, submits: this.#submits, gpuDispatches: this.#dispatches };
  }

  /** Whether all bytes of all matrices have come. */
  get isComplete(): boolean {
    return this.#at === this.#order.length;
  }

  /** The tensor whose bytes are needed next; undefined when all have come. */
  get next(): TensorEntry | undefined {
    return this.#order[this.#at];
  }

  /** The matrices by their tensors' indices. Their bytes are complete after finish(). */
  get matrices(): Map<number, Matrix> {
    return matricesOf(this.#order, this.#placement, this.#buffers);
  }

  /**
   * Takes bytes of a file from `offset` on. Chunks come in order; bytes that no matrix needs may be left out.
   * Resolves when `bytes` may be used again. It waits when much is under way, so that memory stays bounded.
   *
   * Throws `device-lost`, `invalid-gguf` for a scale that isn't finite, and `internal` when bytes are
   * missing.
   */
  async push(file: number, offset: number, bytes: Uint8Array): Promise<void> {
    this.#checkLost();
    for (let tensor; (tensor = this.#order[this.#at]) !== undefined;) {
      const from = tensor.offset + this.#filled - offset;
      if (tensor.file > file || (tensor.file === file && from >= bytes.byteLength)) return;
      if (tensor.file < file || from < 0)
        throw new ChordError(
          'internal',
          `bytes at ${offset} of file ${file} came before those of '${tensor.name}'`,
        );
      const run = (this.#run ??= await this.#begin(tensor));
      const n = Math.min(bytes.byteLength - from, run.bytes - run.filled, STEP - this.#written);
      const part = bytes.subarray(from, from + n);
      this.#check(tensor, part);
      this.#write(run, part);
      if (run.filled === run.bytes) this.#end(run);
      this.#filled += n;
      if (this.#filled === tensor.bytes) {
        this.#at += 1;
        this.#filled = 0;
      }
      if (this.#written >= STEP || this.#slotsUsed === SLOTS) await this.#submit();
    }
  }

  /**
   * Takes all rows from `read`, which writes `count` rows of a tensor in file form, from `first` on. `push`:
   * where their bytes go.
   */
  async pushRows(
    read: (tensor: TensorEntry, first: number, count: number, into: Uint8Array) => void,
    push: (file: number, offset: number, bytes: Uint8Array) => Promise<void> = this.push.bind(this),
  ): Promise<void> {
    const rows = new Uint8Array(Math.max(ROWS, ...this.#order.map(rowBytes)));
    for (const tensor of this.#order) {
      const bytes = rowBytes(tensor);
      const most = Math.floor(rows.byteLength / bytes);
      for (let first = 0; first < tensor.nRows; first += most) {
        const part = rows.subarray(0, Math.min(most, tensor.nRows - first) * bytes);
        read(tensor, first, part.byteLength / bytes, part);
        await push(tensor.file, tensor.offset + first * bytes, part);
      }
    }
  }

  /**
   * Resolves to the matrices by their tensors' indices when all bytes are on the GPU. The buffers then belong
   * to the caller. Throws `device-lost`, and `internal` when bytes are missing.
   */
  async finish(): Promise<Map<number, Matrix>> {
    if (!this.isComplete) throw new ChordError('internal', 'the upload ended before its last matrix');
    await this.#submit();
    await answered(this.#device, Promise.all(this.#underWay.splice(0)));
    this.#checkLost();
    this.#free();
    return this.matrices;
  }

  /** Frees everything, also the weights. */
  destroy(): void {
    this.#free();
    for (const buffer of this.#buffers.splice(0)) buffer.destroy();
  }

  #free(): void {
    for (const buffer of [this.#staging, this.#slots, this.#batch]) buffer?.destroy();
    this.#staging = this.#slots = this.#batch = undefined;
  }

  #checkLost(): void {
    if (this.#lost !== undefined)
      throw new ChordError('device-lost', `the GPU was lost during the upload: ${this.#lost}`);
  }

  #check({ name, format, nIn }: TensorEntry, bytes: Uint8Array): void {
    const bad = badBlock(format, this.#filled, bytes, this.#before);
    this.#before = Uint8Array.from([...this.#before, ...bytes.subarray(-2)]).slice(-2);
    if (bad < 0) return;
    const row = Math.floor((bad * FORMATS[format].elements) / nIn);
    throw new ChordError(
      'invalid-gguf',
      `the file is damaged: tensor '${name}': row ${row} holds a block that no quantiser writes (an infinite scale or a NaN)`,
    );
  }

  async #allocate(staged: readonly TensorEntry[], features: Features): Promise<void> {
    const sizes = this.#placement.buffers;
    const total = sizes.reduce((a, b) => a + b, 0);
    const device = this.#device;
    const fail = (why: string, cause?: unknown): never => {
      throw new ChordError(
        'out-of-memory',
        `the GPU can't hold ${total} bytes of weights: ${firstLine(why)}`,
        {
          cause,
          hint: "use a smaller model or quantization, or backend: 'cpu'",
        },
      );
    };
    const make = (label: string, size: number, usage: number): GPUBuffer =>
      device.createBuffer({ label, size, usage: usage | Usage.copyTarget });
    device.pushErrorScope('out-of-memory');
    try {
      for (const [i, size] of sizes.entries())
        this.#buffers.push(make(`weights ${i}`, size, Usage.storage | Usage.copySource));
      if (staged.length > 0) {
        const most = Math.min(STEP, features.maxBinding);
        const row = Math.max(...staged.map(rowBytes));
        this.#staging = make('staging', Math.max(most, Math.ceil(row / 4) * 4), Usage.storage);
        this.#slots = make('planes p', SLOTS * SLOT, Usage.uniform);
        this.#batch = make('planes batch', 16, Usage.uniform);
      }
    } catch (error) {
      // Where the process itself has no memory left, createBuffer throws a RangeError.
      await asked(device.popErrorScope());
      fail((error as Error).message, error);
    }
    const error = await asked(device.popErrorScope());
    if (error !== null) fail(error.message);
  }

  #writeGrids(grids: Uint8Array<ArrayBuffer>): void {
    for (const buffer of this.#buffers) this.#device.queue.writeBuffer(buffer, 0, grids);
  }

  /** Begins the run that takes the next bytes of `tensor`: up to the end of its part, or of the staging. */
  async #begin(tensor: TensorEntry): Promise<Run> {
    const bytes = rowBytes(tensor);
    const row = this.#filled / bytes;
    const part = this.#placement.parts
      .get(tensor.index)!
      .find(({ firstRow, nRows }) => row >= firstRow && row < firstRow + nRows)!;
    const target = this.#buffers[part.buffer]!;
    const left = part.firstRow + part.nRows - row;
    if (!isStaged(tensor)) return { buffer: target, bytes: left * bytes, to: part.offset * 4, filled: 0 };

    const staging = this.#staging!;
    if (staging.size - this.#stagingUsed < bytes) {
      await this.#submit();
      this.#stagingUsed = 0;
    }
    const from = this.#stagingUsed;
    const rows = Math.min(left, Math.floor((staging.size - from) / bytes));
    this.#stagingUsed += Math.ceil((rows * bytes) / 4) * 4;
    const to = part.offset + (row - part.firstRow) * rowWords(tensor);
    const params = planesParams(tensor, rows, from / 4, to);
    return { buffer: staging, bytes: rows * bytes, to: from, filled: 0, dispatch: { target, params } };
  }

  #write(run: Run, bytes: Uint8Array): void {
    const write = (words: Uint8Array): void => {
      this.#device.queue.writeBuffer(run.buffer, run.to, words as Uint8Array<ArrayBuffer>);
      run.to += words.byteLength;
    };
    let at = 0;
    while (this.#carried % 4 > 0 && at < bytes.byteLength) this.#carry[this.#carried++] = bytes[at++]!;
    if (this.#carried === 4) {
      write(this.#carry);
      this.#carried = 0;
    }
    const whole = (bytes.byteLength - at) & ~3;
    if (whole > 0) write(bytes.subarray(at, (at += whole)));
    while (at < bytes.byteLength) this.#carry[this.#carried++] = bytes[at++]!;
    run.filled += bytes.byteLength;
    this.#written += bytes.byteLength;
    this.#uploaded += bytes.byteLength;
    if (run.filled === run.bytes && this.#carried > 0) {
      write(this.#carry); // no row reads what is behind the run
      this.#carried = 0;
    }
  }

  /** Ends a run: its rows are brought into planes by the next submit. */
  #end({ dispatch }: Run): void {
    this.#run = undefined;
    if (dispatch === undefined) return;
    const { target, params } = dispatch;
    const { pipeline, group, hasUniform } = this.#kernel!;
    if (this.#commands === undefined) {
      const encoder = this.#device.createCommandEncoder({ label: 'planes' });
      this.#commands = { encoder, pass: encoder.beginComputePass({ label: 'planes' }) };
    }
    const { pass } = this.#commands;
    const entries: GPUBindGroupEntry[] = [
      { binding: 0, resource: { buffer: this.#batch! } },
      { binding: 2, resource: { buffer: this.#staging! } },
      { binding: 3, resource: { buffer: target } },
    ];
    const offset = this.#slotsUsed++ * SLOT;
    if (hasUniform) {
      this.#device.queue.writeBuffer(this.#slots!, offset, params);
      entries.push({ binding: 1, resource: { buffer: this.#slots!, offset, size: params.byteLength } });
    }
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.#device.createBindGroup({ layout: group, entries }));
    if (!hasUniform) (pass as Immediates).setImmediates(0, params);
    const [nRows, words] = params as unknown as [number, number];
    // At most STEP bytes, or one row: fewer than 65,536 workgroups.
    pass.dispatchWorkgroups(Math.ceil((nRows * words) / 256));
    this.#dispatches += 1;
  }

  async #submit(): Promise<void> {
    const { encoder, pass } = this.#commands ?? {};
    pass?.end();
    this.#device.queue.submit(encoder === undefined ? [] : [encoder.finish()]);
    this.#commands = undefined;
    this.#slotsUsed = 0;
    this.#written = 0;
    this.#submits += 1;
    this.#underWay.push(asked(this.#device.queue.onSubmittedWorkDone()));
    if (this.#underWay.length > AHEAD) await answered(this.#device, this.#underWay.shift()!);
    this.#checkLost();
  }
}

/** Whether rows can't be copied as they are. */
function isStaged(tensor: TensorEntry): boolean {
  return FORMATS[tensor.format].d >= 0 || rowBytes(tensor) % 4 !== 0;
}

/** The words of Params in planes.wgsl, in 64 bytes. */
function planesParams(tensor: TensorEntry, rows: number, from: number, to: number): Uint32Array<ArrayBuffer> {
  const { elements, bytes, d, dBytes = 2 } = FORMATS[tensor.format];
  const words = rowWords(tensor);
  const params = new Uint32Array(16);
  const nBlocks = tensor.nIn / elements;
  const row = nBlocks * bytes;
  params.set(
    d < 0
      ? [rows, words, 1, row, row, 0, 0, 1, 0, from, to]
      : [
          ...[rows, words, nBlocks, bytes, bytes - dBytes, d === 0 ? dBytes : 0, d, dBytes],
          ...[nBlocks * dBytes, from, to],
        ],
  );
  return params;
}
