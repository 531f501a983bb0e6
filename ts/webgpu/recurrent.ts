// SPDX-License-Identifier: Apache-2.0
// Dispatches of linear recurrences: SCAN, and SPLIT for what goes into it.
import type { Dispatch, Slot, Vector, View } from './dispatch.js';

/** Columns of a state that a workgroup of scan.wgsl has. */
const COLUMNS = 16;
const THREADS = 64;

export interface ScanOptions {
  readonly label: string;
  /** q, k and v of each token, at elements qAt, kAt and vAt. */
  readonly input: Slot;
  readonly steps: Slot;
  /** With isDelta. */
  readonly gates?: Slot | undefined;
  readonly out: Slot;
  readonly nHead: number;
  readonly nKeys: number;
  readonly kDim: number;
  readonly vDim: number;
  readonly qAt: number;
  readonly kAt: number;
  readonly vAt: number;
  readonly isDelta: boolean;
  readonly qScale: number;
  readonly kScale: number;
  /** [nHead] each. */
  readonly decay: Vector;
  readonly skip?: Vector | undefined;
  readonly vectors: View;
  readonly states: View;
  readonly pages: View;
  /** Word of `pages` with the number of the state before the batch; behind it that of the state after it. */
  readonly table: number;
  /** Fused: HEAD_NORM without weights of q and k. */
  readonly norm?: { readonly eps: number } | undefined;
  /** Fused: SOFTPLUS of the steps, its weight. */
  readonly soft?: Vector | undefined;
}

/** SCAN: tokens in order, heads and columns side by side. */
export function scan(o: ScanOptions): Dispatch {
  const { nHead, kDim, vDim, isDelta, gates, skip, norm, soft } = o;
  return {
    kernel: 'scan',
    label: o.label,
    constants: { K_DIM: kDim },
    overrides: {
      N_HEAD: nHead,
      N_KEYS: o.nKeys,
      V_DIM: vDim,
      Q_AT: o.qAt,
      K_AT: o.kAt,
      V_AT: o.vAt,
      DELTA: Number(isDelta),
      SKIPS: Number(skip !== undefined),
      Q_SCALE: o.qScale,
      K_SCALE: o.kScale,
      NORMS: Number(norm !== undefined),
      EPS: norm?.eps ?? 0,
      SOFT: Number(soft !== undefined),
      X_STRIDE: o.input.stride,
      STEP_STRIDE: o.steps.stride,
      GATE_STRIDE: gates?.stride ?? 0,
      Y_STRIDE: o.out.stride,
    },
    params: [
      { u32: o.decay.offset },
      { u32: skip?.offset ?? 0 },
      { u32: o.table },
      { u32: soft?.offset ?? 0 },
    ],
    buffers: [o.input.view, o.steps.view, (gates ?? o.steps).view, o.vectors, o.pages, o.states, o.out.view],
    groups: ({ nTokens }) => (nTokens === 0 ? [0, 0, 0] : [Math.ceil(vDim / COLUMNS), nHead, 1]),
    work: ({ nTokens }) => ({
      madds: nTokens * nHead * kDim * vDim * 4,
      bytes: nTokens === 0 ? 0 : 4 * nHead * kDim * vDim,
    }),
  };
}

export interface WkvOptions {
  readonly label: string;
  /** r, then w, of each token. */
  readonly receptances: Slot;
  /** k, then v. */
  readonly keys: Slot;
  /** a. */
  readonly rates: Slot;
  readonly out: Slot;
  readonly nHead: number;
  /** At most 128. */
  readonly headDim: number;
  /** weight[0], [1] and [2] of the op, [nHead * headDim] each. */
  readonly unit: Vector;
  readonly inner: Vector;
  readonly bonus: Vector;
  readonly norm?: { readonly gain: Vector; readonly bias: Vector; readonly eps: number } | undefined;
  readonly vectors: View;
  readonly states: View;
  readonly pages: View;
  /** As in ScanOptions. */
  readonly table: number;
}

/** WKV: tokens in order, heads side by side. */
export function wkv(o: WkvOptions): Dispatch {
  const { nHead, headDim, norm } = o;
  const n = nHead * headDim;
  return {
    kernel: 'wkv',
    label: o.label,
    constants: { HEAD_DIM: headDim },
    overrides: {
      WIDTH: n,
      EPS: norm?.eps ?? 0,
      NORMS: Number(norm !== undefined),
      R_STRIDE: o.receptances.stride,
      K_STRIDE: o.keys.stride,
      A_STRIDE: o.rates.stride,
      Y_STRIDE: o.out.stride,
    },
    params: [o.unit, o.inner, o.bonus, norm?.gain, norm?.bias]
      .map((vector) => ({ u32: vector?.offset ?? 0 }))
      .concat({ u32: o.table }),
    buffers: [o.receptances.view, o.keys.view, o.rates.view, o.vectors, o.pages, o.states, o.out.view],
    groups: ({ nTokens }) => (nTokens === 0 ? [0, 0, 0] : [nHead, 1, 1]),
    work: ({ nTokens }) => ({
      madds: nTokens * n * headDim * 4,
      bytes: nTokens === 0 ? 0 : 4 * n * headDim,
    }),
  };
}

/** SPLIT of nHead pairs of `headDim` elements into two slots. */
export function split(o: {
  readonly label: string;
  readonly input: Slot;
  readonly outs: readonly [Slot, Slot];
  readonly nHead: number;
  readonly headDim: number;
}): Dispatch {
  const { input, outs, nHead, headDim } = o;
  return {
    kernel: 'split',
    label: o.label,
    overrides: {
      HEADS: nHead,
      HEAD_DIM: headDim,
      X_STRIDE: input.stride,
      Y0_STRIDE: outs[0].stride,
      Y1_STRIDE: outs[1].stride,
    },
    params: [],
    buffers: [input.view, outs[0].view, outs[1].view],
    groups: ({ nTokens }) =>
      nTokens === 0 ? [0, 0, 0] : [Math.ceil((nHead * headDim) / THREADS), nTokens, 1],
    work: ({ nTokens }) => ({ madds: nTokens * nHead * headDim, bytes: 0 }),
  };
}
