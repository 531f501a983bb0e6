// SPDX-License-Identifier: Apache-2.0
// Dispatches of products: MATMUL and EMBED.
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
import type { Tile } from './tiles.js';

/** `count` rows of a matrix from row `first` on, their bias, and where the result goes. */
export interface Segment {
  readonly matrix: Matrix;
  readonly rows: { readonly first: number; readonly count: number };
  /** Element i belongs to row rows.first + i. */
  readonly bias?: Vector;
  readonly out: Slot;
}

/** one: one row. few: one to eight. many: more; for rows of output any number from one on. */
export type Tokens = 'one' | 'few' | 'many';

export interface MatmulOptions {
  /** Where the op is, as "3" or "3.ffn": it ends the labels. */
  readonly label: string;
  readonly input: Slot;
  readonly nIn: number;
  /** One to three, of different slots. */
  readonly matrices: readonly Segment[];
  /** The product is added to `out`. */
  readonly add?: boolean;
  /** The input is rows 0 .. nTokens - 1 or rows 0 .. nOutputs - 1 of its slot. */
  readonly rowsOf: 'batch' | 'output';
  readonly tokens: Tokens;
  /** `many` rows of output are multiplied in tiles, however few they are: a row's bits depend on it alone. */
  readonly isAlike?: boolean;
  readonly vectors: View;
  readonly features: Features;
  /** The input as stage() wrote it for this tile, for `many` rows of the batch (tileOf in tiles.ts). */
  readonly staged?: { readonly tile: Tile; readonly view: View };
  /** Fused: the input is norm(input), as the op NORM says. For `one` and `few`, as the next two. */
  readonly norm?: Norm;
  /** Fused before `norm`: the input is input + norm(h), which is also written to `sum`. nIn % 4 is 0. */
  readonly plus?: Norm & { readonly h: Slot; readonly sum: Slot };
  /**
   * Fused: the activation's number (program.h). There are two matrices with equal counts of rows, gate and
   * up, which can share a dispatch (canShare). activation(gate) * up goes to gate's `out`; up's is unused.
   */
  readonly glu?: number;
  /** Fused: the only result is multiplied by logistic(element 0 of this row), as GATE says. */
  readonly gate?: Slot;
}

export interface Norm {
  readonly weight?: Vector;
  readonly eps: number;
}

const FEW = 8;
const MOST_GROUPS = 65535;
const THREADS = 64;
/** By reckoning, not measured: 32 lanes for every two rows give 8,192 rows 131,072 invocations. */
const MANY_ROWS = 8192;
/** The tile of matmul.wgsl: 64 rows, and tokens whose number times four are the workgroup's invocations. */
const TILE_ROWS = 64;
const TILE_TOKENS = 32;
/** Of the kernels over staged inputs, with the same rows. */
const STAGED_TOKENS = 64;

const u32 = (value: number): Param => ({ u32: value });

/** Workgroups in x and y: more than a dimension holds are spread over both, the last row may be too long. */
export function spread(count: number): [number, number] {
  const y = Math.ceil(count / MOST_GROUPS);
  return y <= 1 ? [count, 1] : [Math.ceil(count / y), y];
}

export const sameView = (a: View, b: View): boolean =>
  a.buffer === b.buffer && (a.offset ?? 0) === (b.offset ?? 0) && a.size === b.size;

/** A segment's rows within one part of its matrix. */
interface Piece extends Segment {
  readonly part: MatrixPart;
  /** The number of the piece's first row among the segment's rows. */
  readonly skipped: number;
}

/** The word with a piece's first row in its view. */
const firstWord = ({ part, rows, matrix }: Piece): number =>
  part.offset + (rows.first - part.firstRow) * matrix.rowWords;

function piecesOf(segment: Segment): Piece[] {
  const { first, count } = segment.rows;
  return segment.matrix.parts.flatMap((part) => {
    const begin = Math.max(first, part.firstRow);
    const end = Math.min(first + count, part.firstRow + part.nRows);
    return begin < end
      ? [{ ...segment, part, rows: { first: begin, count: end - begin }, skipped: begin - first }]
      : [];
  });
}

/** Whether one dispatch can compute segments: none is split, all lie in one view, all or none are floats. */
export function canShare(segments: readonly Segment[]): boolean {
  const pieces = segments.map(piecesOf);
  const first = pieces[0]?.[0];
  return pieces.every(
    (list) =>
      list.length === 1 &&
      sameView(list[0]!.part.view, first!.part.view) &&
      FORMATS[list[0]!.matrix.format].isFloat === FORMATS[first!.matrix.format].isFloat,
  );
}

/**
 * MATMUL: one dispatch, or more where matrices are split or can't share a dispatch. For `many` rows of output
 * there are two kernels, of which each leaves itself out where the other runs.
 */
export function matmul(options: MatmulOptions): Dispatch[] {
  const { label, matrices, tokens, rowsOf, isAlike, glu } = options;
  if (glu !== undefined && !(matrices.length === 2 && canShare(matrices)))
    throw new ChordError('internal', `${label}: gate and up can't be fused`);
  const lists = canShare(matrices)
    ? [matrices.flatMap(piecesOf)]
    : matrices.flatMap(piecesOf).map((piece) => [piece]);
  return lists.flatMap((pieces) => {
    if (tokens !== 'many') return [matvec(options, pieces)];
    if (rowsOf === 'batch' || isAlike)
      return [options.staged ? staged(options, pieces, options.staged) : tiled(options, pieces)];
    return [
      limited(matvec(options, pieces), ({ nOutputs }) => nOutputs <= FEW),
      limited(tiled(options, pieces), ({ nOutputs }) => nOutputs > FEW),
    ];
  });
}

/** A dispatch that is left out unless `runs`. */
function limited(dispatch: Dispatch, runs: (batch: BatchShape) => boolean): Dispatch {
  return {
    ...dispatch,
    groups: (batch) => (runs(batch) ? dispatch.groups(batch) : [0, 0, 0]),
    work: (batch) => (runs(batch) ? dispatch.work(batch) : { madds: 0, bytes: 0 }),
  };
}

function matvec(options: MatmulOptions, pieces: readonly Piece[]): Dispatch {
  const { features, nIn, tokens, norm, plus, glu } = options;
  const TOKENS = tokens === 'one' ? 1 : FEW;
  // More rows share each read of x. Fewer give a small matrix the invocations that hide its reads.
  const total = pieces.reduce((sum, { rows }) => sum + rows.count, 0);
  const ROWS = tokens === 'one' && total >= MANY_ROWS ? 4 : 2;
  const lanes = lanesFor(nIn);
  const texts = textsOf(
    pieces.map(({ matrix }) => matrix),
    features.packedDot,
    pieces.every((piece) => firstWord(piece) % 4 === 0 && piece.matrix.rowWords % 4 === 0),
  );
  const GLU = Number(glu !== undefined);
  const results = GLU ? pieces.slice(0, 1) : pieces;
  const tiles = tilesOf(results, ((THREADS / lanes) * ROWS) / (1 + GLU));
  const after = `${GLU ? '+glu' : ''}${options.gate ? '+gate' : ''}`;
  const fused = `${plus ? 'add+' : ''}${norm ? 'norm+' : ''}matvec${after}`;
  return {
    kernel: 'matvec',
    with: [
      ...texts.with,
      'segments',
      'inputs',
      'activation',
      plus ? 'before_sum' : 'before_plain',
      // With many values a shuffle for each halving costs more than the sums in workgroup memory.
      features.subgroups && tokens === 'one' ? 'lanes_subgroup' : 'lanes_workgroup',
    ],
    glue: `${texts.glue}\n${outputs(results.length, plus ? 7 : 5, options.gate)}`,
    constants: { ROWS, TOKENS, GLU, NORM: Number(norm !== undefined), OFFSETS: hasOffsets(pieces) },
    overrides: {
      ...overridesOf(options, pieces),
      X_STRIDE: options.input.stride / 4,
      LANES: lanes,
      ACTIVATION: glu ?? 0,
      ...(norm && { EPS: norm.eps, HAS_NORM_WEIGHT: Number(norm.weight !== undefined) }),
      ...(plus && { H_STRIDE: plus.h.stride / 4, SUM_STRIDE: plus.sum.stride / 4, POST_EPS: plus.eps }),
      ...(plus && { HAS_POST_WEIGHT: Number(plus.weight !== undefined) }),
    },
    ...common(options, pieces, results, fused),
    groups: (batch) => [...spread(tiles), Math.ceil(rowsOf(options, batch) / TOKENS)],
  };
}

function tiled(options: MatmulOptions, pieces: readonly Piece[]): Dispatch {
  if (options.norm || options.plus || options.gate || options.glu !== undefined)
    throw new ChordError('internal', `${options.label}: nothing is fused into a product of many tokens`);
  const texts = textsOf(
    pieces.map(({ matrix }) => matrix),
    options.features.packedDot,
  );
  const tiles = tilesOf(pieces, TILE_ROWS);
  return {
    kernel: 'matmul',
    with: [...texts.with, 'segments', 'inputs'],
    glue: `${texts.glue}\n${outputs(pieces.length, 5)}`,
    constants: { TILE_TOKENS },
    overrides: { ...overridesOf(options, pieces), X_STRIDE: options.input.stride / 4 },
    ...common(options, pieces, pieces, 'matmul'),
    groups: (batch) => {
      const n = rowsOf(options, batch);
      return [tiles, Math.ceil(n / TILE_TOKENS), n === 0 ? 0 : 1];
    },
  };
}

/** As tiled(), over inputs in the form of `tile`. */
function staged(
  options: MatmulOptions,
  pieces: readonly Piece[],
  { tile, view }: { readonly tile: Tile; readonly view: View },
): Dispatch {
  const { features } = options;
  const texts = textsOf(
    pieces.map(({ matrix }) => matrix),
    features.packedDot,
  );
  const tiles = tilesOf(pieces, TILE_ROWS);
  const { buffers, ...others } = common(options, pieces, pieces, tile.kernel);
  return {
    kernel: tile.kernel,
    with: [...texts.with, 'segments', ...tile.with(features)],
    glue: `${texts.glue}\n${outputs(pieces.length, 5)}`,
    constants: {
      ...(tile.inputs === 'q8' && { TILE_TOKENS: STAGED_TOKENS }),
      OFFSETS: hasOffsets(pieces),
      SCALES: pieces.some(({ matrix }) => FORMATS[matrix.format].has16) ? 2 : 1,
    },
    overrides: overridesOf(options, pieces),
    ...others,
    buffers: [buffers[0]!, view, ...buffers.slice(2)],
    groups: ({ nTokens }) => [tiles, Math.ceil(nTokens / STAGED_TOKENS), nTokens === 0 ? 0 : 1],
  };
}

/** Workgroups of `tile` rows each; a workgroup has rows of one segment only. */
const tilesOf = (pieces: readonly Piece[], tile: number): number =>
  pieces.reduce((sum, { rows }) => sum + Math.ceil(rows.count / tile), 0);

/** Threads that share a row: a power of two, at most one per group of 32 elements where that is possible. */
export function lanesFor(nIn: number): number {
  const groups = Math.ceil(nIn / 32);
  return groups <= 16 ? 16 : groups <= 64 ? 32 : 64;
}

const rowsOf = (o: MatmulOptions, batch: BatchShape): number =>
  o.rowsOf === 'output' ? batch.nOutputs : batch.nTokens;
const hasOffsets = (pieces: readonly Piece[]): number =>
  Number(pieces.some(({ matrix }) => FORMATS[matrix.format].hasOffset));

/** The overrides of segments.wgsl and blocks.wgsl. */
function overridesOf(options: MatmulOptions, pieces: readonly Piece[]): Record<string, number> {
  const overrides: Record<string, number> = {
    N_IN: options.nIn,
    ADD: Number(options.add ?? false),
    OUTPUT_ROWS: Number(options.rowsOf === 'output'),
  };
  pieces.forEach(({ matrix, rows, bias, out }, s) => {
    overrides[`COUNT${s}`] = rows.count;
    overrides[`ROW_WORDS${s}`] = matrix.rowWords;
    overrides[`BIAS${s}`] = Number(bias !== undefined);
    overrides[`STRIDE${s}`] = out.stride;
  });
  return overrides;
}

/**
 * The outputs y0, y1, ... from binding `first` on, and put(s, at, value), which writes to output s. A `gate`
 * has the binding behind them.
 */
function outputs(count: number, first: number, gate?: Slot): string {
  const all = Array.from({ length: count }, (_, s) => s);
  const buffers = all.map((s) => `@group(0)@binding(${first + s})var<storage,read_write>y${s}:array<f32>;`);
  const puts = all.map((s) => `if(s==${s}u){y${s}[at]=select(value,y${s}[at]+value,ADD);}`);
  if (gate === undefined) return `${buffers.join('')}\nfn put(s:u32,at:u32,value:f32){${puts.join('')}}`;
  const factor = `1/(1+exp(min(-gate[at/STRIDE0*${gate.stride}u],80)))`;
  return (
    `${buffers.join('')}@group(0)@binding(${first + count})var<storage,read>gate:array<f32>;\n` +
    `fn put(s:u32,at:u32,product:f32){let value=product*${factor};${puts.join('')}}`
  );
}

/** What the kernels of products have in common; `results` are the pieces whose output is written. */
function common(
  options: MatmulOptions,
  pieces: readonly Piece[],
  results: readonly Piece[],
  kernel: string,
): Pick<Dispatch, 'label' | 'params' | 'buffers' | 'work'> {
  const { norm, plus } = options;
  const three = [0, 1, 2].map((s) => pieces[s]);
  const formats = [...new Set(pieces.map(({ matrix }) => matrix.format))].join('+');
  const weights = pieces.reduce((sum, { matrix, rows }) => sum + rows.count * matrix.rowWords * 4, 0);
  const products = pieces.reduce((sum, { rows }) => sum + rows.count * options.nIn, 0);
  return {
    label: `${kernel}/${formats}/${options.label}`,
    params: [
      ...three.map((p) => u32(p ? firstWord(p) : 0)),
      ...three.map((p) => u32(p?.bias ? p.bias.offset + p.skipped : 0)),
      ...three.map((p) => u32(p?.skipped ?? 0)),
      u32(norm?.weight?.offset ?? 0),
      u32(plus?.weight?.offset ?? 0),
    ],
    buffers: [
      pieces[0]!.part.view,
      options.input.view,
      options.vectors,
      ...(plus ? [plus.h.view, plus.sum.view] : []),
      ...results.map(({ out }) => out.view),
      ...(options.gate ? [options.gate.view] : []),
    ],
    work: (batch) => {
      const n = rowsOf(options, batch);
      return { madds: n * products, bytes: n === 0 ? 0 : weights };
    },
  };
}

export interface EmbedOptions {
  readonly matrix: Matrix;
  /** Elements of a row that are written: the matrix's nIn. */
  readonly width: number;
  readonly scale: number;
  /** A token without an id, which has an embedding, takes row 0. */
  readonly isPadded?: boolean;
  /** Token ids by position. */
  readonly tokens: View;
  readonly out: Slot;
  readonly features: Features;
}

/** EMBED: a dispatch for each part of the matrix. */
export function embed(options: EmbedOptions): Dispatch[] {
  const { matrix, width, scale, isPadded = false, tokens, out, features } = options;
  const texts = textsOf([matrix], features.packedDot);
  return matrix.parts.map((part) => ({
    kernel: 'embed',
    label: `embed/${matrix.format}/${part.firstRow}`,
    with: texts.with,
    glue: texts.glue,
    overrides: {
      N_IN: width,
      ROW_WORDS: matrix.rowWords,
      STRIDE: out.stride,
      SCALE: scale,
      PADDED: Number(isPadded),
    },
    params: [u32(part.offset), u32(part.firstRow), u32(part.nRows)],
    buffers: [part.view, tokens, out.view],
    groups: ({ nTokens }) => [Math.ceil(width / 4 / THREADS), nTokens, nTokens === 0 ? 0 : 1],
    work: ({ nTokens }) => ({ madds: 0, bytes: nTokens * matrix.rowWords * 4 }),
  }));
}
