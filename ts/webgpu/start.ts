// SPDX-License-Identifier: Apache-2.0
// A model on its way onto a GPU: the upload of its matrices, then its executor. Both levels use it.
import { ChordError } from '../errors.js';
import type { Executor, Program } from '../executor.js';
import type { OpenGpu } from './chunk.js';
import type { OpenDevice } from './device.js';
import type { Features, Matrix } from './dispatch.js';
import type { GpuExecutor } from './executor.js';
import type { Pipelines } from './pipelines.js';
import type { Fault, SelfTest } from './self-test.js';
import { checkKernels } from './needs.js';
import type { Uploader } from './upload.js';

/** What a device is taken for after a fault: as if it lacked what went wrong. */
const LESS: Readonly<Record<Exclude<Fault['part'], 'f32'>, Partial<Features>>> = {
  subgroups: { subgroups: false, subgroupMin: 0, subgroupMax: 0 },
  q8: { fastDot: false },
  f16: { f16: false, f16Tiles: false },
};
/** After a fault that may have any cause: a device with nothing that kernels can do without. */
const PLAIN = {
  ...LESS.subgroups,
  ...LESS.f16,
  packedDot: false,
  fastDot: false,
} satisfies Partial<Features>;

const isPlain = ({ f16, f16Tiles, subgroups, packedDot }: Features): boolean =>
  !f16 && !f16Tiles && !subgroups && !packedDot;

const wrong = (why: string): ChordError => new ChordError('no-webgpu', `the GPU computes wrongly: ${why}`);

/** A file of a model, which opens again. */
export interface FileAgain {
  readonly name: string;
  open(signal: AbortSignal): Promise<{
    readonly mustEnd?: boolean;
    read(): Promise<Uint8Array | undefined>;
    close(): Promise<void>;
  }>;
}

/**
 * A model under way. The device belongs to the caller. Open it when the program is planned, begin when the
 * instance has begun, push the bytes of all matrices, finish when the instance is complete.
 */
export class GpuStart {
  readonly #gpu: OpenGpu;
  readonly #pipelines: Pipelines;
  readonly uploader: Uploader;
  #test: SelfTest | undefined;
  #program: Program | undefined;
  #making: Promise<GpuExecutor> | undefined;
  #fault: string | undefined;

  private constructor(gpu: OpenGpu, pipelines: Pipelines, uploader: Uploader) {
    this.#gpu = gpu;
    this.#pipelines = pipelines;
    this.uploader = uploader;
    // An error that no call reports: the executor can't be trusted then.
    gpu.opened.device.addEventListener('uncapturederror', ({ error }) => (this.#fault ??= error.message));
  }

  /**
   * Allocates the matrices of a program that is planned. Throws as Uploader.open(), and `no-webgpu` where a
   * kernel is missing.
   */
  static async open(gpu: OpenGpu, program: Pick<Program, 'ops' | 'tensors' | 'grids'>): Promise<GpuStart> {
    const { module, opened } = gpu;
    checkKernels(program);
    const pipelines = new module.Pipelines(opened.device, opened.features);
    const weights = { ...module.weightsOf(program), grids: program.grids };
    const uploader = await module.Uploader.open({ ...opened, pipelines, ...weights });
    return new GpuStart(gpu, pipelines, uploader);
  }

  /** Begins to make the executor and to compile its pipelines. An error waits for finish(). */
  begin(program: Program): void {
    const { module, opened } = this.#gpu;
    this.#test = new module.SelfTest(program);
    this.#program = program;
    this.#making = this.#make(opened, this.#pipelines, this.uploader.matrices);
    this.#making.catch(() => undefined);
  }

  /** Takes bytes of a file, as Uploader.push(). */
  async push(file: number, offset: number, bytes: Uint8Array): Promise<void> {
    this.#test!.push(file, offset, bytes);
    await this.uploader.push(file, offset, bytes);
  }

  /** Takes the rows of a model that is loaded already, as Uploader.pushRows(). */
  async pushRows(read: Parameters<Uploader['pushRows']>[0]): Promise<void> {
    await this.uploader.pushRows(read, this.push.bind(this));
  }

  /** Reads the matrices from the model's files. Throws the errors of the files and of push(). */
  async read(files: readonly FileAgain[]): Promise<void> {
    for (const [i, file] of files.entries()) {
      if (this.uploader.next?.file !== i) continue;
      const stream = await file.open(new AbortController().signal);
      try {
        for (let offset = 0; stream.mustEnd || this.uploader.next?.file === i;) {
          const chunk = await stream.read();
          if (chunk === undefined) break;
          await this.push(i, offset, chunk);
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
   * Resolves to the executor when its pipelines are compiled and this adapter passed the self-test: with all
   * that the device has, otherwise without what was wrong, at last with plain kernels alone. Throws
   * `no-webgpu`, which says what is wrong, and the errors of the executor and the upload.
   */
  async finish(): Promise<Executor> {
    const matrices = await this.uploader.finish();
    const downgrades: string[] = [];
    for (let { opened } = this.#gpu, pipelines = this.#pipelines, making = this.#making!; ;) {
      const { executor, fault } = await this.#try(opened, pipelines, matrices, making);
      if (executor !== undefined && fault === undefined) {
        if (this.#fault !== undefined) throw wrong(this.#fault);
        executor.selfTest = this.#test!.found;
        if (downgrades.length > 0) executor.downgrade = downgrades.join('; ');
        return executor;
      }
      executor?.free(false);
      const { part, why } = fault!;
      if (isPlain(opened.features)) throw wrong(why);
      downgrades.push(
        part === 'f32'
          ? `only plain kernels, because with subgroups and packed dots ${why}`
          : `without ${part}, because ${why}`,
      );
      // An error of a kernel that isn't used any more says nothing about the others.
      this.#fault = undefined;
      opened = { ...opened, features: { ...opened.features, ...(part === 'f32' ? PLAIN : LESS[part]) } };
      pipelines = new this.#gpu.module.Pipelines(opened.device, opened.features);
      making = this.#make(opened, pipelines, matrices);
    }
  }

  /** Waits for an executor, and tests the adapter. A kernel that the driver refuses is a fault too. */
  async #try(
    opened: OpenDevice,
    pipelines: Pipelines,
    matrices: ReadonlyMap<number, Matrix>,
    making: Promise<GpuExecutor>,
  ): Promise<{ executor?: GpuExecutor; fault?: Fault | undefined }> {
    let executor: GpuExecutor | undefined;
    try {
      executor = await making;
      executor.loadVectors();
      return { executor, fault: await this.#test!.run(opened, pipelines, matrices) };
    } catch (error) {
      const isRefused = ChordError.isInstance(error) && error.code === 'internal';
      if (!isRefused || isPlain(opened.features)) {
        executor?.free(false);
        throw error;
      }
      return { ...(executor && { executor }), fault: { part: 'f32', why: error.message } };
    }
  }

  async #make(
    opened: OpenDevice,
    pipelines: Pipelines,
    matrices: ReadonlyMap<number, Matrix>,
  ): Promise<GpuExecutor> {
    const program = this.#program!;
    const executor = await this.#gpu.module.GpuExecutor.open({ opened, program, matrices, pipelines });
    await executor.warm();
    return executor;
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
const matrixBytesOf = ({ tensors }: Tables): number =>
  tensors.reduce((sum, { isMatrix, bytes }) => sum + (isMatrix ? bytes : 0), 0);

/** Why 'auto' computes with the CPU although there is a GPU; undefined: the GPU is expected to be faster. */
export function whyCpu(program: Tables): string | undefined {
  const bytes = matrixBytesOf(program);
  const dispatches = Math.round(program.ops.length * FUSED);
  if (bytes / CPU_BYTES_S >= dispatches * DISPATCH_S) return undefined;
  return `the model is small: ${dispatches} dispatches a token take a GPU longer than the CPU reads ${Math.round(bytes / 1e6)} MB`;
}
