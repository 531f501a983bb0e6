// SPDX-License-Identifier: Apache-2.0
// Dispatches of KV_STORE and ATTEND over paged caches. kernels/kv.wgsl knows the order in a page.
import type { BatchShape, Cache, Dispatch, KvName, Slot, View } from './dispatch.js';

/** Tokens of a page. */
export const PAGE_TOKENS = 32;

/** Bytes of one head's part of a page. */
function headBytes(kv: KvName, width: number): number {
  if (kv === 'q8_0') return 32 * width + 128 * Math.ceil(width / 64);
  return 32 * 8 * Math.ceil(width / 8) * (kv === 'f32' ? 4 : 2);
}

/** Bytes of a page of a cache. A page is copied whole, also where only its first tokens are in use. */
export function pageBytes({ kv, nKv, kDim, vDim }: Pick<Cache, 'kv' | 'nKv' | 'kDim' | 'vDim'>): number {
  return nKv * (headBytes(kv, kDim) + (vDim > 0 ? headBytes(kv, vDim) : 0));
}

/** Bytes of keys and values that one position of one KV head has. */
function tokenBytes({ kv, kDim, vDim }: Cache): number {
  return (headBytes(kv, kDim) + (vDim > 0 ? headBytes(kv, vDim) : 0)) / PAGE_TOKENS;
}

/** What all kernels over a cache share. */
function cacheOverrides({ nKv, kDim, vDim }: Cache): Record<string, number> {
  return { N_KV: nKv, K_DIM: kDim, V_DIM: vDim };
}

/** `values` is left out if the cache's values are the first part of its keys. */
export function kvStore(o: {
  readonly label: string;
  readonly keys: Slot;
  readonly values?: Slot | undefined;
  readonly cache: Cache;
  readonly pages: View;
}): Dispatch {
  const { keys, values = keys, cache } = o;
  const unit = cache.kv === 'q8_0' ? 64 : 8;
  const parts = cache.nKv * (Math.ceil(cache.kDim / unit) + Math.ceil(cache.vDim / unit));
  return {
    kernel: 'kv_store',
    label: o.label,
    with: ['kv', `kv_${cache.kv}`, `store_${cache.kv}`],
    overrides: {
      ...cacheOverrides(cache),
      KEYS_STRIDE: keys.stride,
      VALUES_STRIDE: values.stride,
    },
    params: [{ u32: cache.table }],
    buffers: [keys.view, values.view, o.pages, cache.view],
    groups: ({ nTokens }) => (nTokens === 0 ? [0, 0, 0] : [Math.ceil(parts / 64), nTokens, 1]),
    work: ({ nTokens }) => ({ madds: nTokens * cache.nKv * (cache.kDim + cache.vDim), bytes: 0 }),
  };
}

export interface AttendOptions {
  readonly label: string;
  readonly queries: Slot;
  readonly out: Slot;
  readonly cache: Cache;
  readonly nHead: number;
  /** Width of a head of `out`: the values' width, also where they are the first part of the keys. */
  readonly vDim: number;
  readonly scale: number;
  /** 0: none. */
  readonly softcap: number;
  readonly pages: View;
}

/** Positions that the queries of a batch see, first of the first query's to the last query's own. */
function seenBy({ window }: Cache, { nTokens, firstPosition }: BatchShape): number {
  const begin = window > 0 ? Math.max(0, firstPosition - window + 1) : 0;
  return firstPosition + nTokens - begin;
}

function attendWork(o: AttendOptions, batch: BatchShape): { madds: number; bytes: number } {
  let pairs = 0;
  for (let t = 0; t < batch.nTokens; t++)
    pairs += seenBy(o.cache, { nTokens: 1, firstPosition: batch.firstPosition + t, nOutputs: 0 });
  return {
    madds: pairs * o.nHead * (o.cache.kDim + o.vDim),
    bytes: seenBy(o.cache, batch) * o.cache.nKv * tokenBytes(o.cache),
  };
}

export function attend(o: AttendOptions): Dispatch[] {
  const { queries, out, cache, nHead, vDim } = o;
  return [
    {
      kernel: 'attend',
      label: o.label,
      with: ['cap', 'kv', `kv_${cache.kv}`],
      constants: { MOST_K: cache.kDim, MOST_V: vDim },
      overrides: {
        ...cacheOverrides(cache),
        N_HEAD: nHead,
        V_OUT: vDim,
        WINDOW: cache.window,
        SCALE: o.scale,
        CAP: o.softcap,
        Q_STRIDE: queries.stride,
        Y_STRIDE: out.stride,
      },
      params: [{ u32: cache.table }],
      buffers: [queries.view, o.pages, cache.view, out.view],
      groups: ({ nTokens }) => (nTokens === 0 ? [0, 0, 0] : [nHead, nTokens, 1]),
      work: (batch) => attendWork(o, batch),
    },
  ];
}
