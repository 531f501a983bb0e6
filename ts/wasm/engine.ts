// SPDX-License-Identifier: Apache-2.0
// One model in one WebAssembly memory: the calls of chord.h with bytes, strings and errors made
// JavaScript's. Synchronous; one caller at a time. Level 1 uses it in the caller's thread, level 2 in
// the engine worker, whose pool threads share the memory (threads.ts).
//
// Memory, from __heap_base on: scratch, staging, then the header's arena growing at the top until the
// header is complete, then the plan's block, pool stacks, sessions and KV pages.
import {
  ABI_VERSION, Isa, KvType, OpKind, Status, TextFlag, TokenFlag, configLayout, modelInfoLayout, opLayout, planInfoLayout, statusErrors,
  tensorInfoLayout,
} from '../abi/abi.gen.js';
import type { StructValue } from '../abi/abi.gen.js';
import type { Backend, PlanOptions, StepResult, TokenizeOptions } from '../engine.js';
import { ChordError } from '../errors.js';
import type { ChordErrorCode } from '../errors.js';
import { instantiate } from './instantiate.js';
import type { Exports } from './instantiate.js';
import { Heap, makeMemory } from './memory.js';
import { TextStream, WasmSession } from './session.js';
import { Tokenizing } from './tokenizing.js';

export type PlanInfo = StructValue<typeof planInfoLayout>;
/** What an op, summed over the layers, has kept the caller's thread. */
export interface ProfileEntry {
  /** The op's name, and the weights of a product: `MATMUL ffn_gate+ffn_up`. */
  readonly op: string;
  /** Ops of that name in the program. */
  readonly count: number;
  readonly ms: number;
}

export type ModelInfo = StructValue<typeof modelInfoLayout>;
export type TensorInfo = StructValue<typeof tensorInfoLayout> & { readonly name: string };

/** Structs, names and messages. */
export const SCRATCH = 4096;
/** File bytes on their way in: large enough to hide the call, small beside any model. */
const STAGING = 1 << 20;
/** The header's arena grows by at least this much, so that a big vocabulary asks a few dozen times. */
const ARENA = 256 << 10;
/** A pool thread's stack, as the linker gives the first one. */
const STACK = 64 << 10;

const hints: { readonly [code in ChordErrorCode]?: string } = {
  'context-full': 'shorten the prompt, or load the model with a larger contextLength',
  'out-of-memory': 'a smaller model or quantization, a shorter contextLength, or fewer models at a time need less',
  'internal': 'please report this with the model\'s name and the package\'s version',
};

const encoder = new TextEncoder();
/** `ignoreBOM`: a text may begin with U+FEFF, and it is the reader's. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export class WasmEngine implements Backend<WasmSession> {
  readonly name = 'cpu';
  readonly module: WebAssembly.Module;
  #heap: Heap | undefined;
  #exports: Exports | undefined;
  #fault: ChordError | undefined;
  readonly #scratch: number;
  readonly #staging: number;
  #model = 0;
  #stacks = 0;
  #plan: PlanInfo | undefined;
  #info: ModelInfo | undefined;
  #pageBytesGiven = 0;
  #profileAt = 0;

  /** Makes the memory and an instance of `module`; nothing is loaded yet. Throws `out-of-memory`. */
  constructor(module: WebAssembly.Module) {
    this.module = module;
    const { memory, maximum } = makeMemory();
    this.#exports = instantiate(module, memory, (cause) => this.#onTrap(cause));
    this.#heap = new Heap(memory, this.#exports.__heap_base.value as number, maximum);
    this.#scratch = this.heap.alloc(SCRATCH);
    this.#staging = this.heap.alloc(STAGING);
    this.#model = this.#exports.model_init(this.heap.allocTop(ARENA), ARENA);
    if (this.#model === 0) throw new ChordError('internal', 'chord_model_init refused its block');
  }

  /**
   * A whole load from bytes in memory, in the caller's thread.
   * Throws what the file deserves: `invalid-gguf`, `unsupported-*`, `out-of-memory`, `invalid-argument`.
   */
  static load(module: WebAssembly.Module, bytes: Uint8Array, options: PlanOptions = {}): WasmEngine {
    const engine = new WasmEngine(module);
    try {
      engine.setFileBytes(bytes.byteLength);
      if (!engine.push(0, bytes)) engine.end();
      engine.plan(options);
      if (!engine.begin() && !engine.push(0, bytes)) engine.end();
      return engine;
    } catch (error) {
      engine.free();
      throw error;
    }
  }

  // ---- load: HEADER, PLAN, DATA ---------------------------------------------------------------------

  /** How long the file is, when known: a truncated file is then refused before its data is read. */
  setFileBytes(bytes: number): void {
    this.check(this.exports.model_set_file_bytes(this.#model, bytes));
  }

  /** The file offset that `push` wants next; bytes before it needn't be kept. */
  get position(): number {
    return this.exports.model_position(this.#model);
  }

  /**
   * Push the file's bytes from `offset` on; bytes that aren't wanted are skipped. True when the phase is
   * complete: the header (the rest of the chunk wasn't taken: plan, begin, push it again), or the data.
   */
  push(offset: number, bytes: Uint8Array): boolean {
    let status: number = Status.MORE;
    for (;;) {
      const position = Math.max(this.position, offset);
      const rest = bytes.subarray(position - offset, position - offset + STAGING);
      if (rest.byteLength === 0) return false;
      this.heap.copyIn(this.#staging, rest);
      status = this.exports.model_push(this.#model, 0, position, this.#staging, rest.byteLength);
      if (status === Status.NEED_MEMORY) this.#growArena();
      else if (this.check(status) === Status.DONE) return true;
      else if (this.position <= position) return false; // nothing of this chunk is wanted
    }
  }

  #growArena(): void {
    const bytes = Math.max(this.exports.model_wanted(this.#model), ARENA);
    this.check(this.exports.model_give(this.#model, this.heap.allocTop(bytes), bytes));
  }

  /** The file has ended. Throws `invalid-gguf` naming what is missing, unless everything has arrived. */
  end(): void {
    this.check(this.exports.model_end(this.#model));
  }

  /**
   * After the header: bind every tensor and lay out memory. Again with other options until `begin`.
   * Throws `out-of-memory` where the plan can't fit this memory, before any of the data is read.
   */
  plan(options: PlanOptions = {}): PlanInfo {
    const kv = { f16: KvType.F16, f32: KvType.F32, q8_0: KvType.Q8_0 }[options.kvType ?? 'f16'];
    const out = this.#scratch + 1024;
    this.heap.writeStruct(this.#scratch, configLayout, {
      version: ABI_VERSION, size: configLayout.size, n_ctx: options.contextLength ?? 0, n_batch: options.batchTokens ?? 0,
      kv_type: kv, n_threads: options.threads ?? 1, isa: Isa.BEST,
    });
    this.heap.writeStruct(out, planInfoLayout, { version: ABI_VERSION, size: planInfoLayout.size });
    while (this.check(this.exports.plan(this.#model, this.#scratch, out)) === Status.NEED_MEMORY) this.#growArena();
    const plan = this.heap.readStruct(out, planInfoLayout);
    if (plan.bytes > this.heap.room) {
      throw new ChordError('out-of-memory', `the model needs ${plan.bytes} bytes of memory, ${this.heap.room} are available`, { hint: hints['out-of-memory'] });
    }
    return (this.#plan = plan);
  }

  /** Take the plan's memory and build the vocabulary. True when no tensor is wanted. */
  begin(): boolean {
    const { bytes, n_threads } = this.planInfo;
    const done = this.check(this.exports.model_begin(this.#model, this.heap.allocTop(bytes), bytes)) === Status.DONE;
    this.#stacks = n_threads > 1 ? this.heap.alloc((n_threads - 1) * STACK) : 0;
    return done;
  }

  // ---- what it is -----------------------------------------------------------------------------------

  get planInfo(): PlanInfo {
    if (this.#plan === undefined) throw new ChordError('internal', 'the model is not planned yet');
    return this.#plan;
  }

  /** Numbers about the model, after `plan`. */
  modelInfo(): ModelInfo {
    if (this.#info !== undefined) return this.#info;
    this.heap.writeStruct(this.#scratch, modelInfoLayout, { version: ABI_VERSION, size: modelInfoLayout.size });
    this.check(this.exports.model_get_info(this.#model, this.#scratch));
    return (this.#info = this.heap.readStruct(this.#scratch, modelInfoLayout));
  }

  /** Row `index` of the tensor table, after the header. */
  tensor(index: number): TensorInfo {
    const name = this.#scratch + 1024;
    this.heap.writeStruct(this.#scratch, tensorInfoLayout, { version: ABI_VERSION, size: tensorInfoLayout.size });
    this.check(this.exports.model_tensor(this.#model, index, this.#scratch, name, 256));
    return { ...this.heap.readStruct(this.#scratch, tensorInfoLayout), name: this.#string(name, 256) };
  }

  /** The value of a metadata key as text, or undefined when there is none. Numbers are decimal. */
  meta(key: string): string | undefined {
    const bytes = encoder.encode(key);
    if (bytes.byteLength > SCRATCH) return undefined;
    this.heap.copyIn(this.#scratch, bytes);
    return this.#metaAt(bytes.byteLength);
  }

  /** The names of the metadata keys, in file order. */
  metaKeys(): string[] {
    const keys: string[] = [];
    for (;;) {
      const name = this.#metaAt(-1 - keys.length);
      if (name === undefined) return keys;
      keys.push(name);
    }
  }

  #metaAt(nKey: number): string | undefined {
    const length = this.exports.model_meta(this.#model, this.#scratch, nKey, this.#staging, STAGING);
    if (length < 0) return undefined;
    if (length <= STAGING) return decoder.decode(this.heap.copyOut(this.#staging, length));
    return this.#withBlock(length, (block) => {
      this.exports.model_meta(this.#model, this.#scratch, nKey, block, length);
      return decoder.decode(this.heap.copyOut(block, length));
    });
  }

  /** KV pages handed to the model so far, in bytes. */
  get kvBytes(): number {
    return this.#pageBytesGiven;
  }

  /** Milliseconds by op since the last call, longest first; the first call begins to measure, and gives []. */
  profile(): ProfileEntry[] {
    const { n_ops } = this.planInfo;
    const program = this.exports.model_program(this.#model);
    if (this.#profileAt === 0) {
      this.#profileAt = this.heap.alloc(n_ops * 8);
      this.heap.copyIn(this.#profileAt, new Uint8Array(n_ops * 8));
      this.check(this.exports.profile(this.#model, this.#profileAt));
      return [];
    }
    const entries = new Map<string, { count: number; ms: number }>();
    for (let i = 0; i < n_ops; i++) {
      const name = this.#opName(this.heap.readStruct(program + i * opLayout.size, opLayout));
      const { count, ms } = entries.get(name) ?? { count: 0, ms: 0 };
      entries.set(name, { count: count + 1, ms: ms + this.heap.readDouble(this.#profileAt + 8 * i) });
    }
    this.heap.copyIn(this.#profileAt, new Uint8Array(n_ops * 8));
    return [...entries].map(([op, entry]) => ({ op, ...entry })).filter(({ ms }) => ms > 0).sort((a, b) => b.ms - a.ms);
  }

  #opName(op: StructValue<typeof opLayout>): string {
    const [kind] = Object.entries(OpKind).find(([, number]) => number === op.kind) ?? ['?'];
    if (op.kind !== OpKind.MATMUL) return kind;
    const weights = Array.from(op.weight).filter((index) => index >= 0).map((index) => this.tensor(index).name.replace(/^blk\.\d+\./, '').replace(/\.weight$/, ''));
    return `${kind} ${weights.join('+')}`;
  }

  // ---- text -----------------------------------------------------------------------------------------

  /** Text, or UTF-8 bytes, to ids. Invalid bytes are tokens too. */
  tokenize(text: string | Uint8Array, options: TokenizeOptions = {}): Int32Array<ArrayBuffer> {
    const work = this.openTokenizing(text, options);
    try {
      while (!work.step());
      return work.ids();
    } finally {
      work.close();
    }
  }

  /** The same in slices. */
  openTokenizing(text: string | Uint8Array, options: TokenizeOptions = {}): Tokenizing {
    return new Tokenizing(this, text, options);
  }

  /**
   * A prompt's ids out of its text's: special tokens as the file says, but no second BOS where the text brings its own. An
   * empty text is a BOS where the model has one. Throws `invalid-argument` when nothing is left.
   */
  promptIds(ids: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
    const { bos, add_bos } = this.modelInfo();
    if (ids.length === 0 && bos >= 0) return Int32Array.of(bos);
    if (ids.length === 0) throw new ChordError('invalid-argument', 'the prompt is empty, and the model has no token that begins a text');
    return add_bos !== 0 && ids[0] === bos && ids[1] === bos ? ids.slice(1) : ids;
  }

  /** The bytes that ids stand for; a character may be cut at either end. `wholeText` takes off the blank that
   * SentencePiece puts before a text, so that it isn't for the pieces of a stream. */
  detokenizeBytes(ids: ArrayLike<number>, options: { skipSpecial?: boolean | undefined; wholeText?: boolean } = {}): Uint8Array<ArrayBuffer> {
    const list = this.#knownIds(ids);
    const flags = (options.skipSpecial === true ? TextFlag.SKIP_SPECIAL : 0) | (options.wholeText === true ? TextFlag.WHOLE_TEXT : 0);
    return this.#withBlock(list.byteLength, (block) => {
      this.heap.copyInIds(block, list);
      const bytes = this.exports.detokenize(this.#model, block, list.length, flags, this.#staging, STAGING);
      this.check(Math.min(bytes, 0));
      if (bytes <= STAGING) return this.heap.copyOut(this.#staging, bytes);
      return this.#withBlock(bytes, (out) => {
        this.exports.detokenize(this.#model, block, list.length, flags, out, bytes);
        return this.heap.copyOut(out, bytes);
      });
    });
  }

  /** The text that ids stand for; bytes that aren't UTF-8 become U+FFFD. */
  detokenize(ids: ArrayLike<number>, options: { skipSpecial?: boolean | undefined } = {}): string {
    return decoder.decode(this.detokenizeBytes(ids, { ...options, wholeText: true }));
  }

  /** An id that doesn't exist is named here, before a block is taken for the ids. */
  #knownIds(ids: ArrayLike<number>): Int32Array<ArrayBuffer> {
    const list = toIds(ids);
    const { n_vocab } = this.modelInfo();
    const bad = list.findIndex((id) => id < 0 || id >= n_vocab);
    if (bad >= 0) throw new ChordError('invalid-argument', `ids[${bad}] is ${list[bad]}, the vocabulary has ${n_vocab}`);
    return list;
  }

  /** Whether the model ends its turn with this id, which `sample` gave. */
  isEndOfGeneration(id: number): boolean {
    return (this.check(this.exports.token_flags(this.#model, id)) & TokenFlag.EOG) !== 0;
  }

  /** Whole characters out of tokens; what may become one of `stops` is held back. */
  openStream(stops: readonly string[] = []): TextStream {
    return new TextStream(this, stops);
  }

  // ---- run ------------------------------------------------------------------------------------------

  openSession(): WasmSession {
    return new WasmSession(this);
  }

  run(session: WasmSession, budget: number): StepResult {
    return session.step(budget);
  }

  cancel(session: WasmSession): void {
    session.cancel();
  }

  /** Hand `bytes` of memory to the model as KV pages. */
  giveMemory(bytes: number): void {
    this.check(this.exports.model_give(this.#model, this.heap.alloc(bytes), bytes));
    this.#pageBytesGiven += bytes;
  }

  /** For threads.ts: what a pool thread's instance needs. The stack grows down from `stackTop`. */
  threadStart(index: number): { module: WebAssembly.Module; memory: WebAssembly.Memory; model: number; index: number; stackTop: number } {
    return { module: this.module, memory: this.heap.memory, model: this.#model, index, stackTop: this.#stacks + index * STACK };
  }

  /** Pool threads that have joined and wait for work. */
  get threadsReady(): number {
    return this.exports.threads_ready(this.#model);
  }

  /** Let every pool thread return. */
  stopThreads(): void {
    if (this.#model !== 0) this.#exports?.model_stop(this.#model);
  }

  /** Drops the instance and the memory, though this object may be held for long; only a pool thread still has them. */
  free(): void {
    if (this.isUsable) this.stopThreads();
    this.#exports = undefined;
    this.#heap = undefined;
  }

  // ---- for session.ts and the stream ------------------------------------------------------------------

  get model(): number {
    return this.#model;
  }

  get scratch(): number {
    return this.#scratch;
  }

  /** The model's memory. Throws `disposed`. */
  get heap(): Heap {
    if (this.#heap === undefined) throw disposed();
    return this.#heap;
  }

  /** The instance's exports. Throws `disposed`, or the fault that poisoned the instance. */
  get exports(): Exports {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#exports === undefined) throw disposed();
    return this.#exports;
  }

  /** Neither freed nor poisoned. */
  get isUsable(): boolean {
    return this.#exports !== undefined && this.#fault === undefined;
  }

  /** Passes results through, throws errors with what the library says was at fault. */
  check(status: number): number {
    if (status < 0) throw this.#error(status);
    return status;
  }

  #error(status: number): ChordError {
    const known = (statusErrors as { [status: number]: { code: ChordErrorCode; text: string } | undefined })[status];
    const { code, text } = known ?? { code: 'internal' as const, text: `unknown status ${status}` };
    const detail = this.#lastError();
    return new ChordError(code, detail === '' ? text : `${text}: ${detail}`, { hint: hints[code] });
  }

  #lastError(): string {
    const length = this.exports.last_error(this.#model, this.#scratch, 1024);
    return decoder.decode(this.heap.copyOut(this.#scratch, Math.min(Math.max(length, 0), 1023)));
  }

  #onTrap(cause: unknown): ChordError {
    this.#fault ??= new ChordError('internal', `the WebAssembly instance stopped: ${(cause as Error).message}`, {
      cause,
      hint: 'load the model again; please report this with the model\'s name and the package\'s version',
    });
    return this.#fault;
  }

  #string(address: number, cap: number): string {
    const bytes = this.heap.copyOut(address, cap);
    const end = bytes.indexOf(0);
    return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** A block for the time of a call. */
  #withBlock<T>(bytes: number, use: (block: number) => T): T {
    const block = this.heap.alloc(bytes);
    try {
      return use(block);
    } finally {
      this.heap.free(block, bytes);
    }
  }
}

const disposed = (): ChordError => new ChordError('disposed', 'the model was disposed of');

/** Ids as the boundary takes them. Throws `invalid-argument` naming the first that isn't a whole int32. */
export function toIds(ids: ArrayLike<number>): Int32Array<ArrayBuffer> {
  const list = new Int32Array(ids.length);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if (typeof id !== 'number' || (id | 0) !== id) throw new ChordError('invalid-argument', `ids[${i}] is ${String(id)}, not a token id`);
    list[i] = id;
  }
  return list;
}
