// SPDX-License-Identifier: Apache-2.0
// Dispatches of the ops that work on rows of slots: everything but products, attention and sampling. A batch
// has at most 65,535 rows, so a row is a workgroup's y (or a norm's x).
import type { BatchShape, Dispatch, Param, Slot, Vector, View } from './dispatch.js';

/** The numbers of program.h (CHORD_ACTIVATION_*, CHORD_ROPE_*). */
export const Activation = {
  silu: 1,
  gelu: 2,
  relu: 3,
  reluSquared: 4,
  /** Of GLU alone, as the next. */
  sigmoid: 5,
  swigluOai: 6,
  none: 7,
} as const;
export const RopeStyle = { norm: 0, neox: 1 } as const;

/** Which rows an op works on: a row for each token of the batch, or for each output row. */
export type RowsOf = 'batch' | 'output';

interface Common {
  readonly label: string;
  readonly rowsOf?: RowsOf;
}

const u32 = (value: number): Param => ({ u32: value });
const NO_VECTOR: Vector = { offset: 0, length: 0 };

function rowsIn(batch: BatchShape, rowsOf: RowsOf | undefined): number {
  return rowsOf === 'output' ? batch.nOutputs : batch.nTokens;
}

/** Groups of four elements of `width`, 64 in a workgroup; a row a workgroup's y. */
function elementwise(
  { label, rowsOf = 'batch' }: Common,
  kernel: string,
  width: number,
  rest: Pick<Dispatch, 'buffers' | 'overrides'> & { with?: readonly string[]; params?: readonly Param[] },
): Dispatch {
  return {
    kernel,
    label,
    with: ['rows', ...(rest.with ?? [])],
    overrides: { WIDTH: width, ...rest.overrides },
    params: rest.params ?? [],
    buffers: rest.buffers,
    groups: (batch) => {
      const rows = rowsIn(batch, rowsOf);
      return rows === 0 ? [0, 0, 0] : [Math.ceil(width / 256), rows, 1];
    },
    work: (batch) => ({ madds: rowsIn(batch, rowsOf) * width, bytes: 0 }),
  };
}

export interface NormOptions extends Common {
  readonly input: Slot;
  readonly out: Slot;
  readonly width: number;
  readonly eps: number;
  readonly weight?: Vector | undefined;
  readonly vectors: View;
  /** GATHER: the numbers of the rows of `input`, an output row each. */
  readonly gather?: View | undefined;
}

function anyNorm(o: NormOptions, isLayer: boolean, bias: Vector | undefined): Dispatch {
  const { input, out, width, weight, vectors, gather, rowsOf = 'batch' } = o;
  return {
    kernel: 'norm',
    label: o.label,
    with: ['rows', 'sum_workgroup'],
    // A row is 4 x 256 elements or more in most models; smaller ones leave invocations idle.
    constants: { LANES: width > 512 ? 256 : 64 },
    overrides: {
      WIDTH: width,
      X_STRIDE: input.stride,
      Y_STRIDE: out.stride,
      EPS: o.eps,
      LAYER: isLayer ? 1 : 0,
      WEIGHTED: weight === undefined ? 0 : 1,
      BIASED: bias === undefined ? 0 : 1,
      GATHER: gather === undefined ? 0 : 1,
    },
    params: [u32((weight ?? NO_VECTOR).offset), u32((bias ?? NO_VECTOR).offset)],
    buffers: [input.view, vectors, gather ?? vectors, out.view],
    groups: (batch) => {
      const rows = rowsIn(batch, rowsOf);
      return rows === 0 ? [0, 0, 0] : [rows, 1, 1];
    },
    work: (batch) => ({
      madds: rowsIn(batch, rowsOf) * width * (isLayer ? 2 : 1),
      bytes: 4 * ((weight ?? NO_VECTOR).length + (bias ?? NO_VECTOR).length),
    }),
  };
}

export function norm(o: NormOptions): Dispatch {
  return anyNorm(o, false, undefined);
}

export function layerNorm(o: NormOptions & { readonly bias?: Vector | undefined }): Dispatch {
  return anyNorm(o, true, o.bias);
}

/** out += input */
export function add(
  o: Common & { readonly input: Slot; readonly out: Slot; readonly width: number },
): Dispatch {
  return elementwise(o, 'add', o.width, {
    overrides: { X_STRIDE: o.input.stride, Y_STRIDE: o.out.stride },
    buffers: [o.input.view, o.out.view],
  });
}

/** out = activation(gate) * up from element `first` on, a multiple of 4; `activation`: of Activation. */
export function glu(
  o: Common & {
    readonly gate: Slot;
    readonly up: Slot;
    readonly out: Slot;
    readonly width: number;
    readonly activation: number;
    readonly first?: number;
  },
): Dispatch {
  return elementwise(o, 'glu', o.width, {
    with: ['activation'],
    overrides: {
      ACTIVATION: o.activation,
      FIRST: o.first ?? 0,
      GATE_STRIDE: o.gate.stride,
      UP_STRIDE: o.up.stride,
      Y_STRIDE: o.out.stride,
    },
    buffers: [o.gate.view, o.up.view, o.out.view],
  });
}

/** out = activation(out) */
export function activate(
  o: Common & { readonly out: Slot; readonly width: number; readonly activation: number },
): Dispatch {
  return elementwise(o, 'activate', o.width, {
    with: ['activation'],
    overrides: { ACTIVATION: o.activation, Y_STRIDE: o.out.stride },
    buffers: [o.out.view],
  });
}

/** out = cap * tanh(out / cap) */
export function softcap(
  o: Common & { readonly out: Slot; readonly width: number; readonly cap: number },
): Dispatch {
  return elementwise(o, 'softcap', o.width, {
    with: ['cap'],
    overrides: { CAP: o.cap, Y_STRIDE: o.out.stride },
    buffers: [o.out.view],
  });
}

/** out = out * logistic(element 0 of input) */
export function gate(
  o: Common & { readonly input: Slot; readonly out: Slot; readonly width: number },
): Dispatch {
  return elementwise(o, 'gate', o.width, {
    overrides: { X_STRIDE: o.input.stride, Y_STRIDE: o.out.stride },
    buffers: [o.input.view, o.out.view],
  });
}

/** out (+)= the weighted sum of `input`'s nUsed rows of `width` a token. `route`: what ROUTE wrote. */
export function combine(
  o: Common & {
    readonly input: Slot;
    readonly route: Slot;
    readonly out: Slot;
    readonly width: number;
    readonly nUsed: number;
    readonly add: boolean;
  },
): Dispatch {
  const { input, route, out, width, nUsed, add, rowsOf } = o;
  return {
    ...elementwise(o, 'combine', width, {
      overrides: {
        N_USED: nUsed,
        ADD: Number(add),
        X_STRIDE: input.stride,
        ROUTE_STRIDE: route.stride,
        Y_STRIDE: out.stride,
      },
      buffers: [input.view, route.view, out.view],
    }),
    work: (batch) => ({ madds: rowsIn(batch, rowsOf) * width * nUsed, bytes: 0 }),
  };
}

/** Numbers of KIND in map.wgsl. */
const MAPPED = { scale: 0, log_scale: 1, clamp: 2, xielu: 3, softplus: 4, add_row: 5 } as const;

/** An op that changes each element of `out` by itself, in place. map.wgsl has the order of `numbers`. */
export function map(
  o: Common & {
    readonly kind: keyof typeof MAPPED;
    readonly out: Slot;
    readonly width: number;
    readonly numbers: readonly number[];
    readonly period?: number;
    /** ADD_ROW: the table's row; undefined: the row of the token's position. */
    readonly row?: number | undefined;
    readonly weight?: Vector | undefined;
    /** SCALE: the weight has a number for each element. */
    readonly isEach?: boolean;
    readonly vectors: View;
    /** Those of the rows of a batch of texts; undefined: rows follow the batch's first position. */
    readonly positions?: View | undefined;
  },
): Dispatch {
  const { kind, out, width, numbers, period = 1, row = 0xffffffff, weight, vectors, positions } = o;
  return elementwise(o, 'map', width, {
    overrides: {
      Y_STRIDE: out.stride,
      KIND: MAPPED[kind],
      EACH: Number(o.isEach ?? false),
      PERIOD: period,
      ROW: row,
      POSITIONS: Number(positions !== undefined),
    },
    params: [
      ...Array.from({ length: 4 }, (_, i): Param => ({ f32: numbers[i] ?? 0 })),
      u32(weight?.offset ?? 0xffffffff),
    ],
    buffers: [vectors, out.view, positions ?? vectors],
  });
}

/** BLEND; `input` may be `out`. Without coefficients they are zeros. */
export function blend(
  o: Common & {
    readonly input: Slot;
    readonly coefficients?: Slot | undefined;
    readonly out: Slot;
    readonly width: number;
    readonly nIn: number;
    readonly nOut: number;
    readonly first: number;
    readonly factor: number;
    readonly bias: number;
  },
): Dispatch {
  const { input, coefficients, out, width, nIn, nOut, rowsOf } = o;
  // A buffer is bound once: what isn't read has any other one.
  const isSelf = input.view === out.view;
  const x = isSelf ? coefficients! : input;
  return {
    ...elementwise(o, 'blend', width, {
      overrides: {
        N_IN: nIn,
        N_OUT: nOut,
        FIRST: o.first,
        FACTOR: o.factor,
        BIAS: o.bias,
        SELF: Number(isSelf),
        WEIGHTED: Number(coefficients !== undefined),
        X_STRIDE: input.stride,
        C_STRIDE: coefficients?.stride ?? 0,
        Y_STRIDE: out.stride,
      },
      buffers: [x.view, (coefficients ?? x).view, out.view],
    }),
    groups: (batch) => {
      const rows = rowsIn(batch, rowsOf);
      return rows === 0 ? [0, 0, 0] : [Math.ceil(width / 64), rows, 1];
    },
    work: (batch) => ({ madds: rowsIn(batch, rowsOf) * width * nIn * nOut, bytes: 0 }),
  };
}

/** A workgroup for each block of `width` elements of a row. */
function rowSums(
  { label, rowsOf }: Common,
  kernel: string,
  width: number,
  nBlocks: number,
  rest: Pick<Dispatch, 'buffers' | 'overrides'>,
): Dispatch {
  return {
    kernel,
    label,
    with: ['sum_workgroup'],
    constants: { LANES: width > 512 ? 256 : 64 },
    overrides: { WIDTH: width, ...rest.overrides },
    params: [],
    buffers: rest.buffers,
    groups: (batch) => {
      const rows = rowsIn(batch, rowsOf);
      return rows === 0 ? [0, 0, 0] : [nBlocks, rows, 1];
    },
    work: (batch) => ({ madds: rowsIn(batch, rowsOf) * width * (nBlocks + 1), bytes: 0 }),
  };
}

/** Each of nOut blocks of `out` gets the length of the first block of `like`. */
export function rescale(
  o: Common & { readonly like: Slot; readonly out: Slot; readonly width: number; readonly nOut: number },
): Dispatch {
  return rowSums(o, 'rescale', o.width, o.nOut, {
    overrides: { X_STRIDE: o.like.stride, Y_STRIDE: o.out.stride },
    buffers: [o.like.view, o.out.view],
  });
}

/** out = max(out - mean - factor * standard deviation, 0) */
export function sparsify(
  o: Common & { readonly out: Slot; readonly width: number; readonly factor: number },
): Dispatch {
  return rowSums(o, 'sparsify', o.width, 1, {
    overrides: { Y_STRIDE: o.out.stride, FACTOR: o.factor },
    buffers: [o.out.view],
  });
}

/** NORM over each head of `out`, in place. */
export function headNorm(
  o: Common & {
    readonly out: Slot;
    readonly nHead: number;
    readonly headDim: number;
    readonly eps: number;
    readonly weight?: Vector | undefined;
    /** The weight is [nHead][headDim]. */
    readonly isEach?: boolean;
    /** A layer norm. */
    readonly isCentred?: boolean;
    readonly vectors: View;
    /** Fused: GLU, out = activation(gate) * out. */
    readonly glu?: { readonly gate: Slot; readonly activation: number } | undefined;
  },
): Dispatch {
  const { out, nHead, headDim, weight, glu, rowsOf = 'batch' } = o;
  return {
    kernel: 'head_norm',
    label: o.label,
    with: ['sum_workgroup', 'activation'],
    constants: { LANES: 64 },
    overrides: {
      HEAD_DIM: headDim,
      STRIDE: out.stride,
      EPS: o.eps,
      WEIGHTED: weight === undefined ? 0 : 1,
      EACH: o.isEach === true ? 1 : 0,
      CENTRED: o.isCentred === true ? 1 : 0,
      ACTIVATION: glu?.activation ?? 0,
      GLU: glu === undefined ? 0 : 1,
      GATE_STRIDE: glu?.gate.stride ?? 0,
    },
    params: [u32((weight ?? NO_VECTOR).offset)],
    buffers: [o.vectors, out.view, glu?.gate.view ?? o.vectors],
    groups: (batch) => {
      const rows = rowsIn(batch, rowsOf);
      return rows === 0 ? [0, 0, 0] : [nHead, rows, 1];
    },
    work: (batch) => ({
      madds: rowsIn(batch, rowsOf) * nHead * headDim,
      bytes: 4 * (weight ?? NO_VECTOR).length,
    }),
  };
}

/** Turns nRot elements from element `first` of each head, in place. `style`: a number of RopeStyle. */
export function rope(o: {
  readonly label: string;
  readonly angles: Slot;
  readonly out: Slot;
  readonly nHead: number;
  readonly headDim: number;
  readonly nRot: number;
  readonly first: number;
  readonly style: number;
}): Dispatch {
  const pairs = Math.floor(o.nRot / 2);
  return {
    kernel: 'rope',
    label: o.label,
    overrides: {
      N_HEAD: o.nHead,
      HEAD_DIM: o.headDim,
      PAIRS: pairs,
      FIRST: o.first,
      NEOX: o.style,
      ANGLES_STRIDE: o.angles.stride,
      STRIDE: o.out.stride,
    },
    params: [],
    buffers: [o.angles.view, o.out.view],
    groups: ({ nTokens }) =>
      nTokens === 0 || pairs === 0 ? [0, 0, 0] : [Math.ceil((o.nHead * pairs) / 64), nTokens, 1],
    work: ({ nTokens }) => ({ madds: nTokens * o.nHead * o.headDim, bytes: 0 }),
  };
}

/**
 * Word `table` of `pages` has the number of the state before the batch, the word after it that of the state
 * after the batch: two states. A state is (kernel - 1) * width floats.
 */
export function shortConv(o: {
  readonly label: string;
  readonly input: Slot;
  readonly out: Slot;
  readonly width: number;
  readonly kernel: number;
  /** [width][kernel] */
  readonly weight: Vector;
  readonly bias?: Vector | undefined;
  /** The kernel is 2, and `weight`, [width], holds m: the weights are m and 1 - m. */
  readonly isLerp?: boolean;
  /** Fused: ACTIVATE of the result, a number of Activation. */
  readonly activation?: number | undefined;
  readonly vectors: View;
  readonly states: View;
  readonly pages: View;
  readonly table: number;
}): Dispatch {
  const { width, kernel } = o;
  return {
    kernel: 'short_conv',
    label: o.label,
    with: ['activation'],
    overrides: {
      WIDTH: width,
      KERNEL: kernel,
      X_STRIDE: o.input.stride,
      Y_STRIDE: o.out.stride,
      BIASED: o.bias === undefined ? 0 : 1,
      LERPS: o.isLerp ? 1 : 0,
      ACTIVATES: o.activation === undefined ? 0 : 1,
      ACTIVATION: o.activation ?? 0,
    },
    params: [u32(o.weight.offset), u32(o.table), u32((o.bias ?? NO_VECTOR).offset)],
    buffers: [o.input.view, o.vectors, o.pages, o.states, o.out.view],
    groups: ({ nTokens }) => (nTokens === 0 ? [0, 0, 0] : [Math.ceil(width / 64), nTokens, 1]),
    work: ({ nTokens }) => ({
      madds: nTokens * width * kernel,
      bytes: 4 * (width * kernel + (kernel - 1) * width),
    }),
  };
}

/** A part of each head of a slot. */
interface HeadPart {
  readonly width: number;
  readonly first: number;
  /** From a head to the next; 0: all heads have the same. */
  readonly step: number;
}

/** JOIN; without the second input, of parts of the first alone. */
export function join(o: {
  readonly label: string;
  readonly inputs: readonly [Slot, Slot | undefined];
  readonly parts: readonly [HeadPart, HeadPart];
  readonly out: Slot;
  readonly nHead: number;
}): Dispatch {
  const { inputs, parts, out, nHead } = o;
  const [a, b = a] = inputs;
  const width = nHead * (parts[0].width + parts[1].width);
  return {
    kernel: 'join',
    label: o.label,
    overrides: {
      HEADS: nHead,
      WIDTH0: parts[0].width,
      WIDTH1: parts[1].width,
      FIRST0: parts[0].first,
      FIRST1: parts[1].first,
      STEP0: parts[0].step,
      STEP1: parts[1].step,
      A_STRIDE: a.stride,
      B_STRIDE: b.stride,
      Y_STRIDE: out.stride,
    },
    params: [],
    buffers: [a.view, b.view, out.view],
    groups: ({ nTokens }) => (nTokens === 0 ? [0, 0, 0] : [Math.ceil(width / 64), nTokens, 1]),
    work: ({ nTokens }) => ({ madds: nTokens * width, bytes: 0 }),
  };
}
