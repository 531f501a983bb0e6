// SPDX-License-Identifier: Apache-2.0
// A load in the engine worker: header, plan, pool, data; an estimate ends behind the plan. One chunk of the
// source is read at a time. gpu.ts takes the data where a model goes onto a GPU. If the GPU fails, the model
// goes onto the CPU: planned again before the data, read again after it.
import { ChordError, messageOf, toErrorRecord } from '../errors.js';
import type { ChordErrorCode } from '../errors.js';
import type { GpuMemoryUse } from '../executor.js';
import { checkStart } from '../load/http.js';
import type { BufferMeter } from '../load/meter.js';
import { ProgressReporter } from '../load/progress.js';
import type { LoadProgress } from '../load/progress.js';
import type { ByteStream } from '../load/stream.js';
import type { PlanOptions } from '../options.js';
import { importPaging, ownReads, whyNoWorker } from '../paging/chunk.js';
import type { PagingModule } from '../paging/chunk.js';
import type { PagedFile, Paging } from '../paging/start.js';
import { hardwareThreads, nextTurn } from '../platform.js';
import { describe, templateInfo } from '../wasm/describe.js';
import { whyNotShared } from '../wasm/detect.js';
import { WasmEngine } from '../wasm/engine.js';
import { readFacts, readTables } from '../wasm/facts.js';
import { doesNotFit, fitModel, largestContext } from '../wasm/fit.js';
import type { Fit } from '../wasm/fit.js';
import { compileModule, whyNotWide } from '../wasm/instantiate.js';
import type { CompiledModule } from '../wasm/instantiate.js';
import type { Loader } from '../wasm/loader.js';
import { ThreadPool } from '../wasm/threads.js';
import { openGpu } from '../webgpu/chunk.js';
import type { OpenGpu } from '../webgpu/chunk.js';
import type { OnDevice } from '../webgpu/lasting.js';
import type { GpuLoad, Sink } from '../webgpu/load.js';
import { GpuFailure, chooseFor, guarded, memoryOn, noWebgpu } from './gpu.js';
import type { LoadOptions, ModelEstimate, ModelInspection } from './protocol.js';
import type { LoadedEngine } from './runner.js';

/** Maximum number of threads by default. With more, small models lose more time in waits than they save. */
const MOST_THREADS = 8;
/** The event loop turns at least once per TURN_BYTES, so that a cancel arrives while chunks are ready. */
const TURN_BYTES = 1 << 20;
/**
 * A file above LARGE bytes, or a context above LONG tokens, may need more than 4 GiB: its header is kept
 * until the model is planned. A header has a few MB, so the copy stays small beside the model.
 */
const LARGE = 512 << 20;
const LONG = 4096;
/** Fewer bytes that aren't needed are read. */
const SKIP_BYTES = 1 << 20;

export interface LoadJob {
  readonly options: LoadOptions;
  readonly signal: AbortSignal;
  readonly meter: BufferMeter;
  /** Whether a pool is possible: true in the engine worker, false in the caller's thread. */
  readonly mayThread: boolean;
  /** The model's files in the order of the key split.no. */
  readonly files: readonly JobFile[];
  onBytes(bytes: number): void;
  onProgress(progress: LoadProgress): void;
}

export interface JobFile {
  /** For messages and progress. */
  readonly name: string;
  /** The client reads the file and counts its bytes as held. */
  readonly isPushed: boolean;
  open(signal: AbortSignal): Promise<ByteStream>;
  /** Whether `open` gives the same bytes a second time. */
  opensAgain(): Promise<boolean>;
  /** Why the file can't be read at any byte when it was loaded; undefined: it can. */
  whyNotAtRandom(): Promise<string | undefined>;
  /** The file when it was loaded. Throws `io`, `integrity`. */
  atRandom(): Promise<PagedFile>;
}

/** A source whose headers have been read. */
interface Opened {
  /** May be replaced while the model is planned: see widen(). */
  engine: WasmEngine;
  compiled: CompiledModule;
  /** Whether the headers are kept, so that widen() is possible. */
  readonly mayWiden: boolean;
  readonly files: readonly Chunks[];
  readonly progress: ProgressReporter;
  /** The file that is read: an error names it. */
  at: Chunks;
  pool?: ThreadPool | undefined;
  gpu?: GpuLoad | undefined;
  paging?: Paging | undefined;
}

/**
 * Loads a model. The caller frees the engine and stops the pool.
 *
 * Throws the errors of the source, the file and the memory, and the signal's reason. The engine, the pool
 * and the source are released then. A model that doesn't fit is refused after its header. Throws `no-webgpu`
 * where the GPU is asked for and fails, or fails when the source is used up.
 */
export async function loadEngine(job: LoadJob): Promise<LoadedEngine> {
  try {
    return await load(job, job.options.noGpu);
  } catch (error) {
    if (!(error instanceof GpuFailure)) throw error;
    job.signal.throwIfAborted();
    if (job.options.backend === 'webgpu') throw noWebgpu(error, true);
    if (!(await canOpenAgain(job))) throw noWebgpu(error, false);
    return load(job, `the CPU: ${error.message}`);
  }
}

async function canOpenAgain({ files }: LoadJob): Promise<boolean> {
  for (const file of files) if (!(await file.opensAgain())) return false;
  return true;
}

/** `onlyCpu`: the reason why no GPU is used. */
function load(job: LoadJob, onlyCpu?: string): Promise<LoadedEngine> {
  return withHeader(job, async (opened) => {
    const { files, progress } = opened;
    const planned = await planLoad(opened, job, onlyCpu);
    const { why, reason, load: gpu } = planned;
    const { engine, compiled } = opened;
    opened.gpu = gpu;
    if (!planned.fit.fits) throw doesNotFit(engine.file, planned.fit);
    for (const file of files) file.forget();
    if (job.options.memoryBudget !== undefined) engine.instance.heap.bound(planned.fit.available);
    const started = await startPool(engine.file, planned.fit.options, job.options.threadUrl);
    opened.pool = started.pool;
    progress.total = bytesOf(files, engine.file);
    const fit = await begin(engine, job, planned);
    gpu?.begin();
    const sink: Sink = gpu ?? engine.file;
    for (const [i, file] of files.entries()) {
      if (sink.isReady || sink.file !== i) continue;
      opened.at = file;
      await file.data(sink, i);
    }
    for (const file of files) await (opened.at = file).finish();
    const again = gpu && (await canOpenAgain(job));
    await gpu?.finish(again ? () => startAgain(engine, job) : undefined);
    const { n_paged, n_lazy } = engine.file.planInfo;
    if (n_paged + n_lazy > 0) {
      const randoms = await Promise.all(job.files.map((each) => each.atRandom()));
      const { pagingUrl, threadUrl } = job.options;
      const start = noWorker(job) === undefined ? () => ThreadPool.start(1, threadUrl) : undefined;
      const { startPaging } = await importPaging(pagingUrl);
      opened.paging = await startPaging(engine, randoms, start, pagingUrl!);
      const tell = (tensor: number, bytes: Uint8Array): void => engine.file.setSample(tensor, bytes);
      await opened.paging.pager.sample(tell, job.signal);
    }
    await opened.pool?.join(engine.instance);
    job.signal.throwIfAborted();
    progress.begin('ready');
    const bytesUploaded = gpu?.bytesUploaded ?? 0;
    const { paging } = opened;
    const { obstacle } = paging ?? {};
    const pagingReason = fit.pagingReason + (obstacle === undefined ? '' : ownReads(obstacle));
    return {
      engine,
      compiled,
      why: started.why ?? why,
      reason,
      pool: opened.pool,
      bytesUploaded,
      paging,
      pagingReason,
    };
  });
}

/**
 * Begins the model as it is planned. If the system refuses the memory, a model on the CPU is paged: with
 * three quarters of what it needed, as often as it takes. Throws `out-of-memory`.
 */
async function begin(engine: WasmEngine, job: LoadJob, { fit, gpu }: Planned): Promise<Fit> {
  const { file } = engine;
  const { n_threads } = file.planInfo;
  for (let now = fit; ;) {
    try {
      file.begin();
      return now;
    } catch (error) {
      const isRefused = ChordError.isInstance(error) && error.code === 'out-of-memory';
      if (!isRefused || gpu !== undefined) throw error;
      const granted = Math.floor(file.neededBytes * 0.75);
      now = await fitFor(engine, job, n_threads, granted);
      if (!now.fits) throw error;
    }
  }
}

/** Makes another executor after the device was lost. */
async function startAgain(engine: WasmEngine, { options, files }: LoadJob): Promise<OnDevice> {
  const gpu = await openGpu(options);
  return gpu.module.startAgain(engine, gpu, files);
}

/** Reads the header and says what `loadEngine` would do. Everything is released. Throws as `loadEngine`. */
export function estimateEngine(job: LoadJob): Promise<ModelEstimate> {
  return withHeader(job, async (opened) => {
    const found = await estimate(opened, job);
    opened.engine.free();
    return found;
  });
}

/**
 * Reads the header and says what it has, and what `loadEngine` would do or why it would refuse. Everything is
 * released. Throws what keeps the header from being read, and the signal's reason.
 */
export function inspectEngine(job: LoadJob): Promise<ModelInspection> {
  return withHeader(job, async (opened) => {
    const found = await estimate(opened, job).catch((error: unknown) => {
      job.signal.throwIfAborted();
      if (!ChordError.isInstance(error)) throw error;
      return error;
    });
    const { file } = opened.engine;
    const facts = readFacts(file);
    const own = (key: string): number | undefined => asNumber(file.meta(`${facts.architecture}.${key}`));
    const inspection: ModelInspection = {
      ...facts,
      fileBytes: bytesOf(opened.files, file),
      vocabularySize: file.metaCount('tokenizer.ggml.tokens'),
      trainedContextLength: own('context_length'),
      embeddingLength: own('embedding_length'),
      blockCount: own('block_count'),
      ...templateInfo(opened.engine),
      ...readTables(file),
      estimate: ChordError.isInstance(found) ? undefined : found,
      problem: ChordError.isInstance(found) ? toErrorRecord(found) : undefined,
    };
    opened.engine.free();
    return inspection;
  });
}

const asNumber = (text: string | undefined): number | undefined =>
  text === undefined || !Number.isFinite(Number(text)) ? undefined : Number(text);

async function estimate(opened: Opened, job: LoadJob): Promise<ModelEstimate> {
  const { fit, why, reason, gpu, gpuMemory } = await planModel(opened, job);
  const { engine, compiled, files } = opened;
  gpu?.opened.device.destroy();
  const isNarrow = whyNotWide(job.options.wasm) !== undefined || gpu !== undefined;
  const largest = largestContext(
    engine.file,
    fit.options,
    isNarrow ? fit.available : Math.max(fit.available, fit.availableWide),
  );
  const { n_paged } = engine.file.plan(fit.options);
  return {
    ...describe(engine, compiled, why, reason, fit.pagingReason, gpuMemory),
    fileBytes: bytesOf(files, engine.file) ?? engine.file.planInfo.file_weight_bytes,
    kvType: fit.options.kvType ?? 'f16',
    fits: fit.fits,
    placement: !fit.fits ? 'impossible' : gpuMemory ? 'gpu' : n_paged > 0 ? 'paged' : 'resident',
    residentBytes: fit.residentBytes,
    why: fit.why,
    availableBytes: fit.available,
    largestContextLength: largest,
  };
}

/**
 * Opens the source, reads its header and runs `use`. The source is closed afterwards. If anything throws, the
 * engine and the pool are released.
 */
async function withHeader<T>(job: LoadJob, use: (opened: Opened) => Promise<T>): Promise<T> {
  const progress = new ProgressReporter(job.files[0]!.name, job.onProgress);
  const [compiled, stream] = await compileAndOpen(job);
  const report = (): void => progress.update(files.reduce((loaded, file) => loaded + file.loaded, 0));
  const files: Chunks[] = job.files.map((file) => new Chunks(file, job, report));
  let opened: Opened | undefined;
  try {
    if (files.length === 1) progress.total = stream.totalBytes;
    files[0]!.begin(stream);
    const mayWiden = mayNeedWide(job, stream) && whyNotWide(job.options.wasm) === undefined;
    if (mayWiden) for (const file of files) file.keep();
    job.signal.throwIfAborted();
    const engine = new WasmEngine(compiled.module, job.options.memoryBudget);
    const { file } = engine;
    progress.begin(stream.phase);
    opened = { engine, compiled, mayWiden, files, progress, at: files[0]! };
    for (let i = 0; i < file.files; i++) {
      // Without a next shard, `end` says that it is missing.
      if (i === files.length) file.end();
      opened.at = files[i]!;
      await opened.at.header(file, i);
    }
    if (files.length > file.files) throw tooMany(files.length, file.files);
    return await use(opened);
  } catch (error) {
    opened?.engine.free();
    opened?.gpu?.destroy();
    await opened?.pool?.stop();
    await opened?.paging?.stop();
    const { at } = opened ?? { at: files[0]! };
    if (!at.isBroken && ChordError.isInstance(error) && /^(invalid-gguf|unsupp)/.test(error.code))
      at.drop(error.code);
    throw named(error, at.name);
  } finally {
    for (const file of files) await file.close();
  }
}

/** Whether the model may need more than 4 GiB, as far as that can be known before its header. */
const mayNeedWide = ({ files, options }: LoadJob, { totalBytes = Infinity }: ByteStream): boolean =>
  files.length > 1 || totalBytes > LARGE || Number(options.contextLength) > LONG;

/**
 * Puts an engine with 64-bit addresses in the place of the one that has read the headers, which are read
 * again from what `files` keep. Throws the errors of the module and of the memory.
 */
async function widen(opened: Opened, { options, signal }: LoadJob): Promise<void> {
  const compiled = await compileModule({ wasm: options.wasm, signal, isWide: true });
  const engine = new WasmEngine(compiled.module, options.memoryBudget);
  opened.engine.free();
  Object.assign(opened, { engine, compiled });
  for (const [i, file] of opened.files.entries()) file.headerAgain(engine.file, i);
}

/** The files' bytes in all; undefined if the length of one of several is unknown. */
function bytesOf(files: readonly Chunks[], file: Loader): number | undefined {
  const [first] = files;
  if (files.length === 1) return first!.totalBytes ?? (file.isPlanned ? file.planInfo.data_end : undefined);
  const add = (a: number | undefined, b: number | undefined): number | undefined =>
    a === undefined || b === undefined ? undefined : a + b;
  return files.map(({ totalBytes }) => totalBytes).reduce(add);
}

function tooMany(given: number, count: number): ChordError {
  return new ChordError('invalid-argument', `${given} files were given, but the model has ${count}`, {
    hint: "the key 'split.count' of the first file says how many shards the model has",
  });
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
  const opening = job.files[0]!.open(stop.signal);
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

/**
 * The chunks of a file. The end of the header and the first data may be in one chunk. A shard behind the
 * first is closed when its header is complete, and opened again for its data: many open requests would block
 * each other. A pushed file stays open, and one that must be read to its end: a download that is kept.
 */
class Chunks {
  readonly name: string;
  totalBytes: number | undefined;
  readonly #file: JobFile;
  readonly #job: LoadJob;
  readonly #report: () => void;
  #stream: ByteStream | undefined;
  #chunk: Uint8Array = new Uint8Array();
  #offset = 0;
  #sinceTurn = 0;
  #kept: Uint8Array[] | undefined;
  /** Whether the source has failed: the bytes before may be right. */
  isBroken = false;
  /** Bytes of the file that have arrived. */
  loaded = 0;

  constructor(file: JobFile, job: LoadJob, report: () => void) {
    this.name = file.name;
    this.#file = file;
    this.#job = job;
    this.#report = report;
  }

  /** Keeps the header's bytes from now on, for headerAgain(). */
  keep(): void {
    this.#kept = [];
  }

  /** Pushes the header to another loader. */
  headerAgain(loader: Loader, file: number): void {
    if (this.totalBytes !== undefined) loader.setFileBytes(this.totalBytes);
    let offset = 0;
    for (const chunk of [...(this.#kept ?? []), this.#chunk]) {
      loader.push(offset, chunk, file);
      offset += chunk.byteLength;
    }
  }

  forget(): void {
    for (const { byteLength } of this.#kept ?? []) this.#job.meter.hold(-byteLength);
    this.#kept = undefined;
  }

  /** Keeps the present chunk, whose memory the source uses again. */
  #copy(): void {
    if (this.#kept === undefined || this.#chunk.byteLength === 0) return;
    this.#kept.push(this.#chunk.slice());
    this.#job.meter.hold(this.#chunk.byteLength);
  }

  begin(stream: ByteStream): void {
    this.#stream = stream;
    this.totalBytes = stream.totalBytes;
    this.#hold(stream.aheadBytes ?? 0);
    stream.watch?.((loaded) => this.#arrived(loaded));
  }

  #arrived(loaded: number): void {
    this.loaded = Math.max(loaded, this.loaded);
    this.#report();
  }

  async header(loader: Loader, file: number): Promise<void> {
    if (this.#stream === undefined) this.begin(await this.#file.open(this.#job.signal));
    if (this.totalBytes !== undefined) loader.setFileBytes(this.totalBytes);
    await this.#until(loader, file);
    if (file > 0 && !this.#file.isPushed && !this.#stream?.mustEnd) {
      this.#copy();
      await this.close();
    }
  }

  async data(sink: Sink, file: number): Promise<void> {
    if (this.#stream === undefined) this.begin(await this.#file.open(this.#job.signal));
    await this.#until(sink, file);
    await this.finish();
  }

  /** Closes the file, and reads the bytes behind the model before if something depends on them. */
  async finish(): Promise<void> {
    const stream = this.#stream;
    if (stream?.mustEnd) while (await this.#next(stream)) continue;
    await this.close();
  }

  drop(code: ChordErrorCode): void {
    this.#stream?.drop?.(code);
  }

  async close(): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#hold(-this.#chunk.byteLength - (stream.aheadBytes ?? 0));
    this.#stream = undefined;
    this.#chunk = new Uint8Array();
    this.#offset = 0;
    await stream.close();
  }

  #hold(bytes: number): void {
    if (!this.#file.isPushed) this.#job.meter.hold(bytes);
  }

  /**
   * Pushes chunks until the header or the data is complete. Throws `invalid-gguf` if the file ends before.
   */
  async #until(sink: Sink, file: number): Promise<void> {
    while (!(await sink.push(this.#offset, this.#chunk, file))) {
      this.#skip(sink.position ?? 0);
      if (await this.#next(this.#stream!)) continue;
      sink.end();
      throw new ChordError('invalid-gguf', 'the file ends before its model is complete');
    }
  }

  /** Leaves out the bytes before `to`, where the source can and they are many: layers that are paged. */
  #skip(to: number): void {
    const stream = this.#stream!;
    if (stream.skip === undefined || to - this.#offset - this.#chunk.byteLength < SKIP_BYTES) return;
    stream.skip(to);
    this.#hold(-this.#chunk.byteLength);
    this.#chunk = new Uint8Array();
    this.#offset = to;
  }

  /** Reads the next chunk. Returns false at the end of the source. */
  async #next(stream: ByteStream): Promise<boolean> {
    this.#copy();
    this.#hold(-this.#chunk.byteLength);
    this.#offset += this.#chunk.byteLength;
    this.#sinceTurn += this.#chunk.byteLength;
    this.#chunk = new Uint8Array();
    if (this.#sinceTurn >= TURN_BYTES) await nextTurn();
    if (this.#sinceTurn >= TURN_BYTES) this.#sinceTurn = 0;
    this.isBroken = true;
    const chunk = await stream.read();
    this.isBroken = false;
    this.#job.signal.throwIfAborted();
    if (chunk === undefined) return false;
    if (this.#offset === 0) checkStart(chunk, this.name);
    this.#hold(chunk.byteLength);
    this.#job.onBytes(chunk.byteLength);
    if (stream.watch === undefined) this.#arrived(this.#offset + chunk.byteLength);
    this.#chunk = chunk;
    return true;
  }
}

interface Planned {
  readonly fit: Fit;
  /** The reason for the number of threads. */
  readonly why: string;
  /** The reason for the backend. */
  readonly reason: string;
  /** The GPU for which the model is planned. */
  readonly gpu?: OpenGpu;
  /** What it will hold. */
  readonly gpuMemory?: GpuMemoryUse;
}

/**
 * Plans the model for the backend that is asked for and possible, and for the threads. `onlyCpu`: the reason
 * why no GPU is used.
 */
async function planModel(opened: Opened, job: LoadJob, onlyCpu?: string): Promise<Planned> {
  const { engine } = opened;
  const { contextLength, kvType, unknownPreTokenizer, memoryBudget } = job.options;
  const { threads, why } = await chooseThreads(job);
  const cpuFit = await fitFor(engine, job, threads);
  const onCpu = async (reason: string): Promise<Planned> => ({
    fit: cpuFit.isBeyond32 ? await fitBeyond32(opened, job, cpuFit, threads) : cpuFit,
    why,
    reason,
  });
  if (onlyCpu !== undefined) return onCpu(onlyCpu);
  const { gpu, reason } = await chooseFor(engine, job.options);
  if (gpu === undefined) return onCpu(reason);
  const external = { contextLength, kvType, unknownPreTokenizer, threads: 1, isExternal: true };
  const fit = await fitModel(engine, external, memoryBudget);
  try {
    const gpuMemory = memoryOn(gpu, engine);
    const onGpu = `; the GPU needs ${gpuMemory.total} bytes, and doesn't say how many it has`;
    const told = fit.fits ? { ...fit, why: fit.why + onGpu } : fit;
    return { fit: told, why: '1 thread: the GPU computes', reason, gpu, gpuMemory };
  } catch (error) {
    gpu.opened.device.destroy();
    const failure = new GpuFailure(error);
    if (job.options.backend === 'webgpu') throw noWebgpu(failure, true);
    return planModel(opened, job, `the CPU: ${failure.message}`);
  }
}

/**
 * Plans with 64-bit addresses a model that 32-bit ones don't reach. Where there are none, `why` says so, and
 * the model stays paged if it is.
 */
async function fitBeyond32(opened: Opened, job: LoadJob, fit: Fit, threads: number): Promise<Fit> {
  const obstacle = whyNotWide(job.options.wasm);
  if (obstacle !== undefined) {
    const { why, pagingReason } = fit;
    return { ...fit, why: `${why}; ${obstacle}`, pagingReason: `${pagingReason}; ${obstacle}` };
  }
  if (!opened.mayWiden) return fit;
  await widen(opened, job);
  return fitFor(opened.engine, job, threads);
}

/** Plans the model for the CPU. `granted`: as in fitModel(). */
async function fitFor(engine: WasmEngine, job: LoadJob, threads: number, granted?: number): Promise<Fit> {
  const { contextLength, kvType, unknownPreTokenizer, memoryBudget } = job.options;
  const find = () => findPaging(job);
  const options = { contextLength, kvType, unknownPreTokenizer, threads };
  const fit = await fitModel(engine, options, memoryBudget, find, granted);
  const obstacle = noWorker(job);
  if (engine.file.planInfo.n_paged === 0 || obstacle === undefined) return fit;
  return { ...fit, pagingReason: fit.pagingReason + ownReads(obstacle) };
}

/** Why a paged model would have no I/O worker; undefined: it would. */
const noWorker = ({ mayThread, files }: LoadJob): string | undefined =>
  whyNoWorker(
    mayThread,
    files.some((file) => file.isPushed),
  );

/** What pages a model, or why it can't be paged. */
async function findPaging({ options, files }: LoadJob): Promise<PagingModule | string> {
  if (options.paging === 'never') return "paging: 'never' was asked for";
  for (const file of files) {
    const why = await file.whyNotAtRandom();
    if (why !== undefined) return why;
  }
  return importPaging(options.pagingUrl).catch((error: unknown) => messageOf(error));
}

/**
 * Plans as planModel(), and allocates the matrices on the GPU. If it can't hold them, 'auto' plans for the
 * CPU.
 */
async function planLoad(
  opened: Opened,
  job: LoadJob,
  onlyCpu?: string,
): Promise<Planned & { load?: GpuLoad }> {
  const planned = await planModel(opened, job, onlyCpu);
  const { engine } = opened;
  const { gpu, fit } = planned;
  if (gpu === undefined) return planned;
  try {
    if (!fit.fits) throw doesNotFit(engine.file, fit);
    return {
      ...planned,
      load: await gpu.module.GpuLoad.open(engine, gpu, { signal: job.signal, guard: guarded }),
    };
  } catch (error) {
    gpu.opened.device.destroy();
    if (!fit.fits) throw error;
    const failure = new GpuFailure(error);
    if (job.options.backend === 'webgpu') throw noWebgpu(failure, true);
    return planModel(opened, job, `the CPU: ${failure.message}`);
  }
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
  const isShard = error.code === 'invalid-argument' && error.message.includes('shard');
  if (!isShard && error.code !== 'invalid-gguf' && !error.code.startsWith('unsupported-')) return error;
  const hint = isShard
    ? 'pass all shards in a list, or the name of one of them'
    : (error.hint ?? (/^i/.test(error.code) ? 'get the file again; its name ends in .gguf' : undefined));
  return new ChordError(error.code, `${name}: ${error.message}`, { hint, cause: error });
}
