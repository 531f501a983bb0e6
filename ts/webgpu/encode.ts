// SPDX-License-Identifier: Apache-2.0
// Dispatches of the ops of texts: POOL; and ENCODE, whose kernel is that of attention in tiles, also for
// ATTEND of whole texts.
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
  /** Undefined: the first part of the keys. */
  readonly values: Slot | undefined;
  readonly out: Slot;
  readonly nHead: number;
  readonly nKv: number;
  readonly kDim: number;
  readonly vDim: number;
  /** How far before and behind itself a row sees; undefined: all. */
  readonly reach: number | undefined;
  /** None behind it. */
  readonly isCausal: boolean;
  readonly scale: number;
  /** 0 or undefined: none. */
  readonly softcap?: number;
  /** As AttendOptions.sinks. */
  readonly sinks?: Vector | undefined;
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
  const { nHead, nKv, kDim, vDim, reach, isCausal, table, keys, values = keys, sinks } = o;
  const at = (vector: Vector | undefined): Param => ({ u32: vector?.offset ?? 0 });
  return {
    kernel: 'attend_tiles',
    label: o.label,
    with: ['cap', 'tiles_rows', 'sink'],
    glue: biasText(o),
    constants: { K8: Math.ceil(kDim / 8), V8: Math.ceil(vDim / 8) },
    overrides: {
      N_HEAD: nHead,
      N_KV: nKv,
      K_DIM: kDim,
      V_DIM: o.values === undefined ? kDim : vDim,
      V_OUT: vDim,
      SCALE: o.scale,
      CAP: o.softcap ?? 0,
      HAS_SINKS: Number(sinks !== undefined),
      Q_STRIDE: o.queries.stride,
      K_STRIDE: keys.stride,
      V_STRIDE: values.stride,
      Y_STRIDE: o.out.stride,
      WINDOW: Number(reach !== undefined),
      REACH: reach ?? 0,
      CAUSAL: Number(isCausal),
      BIASED: Number(table !== undefined || o.maxBias > 0),
    },
    params: [at(table), at(sinks)],
    buffers: [o.queries.view, o.runs, keys.view, o.out.view, o.vectors, values.view],
    groups: (batch) => {
      const tiles = sumOf(batch, (n) => Math.ceil(((nHead / nKv) * n) / TILE_ROWS));
      return tiles === 0 ? [0, 0, 0] : [nKv, tiles, 1];
    },
    work: (batch) => {
      const seen = (n: number): number => Math.min(n, (isCausal ? 1 : 2) * (reach ?? n) + 1);
      return { madds: sumOf(batch, (n) => n * seen(n)) * nHead * (kDim + vDim), bytes: 0 };
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
