// SPDX-License-Identifier: Apache-2.0
// Whether a model fits on this device, and with which context. The library's own plan is asked, with other
// configs, so that an estimate says what a load does. Call these functions after the header and before
// `begin`.
import { PAGE_TOKENS } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { PlanOptions } from '../options.js';
import { machineMemory } from '../platform.js';
import type { WasmEngine } from './engine.js';
import type { Loader } from './loader.js';

/** The library's maximum context length. */
const MOST_CONTEXT = 2 ** 24;
/** 'auto' takes no shorter context, because it would hold no question and answer. */
const LEAST_AUTO = 256;
const NOT_PAGED = 'no layer is paged';

export interface FitOptions extends Omit<PlanOptions, 'contextLength'> {
  readonly contextLength: number | 'auto' | undefined;
}

export interface Fit {
  /** The options with which the model is planned: without 'auto'. */
  readonly options: PlanOptions;
  /** Bytes that the model may take here. */
  readonly available: number;
  readonly fits: boolean;
  /** What was compared, as a sentence. */
  readonly why: string;
  /** Bytes that it may take with 64-bit addresses; `available` where the rest allows no more. */
  readonly availableWide: number;
  /** Whether the context that was asked for needs more than 32-bit addresses reach, and the rest allows. */
  readonly isBeyond32: boolean;
  /** Size that the memory would reach with all weights in it. */
  readonly residentBytes: number;
  /** Why layers are paged, or aren't. */
  readonly pagingReason: string;
}

/** The part of ts/paging that plans: fitPaged() in table.ts. */
export interface PagedPlanner {
  fitPaged(
    file: Loader,
    resident: PlanOptions,
    available: number,
    largestContext: ((options: PlanOptions) => number) | undefined,
  ): PlanOptions;
}

/**
 * Plans the model and compares what it needs, with a full context, with what it may take: the address space
 * that this process grants, and `memoryBudget` or else the memory that this machine is known to have. Memory
 * that is in use at the moment counts as available: the system can make room.
 *
 * A contextLength of 'auto' is the default length, or the largest that fits if it is LEAST_AUTO or more. A
 * model that doesn't fit with it is paged with what `findPaging` resolves to, unless that is a reason why
 * not.
 *
 * `granted`: bytes that the system may still grant, if it has refused more.
 */
export async function fitModel(
  { file, instance }: WasmEngine,
  { contextLength, ...others }: FitOptions,
  memoryBudget: number | undefined,
  findPaging?: () => Promise<PagedPlanner | string>,
  granted = Infinity,
): Promise<Fit> {
  const machine = await machineMemory();
  let available = instance.heap.maximum;
  let where = 'a WebAssembly memory can have';
  const most = memoryBudget ?? machine.total;
  if (most <= available)
    [available, where] = [most, memoryBudget === undefined ? 'this machine has' : 'memoryBudget allows'];
  if (granted <= available) [available, where] = [granted, 'the system grants'];
  const isAuto = contextLength === 'auto';
  let options: PlanOptions = { ...others, contextLength: isAuto ? undefined : contextLength };
  file.plan(options);
  const availableWide = instance.heap.maximum === 2 ** 32 ? Math.min(most, 2 ** 34) : available;
  const isBeyond32 = file.neededBytes > 2 ** 32 && availableWide > 2 ** 32 && available === 2 ** 32;
  const residentBytes = file.neededBytes;
  const planned = options;
  if (isAuto && file.neededBytes > available) {
    const least = Math.min(LEAST_AUTO, file.planInfo.n_ctx);
    const largest = largestContext(file, options, available);
    // Where even the least doesn't fit, the error says what the least needs.
    options = { ...options, contextLength: Math.max(largest, least) };
    file.plan(options);
  }
  let pagingReason = others.isExternal ? 'all weights are on the GPU' : 'all weights are in memory';
  if (file.neededBytes > available && findPaging !== undefined) {
    const paging = await findPaging();
    if (typeof paging !== 'string') {
      const { n_ctx } = file.planInfo;
      const shorter = (some: PlanOptions): number =>
        Math.max(largestContext(file, some, available), Math.min(LEAST_AUTO, n_ctx));
      options = paging.fitPaged(file, planned, available, isAuto ? shorter : undefined);
      pagingReason = `with all weights in memory the model would need ${residentBytes} bytes, ${where} ${available}`;
    } else pagingReason = `${NOT_PAGED}: ${paging}`;
  }
  const needed = file.neededBytes;
  const { n_ctx, n_paged, n_experts, token_bytes } = file.planInfo;
  const experts = n_experts > 0 ? `, ${n_experts} experts of each in memory` : '';
  const bound = experts && 'at most ';
  const layers =
    n_paged > 0 ? `${n_paged} layers paged (${bound}${token_bytes} bytes a token${experts}) and ` : '';
  const why = `the model needs ${needed} bytes with ${layers}a context of ${n_ctx} tokens, ${where} ${available}`;
  const now = needed > machine.free ? `; ${machine.free} are free now` : '';
  const fits = needed <= available;
  const isUnknown = fits && most === Infinity;
  const unknown = '; how much memory this device has is not known, and a telephone gives a page far less';
  return {
    options,
    available,
    fits,
    why: why + (isUnknown ? unknown : now),
    availableWide,
    isBeyond32,
    residentBytes,
    pagingReason,
  };
}

/**
 * Returns the largest context in tokens with which the model fits, at most the trained one; 0 if it fits with
 * none. `also`: what else must hold of a plan. Contexts are compared in whole pages of the KV cache. Leaves
 * the file planned with another context.
 */
export function largestContext(
  file: Loader,
  options: PlanOptions,
  available: number,
  also = (): boolean => true,
): number {
  const fits = (contextLength: number): boolean => {
    file.plan({ ...options, contextLength });
    return file.neededBytes <= available && also();
  };
  const most = Math.min(file.modelInfo().n_ctx_train, MOST_CONTEXT);
  if (fits(most)) return most;
  let [low, high] = [0, Math.ceil(most / PAGE_TOKENS)];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(middle * PAGE_TOKENS)) low = middle;
    else high = middle;
  }
  return low * PAGE_TOKENS;
}

/** The error for a model that doesn't fit. Its hint names what would fit. */
export function doesNotFit(file: Loader, { options, available, why, pagingReason }: Fit): ChordError {
  const ways = [];
  const length = largestContext(file, options, available);
  if (length > 0) ways.push(`contextLength: ${length}`);
  if (options.kvType !== 'q8_0') {
    try {
      const longer = largestContext(file, { ...options, kvType: 'q8_0' }, available);
      if (longer > length) ways.push(`kvType: 'q8_0' with contextLength: ${longer}`);
    } catch {
      // the model's heads don't allow q8_0
    }
  }
  const budget = why.includes('memoryBudget') ? 'a larger memoryBudget (in bytes), ' : '';
  const hint =
    ways.length > 0
      ? `what fits: ${ways.join(', or ')}`
      : `use ${budget}a smaller model or a smaller quantization: no context fits`;
  const isRefused = pagingReason.startsWith(NOT_PAGED);
  return new ChordError('out-of-memory', why, { hint: isRefused ? `${hint}; ${pagingReason}` : hint });
}
