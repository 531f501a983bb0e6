// SPDX-License-Identifier: Apache-2.0
// A load in the engine worker: header, plan, pool, data; an estimate ends behind the plan. One chunk of the
// source is read at a time.
import { ChordError } from '../errors.js';
import { checkStart } from '../load/http.js';
import type { BufferMeter } from '../load/meter.js';
import { ProgressReporter } from '../load/progress.js';
import type { LoadProgress } from '../load/progress.js';
import type { ByteStream } from '../load/stream.js';
import type { PlanOptions } from '../options.js';
import { hardwareThreads, nextTurn } from '../platform.js';
import { describe } from '../wasm/describe.js';
import { whyNotShared } from '../wasm/detect.js';
import { WasmEngine } from '../wasm/engine.js';
import { doesNotFit, fitModel, largestContext } from '../wasm/fit.js';
import type { Fit } from '../wasm/fit.js';
import { compileModule } from '../wasm/instantiate.js';
import type { CompiledModule } from '../wasm/instantiate.js';
import type { Loader } from '../wasm/loader.js';
import { ThreadPool } from '../wasm/threads.js';
import type { LoadOptions, ModelEstimate } from './protocol.js';
import type { LoadedEngine } from './runner.js';

/** Maximum number of threads by default. With more, small models lose more time in waits than they save. */
const MOST_THREADS = 8;
/** The event loop turns at least once per TURN_BYTES, so that a cancel arrives while chunks are ready. */
const TURN_BYTES = 1 << 20;

export interface LoadJob {
  readonly options: LoadOptions;
  readonly signal: AbortSignal;
  readonly meter: BufferMeter;
  /** Whether a pool is possible: true in the engine worker, false in the caller's thread. */
  readonly mayThread: boolean;
  /** Name of the source, for messages and progress. */
  readonly name: string;
  open(signal: AbortSignal): Promise<ByteStream>;
  onBytes(bytes: number): void;
  onProgress(progress: LoadProgress): void;
}

/** A source that has been read to the end of its header. */
interface Opened {
  readonly engine: WasmEngine;
  readonly compiled: CompiledModule;
  readonly stream: ByteStream;
  readonly chunks: Chunks;
  readonly progress: ProgressReporter;
  pool?: ThreadPool | undefined;
}

/**
 * Loads a model. The caller frees the engine and stops the pool.
 *
 * Throws the errors of the source, the file and the memory, and the signal's reason. The engine, the pool
 * and the source are released then. A model that doesn't fit is refused after its header.
 */
export function loadEngine(job: LoadJob): Promise<LoadedEngine> {
  return withHeader(job, async (opened) => {
    const { engine, compiled, stream, chunks, progress } = opened;
    const { fit, why } = await planModel(engine, job);
    if (!fit.fits) throw doesNotFit(engine.file, fit);
    const started = await startPool(engine.file, fit.options, job.options.threadUrl);
    opened.pool = started.pool;
    progress.total ??= engine.file.planInfo.data_end;
    if (!engine.file.begin()) await chunks.until(engine.file);
    if (stream.mustEnd) await chunks.drain();
    await opened.pool?.join(engine.instance);
    job.signal.throwIfAborted();
    progress.begin('ready');
    return { engine, compiled, why: started.why ?? why, pool: opened.pool };
  });
}

/** Reads the header and says what `loadEngine` would do. Everything is released. Throws as `loadEngine`. */
export function estimateEngine(job: LoadJob): Promise<ModelEstimate> {
  return withHeader(job, async ({ engine, compiled, stream }) => {
    const { fit, why } = await planModel(engine, job);
    const largest = largestContext(engine.file, fit.options, fit.available);
    engine.file.plan(fit.options);
    const estimate = {
      ...describe(engine, compiled, why),
      fileBytes: stream.totalBytes ?? engine.file.planInfo.data_end,
      kvType: fit.options.kvType ?? 'f16',
      fits: fit.fits,
      why: fit.why,
      availableBytes: fit.available,
      largestContextLength: largest,
    };
    engine.free();
    return estimate;
  });
}

/**
 * Opens the source, reads its header and runs `use`. The source is closed afterwards. If anything throws, the
 * engine and the pool are released.
 */
async function withHeader<T>(job: LoadJob, use: (opened: Opened) => Promise<T>): Promise<T> {
  const progress = new ProgressReporter(job.name, job.onProgress);
  const [compiled, stream] = await compileAndOpen(job);
  const aheadBytes = stream.aheadBytes ?? 0;
  let opened: Opened | undefined;
  try {
    job.meter.hold(aheadBytes);
    job.signal.throwIfAborted();
    const engine = new WasmEngine(compiled.module, job.options.memoryBudget);
    progress.total = stream.totalBytes;
    stream.watch?.((loaded) => progress.update(loaded));
    progress.begin(stream.phase);
    const chunks = new Chunks(stream, job, progress);
    opened = { engine, compiled, stream, chunks, progress };
    if (stream.totalBytes !== undefined) engine.file.setFileBytes(stream.totalBytes);
    await chunks.until(engine.file);
    return await use(opened);
  } catch (error) {
    opened?.engine.free();
    await opened?.pool?.stop();
    if (!opened?.chunks.isBroken && ChordError.isInstance(error) && error.code === 'invalid-gguf')
      stream.drop?.();
    throw named(error, job.name);
  } finally {
    job.meter.release(aheadBytes);
    await stream.close();
  }
}

/**
 * Compiles the module and opens the source at the same time. Throws the error of the compilation if both
 * fail. After an error the source is closed.
 */
async function compileAndOpen(job: LoadJob): Promise<[CompiledModule, ByteStream]> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(job.signal.reason);
  job.signal.addEventListener('abort', onAbort);
  if (job.signal.aborted) onAbort();
  const opening = job.open(stop.signal);
  opening.catch(() => undefined); // a rejection is reported where `opening` is awaited
  try {
    return [await compileModule({ wasm: job.options.wasm, signal: job.signal }), await opening];
  } catch (error) {
    stop.abort(error);
    // The client may terminate the worker right after the answer, so the source is closed before.
    await opening.then((stream) => stream.close()).catch(() => undefined);
    throw error;
  }
}

/** The chunks of a source. The end of the header and the first data may be in one chunk. */
class Chunks {
  readonly #stream: ByteStream;
  readonly #job: LoadJob;
  readonly #progress: ProgressReporter;
  #chunk: Uint8Array = new Uint8Array();
  #offset = 0;
  #sinceTurn = 0;
  /** Whether the source has failed: the bytes before may be right. */
  isBroken = false;

  constructor(stream: ByteStream, job: LoadJob, progress: ProgressReporter) {
    this.#stream = stream;
    this.#job = job;
    this.#progress = progress;
  }

  /**
   * Pushes chunks until the header or the data is complete. Throws `invalid-gguf` if the file ends before.
   */
  async until(file: Loader): Promise<void> {
    while (!file.push(this.#offset, this.#chunk)) {
      if (await this.#next()) continue;
      file.end();
      throw new ChordError('invalid-gguf', 'the file ends before its model is complete');
    }
  }

  /** Reads the bytes behind the model. */
  async drain(): Promise<void> {
    while (await this.#next()) continue;
  }

  /** Reads the next chunk. Returns false at the end of the source. */
  async #next(): Promise<boolean> {
    this.#job.meter.release(this.#chunk.byteLength);
    this.#offset += this.#chunk.byteLength;
    this.#sinceTurn += this.#chunk.byteLength;
    this.#chunk = new Uint8Array();
    if (this.#sinceTurn >= TURN_BYTES) await nextTurn();
    if (this.#sinceTurn >= TURN_BYTES) this.#sinceTurn = 0;
    this.isBroken = true;
    const chunk = await this.#stream.read();
    this.isBroken = false;
    this.#job.signal.throwIfAborted();
    if (chunk === undefined) return false;
    if (this.#offset === 0) checkStart(chunk, this.#stream.name);
    this.#job.meter.hold(chunk.byteLength);
    this.#job.onBytes(chunk.byteLength);
    if (this.#stream.watch === undefined) this.#progress.update(this.#offset + chunk.byteLength);
    this.#chunk = chunk;
    return true;
  }
}

/**
 * Plans the model for the threads that are asked for and possible. `why` is the reason for their number.
 */
async function planModel(engine: WasmEngine, job: LoadJob): Promise<{ fit: Fit; why: string }> {
  const { contextLength, kvType, memoryBudget } = job.options;
  const { threads, why } = await chooseThreads(job);
  return { fit: await fitModel(engine, { contextLength, kvType, threads }, memoryBudget), why };
}

async function chooseThreads({ options, mayThread }: LoadJob): Promise<{ threads: number; why: string }> {
  const hardware = await hardwareThreads();
  const asked = options.threads ?? Math.min(hardware, MOST_THREADS);
  const obstacle = mayThread ? whyNotShared() : 'only a worker can have more';
  const threads = obstacle === undefined ? Math.min(asked, hardware) : 1;
  if (threads > 1)
    return { threads, why: `${threads} threads${whyMany(options.threads, hardware, threads)}` };
  if (options.threads === 1) return { threads, why: '1 thread, as asked' };
  return { threads, why: `1 thread: ${hardware === 1 ? 'the machine has only one' : obstacle}` };
}

/** Why there are `n` threads: more than one. */
function whyMany(asked: number | undefined, hardware: number, n: number): string {
  if (n === asked) return ', as asked';
  return n === hardware ? ': the machine runs no more at once' : `: by default at most ${MOST_THREADS}`;
}

/**
 * Starts the pool of a model that is planned with `options`. If the pool can't start, the model is planned
 * for one thread instead, and `why` is the reason.
 */
async function startPool(
  file: Loader,
  options: PlanOptions,
  url: string | undefined,
): Promise<{ pool?: ThreadPool; why?: string }> {
  const { n_threads } = file.planInfo;
  if (n_threads === 1) return {};
  try {
    return { pool: await ThreadPool.start(n_threads - 1, url) };
  } catch (error) {
    file.plan({ ...options, threads: 1 });
    return { why: `1 thread: ${(error as Error).message}` };
  }
}

/** Adds the file's name to an error about the file. Other errors name their subject already. */
function named(error: unknown, name: string): unknown {
  if (!ChordError.isInstance(error) || error.message.includes(name)) return error;
  if (error.code !== 'invalid-gguf' && !error.code.startsWith('unsupported-')) return error;
  return new ChordError(error.code, `${name}: ${error.message}`, { hint: error.hint, cause: error });
}
