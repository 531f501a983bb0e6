// SPDX-License-Identifier: Apache-2.0
// A model on its way onto a GPU: the upload of its matrices, then its executor. Both levels use it.
import { ChordError } from '../errors.js';
import type { Executor, Program } from '../executor.js';
import type { OpenGpu } from './chunk.js';
import type { Matrix } from './dispatch.js';
import type { OpenDevice } from './device.js';
import type { Pipelines } from './pipelines.js';
import type { Uploader } from './upload.js';

/** What webgpu.js makes of the parts. */
interface Started extends Executor {
  /** Compiles the pipelines. */
  warm?(): Promise<void>;
  /** Compares kernels with a specification on this adapter. Resolves to what is wrong. */
  selfTest?(): Promise<string | undefined>;
}
interface ExecutorParts {
  readonly opened: OpenDevice;
  readonly program: Program;
  readonly matrices: ReadonlyMap<number, Matrix>;
  readonly pipelines: Pipelines;
}
interface Maker {
  readonly GpuExecutor?: { open(parts: ExecutorParts): Promise<Started> };
}

/** A file of a model, which opens again. */
export interface FileAgain {
  readonly name: string;
  open(signal: AbortSignal): Promise<{
    readonly mustEnd?: boolean;
    read(): Promise<Uint8Array | undefined>;
    close(): Promise<void>;
  }>;
}

/** The matrices under way. The device belongs to the caller. */
export class GpuStart {
  readonly #gpu: OpenGpu;
  readonly #pipelines: Pipelines;
  readonly uploader: Uploader;
  #fault: string | undefined;

  private constructor(gpu: OpenGpu, pipelines: Pipelines, uploader: Uploader) {
    this.#gpu = gpu;
    this.#pipelines = pipelines;
    this.uploader = uploader;
    // An error that no call reports: the executor can't be trusted then.
    gpu.opened.device.addEventListener('uncapturederror', ({ error }) => (this.#fault ??= error.message));
  }

  /** Allocates the matrices of a program that is planned. Throws as Uploader.open(). */
  static async open(gpu: OpenGpu, program: Pick<Program, 'ops' | 'tensors'>): Promise<GpuStart> {
    const { module, opened } = gpu;
    if ((module as Maker).GpuExecutor === undefined)
      throw new ChordError('no-webgpu', "this version's WebGPU backend runs no models yet");
    const pipelines = new module.Pipelines(opened.device, opened.features);
    const uploader = await module.Uploader.open({ ...opened, pipelines, ...module.weightsOf(program) });
    return new GpuStart(gpu, pipelines, uploader);
  }

  /** Reads the matrices from the model's files. Throws the errors of the files and of Uploader.push(). */
  async read(files: readonly FileAgain[]): Promise<void> {
    for (const [i, file] of files.entries()) {
      if (this.uploader.next?.file !== i) continue;
      const stream = await file.open(new AbortController().signal);
      try {
        for (let offset = 0; stream.mustEnd || this.uploader.next?.file === i;) {
          const chunk = await stream.read();
          if (chunk === undefined) break;
          await this.uploader.push(i, offset, chunk);
          offset += chunk.byteLength;
        }
      } finally {
        await stream.close();
      }
      if (this.uploader.next?.file === i)
        throw new ChordError('io', `${file.name} is shorter than when the model was loaded`);
    }
  }

  /**
   * Makes the executor when all matrices and vectors have come, compiles its pipelines and tests it. Throws
   * `no-webgpu`, which says what the test found, and the errors of the executor and the upload.
   */
  async finish(program: Program): Promise<Executor> {
    const { GpuExecutor } = this.#gpu.module as Maker;
    const matrices = await this.uploader.finish();
    const { opened } = this.#gpu;
    const executor = await GpuExecutor!.open({ opened, program, matrices, pipelines: this.#pipelines });
    try {
      await executor.warm?.();
      const why = (await executor.selfTest?.()) ?? this.#fault;
      if (why !== undefined) throw new ChordError('no-webgpu', `the GPU computes wrongly: ${why}`);
      return executor;
    } catch (error) {
      executor.free();
      throw error;
    }
  }
}

/**
 * Cost of a dispatch on a GPU, and of a byte of weights on a CPU, with which the smallest models are left on
 * the CPU: 25 us is what a dispatch takes in browsers, and threads of a common machine read 10 GB/s.
 */
const DISPATCH_S = 25e-6;
const CPU_BYTES_S = 10e9;
/** Dispatches per op of a program, after fusions. */
const FUSED = 0.5;

type Tables = Pick<Program, 'ops' | 'tensors'>;

/** Bytes of a program's matrices in the file. */
export const matrixBytesOf = ({ tensors }: Tables): number =>
  tensors.reduce((sum, { isMatrix, bytes }) => sum + (isMatrix ? bytes : 0), 0);

/** Why 'auto' computes with the CPU although there is a GPU; undefined: the GPU is expected to be faster. */
export function whyCpu(program: Tables): string | undefined {
  const bytes = matrixBytesOf(program);
  const dispatches = Math.round(program.ops.length * FUSED);
  if (bytes / CPU_BYTES_S >= dispatches * DISPATCH_S) return undefined;
  return `the model is small: ${dispatches} dispatches a token take a GPU longer than the CPU reads ${Math.round(bytes / 1e6)} MB`;
}
