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
import {
  Places,
  attendOptions,
  convOptions,
  expertsOptions,
  isOfOutput,
  lowerOp,
  matmulOptions,
  scanOptions,
  where,
} from './lowering.js';
import type { Lowering, Op, Rows } from './lowering.js';
import { canPair, canShareWith, experts } from './experts.js';
import type { ExpertsOptions, Shared } from './experts.js';
import { canShare, matmul } from './matmul.js';
import type { MatmulOptions, Norm } from './matmul.js';
import { scan } from './recurrent.js';
import { headNorm, shortConv } from './rows.js';

/** What a fusion made of `count` ops. */
interface Fused {
  readonly count: number;
  readonly dispatches: Dispatch[];
  /** What it left to the products that follow (Context.normed). */
  readonly spread?: Context['normed'];
}

interface Context {
  readonly l: Lowering;
  /** The program's ops that run on the GPU. */
  readonly ops: readonly OpRecord[];
  readonly rows: Rows;
  readonly places: Places;
  /** Slots whose norm is a part of each product that reads them: the norm, and its input. */
  readonly normed: Map<number, { readonly norm: Norm; readonly source: number }>;
}

type Fusion = (context: Context, at: number) => Fused | undefined;

/** In the order in which they are tried. */
const fusions: readonly Fusion[] = [
  normsAndProduct,
  spreadNorm,
  routerAndGate,
  productAndGlu,
  productAndGate,
  expertsAndGlu,
  expertsAndCombine,
  convAndActivation,
  normsAndScan,
  headNormAndGlu,
  wholeAttention,
  normedProduct,
];

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
  const ops = arranged(l.program.ops.filter((op) => !isOfHost(op)));
  const normed: Context['normed'] = new Map();
  const context = { l, ops, rows, places, normed };
  const all: Dispatch[] = [];
  for (let at = 0; at < ops.length;) {
    let fused: Fused | undefined;
    for (const fusion of fusions) if ((fused ??= fusion(context, at)) !== undefined) break;
    fused ??= { count: 1, dispatches: lowerOp(ops[at]!, l, rows, places) };
    all.push(...fused.dispatches);
    const { count } = fused;
    for (const { out } of count > 0 ? ops.slice(at, at + count) : [])
      out.forEach((slot) => normed.delete(slot));
    fused.spread?.forEach((value, slot) => normed.set(slot, value));
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
  // The sum gets another place: that of a part of a row would lack the rest.
  const isWhole = norm.part.width % 4 === 0 && norm.part.width === c.places.at(x).width;
  return isSum && isFree && isWhole ? norm : undefined;
}

/** MATMUL of gate and up, GLU. */
function productAndGlu(c: Context, at: number): Fused | undefined {
  const product = c.ops[at];
  if (product?.name !== 'MATMUL' || nameOf(c.ops[at + 1]) !== 'GLU' || !isShort(c, product)) return undefined;
  const fused = withGlu(c, at, at + 1, product, productOptions(c, product));
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
  return (isOfOutput(product) ? rows.output : rows.batch) !== 'many';
}

function normOf({ l }: Context, norm: Op<'NORM'>): NonNullable<MatmulOptions['norm']> {
  const weight = l.memory.optional(norm.weight[0]!);
  return { eps: norm.part.eps, ...(weight && { weight }) };
}

// ---- mixtures ----------------------------------------------------------------------------------------

/** Whether ops between `from` and `to` don't write slots `read`, and neither read nor write `written`. */
function canMove(
  ops: readonly OpRecord[],
  from: number,
  to: number,
  read: number[],
  written: number[],
): boolean {
  return ops
    .slice(from, to)
    .every(
      (op) =>
        ![...read, ...written].some((slot) => slot >= 0 && op.out.includes(slot)) &&
        !written.some((slot) => slot >= 0 && op.in.includes(slot)),
    );
}

/**
 * The ops in an order in which what fuses is side by side: the experts' last product before COMBINE, behind
 * the shared expert's first; and the product that gives a shared expert's gate behind the router's.
 */
function arranged(ops: readonly OpRecord[]): OpRecord[] {
  const list = [...ops];
  for (const op of ops) {
    const at = list.indexOf(op);
    if (op.name === 'EXPERTS' && op.part.n_weights === 1) {
      const end = list.findIndex(({ in: slots }, i) => i > at && slots.includes(op.out[0]!));
      if (end < 0 || list[end]!.name !== 'COMBINE') continue;
      if (canMove(list, at + 1, end, [...op.in], [...op.out])) list.splice(end - 1, 0, ...list.splice(at, 1));
    }
    if (op.name === 'ROUTE') {
      const router = list[at - 1];
      const end = list.findIndex(({ name }, i) => i > at && (name === 'ROUTE' || name === 'NORM'));
      const gate = list.slice(at, end < 0 ? undefined : end).find((other) => isGateBeside(router, other));
      if (gate === undefined) continue;
      const from = list.indexOf(gate);
      if (canMove(list, at, from, [...gate.in], [...gate.out])) list.splice(at, 0, ...list.splice(from, 1));
    }
  }
  return list;
}

/** Whether `other` is a product with one row that reads what the product `router` reads. */
function isGateBeside(router: OpRecord | undefined, other: OpRecord | undefined): other is Op<'MATMUL'> {
  return (
    router?.name === 'MATMUL' &&
    other?.name === 'MATMUL' &&
    router.part.n_weights === 1 &&
    other.part.n_weights === 1 &&
    other.part.n_out[0] === 1 &&
    router.in[0] === other.in[0] &&
    router.flags === other.flags &&
    !has(other, OpFlag.ADD)
  );
}

/** A product over a slot whose norm is left to it, or over a slot as it is. */
function productOptions(c: Context, product: Op<'MATMUL'>): MatmulOptions {
  const options = matmulOptions(product, c.l, c.rows, c.places);
  const normed = c.normed.get(product.in[0]!);
  return normed === undefined
    ? options
    : { ...options, input: c.places.at(normed.source), norm: normed.norm };
}

function stackOptions(c: Context, op: Op<'EXPERTS'>, i: number): ExpertsOptions {
  const options = expertsOptions(op, c.l, c.rows, c.places, i);
  const normed = c.normed.get(op.in[0]!);
  return normed === undefined
    ? options
    : { ...options, input: c.places.at(normed.source), norm: normed.norm };
}

const isFew = ({ rows }: Context, op: OpRecord): boolean =>
  (isOfOutput(op) ? rows.output : rows.batch) !== 'many';

/** NORM whose result several products read, and nothing else: each has the norm in itself. */
function spreadNorm(c: Context, at: number): Fused | undefined {
  const norm = c.ops[at];
  if (norm?.name !== 'NORM' || has(norm, OpFlag.GATHER)) return undefined;
  const [source, out] = [norm.in[0]!, norm.out[0]!];
  if (source === out || out === c.l.program.outputSlot) return undefined;
  let isThere = true;
  for (const op of c.ops.slice(at + 1)) {
    if (op.in.includes(out)) {
      const isProduct = op.name === 'MATMUL' || (op.name === 'EXPERTS' && op.part.is_each === 0);
      const isSame = isOfOutput(op) === isOfOutput(norm);
      if (!isProduct || !isThere || !isSame || !isFew(c, op) || op.out.includes(source)) return undefined;
      if (op.name === 'EXPERTS' && op.in[1] === out) return undefined;
    }
    if (op.out.includes(out)) {
      if (readsOut(op)) return undefined;
      break;
    }
    if (op.out.includes(source)) isThere = false;
  }
  return { count: 1, dispatches: [], spread: new Map([[out, { norm: normOf(c, norm), source }]]) };
}

/** MATMUL of a slot whose norm was left to it. */
function normedProduct(c: Context, at: number): Fused | undefined {
  const op = c.ops[at];
  if (op === undefined || !c.normed.has(op.in[0]!)) return undefined;
  if (op.name === 'MATMUL') return { count: 1, dispatches: matmul(productOptions(c, op)) };
  if (op.name !== 'EXPERTS') return undefined;
  const all = Array.from({ length: op.part.n_weights }, (_, i) => experts(stackOptions(c, op, i)));
  return { count: 1, dispatches: all.flat() };
}

/** The router's product and that of a shared expert's gate. */
function routerAndGate(c: Context, at: number): Fused | undefined {
  const [router, gate] = [c.ops[at], c.ops[at + 1]];
  if (router?.name !== 'MATMUL' || nameOf(c.ops[at + 2]) !== 'ROUTE') return undefined;
  if (!isGateBeside(router, gate) || !isShort(c, router)) return undefined;
  const [first, second] = [productOptions(c, router), productOptions(c, gate)];
  const matrices = [...first.matrices, ...second.matrices];
  if (!canShare(matrices)) return undefined;
  return { count: 2, dispatches: matmul({ ...first, matrices }) };
}

/** MATMUL, GATE, ADD: what a shared expert adds. */
function productAndGate(c: Context, at: number): Fused | undefined {
  const [product, gate, sum] = [c.ops[at], c.ops[at + 1], c.ops[at + 2]];
  if (product?.name !== 'MATMUL' || gate?.name !== 'GATE' || sum?.name !== 'ADD') return undefined;
  const [out, to] = [product.out[0]!, sum.out[0]!];
  const isTheirs = gate.out[0] === out && sum.in[0] === out && product.part.n_weights === 1;
  const isWhole = gate.part.width === product.part.n_out[0] && sum.part.width === gate.part.width;
  const isFree = to !== out && !product.in.includes(to) && gate.in[0] !== to && isDead(c, out, at + 3);
  if (!isTheirs || !isWhole || !isFree || !isShort(c, product) || has(product, OpFlag.ADD)) return undefined;
  const options = productOptions(c, product);
  const matrices = [{ ...options.matrices[0]!, out: c.places.at(to) }];
  const dispatches = matmul({ ...options, matrices, add: true, gate: c.places.at(gate.in[0]!) });
  return { count: 3, dispatches };
}

/** EXPERTS of gate and up, GLU; and the same of the shared expert behind them, MATMUL, GLU. */
function expertsAndGlu(c: Context, at: number): Fused | undefined {
  const [op, glu] = [c.ops[at], c.ops[at + 1]];
  if (op?.name !== 'EXPERTS' || glu?.name !== 'GLU' || op.part.n_weights !== 2 || !isFew(c, op))
    return undefined;
  const [first, second] = [stackOptions(c, op, 0), stackOptions(c, op, 1)];
  const stacks = [first.stacks[0], second.stacks[0]] as const;
  const out = glu.out[0]!;
  const isTheirs =
    glu.in[0] === op.out[0] && glu.in[1] === op.out[1] && glu.part.width === first.nUsed * first.nOut;
  const isFree = [op.out[0]!, op.out[1]!].every((slot) => slot === out || isDead(c, slot, at + 2));
  if (!isTheirs || !isFree || first.nOut !== second.nOut || !canPair(stacks)) return undefined;
  const fused = { ...first, stacks, out: c.places.at(out), glu: glu.part.activation };
  const shared = sharedBehind(c, at + 2, op, glu, stacks);
  if (shared === undefined) return { count: 2, dispatches: experts(fused) };
  return { count: 4, dispatches: experts({ ...fused, shared }) };
}

/** The shared expert's gate, up and GLU at `at`, where the chosen experts' dispatch can compute them. */
function sharedBehind(
  c: Context,
  at: number,
  op: Op<'EXPERTS'>,
  { part: { activation } }: Op<'GLU'>,
  stacks: Parameters<typeof canShareWith>[0],
): Shared | undefined {
  const [product, glu] = [c.ops[at], c.ops[at + 1]];
  if (product?.name !== 'MATMUL' || glu?.name !== 'GLU' || product.part.n_weights !== 2) return undefined;
  if (product.in[0] !== op.in[0] || product.flags !== op.flags || glu.part.activation !== activation)
    return undefined;
  const out = glu.out[0]!;
  const [gate, up] = matmulOptions(product, c.l, c.rows, c.places).matrices;
  const isTheirs = glu.in[0] === product.out[0] && glu.in[1] === product.out[1];
  const isFree = [product.out[0]!, product.out[1]!].every((slot) => slot === out || isDead(c, slot, at + 2));
  const isWhole = [gate!, up!].every(
    ({ rows, bias, matrix }) => rows.first === 0 && rows.count === matrix.nRows && bias === undefined,
  );
  const shared = {
    matrices: [gate!.matrix, up!.matrix],
    nOut: gate!.rows.count,
    out: c.places.at(out),
  } as const;
  const isEven = gate!.rows.count === up!.rows.count && op.in[0] !== out && !op.in.includes(out);
  return isTheirs && isFree && isWhole && isEven && canShareWith(stacks, shared) ? shared : undefined;
}

/** EXPERTS of down, COMBINE. */
function expertsAndCombine(c: Context, at: number): Fused | undefined {
  const [op, combine] = [c.ops[at], c.ops[at + 1]];
  if (op?.name !== 'EXPERTS' || combine?.name !== 'COMBINE' || op.part.n_weights !== 1) return undefined;
  const [out, to] = [op.out[0]!, combine.out[0]!];
  const isTheirs =
    combine.in[0] === out && combine.in[1] === op.in[1] && combine.part.width === op.part.n_out[0];
  const isFree = !op.in.includes(to) && isDead(c, out, at + 2);
  if (!isTheirs || !isFree || !isFew(c, op)) return undefined;
  const options = stackOptions(c, op, 0);
  if (options.norm !== undefined) return undefined;
  const dispatches = experts({
    ...options,
    out: c.places.at(to),
    combine: { add: has(combine, OpFlag.ADD) },
  });
  return { count: 2, dispatches };
}

// ---- recurrences -------------------------------------------------------------------------------------

/** SHORT_CONV, ACTIVATE. */
function convAndActivation(c: Context, at: number): Fused | undefined {
  const [conv, op] = [c.ops[at], c.ops[at + 1]];
  if (conv?.name !== 'SHORT_CONV' || op?.name !== 'ACTIVATE' || op.out[0] !== conv.out[0]) return undefined;
  if (op.part.width !== conv.part.width) return undefined;
  const { activation } = op.part;
  return { count: 2, dispatches: [shortConv({ ...convOptions(conv, c.l, c.places), activation })] };
}

/** SOFTPLUS of a scan's steps and HEAD_NORM of its q and k, in any order and each at most once; SCAN. */
function normsAndScan(c: Context, at: number): Fused | undefined {
  let end = at;
  while (['SOFTPLUS', 'HEAD_NORM'].includes(nameOf(c.ops[end]))) end++;
  const op = c.ops[end];
  if (op?.name !== 'SCAN' || end === at) return undefined;
  const before = c.ops.slice(at, end);
  const soft = before.find((one): one is Op<'SOFTPLUS'> => one.name === 'SOFTPLUS');
  const norm = before.find((one): one is Op<'HEAD_NORM'> => one.name === 'HEAD_NORM');
  const { n_keys, k_dim, q_at, k_at, n_head } = op.part;
  const [x, steps] = [op.in[0]!, op.in[1]!];
  const isNorm =
    norm === undefined ||
    (norm.out[0] === x &&
      norm.weight[0]! < 0 &&
      norm.part.is_centred === 0 &&
      norm.part.head_dim === k_dim &&
      norm.part.n_head === 2 * n_keys &&
      Math.min(q_at, k_at) === 0 &&
      Math.max(q_at, k_at) === n_keys * k_dim &&
      op.part.v_at >= 2 * n_keys * k_dim &&
      isDead(c, x, end + 1));
  const isSoft =
    soft === undefined ||
    (soft.out[0] === steps && soft.part.width === n_head && op.in[2] !== steps && isDead(c, steps, end + 1));
  const isOnce = before.length === Number(soft !== undefined) + Number(norm !== undefined);
  if (!isNorm || !isSoft || !isOnce || x === steps) return undefined;
  const options = {
    ...scanOptions(op, c.l, c.places),
    norm: norm && { eps: norm.part.eps },
    soft: soft && c.l.memory.vector(soft.weight[0]!),
  };
  return { count: end + 1 - at, dispatches: [scan(options)] };
}

/** HEAD_NORM of a whole row, GLU with it as what is gated. */
function headNormAndGlu(c: Context, at: number): Fused | undefined {
  const [op, glu] = [c.ops[at], c.ops[at + 1]];
  if (op?.name !== 'HEAD_NORM' || glu?.name !== 'GLU' || op.flags !== glu.flags) return undefined;
  const { n_head: nHead, head_dim: headDim, eps, is_each } = op.part;
  const [slot, gate] = [op.out[0]!, glu.in[0]!];
  const isTheirs = glu.in[1] === slot && glu.out[0] === slot && gate !== slot && glu.part.first === 0;
  if (!isTheirs || op.part.is_centred !== 0 || glu.part.width !== nHead * headDim) return undefined;
  const dispatch = headNorm({
    label: `head_norm+glu/${where(op)}`,
    out: c.places.at(slot),
    nHead,
    headDim,
    eps,
    weight: c.l.memory.optional(op.weight[0]!),
    isEach: is_each !== 0,
    vectors: c.l.memory.vectors,
    rowsOf: isOfOutput(op) ? 'output' : 'batch',
    glu: { gate: c.places.at(gate), activation: glu.part.activation },
  });
  return { count: 2, dispatches: [dispatch] };
}

// ---- head norms + RoPE + KV store, with the attention of one token ---------------------------------------

/**
 * HEAD_NORM and ROPE of queries, keys and values, KV_STORE, ATTEND: each at most once for a slot. One token
 * attends in the same dispatch, more tokens in one of their own.
 */
function wholeAttention(c: Context, at: number): Fused | undefined {
  const attend = c.l.isWhole ? undefined : attentionAt(c, at);
  if (attend === undefined || (c.rows.batch !== 'one' && attend === c.ops[at])) return undefined;
  const { l, places } = c;
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
  if (norms.some(({ part }) => part.is_each + part.is_centred !== 0)) return undefined;
  // A norm or a rotation of another part of a row than the attention's heads.
  const { kDim, vDim } = l.memory.cache(attend.cache);
  const isWhole = [...qNorm, ...kNorm, ...qRope, ...kRope].every(({ part }) => part.head_dim === kDim);
  if (!isWhole || vNorm.some(({ part }) => part.head_dim !== vDim)) return undefined;
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
