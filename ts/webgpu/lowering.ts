// SPDX-License-Identifier: Apache-2.0
// The dispatches of one op. fusions.ts goes through the program and joins neighbours.
// No architecture is known: an op is what ops.def says.
import { OpFlag } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { OpRecord, Program } from '../executor.js';
import { attend, kvStore } from './attend.js';
import type { Dispatch, Features, Matrix, Slot, Vector, View } from './dispatch.js';
import { encode, pool } from './encode.js';
import { experts, expertsTable, route } from './experts.js';
import type { ExpertsOptions } from './experts.js';
import { embed, matmul } from './matmul.js';
import type { Tokens } from './matmul.js';
import type { GpuMemory } from './memory.js';
import { scan, split, wkv } from './recurrent.js';
import type { ScanOptions, WkvOptions } from './recurrent.js';
import { expertsTileOf, stage, tileOf } from './tiles.js';
import {
  activate,
  add,
  blend,
  combine,
  gate,
  glu,
  headNorm,
  join,
  layerNorm,
  map,
  norm,
  rescale,
  rope,
  shortConv,
  softcap,
  sparsify,
} from './rows.js';

export interface Lowering {
  readonly program: Program;
  readonly memory: GpuMemory;
  readonly matrices: ReadonlyMap<number, Matrix>;
  readonly features: Features;
  /** False: op by op. */
  readonly isFused: boolean;
  /** Of a batch of texts, whose program is that of textProgram(): a number of CHORD_POOLING_*. */
  readonly pooling?: number;
  /** Of whole texts: attention reads keys and values in the slots, and nothing is stored. */
  readonly isWhole?: boolean;
}

/** How many rows a list of dispatches is for: those of the batch, and those with an output row. */
export interface Rows {
  readonly batch: Tokens;
  readonly output: Tokens;
  /** Several texts a batch: the kernels of a row are the same in any company. */
  readonly isAlike?: boolean;
}

/** Mat-vec for up to FEW rows; from there on tiles. */
const FEW = 8;
export const tokensOf = (rows: number): Tokens => (rows <= 1 ? 'one' : rows <= FEW ? 'few' : 'many');

/**
 * Where each slot's contents are while a program is lowered. A dispatch can't bind one buffer for reading and
 * for writing. So an op that reads a slot and writes the same slot anew, as a norm in place, writes the
 * slot's spare buffer, and later ops read there.
 */
export class Places {
  readonly #memory: GpuMemory;
  readonly #now: Slot[];

  constructor(memory: GpuMemory) {
    this.#memory = memory;
    this.#now = [...memory.slots];
  }

  at(slot: number): Slot {
    return this.#now[slot]!;
  }

  /** The place for new contents of `slot`, by a dispatch that reads the slots `read`. */
  fresh(slot: number, read: readonly number[]): Slot {
    if (!read.includes(slot)) return this.#now[slot]!;
    const own = this.#memory.slots[slot]!;
    return (this.#now[slot] = this.#now[slot] === own ? this.#memory.spare(slot) : own);
  }
}

export type Op<Name extends OpRecord['name']> = Extract<OpRecord, { name: Name }>;

/** Whether an op works on the output rows. */
export const isOfOutput = ({ flags }: OpRecord): boolean => (flags & (OpFlag.OUTPUT | OpFlag.POOLED)) !== 0;

/** A layer's number, or "out" outside the layers: the end of a label. */
export const where = ({ layer }: OpRecord): string => (layer < 0 ? 'out' : String(layer));

/** CHORD_POOLING_RANK. */
const RANK = 4;

/** The program of a batch of texts: the ops up to the rows that are pooled, and what follows them. */
export function textProgram(program: Program, pooling: number): Program {
  const { ops, embeddings } = program;
  const { nBody, pool: pooled, rank, pooledSlot, rankSlot } = embeddings!;
  const isRank = pooling === RANK;
  return {
    ...program,
    ops: [...ops.slice(0, nBody), ...pooled, ...(isRank ? rank : [])],
    outputSlot: isRank ? rankSlot : pooledSlot,
  };
}

/** The dispatches of one op; none for an op that the host does. */
export function lowerOp(op: OpRecord, l: Lowering, rows: Rows, places: Places): Dispatch[] {
  const { memory, program } = l;
  const { vectors } = memory;
  const slot = (index: number) => places.at(index);
  const label = where(op);
  const rowsOf = isOfOutput(op) ? 'output' : 'batch';
  switch (op.name) {
    case 'EMBED':
      return embed({
        matrix: matrixOf(l, op.weight[0]!),
        width: op.part.width,
        scale: op.part.scale,
        isPadded: op.part.is_padded !== 0,
        tokens: memory.tokens,
        out: slot(op.out[0]!),
        features: l.features,
      });
    case 'NORM':
    case 'LAYER_NORM': {
      const options = {
        label: `${op.name === 'NORM' ? 'norm' : 'layer_norm'}/${label}`,
        input: slot(op.in[0]!),
        out: places.fresh(op.out[0]!, [op.in[0]!]),
        width: op.part.width,
        eps: op.part.eps,
        weight: memory.optional(op.weight[0]!),
        vectors,
        rowsOf,
        gather: op.flags & OpFlag.GATHER ? memory.rows : undefined,
      } as const;
      return [
        op.name === 'NORM' ? norm(options) : layerNorm({ ...options, bias: memory.optional(op.weight[1]!) }),
      ];
    }
    case 'MATMUL':
      return product(matmulOptions(op, l, rows, places), memory.staged);
    case 'HEAD_NORM': {
      const { n_head: nHead, head_dim: headDim, eps, is_each, is_centred } = op.part;
      const weight = memory.optional(op.weight[0]!);
      const out = slot(op.out[0]!);
      const shape = { nHead, headDim, eps, weight, isEach: is_each !== 0, isCentred: is_centred !== 0 };
      return [headNorm({ label: `head_norm/${label}`, out, ...shape, vectors, rowsOf })];
    }
    case 'ROPE': {
      const { rope: index, n_head: nHead, head_dim: headDim, first } = op.part;
      const { style, n_rot: nRot } = program.ropes[index]!;
      const angles = slot(op.in[0]!);
      const out = slot(op.out[0]!);
      return [rope({ label: `rope/${label}`, angles, out, nHead, headDim, nRot, first, style })];
    }
    case 'KV_STORE':
      if (l.isWhole) return [];
      return [
        kvStore({
          label: `kv_store/${label}`,
          keys: slot(op.in[0]!),
          values: op.in[1]! < 0 ? undefined : slot(op.in[1]!),
          cache: memory.cache(op.cache),
          pages: memory.tables,
        }),
      ];
    case 'ATTEND':
      if (l.isWhole) return [attendWhole(op, l, places)];
      return attend(attendOptions(op, l, rows, places));
    case 'GLU': {
      const { width, activation, first } = op.part;
      const [gate, up] = [slot(op.in[0]!), slot(op.in[1]!)];
      const out = places.fresh(op.out[0]!, [op.in[0]!, op.in[1]!]);
      return [glu({ label: `glu/${label}`, gate, up, out, width, activation, first, rowsOf })];
    }
    case 'ADD': {
      const { width } = op.part;
      return [add({ label: `add/${label}`, input: slot(op.in[0]!), out: slot(op.out[0]!), width, rowsOf })];
    }
    case 'ACTIVATE': {
      const { width, activation } = op.part;
      return [activate({ label: `activate/${label}`, out: slot(op.out[0]!), width, activation, rowsOf })];
    }
    case 'SOFTCAP': {
      const { width, cap } = op.part;
      return [softcap({ label: `softcap/${label}`, out: slot(op.out[0]!), width, cap, rowsOf })];
    }
    case 'SCALE':
    case 'LOG_SCALE':
    case 'CLAMP':
    case 'XIELU':
    case 'SOFTPLUS':
    case 'ADD_ROW':
      return [mapped(op, l, rowsOf, slot(op.out[0]!))];
    case 'SHORT_CONV':
      return [shortConv(convOptions(op, l, places))];
    case 'SCAN':
      return [scan(scanOptions(op, l, places))];
    case 'SPLIT': {
      const { n_head: nHead, head_dim: headDim } = op.part;
      const outs = [slot(op.out[0]!), slot(op.out[1]!)] as const;
      return [split({ label: `split/${label}`, input: slot(op.in[0]!), outs, nHead, headDim })];
    }
    case 'WKV':
      return [wkv(wkvOptions(op, l, places))];
    case 'JOIN': {
      const { n_head: nHead, width, first, step } = op.part;
      const part = (i: 0 | 1) => ({ width: width[i]!, first: first[i]!, step: step[i]! });
      const inputs = [slot(op.in[0]!), op.in[1]! < 0 ? undefined : slot(op.in[1]!)] as const;
      const out = slot(op.out[0]!);
      return [join({ label: `join/${label}`, inputs, parts: [part(0), part(1)], out, nHead })];
    }
    case 'BLEND': {
      const { width, n_in: nIn, n_out: nOut, first, factor, bias } = op.part;
      const [input, out] = [slot(op.in[0]!), slot(op.out[0]!)];
      const coefficients = op.in[1]! < 0 ? undefined : slot(op.in[1]!);
      const shape = { width, nIn, nOut, first, factor, bias };
      return [blend({ label: `blend/${label}`, input, coefficients, out, ...shape, rowsOf })];
    }
    case 'RESCALE': {
      const { width, n_out: nOut } = op.part;
      const [like, out] = [slot(op.in[0]!), slot(op.out[0]!)];
      return [rescale({ label: `rescale/${label}`, like, out, width, nOut, rowsOf })];
    }
    case 'SPARSIFY': {
      const { width, factor } = op.part;
      return [sparsify({ label: `sparsify/${label}`, out: slot(op.out[0]!), width, factor, rowsOf })];
    }
    case 'ROUTE':
      return routeAndTable(op, l, rows, places, rowsOf);
    case 'EXPERTS':
      return stacks(
        Array.from({ length: op.part.n_weights }, (_, i) => expertsOptions(op, l, rows, places, i)),
        memory.staged,
      );
    case 'COMBINE': {
      const { width, n_used: nUsed } = op.part;
      const slots = { input: slot(op.in[0]!), route: slot(op.in[1]!), out: slot(op.out[0]!) };
      const isAdded = (op.flags & OpFlag.ADD) !== 0;
      return [combine({ label: `combine/${label}`, ...slots, width, nUsed, add: isAdded, rowsOf })];
    }
    case 'GATE': {
      const [input, out] = [slot(op.in[0]!), slot(op.out[0]!)];
      return [gate({ label: `gate/${label}`, input, out, width: op.part.width, rowsOf })];
    }
    case 'ENCODE': {
      const { part } = op;
      const [queries, keys, values] = [slot(op.in[0]!), slot(op.in[1]!), slot(op.in[2]!)];
      return [
        encode({
          label: `encode/${label}`,
          ...{ queries, keys, values, out: slot(op.out[0]!) },
          nHead: part.n_head,
          nKv: part.n_kv,
          ...{ kDim: part.head_dim, vDim: part.head_dim },
          reach: part.window > 0 ? Math.floor(part.window / 2) : undefined,
          isCausal: part.is_causal !== 0,
          scale: part.scale,
          maxBias: part.max_bias,
          table: memory.optional(op.weight[0]!),
          nBuckets: part.n_buckets,
          runs: memory.runs,
          vectors,
        }),
      ];
    }
    case 'POOL': {
      const kind = l.pooling === RANK ? op.part.rank : l.pooling!;
      const slots = { input: slot(op.in[0]!), out: slot(op.out[0]!) };
      return [pool({ label: `pool/${label}`, ...slots, width: op.part.width, kind, runs: memory.runs })];
    }
    case 'ANGLES': // the host computes them in double (executor.ts)
    case 'ACQUIRE':
    case 'RELEASE':
      return [];
  }
}

/** ATTEND over the runs of whole texts: what KV_STORE before it would store is in its slots. */
function attendWhole(op: Op<'ATTEND'>, { memory, program }: Lowering, places: Places): Dispatch {
  const before = program.ops.slice(0, program.ops.indexOf(op));
  const store = before.reverse().find(({ name, cache }) => name === 'KV_STORE' && cache === op.cache)!;
  const { window } = memory.cache(op.cache);
  const keys = places.at(store.in[0]!);
  return encode({
    label: `attend/${where(op)}`,
    ...{ queries: places.at(op.in[0]!), keys, out: places.at(op.out[0]!) },
    values: store.in[1]! < 0 ? undefined : places.at(store.in[1]!),
    nHead: op.part.n_head,
    nKv: op.part.n_kv,
    ...{ kDim: op.part.k_dim, vDim: op.part.v_dim },
    reach: window > 0 ? window - 1 : undefined,
    isCausal: true,
    scale: op.part.scale,
    softcap: op.part.softcap,
    sinks: memory.optional(op.weight[0]!),
    ...{ maxBias: 0, nBuckets: 0 },
    runs: memory.runs,
    vectors: memory.vectors,
  });
}

/** ROUTE, and of a batch of many tokens the table of each expert's tokens. */
function routeAndTable(
  op: Op<'ROUTE'>,
  { memory }: Lowering,
  rows: Rows,
  places: Places,
  rowsOf: 'batch' | 'output',
): Dispatch[] {
  const { part } = op;
  const [label, out] = [where(op), places.at(op.out[0]!)];
  const shape = { nExpert: part.n_expert, nUsed: part.n_used };
  const first = route({
    label: `route/${label}`,
    logits: places.at(op.in[0]!),
    out,
    ...shape,
    gating: part.gating,
    nGroups: part.n_groups,
    nGroupsUsed: part.n_groups_used,
    isNormalised: part.is_normalised !== 0,
    scale: part.scale,
    bias: memory.optional(op.weight[0]!),
    factors: memory.optional(op.weight[1]!),
    vectors: memory.vectors,
    rowsOf,
  });
  if (rows.batch !== 'many' || rowsOf === 'output') return [first];
  const table = memory.expertsTable!;
  return [first, expertsTable({ label: `experts_table/${label}`, route: out, ...shape, table })];
}

/** The product of stack number i of an op. */
export function expertsOptions(
  op: Op<'EXPERTS'>,
  l: Lowering,
  rows: Rows,
  places: Places,
  i: number,
): ExpertsOptions {
  const { memory, features } = l;
  const { n_in: nIn, n_out, row, n_expert: nExpert, n_used: nUsed, is_each } = op.part;
  const bias = memory.optional(op.weight[3 + i]!);
  const scale = memory.optional(op.weight[2 + 3 * i]!);
  return {
    label: where(op),
    input: places.at(op.in[0]!),
    nIn,
    isEach: is_each !== 0,
    stacks: [{ matrix: matrixOf(l, op.weight[i]!), row: row[i]!, bias, scale }],
    nOut: n_out[i]!,
    nExpert,
    nUsed,
    route: op.in[1]! < 0 ? undefined : places.at(op.in[1]!),
    out: places.at(op.out[i]!),
    vectors: memory.vectors,
    rowsOf: isOfOutput(op) ? 'output' : 'batch',
    tokens: isOfOutput(op) ? rows.output : rows.batch,
    features,
    table: memory.expertsTable,
  };
}

export function convOptions(
  op: Op<'SHORT_CONV'>,
  { memory }: Lowering,
  places: Places,
): Parameters<typeof shortConv>[0] {
  const { width, kernel, is_lerp: isLerp, row } = op.part;
  const { view: states, table } = memory.cache(op.cache);
  const { offset, length } = memory.vector(op.weight[0]!);
  return {
    label: `short_conv/${where(op)}`,
    input: places.at(op.in[0]!),
    out: places.at(op.out[0]!),
    width,
    kernel,
    weight: isLerp ? { offset: offset + row * width, length: width } : { offset, length },
    bias: memory.optional(op.weight[1]!),
    isLerp: isLerp !== 0,
    vectors: memory.vectors,
    states,
    pages: memory.tables,
    table,
  };
}

function wkvOptions(op: Op<'WKV'>, { memory }: Lowering, places: Places): WkvOptions {
  const { n_head: nHead, head_dim: headDim, eps } = op.part;
  const { view: states, table } = memory.cache(op.cache);
  const [unit, inner, bonus] = [0, 1, 2].map((i) => memory.vector(op.weight[i]!)) as [Vector, Vector, Vector];
  const isNormed = op.weight[3]! >= 0;
  const norm = isNormed
    ? { gain: memory.vector(op.weight[3]!), bias: memory.vector(op.weight[4]!), eps }
    : undefined;
  const [receptances, keys, rates] = [0, 1, 2].map((i) => places.at(op.in[i]!)) as [Slot, Slot, Slot];
  return {
    label: `wkv/${where(op)}`,
    receptances,
    keys,
    rates,
    out: places.at(op.out[0]!),
    nHead,
    headDim,
    unit,
    inner,
    bonus,
    norm,
    vectors: memory.vectors,
    states,
    pages: memory.tables,
    table,
  };
}

export function scanOptions(op: Op<'SCAN'>, { memory }: Lowering, places: Places): ScanOptions {
  const { part } = op;
  const { view: states, table } = memory.cache(op.cache);
  return {
    label: `scan/${where(op)}`,
    input: places.at(op.in[0]!),
    steps: places.at(op.in[1]!),
    gates: op.in[2]! < 0 ? undefined : places.at(op.in[2]!),
    out: places.at(op.out[0]!),
    nHead: part.n_head,
    nKeys: part.n_keys,
    kDim: part.k_dim,
    vDim: part.v_dim,
    qAt: part.q_at,
    kAt: part.k_at,
    vAt: part.v_at,
    isDelta: part.is_delta !== 0,
    qScale: part.q_scale,
    kScale: part.k_scale,
    decay: memory.vector(op.weight[0]!),
    skip: memory.optional(op.weight[1]!),
    vectors: memory.vectors,
    states,
    pages: memory.tables,
    table,
  };
}

/** An op that changes each element by itself. */
function mapped(
  op: Op<'SCALE' | 'LOG_SCALE' | 'CLAMP' | 'XIELU' | 'SOFTPLUS' | 'ADD_ROW'>,
  { memory, pooling }: Lowering,
  rowsOf: 'batch' | 'output',
  out: Slot,
): Dispatch {
  const { vectors } = memory;
  const kind = op.name.toLowerCase() as Lowercase<typeof op.name>;
  const positions = pooling === undefined ? undefined : memory.positions;
  const common = {
    label: `${kind}/${where(op)}`,
    kind,
    rowsOf,
    out,
    width: op.part.width,
    vectors,
    positions,
  };
  switch (op.name) {
    case 'SCALE':
      return map({
        ...common,
        numbers: [op.part.factor],
        weight: memory.optional(op.weight[0]!),
        isEach: op.part.is_each !== 0,
      });
    case 'LOG_SCALE':
      return map({ ...common, numbers: [op.part.factor], period: op.part.period });
    case 'SOFTPLUS':
      return map({ ...common, numbers: [], weight: memory.vector(op.weight[0]!) });
    case 'ADD_ROW': {
      const row = op.part.row < 0 ? undefined : op.part.row;
      return map({ ...common, numbers: [], row, weight: memory.vector(op.weight[0]!) });
    }
    case 'CLAMP':
      return map({ ...common, numbers: [op.part.limit] });
    case 'XIELU': {
      const { alpha_n, alpha_p, beta, eps } = op.part;
      return map({ ...common, numbers: [alpha_n, alpha_p, beta, eps] });
    }
  }
}

/** A vector's elements from `first` on: the biases of fused matrices are one vector. */
const from = ({ offset, length }: Vector, first: number): Vector => ({
  offset: offset + first,
  length: length - first,
});

/** A product; of many tokens over inputs that are staged first, where a tile takes them. */
function product(options: Parameters<typeof matmul>[0], view: View | undefined): Dispatch[] {
  const { label, input, nIn, matrices, rowsOf, tokens, features } = options;
  const isMany = tokens === 'many' && rowsOf === 'batch';
  const tile = isMany
    ? tileOf(
        matrices.map(({ matrix }) => matrix),
        features,
      )
    : undefined;
  if (view === undefined || tile === undefined) return matmul(options);
  return [stage({ tile, label, input, nIn, out: view }), ...matmul({ ...options, staged: { tile, view } })];
}

/** The products of an op's stacks, which have one input. */
function stacks(all: readonly ExpertsOptions[], view: View | undefined): Dispatch[] {
  const [{ label, input, isEach, nIn, nUsed, tokens, rowsOf, features }] = all as [ExpertsOptions];
  const isMany = tokens === 'many' && rowsOf === 'batch';
  const tiles = all.map(({ stacks: [stack] }) =>
    isMany && view !== undefined ? expertsTileOf(stack.matrix, features) : undefined,
  );
  const tile = tiles.find((one) => one !== undefined);
  const width = isEach ? nUsed * nIn : nIn;
  return [
    ...(tile === undefined ? [] : [stage({ tile, label, input, nIn: width, out: view! })]),
    ...all.flatMap((options, i) =>
      experts(tiles[i] === undefined ? options : { ...options, staged: { tile: tiles[i], view: view! } }),
    ),
  ];
}

export function matmulOptions(
  op: Op<'MATMUL'>,
  l: Lowering,
  rows: Rows,
  places: Places,
): Parameters<typeof matmul>[0] {
  const { memory, features } = l;
  const { n_in: nIn, n_weights, n_out, row } = op.part;
  return {
    label: where(op),
    input: places.at(op.in[0]!),
    nIn,
    matrices: Array.from({ length: n_weights }, (_, i) => ({
      matrix: matrixOf(l, op.weight[i]!),
      rows: { first: row[i]!, count: n_out[i]! },
      ...(op.weight[3 + i]! < 0 ? {} : { bias: from(memory.vector(op.weight[3 + i]!), row[i]!) }),
      out: places.at(op.out[i]!),
    })),
    add: (op.flags & OpFlag.ADD) !== 0,
    rowsOf: isOfOutput(op) ? 'output' : 'batch',
    tokens: isOfOutput(op) ? rows.output : rows.batch,
    isAlike: rows.isAlike ?? false,
    vectors: memory.vectors,
    features,
  };
}

export function attendOptions(
  op: Op<'ATTEND'>,
  { memory, features }: Lowering,
  rows: Rows,
  places: Places,
): Parameters<typeof attend>[0] {
  return {
    label: `attend/${where(op)}`,
    queries: places.at(op.in[0]!),
    out: places.at(op.out[0]!),
    cache: memory.cache(op.cache),
    nHead: op.part.n_head,
    vDim: op.part.v_dim,
    scale: op.part.scale,
    softcap: op.part.softcap,
    pages: memory.tables,
    tokens: rows.batch,
    partial: memory.partial,
    sinks: memory.optional(op.weight[0]!),
    vectors: memory.vectors,
    features,
  };
}

function matrixOf(l: Lowering, tensor: number): Matrix {
  const matrix = l.matrices.get(tensor);
  if (matrix === undefined) throw new ChordError('internal', `matrix ${tensor} isn't on the GPU`);
  return matrix;
}
