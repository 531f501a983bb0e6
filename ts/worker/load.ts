// SPDX-License-Identifier: Apache-2.0
// A load in the engine worker: header, plan (plan.ts), pool, data; an estimate ends behind the plan. One
// chunk of the source is read at a time (chunks.ts). GpuLoad takes the data where a model goes onto a GPU. If
// the GPU fails, the model goes onto the CPU: planned again before the data, read again after it.
import { ChordError, toErrorRecord } from '../errors.js';
import { ProgressReporter } from '../load/progress.js';
import type { ByteStream } from '../load/stream.js';
import { importPaging, ownReads } from '../paging/chunk.js';
import { describe, templateInfo } from '../wasm/describe.js';
import { WasmEngine } from '../wasm/engine.js';
import { readFacts, readTables } from '../wasm/facts.js';
import { doesNotFit, largestContext } from '../wasm/fit.js';
import { compileModule, whyNotWide } from '../wasm/instantiate.js';
import type { CompiledModule } from '../wasm/instantiate.js';
import type { Loader } from '../wasm/loader.js';
import { ThreadPool } from '../wasm/threads.js';
import { openGpu } from '../webgpu/chunk.js';
import type { OnDevice } from '../webgpu/lasting.js';
import type { Sink } from '../webgpu/load.js';
import { Chunks } from './chunks.js';
import { GpuFailure, holds, noWebgpu } from './gpu.js';
import type { LoadJob, Opened } from './job.js';
import { begin, noWorker, planLoad, planModel, startPool } from './plan.js';
import type { ModelEstimate, ModelInspection } from './protocol.js';
import type { LoadedEngine } from './runner.js';

/**
 * A file above LARGE bytes, or a context above LONG tokens, may need more than 4 GiB: its header is kept
 * until the model is planned. A header has a few MB, so the copy stays small beside the model.
 */
const LARGE = 512 << 20;
const LONG = 4096;

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
    const { n_paged, n_lazy } = engine.file.planInfo;
    const isPaged = n_paged + n_lazy > 0;
    if (isPaged) for (const file of files) (opened.at = file).require();
    const sink: Sink = gpu ?? engine.file;
    for (const [i, file] of files.entries()) {
      if (sink.isReady || sink.file !== i) continue;
      opened.at = file;
      await file.data(sink, i);
    }
    for (const file of files) await (opened.at = file).finish();
    if (gpu !== undefined) progress.begin('upload');
    const again = gpu && (await canOpenAgain(job));
    await gpu?.finish(again ? () => startAgain(engine, job) : undefined);
    if (isPaged) {
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
    gpu && (() => holds(gpu, engine)),
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

/** Adds the file's name to an error about the file. Other errors name their subject already. */
function named(error: unknown, name: string): unknown {
  if (!ChordError.isInstance(error) || error.message.includes(name)) return error;
  const isShard = error.code === 'invalid-argument' && error.message.includes('shard');
  if (!isShard && error.code !== 'invalid-gguf' && !error.code.startsWith('unsupported-')) return error;
  const hint = isShard
    ? 'pass all shards in a list, or the name of one of them'
    : (error.hint ??
      (/^i/.test(error.code)
        ? 'get the file again; its name ends in .gguf'
        : error.message.includes('(tokenizer.ggml.pre)')
          ? "unknownPreTokenizer: 'default' (--any-pre) goes on, and may cut texts differently"
          : undefined));
  return new ChordError(error.code, `${name}: ${error.message}`, { hint, cause: error });
}
