// SPDX-License-Identifier: Apache-2.0
// A load onto the GPU in the engine worker: chunks of the source go to the instance, which keeps vocabulary
// and vectors, and to the upload, which keeps the matrices.
import { ChordError, messageOf } from '../errors.js';
import type { WasmEngine } from '../wasm/engine.js';
import { readOps, readProgram } from '../wasm/program.js';
import { chooseBackend, openGpu } from '../webgpu/chunk.js';
import type { ChosenBackend, GpuModule, GpuRequest, OpenGpu } from '../webgpu/chunk.js';
import type { OnDevice } from '../webgpu/lasting.js';
import type { FileAgain, GpuStart } from '../webgpu/start.js';

/** Where the chunks of a load go. */
export interface Sink {
  /** Whether all has come that is needed. */
  readonly isReady: boolean;
  /** The file that `push` needs next. */
  readonly file: number;
  /** The byte of that file that is needed next; absent: all are. */
  readonly position?: number;
  /** Pushes bytes of a file in file order. Returns whether nothing more of the file is needed. */
  push(offset: number, bytes: Uint8Array, file: number): boolean | Promise<boolean>;
  /** Throws `invalid-gguf`, which names what is missing, when the file ends before it is complete. */
  end(): void;
}

/** A fault of the GPU. The CPU can load the model. The message says what happened, for people. */
export class GpuFailure extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
  }
}

const guarded = async <T>(work: Promise<T>): Promise<T> => {
  try {
    return await work;
  } catch (error) {
    // What is wrong with the file is so on the CPU too.
    throw ChordError.isInstance(error) && error.code === 'invalid-gguf'
      ? ChordError.from(error)
      : new GpuFailure(error);
  }
};

export class GpuLoad implements Sink {
  readonly #engine: WasmEngine;
  readonly #gpu: OpenGpu;
  readonly #start: GpuStart;
  readonly #samples: InstanceType<GpuModule['Samples']>;
  readonly #stopped: Promise<never>;
  #isFinished = false;

  private constructor(engine: WasmEngine, gpu: OpenGpu, start: GpuStart, signal: AbortSignal) {
    this.#engine = engine;
    this.#gpu = gpu;
    this.#start = start;
    this.#samples = new gpu.module.Samples(readOps(engine.instance, engine.file));
    this.#stopped = new Promise((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
    );
    this.#stopped.catch(() => undefined);
  }

  /** Allocates the matrices of a model that is planned with `isExternal`. Throws as Uploader.open(). */
  static async open(engine: WasmEngine, gpu: OpenGpu, signal: AbortSignal): Promise<GpuLoad> {
    const start = await gpu.module.GpuStart.open(gpu, readOps(engine.instance, engine.file));
    return new GpuLoad(engine, gpu, start, signal);
  }

  /** Begins to compile, when the instance has begun. */
  begin(): void {
    this.#start.begin(readProgram(this.#engine.instance, this.#engine.file));
  }

  get bytesUploaded(): number {
    return this.#start.uploader.counters.bytesUploaded;
  }

  get isReady(): boolean {
    return this.#engine.file.isReady && this.#start.uploader.isComplete;
  }

  get file(): number {
    const { file } = this.#engine;
    return Math.min(file.isReady ? Infinity : file.file, this.#start.uploader.next?.file ?? Infinity);
  }

  /** Throws GpuFailure, `invalid-gguf`, the errors of Loader.push() and the signal's reason. */
  async push(offset: number, bytes: Uint8Array, number: number): Promise<boolean> {
    const { file } = this.#engine;
    if (!file.isReady && file.file === number) file.push(offset, bytes, number);
    this.#samples.push(number, offset, bytes);
    // A GPU that hangs must not hold an abort.
    await Promise.race([guarded(this.#start.push(number, offset, bytes)), this.#stopped]);
    return this.file > number;
  }

  end(): void {
    const { file } = this.#engine;
    if (!file.isReady) file.end();
    const { next } = this.#start.uploader;
    if (next !== undefined)
      throw new ChordError('invalid-gguf', `the file ends inside tensor '${next.name}' or before it`);
  }

  /**
   * Puts the executor into the engine. `again`: makes another one after its device was lost. Throws
   * GpuFailure and the signal's reason.
   */
  async finish(again: (() => Promise<OnDevice>) | undefined): Promise<void> {
    const executor = await Promise.race([guarded(this.#start.finish()), this.#stopped]);
    for (const [tensor, bytes] of this.#samples) this.#engine.file.setSample(tensor, bytes);
    const { LastingExecutor } = this.#gpu.module;
    const destroyDevice = (): void => this.#gpu.opened.device.destroy();
    this.#isFinished = true;
    if (again === undefined) this.#engine.useExecutor(executor, destroyDevice);
    else this.#engine.useExecutor(new LastingExecutor({ executor, destroyDevice }, again), () => {});
  }

  /** Frees everything on the GPU, unless the engine has it. */
  destroy(): void {
    if (this.#isFinished) return;
    this.#start.uploader.destroy();
    this.#gpu.opened.device.destroy();
  }
}

/**
 * Makes an executor on a new device for a model that is loaded: the matrices are read from `files` again.
 * Throws the errors of the GPU and of the files.
 */
export async function startAgain(
  engine: WasmEngine,
  request: GpuRequest,
  files: readonly FileAgain[],
): Promise<OnDevice> {
  const gpu = await openGpu(request);
  const destroyDevice = (): void => gpu.opened.device.destroy();
  try {
    const start = await gpu.module.GpuStart.open(gpu, readOps(engine.instance, engine.file));
    start.begin(readProgram(engine.instance, engine.file));
    await start.read(files);
    const executor = await start.finish();
    return { executor, destroyDevice };
  } catch (error) {
    destroyDevice();
    throw error;
  }
}

/** As chooseBackend(), for a model that is planned. `matrixBytes`: bytes of its matrices in the file. */
export async function chooseFor(
  engine: WasmEngine,
  request: GpuRequest,
): Promise<ChosenBackend & { matrixBytes: number }> {
  const chosen = await chooseBackend(request);
  if (chosen.gpu === undefined) return { ...chosen, matrixBytes: 0 };
  const program = readOps(engine.instance, engine.file);
  const { matrixBytesOf, whyCpu } = chosen.gpu.module;
  const matrixBytes = matrixBytesOf(program);
  const why = request.backend === 'auto' ? whyCpu(program) : undefined;
  if (why === undefined) return { ...chosen, matrixBytes };
  chosen.gpu.opened.device.destroy();
  return { gpu: undefined, reason: `the CPU: ${why}`, matrixBytes };
}

/** The error of a load that 'webgpu' was asked for, or that can't begin again on the CPU. */
export function noWebgpu({ message, cause }: GpuFailure, isAsked: boolean): ChordError {
  const hint = ChordError.isInstance(cause) ? cause.hint : undefined;
  return new ChordError('no-webgpu', `the model can't run on the GPU: ${message}`, {
    cause,
    hint: isAsked
      ? (hint ?? "backend: 'cpu' uses the CPU")
      : "the source can be read only once, so the CPU can't take over: pass backend: 'cpu', or a URL, a path or a File",
  });
}
