// SPDX-License-Identifier: Apache-2.0
// The table of fusions: neighbouring ops that become one dispatch. A fusion looks at the ops from an index
// on. It names what it joins, or nothing, and then the next fusion, or the op alone (lowering.ts), has its
// turn.
//
// A fusion may leave out what an op writes only if no later op reads it.
import { CacheKind, OpFlag, OpTrait, opTraits } from '../abi/abi.gen.js';
import type { OpRecord } from '../executor.js';
import { attend as attendAlone, attendFused, storeHeads } from './attend.js';
import type { Dispatch, Slot } from './dispatch.js';
import { Places, attendOptions, lowerOp, matmulOptions, where } from './lowering.js';
import type { Lowering, Op, Rows } from './lowering.js';
import { canShare, matmul } from './matmul.js';
import type { MatmulOptions } from './matmul.js';

/** What a fusion made of `count` ops. */
interface Fused {
  readonly count: number;
  readonly dispatches: Dispatch[];
}

interface Context {
  readonly l: Lowering;
  /** The program's ops that run on the GPU. */
  readonly ops: readonly OpRecord[];
  readonly rows: Rows;
  readonly places: Places;
}

type Fusion = (context: Context, at: number) => Fused | undefined;

/** In the order in which they are tried. */
const fusions: readonly Fusion[] = [normsAndProduct, productAndGlu, wholeAttention];

/** Ops that the host does, or that need nothing on a GPU that holds all weights. */
const isOfHost = ({ name }: OpRecord): boolean =>
  name === 'ANGLES' || name === 'ACQUIRE' || name === 'RELEASE';

/** All dispatches of a batch, and the slot that holds its output rows. */
export function lower(l: Lowering, rows: Rows): { dispatches: Dispatch[]; output: Slot } {
  const places = new Places(l.memory);
  const dispatches = l.isFused
    ? fuse(l, rows, places)
    : l.program.ops.flatMap((op) => lowerOp(op, l, rows, places));
  return { dispatches, output: places.at(l.program.outputSlot) };
}

function fuse(l: Lowering, rows: Rows, places: Places): Dispatch[] {
  const ops = l.program.ops.filter((op) => !isOfHost(op));
  const context = { l, ops, rows, places };
  const all: Dispatch[] = [];
  for (let at = 0; at < ops.length;) {
    let fused: Fused | undefined;
    for (const fusion of fusions) if ((fused ??= fusion(context, at)) !== undefined) break;
    fused ??= { count: 1, dispatches: lowerOp(ops[at]!, l, rows, places) };
    all.push(...fused.dispatches);
    at += fused.count;
  }
  return all;
}

const has = (op: OpRecord, flag: number): boolean => (op.flags & flag) !== 0;

const readsOut = (op: OpRecord): boolean =>
  has(op, OpFlag.ADD) || (opTraits[op.kind]! & OpTrait.IN_PLACE) !== 0;

/** Whether no op from index `at` on reads what `slot` holds. */
function isDead({ ops, l }: Context, slot: number, at: number): boolean {
  for (const op of ops.slice(at)) {
    if (op.in.includes(slot)) return false;
    if (op.out.includes(slot)) return !readsOut(op);
  }
  return slot !== l.program.outputSlot;
}

const nameOf = (op: OpRecord | undefined): string => op?.name ?? '';

// ---- norm + product, sum + norm + product, gate and up + GLU ---------------------------------------------

/** NORM, MATMUL; or NORM, ADD, NORM, MATMUL: a norm of what is added, as families with post-norms have it. */
function normsAndProduct(c: Context, at: number): Fused | undefined {
  const hasSum = nameOf(c.ops[at + 1]) === 'ADD';
  const norm = c.ops[hasSum ? at + 2 : at];
  const product = c.ops[hasSum ? at + 3 : at + 1];
  if (norm?.name !== 'NORM' || product?.name !== 'MATMUL' || !isShort(c, product)) return undefined;
  const normed = norm.out[0]!;
  const source = norm.in[0]!;
  const end = at + (hasSum ? 4 : 2);
  const isOneInput = product.in[0] === normed && isDead(c, normed, end) && !product.out.includes(source);
  // GATHER reads the rows that have an output row: of a batch of one token the only one.
  if (!isOneInput || (has(norm, OpFlag.GATHER) && c.rows.batch !== 'one')) return undefined;
  const plus = hasSum ? sumBefore(c, at, source, end) : undefined;
  if (hasSum && plus === undefined) return undefined;

  const options: MatmulOptions = {
    ...matmulOptions(product, c.l, c.rows, c.places),
    input: c.places.at(source),
    norm: normOf(c, norm),
  };
  if (plus === undefined) return withGlu(c, at, end, product, options);
  const h = c.places.at(plus.in[0]!);
  return withGlu(c, at, end, product, {
    ...options,
    plus: { ...normOf(c, plus), h, sum: c.places.fresh(source, [source]) },
  });
}

/** The norm of what is added to slot `x`, where the sum can be a part of the product that ends at `end`. */
function sumBefore(c: Context, at: number, x: number, end: number): Op<'NORM'> | undefined {
  const [norm, add] = [c.ops[at], c.ops[at + 1]];
  if (norm?.name !== 'NORM' || add?.name !== 'ADD' || has(norm, OpFlag.GATHER)) return undefined;
  const h = norm.out[0]!;
  const isSum = add.in[0] === h && add.out[0] === x && norm.in[0] !== x;
  // The product's own outputs may be h: it's read before, in the same dispatch, from another buffer.
  const product = c.ops[end - 1]!;
  const isFree = !product.out.includes(norm.in[0]!) && (product.out.includes(h) || isDead(c, h, end));
  return isSum && isFree && norm.part.width % 4 === 0 ? norm : undefined;
}

/** MATMUL of gate and up, GLU. */
function productAndGlu(c: Context, at: number): Fused | undefined {
  const product = c.ops[at];
  if (product?.name !== 'MATMUL' || nameOf(c.ops[at + 1]) !== 'GLU' || !isShort(c, product)) return undefined;
  const fused = withGlu(c, at, at + 1, product, matmulOptions(product, c.l, c.rows, c.places));
  return fused.count > 1 ? fused : undefined;
}

/** The product that ends at `end`, joined with the GLU behind it if there is one. */
function withGlu(c: Context, at: number, end: number, product: Op<'MATMUL'>, options: MatmulOptions): Fused {
  const glu = c.ops[end];
  const [gate, up] = product.out as [number, number];
  const alone = { count: end - at, dispatches: matmul(options) };
  if (glu?.name !== 'GLU' || product.part.n_weights !== 2 || has(product, OpFlag.ADD)) return alone;
  const out = glu.out[0]!;
  const isFree = [gate, up].every((slot) => slot === out || isDead(c, slot, end + 1));
  const isTheirs = glu.in[0] === gate && glu.in[1] === up && isFree;
  const [first, second] = options.matrices;
  const isEven = product.part.n_out[0] === product.part.n_out[1];
  if (!isTheirs || !isEven || !canShare(options.matrices)) return alone;
  const matrices = [{ ...first!, out: c.places.at(out) }, second!];
  return {
    count: end + 1 - at,
    dispatches: matmul({ ...options, matrices, glu: glu.part.activation }),
  };
}

/** Whether a product has the kernel for few rows, which fuses. */
function isShort({ rows }: Context, product: Op<'MATMUL'>): boolean {
  return (has(product, OpFlag.OUTPUT) ? rows.output : rows.batch) !== 'many';
}

function normOf({ l }: Context, norm: Op<'NORM'>): NonNullable<MatmulOptions['norm']> {
  const weight = l.memory.optional(norm.weight[0]!);
  return { eps: norm.part.eps, ...(weight && { weight }) };
}

// ---- head norms + RoPE + KV store, with the attention of one token ---------------------------------------

/**
 * HEAD_NORM and ROPE of queries, keys and values, KV_STORE, ATTEND: each at most once for a slot. One token
 * attends in the same dispatch, more tokens in one of their own.
 */
function wholeAttention(c: Context, at: number): Fused | undefined {
  const attend = attentionAt(c, at);
  if (attend === undefined || (c.rows.batch !== 'one' && attend === c.ops[at])) return undefined;
  const end = c.ops.indexOf(attend) + 1;
  const before = c.ops.slice(at, end - 1);
  const store = before.find((op): op is Op<'KV_STORE'> => op.name === 'KV_STORE');
  const q = attend.in[0]!;
  const [k, v] = store === undefined ? [-1, -1] : [store.in[0]!, store.in[1]!];
  if (store !== undefined && store.cache !== attend.cache) return undefined;

  const normIn = (slot: number) =>
    before.filter((op): op is Op<'HEAD_NORM'> => op.name === 'HEAD_NORM' && op.out[0] === slot);
  const ropeIn = (slot: number) =>
    before.filter((op): op is Op<'ROPE'> => op.name === 'ROPE' && op.out[0] === slot);
  const [qNorm, kNorm, vNorm] = [normIn(q), normIn(k), normIn(v)];
  const [qRope, kRope] = [ropeIn(q), ropeIn(k)];
  const used = [qNorm, kNorm, vNorm, qRope, kRope, store === undefined ? [] : [store]];
  const isSimple =
    used.every((list) => list.length <= 1) &&
    used.flat().length === before.length &&
    isAfter(before, qRope[0], qNorm[0]) &&
    isAfter(before, kRope[0], kNorm[0]) &&
    (store === undefined || before.at(-1) === store) &&
    (vNorm[0]?.weight[0] ?? -1) < 0;
  const norms = [...qNorm, ...kNorm, ...vNorm];
  const turn = qRope[0];
  const isSame =
    norms.every(({ part }) => part.eps === norms[0]!.part.eps) &&
    (store === undefined || (turn === undefined) === (kRope[0] === undefined)) &&
    kRope.every(
      ({ part, in: [angles] }) =>
        part.rope === turn!.part.rope && part.first === turn!.part.first && angles === turn!.in[0],
    );
  const isFree = [q, k, v].every((slot) => slot < 0 || isDead(c, slot, end));
  if (!isSimple || !isSame || !isFree) return undefined;

  const { l, places } = c;
  const headNorm = (list: Op<'HEAD_NORM'>[]) =>
    list.length === 0 ? undefined : { weight: l.memory.optional(list[0]!.weight[0]!) };
  const rope = turn && l.program.ropes[turn.part.rope]!;
  const options = attendOptions(attend, l, c.rows, places);
  const raw = {
    ...options,
    ...(k < 0 ? {} : { keys: places.at(k) }),
    ...(v < 0 ? {} : { values: places.at(v) }),
    queryNorm: headNorm(qNorm),
    keyNorm: headNorm(kNorm),
    valueNorm: vNorm.length > 0,
    eps: norms[0]?.part.eps,
    rope:
      turn === undefined
        ? undefined
        : {
            angles: places.at(turn.in[0]!),
            nRot: rope!.n_rot,
            first: turn.part.first,
            style: rope!.style,
          },
    vectors: l.memory.vectors,
  };
  const dispatches =
    c.rows.batch === 'one'
      ? attendFused(raw)
      : [storeHeads({ ...raw, label: `heads/${where(attend)}` }), ...attendAlone(options)];
  return { count: end - at, dispatches };
}

/** The attention that ends a run of ops which belong to it, if one begins at `at`. */
function attentionAt({ ops, l }: Context, at: number): Op<'ATTEND'> | undefined {
  for (const op of ops.slice(at)) {
    if (op.name === 'ATTEND') return l.program.caches[op.cache]!.kind === CacheKind.STATE ? undefined : op;
    if (op.name !== 'HEAD_NORM' && op.name !== 'ROPE' && op.name !== 'KV_STORE') return undefined;
  }
  return undefined;
}

/** Whether `later` isn't before `earlier`, where both are there. */
function isAfter(
  ops: readonly OpRecord[],
  later: OpRecord | undefined,
  earlier: OpRecord | undefined,
): boolean {
  return later === undefined || earlier === undefined || ops.indexOf(later) > ops.indexOf(earlier);
}
