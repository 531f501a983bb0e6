// SPDX-License-Identifier: Apache-2.0
// Dispatches of the ops of texts: ENCODE, whose kernel is that of attention in tiles, and POOL.
import type { BatchShape, Dispatch, Param, Slot, Vector, View } from './dispatch.js';

/** Query rows of a workgroup. */
const TILE_ROWS = 32;
/** T5: the largest distance that counts (src/exec/op_encode.c). */
const FAR = 128;

/** Rows of each text of a batch; of tokens, those of their only run. */
const lengthsOf = ({ texts, nTokens }: BatchShape): ArrayLike<number> => texts ?? [nTokens];
const sumOf = (batch: BatchShape, of: (length: number) => number): number =>
  Array.from(lengthsOf(batch)).reduce((sum, length) => sum + of(length), 0);

export interface EncodeOptions {
  readonly label: string;
  readonly queries: Slot;
  readonly keys: Slot;
  readonly values: Slot;
  readonly out: Slot;
  readonly nHead: number;
  readonly nKv: number;
  readonly headDim: number;
  /** A row sees those at most half of it before and behind it; 0: all. */
  readonly window: number;
  readonly isCausal: boolean;
  readonly scale: number;
  /** ALiBi; 0: none. */
  readonly maxBias: number;
  /** T5: [nBuckets][nHead]. */
  readonly table?: Vector | undefined;
  readonly nBuckets: number;
  /** First row and number of rows of each run. */
  readonly runs: View;
  readonly vectors: View;
}

/** The slopes of ALiBi's heads, as slope_of() of src/exec/op_encode.c makes them. */
export function slopesOf(nHead: number, maxBias: number): number[] {
  const p = 2 ** Math.floor(Math.log2(nHead));
  return Array.from({ length: nHead }, (_, h) =>
    Math.fround(2 ** (-maxBias * (h < p ? (h + 1) / p : (2 * (h - p) + 1) / (2 * p)))),
  );
}

/** The buckets of distances 0 .. FAR, as bucket_of() of src/exec/op_encode.c makes them. */
export function bucketsOf(nBuckets: number): number[] {
  const half = Math.floor(nBuckets / 2);
  const exact = Math.floor(half / 2);
  return Array.from({ length: FAR + 1 }, (_, n) => {
    if (n < exact) return n;
    const more = Math.fround(Math.fround(Math.log(n / exact)) * (half - exact));
    return Math.min(Math.trunc(exact + more / Math.log(FAR / exact)), half - 1);
  });
}

/** WGSL of bias_of(head, key's position - query's). */
function biasText({ nHead, maxBias, table, nBuckets }: EncodeOptions): string {
  const head = 'fn bias_of(head:u32,far:i32)->f32{';
  if (table === undefined && maxBias === 0) return `${head}return 0;}`;
  if (table === undefined) {
    const slopes = slopesOf(nHead, maxBias).join();
    return `var<private> slopes=array<f32,${nHead}>(${slopes});\n${head}return -slopes[head]*f32(abs(far));}`;
  }
  // A bucket's number is how many borders of buckets the distance has reached.
  const borders = bucketsOf(nBuckets).flatMap((bucket, n, all) =>
    Array.from({ length: n === 0 ? 0 : bucket - all[n - 1]! }, () => n),
  );
  const bucket = borders.map((n) => `+u32(n>=${n})`).join('');
  const side = `select(0,${Math.floor(nBuckets / 2)}u,far>0)`;
  return `${head}let n=abs(far);return vectors[p.table+(${side}${bucket})*N_HEAD+head];}`;
}

/** ENCODE: each text of the batch attends to itself. */
export function encode(o: EncodeOptions): Dispatch {
  const { nHead, nKv, headDim, window, isCausal, table } = o;
  const eights = Math.ceil(headDim / 8);
  const zero: Param = { u32: 0 };
  return {
    kernel: 'attend_tiles',
    label: o.label,
    with: ['tiles_rows', 'sink'],
    glue: biasText(o),
    constants: { K8: eights, V8: eights },
    overrides: {
      N_HEAD: nHead,
      N_KV: nKv,
      K_DIM: headDim,
      V_OUT: headDim,
      SCALE: o.scale,
      Q_STRIDE: o.queries.stride,
      K_STRIDE: o.keys.stride,
      V_STRIDE: o.values.stride,
      Y_STRIDE: o.out.stride,
      WINDOW: Number(window > 0),
      REACH: Math.floor(window / 2),
      CAUSAL: Number(isCausal),
      BIASED: Number(table !== undefined || o.maxBias > 0),
    },
    params: [table ? { u32: table.offset } : zero, zero],
    buffers: [o.queries.view, o.runs, o.keys.view, o.out.view, o.vectors, o.values.view],
    groups: (batch) => {
      const tiles = sumOf(batch, (n) => Math.ceil(((nHead / nKv) * n) / TILE_ROWS));
      return tiles === 0 ? [0, 0, 0] : [nKv, tiles, 1];
    },
    work: (batch) => {
      const seen = (n: number): number => (window > 0 ? Math.min(n, window + 1) : n);
      return { madds: sumOf(batch, (n) => n * seen(n)) * nHead * 2 * headDim, bytes: 0 };
    },
  };
}

/** POOL: an output row of each text, or with `kind` 0 of each row. `kind`: a number of CHORD_POOLING_*. */
export function pool(o: {
  readonly label: string;
  readonly input: Slot;
  readonly out: Slot;
  readonly width: number;
  readonly kind: number;
  readonly runs: View;
}): Dispatch {
  const { input, out, width, kind } = o;
  return {
    kernel: 'pool',
    label: o.label,
    with: ['rows'],
    overrides: { WIDTH: width, X_STRIDE: input.stride, Y_STRIDE: out.stride, KIND: kind },
    params: [],
    buffers: [o.runs, input.view, out.view],
    groups: ({ nOutputs }) => (nOutputs === 0 ? [0, 0, 0] : [Math.ceil(width / 256), nOutputs, 1]),
    work: ({ nTokens }) => ({ madds: nTokens * width, bytes: 0 }),
  };
}
