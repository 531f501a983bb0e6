// SPDX-License-Identifier: Apache-2.0
// A load in the engine worker: header, plan, threads, data, one chunk of the source at a time.
import { ChordError } from '../errors.js';
import type { BufferMeter } from '../load/meter.js';
import { ProgressReporter } from '../load/progress.js';
import type { LoadProgress } from '../load/progress.js';
import { htmlError } from '../load/source.js';
import type { ByteStream } from '../load/source.js';
import { hardwareThreads, nextTurn } from '../platform.js';
import { canPostSharedMemory } from '../wasm/detect.js';
import { WasmEngine } from '../wasm/engine.js';
import { compileModule } from '../wasm/instantiate.js';
import type { CompiledModule } from '../wasm/instantiate.js';
import type { Loader } from '../wasm/loader.js';
import { ThreadPool } from '../wasm/threads.js';
import type { LoadOptions } from './protocol.js';
import type { LoadedEngine } from './runner.js';

/** More threads than this cost more at the barriers of small models than they bring. */
const MOST_THREADS = 8;
/** The loop turns at least once in so many bytes: chunks that lie ready would keep a cancel out. */
const TURN_BYTES = 1 << 20;

export interface LoadJob {
  readonly options: LoadOptions;
  readonly signal: AbortSignal;
  readonly meter: BufferMeter;
  /** Whether a pool is possible at all: in the engine worker, not in the caller's own thread. */
  readonly mayThread: boolean;
  readonly name: string;
  open(signal: AbortSignal): Promise<ByteStream>;
  onBytes(bytes: number): void;
  onProgress(progress: LoadProgress): void;
}

/** The caller frees engine and pool. Throws the source's, the file's or the memory's error, or when aborted. */
export async function loadEngine(job: LoadJob): Promise<LoadedEngine> {
  const progress = new ProgressReporter(job.name, job.onProgress);
  const [compiled, stream] = await compileAndOpen(job);
  const aheadBytes = stream.aheadBytes ?? 0;
  let engine: WasmEngine | undefined;
  let pool: ThreadPool | undefined;
  try {
    job.meter.hold(aheadBytes);
    job.signal.throwIfAborted();
    engine = new WasmEngine(compiled.module);
    progress.total = stream.totalBytes;
    progress.begin(stream.phase);
    const chunks = new Chunks(stream, job, progress);
    if (stream.totalBytes !== undefined) engine.file.setFileBytes(stream.totalBytes);

    await chunks.until(engine.file);
    const threads = await choosePool(engine.file, job);
    pool = threads.pool;
    progress.total ??= engine.file.planInfo.data_end;
    if (!engine.file.begin()) await chunks.until(engine.file);
    await pool?.join(engine.instance);
    job.signal.throwIfAborted();
    progress.begin('ready');
    return { engine, compiled, why: threads.why, pool };
  } catch (error) {
    engine?.free();
    await pool?.stop();
    throw named(error, job.name);
  } finally {
    job.meter.release(aheadBytes);
    await stream.close();
  }
}

/** Both at once: a first load waits for the slower of the two. An error of the compile comes first, and nothing stays open behind it. */
async function compileAndOpen(job: LoadJob): Promise<[CompiledModule, ByteStream]> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(job.signal.reason);
  job.signal.addEventListener('abort', onAbort);
  if (job.signal.aborted) onAbort();
  const opening = job.open(stop.signal);
  opening.catch(() => undefined); // told below, where it is awaited
  try {
    return [await compileModule({ signal: job.signal }), await opening];
  } catch (error) {
    stop.abort(error);
    await opening.then((stream) => stream.close()).catch(() => undefined); // the worker may be ended as soon as it has answered
    throw error;
  }
}

/** The chunks of a source, pushed until a phase of the load is complete; a chunk may serve two phases. */
class Chunks {
  readonly #stream: ByteStream;
  readonly #job: LoadJob;
  readonly #progress: ProgressReporter;
  #chunk: Uint8Array = new Uint8Array();
  #offset = 0;
  #sinceTurn = 0;

  constructor(stream: ByteStream, job: LoadJob, progress: ProgressReporter) {
    this.#stream = stream;
    this.#job = job;
    this.#progress = progress;
  }

  async until(file: Loader): Promise<void> {
    while (!file.push(this.#offset, this.#chunk)) {
      if (await this.#next()) continue;
      file.end();
      throw new ChordError('invalid-gguf', 'the file ends before its model is complete');
    }
  }

  /** False at the end of the source. */
  async #next(): Promise<boolean> {
    this.#job.meter.release(this.#chunk.byteLength);
    this.#offset += this.#chunk.byteLength;
    this.#sinceTurn += this.#chunk.byteLength;
    this.#chunk = new Uint8Array();
    if (this.#sinceTurn >= TURN_BYTES) await nextTurn();
    if (this.#sinceTurn >= TURN_BYTES) this.#sinceTurn = 0;
    const chunk = await this.#stream.read();
    this.#job.signal.throwIfAborted();
    if (chunk === undefined) return false;
    if (this.#offset === 0 && looksLikeHtml(chunk)) throw htmlError(this.#stream.name);
    this.#job.meter.hold(chunk.byteLength);
    this.#job.onBytes(chunk.byteLength);
    this.#progress.add(chunk.byteLength);
    this.#chunk = chunk;
    return true;
  }
}

function looksLikeHtml(chunk: Uint8Array): boolean {
  const start = String.fromCharCode(...chunk.subarray(0, 64)).trimStart();
  return /^(<!doctype html|<html)\b/i.test(start);
}

/** Plans for as many threads as can be had, and starts them; one less start-up failure than nothing at all. */
async function choosePool(file: Loader, job: LoadJob): Promise<{ pool: ThreadPool | undefined; why: string }> {
  const { contextLength, kvType } = job.options;
  const hardware = await hardwareThreads();
  const asked = job.options.threads ?? Math.min(hardware, MOST_THREADS);
  const wanted = job.mayThread && canPostSharedMemory() ? Math.min(asked, hardware) : 1;
  const { n_threads } = file.plan({ contextLength, kvType, threads: wanted });
  if (n_threads > 1) {
    try {
      return { pool: await ThreadPool.start(n_threads - 1), why: `${n_threads} threads` };
    } catch (error) {
      file.plan({ contextLength, kvType, threads: 1 });
      return { pool: undefined, why: `1 thread: ${(error as Error).message}` };
    }
  }
  if (asked === 1) return { pool: undefined, why: '1 thread, as asked' };
  if (!job.mayThread) return { pool: undefined, why: '1 thread: without a worker there is no pool' };
  if (wanted === 1 && hardware > 1) return { pool: undefined, why: '1 thread: shared memory can\'t be posted here (the page isn\'t cross-origin isolated)' };
  return { pool: undefined, why: '1 thread: the machine has no more' };
}

/** The file's faults with the file's name; the others name what they are about already. */
function named(error: unknown, name: string): unknown {
  if (!ChordError.isInstance(error) || error.message.includes(name)) return error;
  if (error.code !== 'invalid-gguf' && !error.code.startsWith('unsupported-')) return error;
  return new ChordError(error.code, `${name}: ${error.message}`, { hint: error.hint, cause: error });
}
