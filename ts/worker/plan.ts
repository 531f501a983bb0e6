// SPDX-License-Identifier: Apache-2.0
// Where a model will run and with what: the backend, threads, context, 64-bit addresses, paged layers.
// Nothing but the header has been read.
import { ChordError, messageOf } from '../errors.js';
import type { GpuMemoryUse } from '../executor.js';
import type { PlanOptions } from '../options.js';
import { importPaging, ownReads, whyNoWorker } from '../paging/chunk.js';
import type { PagingModule } from '../paging/chunk.js';
import { hardwareThreads } from '../platform.js';
import { whyNotShared } from '../wasm/detect.js';
import { WasmEngine } from '../wasm/engine.js';
import { doesNotFit, fitModel, largestContext } from '../wasm/fit.js';
import type { Fit } from '../wasm/fit.js';
import { compileModule, whyNotWide } from '../wasm/instantiate.js';
import type { Loader } from '../wasm/loader.js';
import { ThreadPool } from '../wasm/threads.js';
import type { OpenGpu } from '../webgpu/chunk.js';
import type { GpuLoad } from '../webgpu/load.js';
import { GpuFailure, chooseFor, guarded, holds, memoryOn, noWebgpu } from './gpu.js';
import type { LoadJob, Opened } from './job.js';

/** Maximum number of threads by default. With more, small models lose more time in waits than they save. */
const MOST_THREADS = 8;

export interface Planned {
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
export async function planModel(opened: Opened, job: LoadJob, onlyCpu?: string): Promise<Planned> {
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
    const told = { ...fit, why: fit.fits ? fit.why + onGpu : fit.why, residentBytes: cpuFit.residentBytes };
    return { fit: told, why: '1 thread: the GPU computes', reason, gpu, gpuMemory };
  } catch (error) {
    gpu.opened.device.destroy();
    if (job.options.backend !== 'webgpu') return planModel(opened, job, `the CPU: ${messageOf(error)}`);
    const most = largestContext(engine.file, fit.options, fit.available, () => holds(gpu, engine));
    const hint = most > 0 ? `contextLength: ${most} fits; backend: 'cpu' uses the CPU` : undefined;
    throw noWebgpu(new GpuFailure(error), true, hint);
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
export const noWorker = ({ mayThread, files }: LoadJob): string | undefined =>
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
export async function planLoad(
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
export async function startPool(
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

/**
 * Begins the model as it is planned. If the system refuses the memory, a model on the CPU is paged: with
 * three quarters of what it needed, as often as it takes. Throws `out-of-memory`.
 */
export async function begin(engine: WasmEngine, job: LoadJob, { fit, gpu }: Planned): Promise<Fit> {
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
