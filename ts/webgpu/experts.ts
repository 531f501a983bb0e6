// SPDX-License-Identifier: Apache-2.0
// Dispatches of mixtures: ROUTE, and EXPERTS over stacks of matrices, alone or with what surrounds them.
import { ChordError } from '../errors.js';
import type {
  BatchShape,
  Dispatch,
  Features,
  Matrix,
  MatrixPart,
  Param,
  Slot,
  Vector,
  View,
} from './dispatch.js';
import { FORMATS, textsOf } from './formats.js';
import { lanesFor, sameView, spread } from './matmul.js';
import type { Norm, Tokens } from './matmul.js';
import type { expertsTileOf } from './tiles.js';

/** Gating of ROUTE, by ops.def's numbers. */
export const Gating = { softmax: 1, sigmoid: 2, softmaxChosen: 3 } as const;

const THREADS = 64;
/** Rows of a team in experts_few.wgsl. */
const ROWS = 2;
/** The tile of experts_tiles.wgsl and experts_packed.wgsl: 64 rows, 32 pairs of a token and an expert. */
const TILE_ROWS = 64;
const TILE_TOKENS = 32;
const NOWHERE = 0xffffffff;

const u32 = (value: number): Param => ({ u32: value });
const rowsIn = (batch: BatchShape, rowsOf: 'batch' | 'output'): number =>
  rowsOf === 'output' ? batch.nOutputs : batch.nTokens;

export interface RouteOptions {
  readonly label: string;
  readonly logits: Slot;
  readonly out: Slot;
  readonly nExpert: number;
  readonly nUsed: number;
  /** A number of Gating. */
  readonly gating: number;
  readonly nGroups: number;
  readonly nGroupsUsed: number;
  readonly isNormalised: boolean;
  readonly scale: number;
  /** Of the choice alone. */
  readonly bias?: Vector | undefined;
  /** Of the weights: a number per expert. */
  readonly factors?: Vector | undefined;
  readonly vectors: View;
  readonly rowsOf: 'batch' | 'output';
}

/** ROUTE, a token a workgroup. */
export function route(o: RouteOptions): Dispatch {
  return {
    kernel: 'route',
    label: o.label,
    constants: { N_EXPERT: o.nExpert },
    overrides: {
      N_USED: o.nUsed,
      GATING: o.gating,
      N_GROUPS: Math.max(1, o.nGroups),
      N_GROUPS_USED: o.nGroupsUsed,
      NORMALISED: Number(o.isNormalised),
      SCALE: o.scale,
      X_STRIDE: o.logits.stride,
      Y_STRIDE: o.out.stride,
    },
    params: [u32(o.bias?.offset ?? NOWHERE), u32(o.factors?.offset ?? NOWHERE)],
    buffers: [o.logits.view, o.vectors, o.out.view],
    groups: (batch) => {
      const n = rowsIn(batch, o.rowsOf);
      return n === 0 ? [0, 0, 0] : [n, 1, 1];
    },
    work: (batch) => ({ madds: rowsIn(batch, o.rowsOf) * o.nExpert, bytes: 0 }),
  };
}

/** Tiles of many tokens at most: each expert may have one that isn't full. */
function mostTiles(nTokens: number, nExpert: number, nUsed: number): number {
  const pairs = nTokens * nUsed;
  return Math.min(pairs, Math.floor(pairs / TILE_TOKENS) + nExpert);
}

/** Bytes of the table that expertsTable() writes. */
export const tableBytes = (nBatch: number, nExpert: number, nUsed: number): number =>
  4 * (3 * mostTiles(nBatch, nExpert, nUsed) + nBatch * nUsed);

/** The table of a batch of many tokens: which of them each expert has. Products of one ROUTE share it. */
export interface Table {
  readonly view: View;
  /** Tokens of a batch at most. */
  readonly nBatch: number;
}

/** Writes the table that experts() reads for `many` tokens. */
export function expertsTable(o: {
  readonly label: string;
  readonly route: Slot;
  readonly nExpert: number;
  readonly nUsed: number;
  readonly table: Table;
}): Dispatch {
  const { nExpert, nUsed, table } = o;
  return {
    kernel: 'experts_table',
    label: o.label,
    constants: { N_EXPERT: nExpert, TILE_TOKENS },
    overrides: {
      N_USED: nUsed,
      ROUTE_STRIDE: o.route.stride,
      MOST_TILES: mostTiles(table.nBatch, nExpert, nUsed),
    },
    params: [],
    buffers: [o.route.view, table.view],
    groups: ({ nTokens }) => (nTokens === 0 ? [0, 0, 0] : [1, 1, 1]),
    work: ({ nTokens }) => ({ madds: nTokens * nUsed, bytes: 0 }),
  };
}

/** A stack of matrices, [nExpert][matrix.nRows / nExpert][nIn]. */
export interface Stack {
  readonly matrix: Matrix;
  /** The first row of each expert that the product uses. */
  readonly row: number;
  /** [nExpert][rows] */
  readonly bias?: Vector | undefined;
  /** [nExpert], by which products are multiplied before the bias. */
  readonly scale?: Vector | undefined;
}

export interface ExpertsOptions {
  readonly label: string;
  readonly input: Slot;
  readonly nIn: number;
  /** Input row u goes to chosen expert u. */
  readonly isEach: boolean;
  /** Two: gate and up of a fused GLU, which canPair(). */
  readonly stacks: readonly [Stack] | readonly [Stack, Stack];
  readonly nOut: number;
  readonly nExpert: number;
  readonly nUsed: number;
  /** What ROUTE wrote. Left out: each token has all experts, in order; nUsed is nExpert. */
  readonly route?: Slot | undefined;
  readonly out: Slot;
  readonly vectors: View;
  readonly rowsOf: 'batch' | 'output';
  readonly tokens: Tokens;
  readonly features: Features;
  /** Needed for `many` tokens of the batch that have a route. */
  readonly table?: Table | undefined;
  /** The input as stage() wrote it for this tile, for `many` tokens of the batch. */
  readonly staged?: { readonly tile: NonNullable<ReturnType<typeof expertsTileOf>>; readonly view: View };
  /** Fused, for `one` and `few`: the input is norm(input). Not with isEach. */
  readonly norm?: Norm | undefined;
  /** Fused, for `one` and `few`: the activation's number. Not with `combine`. */
  readonly glu?: number | undefined;
  /** Fused, for `one` and `few`: COMBINE of the result into `out`, which has nOut elements a token. */
  readonly combine?: { readonly add: boolean } | undefined;
  /** Fused with `glu`: the same of an expert for all tokens, which canShareWith() the stacks. */
  readonly shared?: Shared | undefined;
}

/** Gate and up of an expert that all tokens use: whole, without biases, in one view. */
export interface Shared {
  readonly matrices: readonly [Matrix, Matrix];
  readonly nOut: number;
  readonly out: Slot;
}

/** Whether one dispatch can compute two stacks: both are quantised or both are floats, of equal rows. */
export const canPair = ([a, b]: readonly [Stack, Stack]): boolean =>
  FORMATS[a.matrix.format].isFloat === FORMATS[b.matrix.format].isFloat && a.matrix.nRows === b.matrix.nRows;

/** Whether a dispatch over stacks, of which none is in parts, can compute a shared expert too. */
export function canShareWith(stacks: readonly [Stack, Stack], { matrices: [gate, up] }: Shared): boolean {
  const isFloat = FORMATS[stacks[0].matrix.format].isFloat;
  return (
    stacks.every(({ matrix }) => matrix.parts.length === 1) &&
    [gate, up].every(({ format, parts }) => FORMATS[format].isFloat === isFloat && parts.length === 1) &&
    sameView(gate.parts[0]!.view, up.parts[0]!.view)
  );
}

/** The parts of the stacks that one dispatch reads. */
type Bound = readonly [MatrixPart] | readonly [MatrixPart, MatrixPart];

/** How much of the product has all its rows in `parts`: 1, or less where a stack is in parts. */
function shareOf({ stacks, nExpert, nOut }: ExpertsOptions, parts: Bound): number {
  let held = 0;
  for (let e = 0; e < nExpert; e++) {
    const [begins, ends]: [number[], number[]] = [[0], [nOut]];
    parts.forEach(({ firstRow, nRows }, s) => {
      const first = firstRow - (e * stacks[s]!.matrix.nRows) / nExpert - stacks[s]!.row;
      begins.push(first);
      ends.push(first + nRows);
    });
    held += Math.max(0, Math.min(...ends) - Math.max(...begins));
  }
  return held / (nExpert * nOut);
}

/** Each part of a stack alone; of two stacks each pair of parts that has both rows of some element. */
function boundParts(o: ExpertsOptions): Bound[] {
  const [first, second] = o.stacks;
  const all = first.matrix.parts.flatMap((part): Bound[] =>
    second === undefined ? [[part]] : second.matrix.parts.map((other) => [part, other]),
  );
  return all.filter((parts) => shareOf(o, parts) > 0);
}

/**
 * EXPERTS: a dispatch for each part of the stacks, which writes the rows that it has. With `combine` later
 * parts add to what the first wrote.
 */
export function experts(o: ExpertsOptions): Dispatch[] {
  if (o.stacks.length === 2 && (o.glu === undefined || !canPair(o.stacks)))
    throw new ChordError('internal', `${o.label}: two stacks can't be multiplied at once`);
  const isFew = o.tokens !== 'many' || o.rowsOf === 'output';
  const isFused = o.norm !== undefined || o.combine !== undefined || o.glu !== undefined;
  if (!isFew && (isFused || (o.route && !o.table)))
    throw new ChordError('internal', `${o.label}: nothing is fused into a product of many tokens`);
  return boundParts(o).map((parts, i, { length }) =>
    isFew ? few(o, parts, { isFirst: i === 0, isParted: length > 1 }) : tiles(o, parts[0], length > 1),
  );
}

function few(
  o: ExpertsOptions,
  parts: Bound,
  { isFirst, isParted }: { readonly isFirst: boolean; readonly isParted: boolean },
): Dispatch {
  const { stacks, nIn, nUsed, norm, combine, shared, features } = o;
  const GLU = stacks.length - 1;
  const lanes = lanesFor(combine ? nIn * nUsed : nIn);
  const matrices = [...stacks.map(({ matrix }) => matrix), ...(shared?.matrices ?? [])];
  const places = [...parts, ...(shared?.matrices ?? []).map((matrix) => matrix.parts[0]!)];
  const areFours = matrices.every(({ rowWords }, i) => places[i]!.offset % 4 === 0 && rowWords % 4 === 0);
  const texts = textsOf(matrices, features.packedDot, areFours);
  const isPair = GLU === 1 && (shared !== undefined || !sameView(parts[0].view, parts[1]!.view));
  const buffers = shared ? 'weights_three_' : 'weights_pair_';
  const nOut = Math.max(o.nOut, shared?.nOut ?? 0);
  const rows = Math.ceil(nOut / (((THREADS / lanes) * ROWS) / (1 + GLU)));
  const after = `${GLU ? '+glu' : ''}${combine ? '+combine' : ''}${shared ? '+shared' : ''}`;
  const fused = `${norm ? 'norm+' : ''}experts${after}`;
  return {
    kernel: 'experts_few',
    with: [
      ...texts.with.map((name) => (isPair ? name.replace(/^weights_/, buffers) : name)),
      'inputs',
      'experts',
      'activation',
      features.subgroups ? 'lanes_subgroup' : 'lanes_workgroup',
    ],
    glue: `${texts.glue}\n${isPair ? '' : 'var<private> stack:u32;'}${putShared(shared !== undefined)}`,
    constants: {
      ROWS,
      GLU,
      NORM: Number(norm !== undefined),
      COMBINE: Number(combine !== undefined),
      OFFSETS: Number(matrices.some(({ format }) => FORMATS[format].hasOffset)),
      PARTED: Number(isParted),
      SHARED: Number(shared !== undefined),
    },
    overrides: {
      ...overridesOf(o),
      ROUTE_STRIDE: o.route?.stride ?? 0,
      LANES: lanes,
      ADD: Number(combine !== undefined && (combine.add || !isFirst)),
      ACTIVATION: o.glu ?? 0,
      ...(norm && { EPS: norm.eps, HAS_NORM_WEIGHT: Number(norm.weight !== undefined) }),
    },
    ...common(o, parts, fused),
    buffers: [
      parts[0].view,
      o.input.view,
      o.vectors,
      (o.route ?? o.input).view,
      o.out.view,
      ...(isPair ? [parts[1]!.view] : []),
      ...(shared ? [shared.matrices[0].parts[0]!.view, shared.out.view] : []),
    ],
    groups: (batch) => {
      const n = rowsIn(batch, o.rowsOf) * (combine ? 1 : nUsed + Number(shared !== undefined));
      return n === 0 ? [0, 0, 0] : [...spread(rows), n];
    },
  };
}

/** put_shared(at, value) of experts_few.wgsl. */
const putShared = (isShared: boolean): string =>
  isShared
    ? '@group(0)@binding(9)var<storage,read_write>y1:array<f32>;fn put_shared(at:u32,value:f32){y1[at]=value;}'
    : 'fn put_shared(at:u32,value:f32){}';

/** Without a route, an expert's tiles have TILE_TOKENS tokens each, in order. */
function tiles(o: ExpertsOptions, part: MatrixPart, isParted: boolean): Dispatch {
  const { stacks, nIn, nOut, nExpert, nUsed, features, staged } = o;
  const { format } = stacks[0].matrix;
  const texts = textsOf([stacks[0].matrix], features.packedDot);
  const kernel = staged?.tile.experts ?? 'experts_tiles';
  const { X_STRIDE, ...overrides } = overridesOf(o);
  const input = staged?.view ?? o.input.view;
  return {
    kernel,
    with: [...texts.with, 'experts', 'experts_pairs', ...(staged?.tile.with(features) ?? ['inputs'])],
    glue: texts.glue,
    constants: {
      TILE_TOKENS,
      PARTED: Number(isParted),
      ...(staged && {
        OFFSETS: Number(FORMATS[format].hasOffset),
        SCALES: FORMATS[format].has16 ? 2 : 1,
      }),
    },
    overrides: {
      ...overrides,
      ...(staged ? { WIDTH: o.isEach ? nUsed * nIn : nIn } : { X_STRIDE: X_STRIDE! }),
      MOST_TILES: mostTiles(o.table?.nBatch ?? 0, nExpert, nUsed),
    },
    ...common(o, [part], kernel),
    buffers: [part.view, input, o.vectors, o.route ? o.table!.view : input, o.out.view],
    groups: ({ nTokens }) => {
      const n = o.route ? mostTiles(nTokens, nExpert, nUsed) : nExpert * Math.ceil(nTokens / TILE_TOKENS);
      return nTokens === 0 ? [0, 0, 0] : [Math.ceil(nOut / TILE_ROWS), n, 1];
    },
  };
}

function overridesOf(o: ExpertsOptions): Record<string, number> {
  const overrides: Record<string, number> = {
    N_IN: o.nIn,
    X_STRIDE: o.input.stride / 4,
    EACH: o.isEach ? o.nIn / 4 : 0,
    ALL: Number(o.route === undefined),
    N_EXPERT: o.nExpert,
    N_USED: o.nUsed,
    COUNT: o.nOut,
    STRIDE: o.out.stride,
  };
  o.stacks.forEach(({ matrix, row, bias, scale }, s) => {
    overrides[`EXPERT_ROWS${s}`] = matrix.nRows / o.nExpert;
    overrides[`ROW${s}`] = row;
    overrides[`ROW_WORDS${s}`] = matrix.rowWords;
    overrides[`BIAS${s}`] = Number(bias !== undefined);
    overrides[`SCALED${s}`] = Number(scale !== undefined);
  });
  if (o.shared !== undefined) {
    const { matrices, nOut, out } = o.shared;
    const words = { ROW_WORDS2: matrices[0].rowWords, ROW_WORDS3: matrices[1].rowWords };
    Object.assign(overrides, { COUNT2: nOut, STRIDE2: out.stride, ...words });
  }
  return overrides;
}

/**
 * `bytes` are those of the experts that the batch can have chosen, each read once; a part has its share of
 * them. (Few tokens that choose the same expert read it again, most likely from a cache.)
 */
function common(
  o: ExpertsOptions,
  parts: Bound,
  kernel: string,
): Pick<Dispatch, 'label' | 'params' | 'work'> {
  const formats = [...new Set(o.stacks.map(({ matrix }) => matrix.format))].join('+');
  const place = (s: number): Param[] => {
    const part = parts[s];
    return part ? [u32(part.offset), u32(part.firstRow), u32(part.nRows)] : [u32(0), u32(0), u32(0)];
  };
  const { nOut: nShared, matrices } = o.shared ?? { nOut: 0, matrices: [] };
  const sharedBytes = matrices.reduce((sum, { rowWords }) => sum + nShared * rowWords * 4, 0);
  const share = shareOf(o, parts);
  const bytes = o.stacks.reduce((sum, { matrix }) => sum + o.nOut * matrix.rowWords * 4 * share, 0);
  return {
    label: `${kernel}/${formats}/${o.label}`,
    params: [
      ...place(0),
      ...place(1),
      u32(o.stacks[0].bias?.offset ?? 0),
      u32(o.stacks[1]?.bias?.offset ?? 0),
      u32(o.norm?.weight?.offset ?? 0),
      ...[0, 1].map((s) => u32(o.shared?.matrices[s]!.parts[0]!.offset ?? 0)),
      ...[0, 1].map((s) => u32(o.stacks[s]?.scale?.offset ?? 0)),
    ],
    work: (batch) => {
      const n = rowsIn(batch, o.rowsOf);
      const pairs = n * o.nUsed;
      const madds = o.nIn * (pairs * o.nOut * o.stacks.length * share + n * nShared * matrices.length);
      return { madds, bytes: Math.min(pairs, o.nExpert) * bytes + (n === 0 ? 0 : sharedBytes) };
    },
  };
}
