// SPDX-License-Identifier: Apache-2.0
// A load onto the GPU: chunks of the source go to the instance, which keeps vocabulary and vectors, and to
// the upload, which keeps the matrices. The instance and the backend are the caller's: only their types are
// here.
import { ChordError } from '../errors.js';
import type { WasmEngine } from '../wasm/engine.js';
import type { OpenGpu } from './chunk.js';
import { LastingExecutor } from './lasting.js';
import type { OnDevice } from './lasting.js';
import { readOps, readProgram } from './program.js';
import { Samples } from './saves.js';
import { GpuStart } from './start.js';
import type { FileAgain } from './start.js';

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

/** Passes a promise on, with the errors of the GPU as the caller wants them. */
type Guard = <T>(work: Promise<T>) => Promise<T>;

export class GpuLoad implements Sink {
  readonly #engine: WasmEngine;
  readonly #gpu: OpenGpu;
  readonly #start: GpuStart;
  readonly #samples: Samples;
  readonly #guard: Guard;
  readonly #stopped: Promise<never>;
  #isFinished = false;

  private constructor(
    engine: WasmEngine,
    gpu: OpenGpu,
    start: GpuStart,
    o: { signal: AbortSignal; guard: Guard },
  ) {
    this.#engine = engine;
    this.#gpu = gpu;
    this.#start = start;
    this.#guard = o.guard;
    this.#samples = new Samples(readOps(engine.instance, engine.file));
    this.#stopped = new Promise((_, reject) =>
      o.signal.addEventListener('abort', () => reject(o.signal.reason as Error), { once: true }),
    );
    this.#stopped.catch(() => undefined);
  }

  /** Allocates the matrices of a model that is planned with `isExternal`. Throws as Uploader.open(). */
  static async open(
    engine: WasmEngine,
    gpu: OpenGpu,
    o: { readonly signal: AbortSignal; readonly guard: Guard },
  ): Promise<GpuLoad> {
    const start = await gpu.module.GpuStart.open(gpu, readOps(engine.instance, engine.file));
    return new GpuLoad(engine, gpu, start, o);
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

  /** Throws the guard's errors, `invalid-gguf`, the errors of Loader.push() and the signal's reason. */
  async push(offset: number, bytes: Uint8Array, number: number): Promise<boolean> {
    const { file } = this.#engine;
    if (!file.isReady && file.file === number) file.push(offset, bytes, number);
    this.#samples.push(number, offset, bytes);
    // A GPU that hangs must not hold an abort.
    await Promise.race([this.#guard(this.#start.push(number, offset, bytes)), this.#stopped]);
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
   * Puts the executor into the engine. `again`: makes another one after its device was lost. Throws the
   * guard's errors and the signal's reason.
   */
  async finish(again: (() => Promise<OnDevice>) | undefined): Promise<void> {
    const executor = await Promise.race([this.#guard(this.#start.finish()), this.#stopped]);
    for (const [tensor, bytes] of this.#samples) this.#engine.file.setSample(tensor, bytes);
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
  gpu: OpenGpu,
  files: readonly FileAgain[],
): Promise<OnDevice> {
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
