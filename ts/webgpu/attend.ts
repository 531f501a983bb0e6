// SPDX-License-Identifier: Apache-2.0
// Dispatches of KV_STORE and ATTEND over paged caches. kernels/kv.wgsl knows the order in a page.
import type { BatchShape, Cache, Dispatch, Features, KvName, Param, Slot, Vector, View } from './dispatch.js';

/** Tokens of a page. */
export const PAGE_TOKENS = 32;

/** Bytes of one head's part of a page. */
/** Bytes of a head's keys or values in a page. */
export function headBytes(kv: KvName, width: number): number {
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

/**
 * How many tokens a batch has. 'one': exactly one; 'few': at most FEW_TOKENS; 'many': any number, in tiles.
 * 'one' and 'few' split the positions, so that one token keeps a whole GPU busy.
 */
export type Tokens = 'one' | 'few' | 'many';
export const FEW_TOKENS = 8;

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
  readonly tokens: Tokens;
  /** Scratch of at least partialBytes(). Attention ops that follow each other may share it. */
  readonly partial: View;
  /** A logit of each head that takes weight in the softmax and has no value; it lies in `vectors`. */
  readonly sinks?: Vector | undefined;
  /** Needed with sinks. */
  readonly vectors?: View | undefined;
  /** Left out: workgroup memory does what subgroups would. */
  readonly features?: Features | undefined;
}

/** The first position that any query of a batch sees. */
function firstSeen({ window }: Cache, { firstPosition }: BatchShape): number {
  return window > 0 ? Math.max(0, firstPosition - window + 1) : 0;
}

function attendWork(o: AttendOptions, batch: BatchShape): { madds: number; bytes: number } {
  const end = batch.firstPosition + batch.nTokens;
  let pairs = 0;
  for (let at = batch.firstPosition; at < end; at++)
    pairs += at + 1 - firstSeen(o.cache, { ...batch, firstPosition: at });
  return {
    madds: pairs * o.nHead * (o.cache.kDim + o.vDim),
    bytes: (end - firstSeen(o.cache, batch)) * o.cache.nKv * tokenBytes(o.cache),
  };
}

/** Overrides of every attention kernel. */
function attendOverrides(o: AttendOptions): Record<string, number> {
  return {
    ...cacheOverrides(o.cache),
    N_HEAD: o.nHead,
    V_OUT: o.vDim,
    WINDOW: o.cache.window,
    SCALE: o.scale,
    CAP: o.softcap,
    Q_STRIDE: o.queries.stride,
    Y_STRIDE: o.out.stride,
  };
}

function hasSinks({ sinks }: Pick<AttendOptions, 'sinks'>): { HAS_SINKS: number } {
  return { HAS_SINKS: sinks === undefined ? 0 : 1 };
}

function sinksOf({ sinks }: Pick<AttendOptions, 'sinks'>): Param {
  return { u32: sinks?.offset ?? 0 };
}

function only(names: string, all: Record<string, number>): Record<string, number> {
  return Object.fromEntries(names.split(' ').map((name) => [name, all[name]!]));
}

// ---- one token and few ----

const THREADS = 128;
/** Positions that a workgroup takes at a time. */
const CHUNK = 128;

interface Split {
  /** Query rows of a workgroup, and how many workgroups have the rows of a KV head. */
  readonly rows: number;
  readonly blocks: number;
  readonly mostChunks: number;
  readonly constants: Readonly<Record<string, number>>;
  readonly bySubgroups: boolean;
}

function splitOf(
  o: Pick<AttendOptions, 'nHead' | 'vDim' | 'tokens' | 'features'> & { readonly cache: Cache },
): Split {
  const eights = (width: number): number => Math.ceil(width / 8);
  const k8 = eights(o.cache.kDim);
  // About four loads of 16 bytes an invocation. A power of two.
  const lanes = 2 ** Math.min(7, Math.ceil(Math.log2(Math.max(1, k8 / 4))));
  const v8 = eights(o.vDim);
  const room = (rows: number): number =>
    Math.max(rows * THREADS + lanes, 8 * THREADS, 8 * (k8 + Math.max(v8, eights(o.cache.vDim))));
  // Queries, scores, what a row's invocations found twice (a token's norms too), maxima; page numbers.
  const floats = (rows: number): number =>
    rows * (8 * k8 + CHUNK + 2 * 16 + 2) + 2 * 16 + room(rows) + CHUNK / 32;
  // Eight rows have 64 sums an invocation: more would spill. WebGPU promises 16 KiB a workgroup.
  let most = 8;
  while (most > 1 && floats(most) > 4096) most--;
  const all = (o.nHead / o.cache.nKv) * (o.tokens === 'one' ? 1 : FEW_TOKENS);
  const blocks = Math.ceil(all / most);
  const least = o.features?.subgroupMin ?? 0;
  const bySubgroups = lanes > 1 && lanes <= least;
  const rows = Math.ceil(all / blocks);
  return {
    rows,
    blocks,
    // Some 512 workgroups fill a large GPU, and each chunk costs a part.
    mostChunks: Math.min(256, Math.max(32, Math.ceil(512 / (o.cache.nKv * blocks)))),
    constants: {
      THREADS,
      CHUNK,
      ROWS: rows,
      K8: k8,
      V8: v8,
      K_LANES: lanes,
      ROW_LANES: bySubgroups ? Math.min(16, least) : 16,
    },
    bySubgroups,
  };
}

/** Bytes of `partial`; 'many' needs none. */
export function partialBytes(
  o: Pick<AttendOptions, 'nHead' | 'vDim' | 'tokens'> & { readonly cache: Cache },
): number {
  if (o.tokens === 'many') return 0;
  const tokens = o.tokens === 'one' ? 1 : FEW_TOKENS;
  return 4 * o.nHead * tokens * splitOf(o).mostChunks * (o.vDim + 2);
}

/** Chunks of a batch, as attend_chunks.wgsl says. */
function chunksOf(cache: Cache, mostChunks: number, batch: BatchShape): number {
  const n = batch.firstPosition + batch.nTokens - Math.floor(firstSeen(cache, batch) / 32) * 32;
  const length = Math.ceil(n / (mostChunks * CHUNK)) * CHUNK;
  return Math.ceil(n / length);
}

/** What the two ways to make queries have of their own. */
interface Queries {
  readonly with: readonly string[];
  readonly overrides: Readonly<Record<string, number>>;
  readonly params: readonly Param[];
  readonly buffers: readonly View[];
  /** One chunk writes the result itself. */
  readonly isDirect: boolean;
}

function attendSplit(o: AttendOptions, queries: Queries): Dispatch[] {
  const { cache, nHead, partial } = o;
  const { rows, mostChunks, constants, bySubgroups } = splitOf(o);
  const all = { ...attendOverrides(o), MOST_CHUNKS: mostChunks };
  const chunks = (batch: BatchShape): number => chunksOf(cache, mostChunks, batch);
  return [
    {
      kernel: 'attend_split',
      label: o.label,
      with: [
        'cap',
        'kv',
        `kv_${cache.kv}`,
        'attend_chunks',
        bySubgroups ? 'score_subgroup' : 'score_workgroup',
        ...queries.with,
      ],
      constants,
      overrides: { ...all, ...queries.overrides },
      params: [{ u32: cache.table }, ...queries.params],
      buffers: queries.buffers,
      groups: (batch) => {
        if (batch.nTokens === 0) return [0, 0, 0];
        const blocks = Math.ceil(((nHead / cache.nKv) * batch.nTokens) / rows);
        return [cache.nKv * blocks, chunks(batch), 1];
      },
      work: (batch) => attendWork(o, batch),
    },
    {
      kernel: 'attend_reduce',
      label: `${o.label}/reduce`,
      with: ['attend_chunks', 'sink'],
      constants: { CHUNK, MOST: mostChunks },
      overrides: { ...only('N_HEAD V_OUT WINDOW MOST_CHUNKS Y_STRIDE', all), ...hasSinks(o) },
      params: [sinksOf(o)],
      buffers: [partial, o.out.view, o.vectors ?? partial],
      groups: (batch) =>
        batch.nTokens === 0 || (queries.isDirect && chunks(batch) === 1)
          ? [0, 0, 0]
          : [nHead, batch.nTokens, 1],
      work: ({ nTokens }) => ({ madds: nTokens * nHead * o.vDim, bytes: 0 }),
    },
  ];
}

function attendPlain(o: AttendOptions): Dispatch[] {
  return attendSplit(o, {
    with: ['query_plain', 'sink'],
    overrides: hasSinks(o),
    params: [sinksOf(o)],
    buffers: [o.queries.view, o.pages, o.cache.view, o.partial, o.out.view, o.vectors ?? o.pages],
    isDirect: true,
  });
}

/** HEAD_NORM of each head; without `weight` the norm alone. */
export interface HeadNorm {
  readonly weight?: Vector | undefined;
}

/** Queries, keys and values as the products gave them, and what makes them ready. */
export interface RawHeads {
  readonly queries: Slot;
  /** Left out: nothing is stored. */
  readonly keys?: Slot | undefined;
  /** Left out if the cache's values are the first part of its keys. */
  readonly values?: Slot | undefined;
  readonly queryNorm?: HeadNorm | undefined;
  readonly keyNorm?: HeadNorm | undefined;
  /** A norm of the values has no weight. */
  readonly valueNorm?: boolean | undefined;
  /** Of all norms. */
  readonly eps?: number | undefined;
  /** Turns queries and keys; `style` is a number of RopeStyle. */
  readonly rope?:
    | { readonly angles: Slot; readonly nRot: number; readonly first: number; readonly style: number }
    | undefined;
  readonly vectors: View;
}

/** What kernels over RawHeads share. */
function rawHeads(o: RawHeads): {
  overrides: Record<string, number>;
  params: Param[];
  buffers: View[];
} {
  const { queries, keys, values, queryNorm, keyNorm, rope } = o;
  const normOf = (norm: HeadNorm | undefined): number =>
    norm === undefined ? 0 : norm.weight === undefined ? 1 : 2;
  return {
    overrides: {
      EPS: o.eps ?? 0,
      Q_NORM: normOf(queryNorm),
      K_NORM: keys === undefined ? 0 : normOf(keyNorm),
      V_NORM: values !== undefined && o.valueNorm === true ? 1 : 0,
      PAIRS: rope === undefined ? 0 : Math.floor(rope.nRot / 2),
      FIRST: rope?.first ?? 0,
      NEOX: rope?.style ?? 0,
    },
    params: [{ u32: queryNorm?.weight?.offset ?? 0 }, { u32: keyNorm?.weight?.offset ?? 0 }],
    // A slot that is absent isn't read. `queries` may be written, so it can't stand for another.
    buffers: [
      queries.view,
      keys?.view ?? o.vectors,
      values?.view ?? o.vectors,
      rope?.angles.view ?? o.vectors,
      o.vectors,
    ],
  };
}

/** HEAD_NORM and ROPE of queries (in place) and keys, and KV_STORE, for any number of tokens. */
export function storeHeads(
  o: RawHeads & {
    readonly label: string;
    readonly nHead: number;
    readonly cache: Cache;
    readonly pages: View;
  },
): Dispatch {
  const { cache, nHead, queries, keys, values } = o;
  const { overrides, params, buffers } = rawHeads(o);
  const nStored = (keys === undefined ? 0 : cache.nKv) + (values === undefined ? 0 : cache.nKv);
  const most = Math.ceil(Math.max(cache.kDim, cache.vDim) / 64) * 64;
  return {
    kernel: 'heads',
    label: o.label,
    with: ['kv', `kv_${cache.kv}`, `store_${cache.kv}`, 'sum_workgroup', 'turn'],
    constants: { LANES: 64, MOST: most },
    overrides: {
      ...cacheOverrides(cache),
      ...overrides,
      N_HEAD: nHead,
      Q_STRIDE: queries.stride,
      K_STRIDE: (keys ?? queries).stride,
      V_STRIDE: (values ?? queries).stride,
      ANGLES_STRIDE: o.rope?.angles.stride ?? 0,
    },
    params: [{ u32: cache.table }, ...params],
    buffers: [...buffers, o.pages, cache.view],
    groups: ({ nTokens }) => (nTokens === 0 ? [0, 0, 0] : [nHead + nStored, nTokens, 1]),
    work: ({ nTokens }) => ({
      madds: nTokens * (2 * (nHead + cache.nKv) * cache.kDim + cache.nKv * (cache.kDim + cache.vDim)),
      bytes: 0,
    }),
  };
}

export interface AttendFusedOptions extends Omit<AttendOptions, 'tokens' | 'vectors'>, RawHeads {}

/**
 * HEAD_NORM and ROPE of queries and keys, KV_STORE and ATTEND for a batch of exactly one token. `partial` is
 * that of 'one'. 8 storage buffers: so a single chunk is reduced too.
 */
export function attendFused(o: AttendFusedOptions): Dispatch[] {
  const { overrides, params, buffers } = rawHeads(o);
  return attendSplit(
    { ...o, tokens: 'one' },
    {
      with: ['turn', `store_${o.cache.kv}`, 'query_raw'],
      overrides: { ...overrides, STORES: o.keys === undefined ? 0 : 1 },
      params,
      buffers: [...buffers, o.pages, o.cache.view, o.partial],
      isDirect: false,
    },
  );
}

// ---- many tokens ----

/** Query rows of a workgroup. */
const TILE_ROWS = 32;

function attendTiles(o: AttendOptions): Dispatch {
  const { cache } = o;
  const group = o.nHead / cache.nKv;
  return {
    kernel: 'attend_tiles',
    label: o.label,
    with: ['cap', 'kv', `kv_${cache.kv}`, 'tiles_paged', 'sink'],
    constants: { K8: Math.ceil(cache.kDim / 8), V8: Math.ceil(o.vDim / 8) },
    overrides: { ...attendOverrides(o), ...hasSinks(o) },
    params: [{ u32: cache.table }, sinksOf(o)],
    buffers: [o.queries.view, o.pages, cache.view, o.out.view, o.vectors ?? o.pages],
    groups: ({ nTokens }) =>
      nTokens === 0 ? [0, 0, 0] : [cache.nKv, Math.ceil((group * nTokens) / TILE_ROWS), 1],
    work: (batch) => attendWork(o, batch),
  };
}

export function attend(o: AttendOptions): Dispatch[] {
  return o.tokens === 'many' ? [attendTiles(o)] : attendPlain(o);
}
