// SPDX-License-Identifier: Apache-2.0
// A session of a model in wasm memory: one sequence's tokens with their KV cache, outputs and sampling. It computes
// nothing: an executor takes its pending tokens as batches.
import { ABI_VERSION, Output, Status, batchInfoLayout, samplingLayout, sessionStateLayout } from '../abi/abi.gen.js';
import type { StructValue } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { Batch, Batches } from '../executor.js';
import { numbers, samplingNames } from '../options.js';
import type { Sampling } from '../options.js';
import { SCRATCH } from './instance.js';
import type { WasmInstance } from './instance.js';
import type { Loader } from './loader.js';
import { toIds } from './vocabulary.js';

export type SessionState = StructValue<typeof sessionStateLayout>;

/** Of the model's memory; `close` gives it back. Every method throws `disposed` once the model is freed. */
export class WasmSession implements Batches {
  readonly #instance: WasmInstance;
  readonly #file: Loader;
  readonly #bytes: number;
  #address = 0;
  #batch: StructValue<typeof batchInfoLayout> | undefined; // what nextBatch gave
  #sampling = 0; // block: chord_sampling, then the bias pairs
  #samplingBytes = 0;

  /** An empty session, or a copy of `from`, which shares its whole pages. Throws `out-of-memory`. */
  constructor(instance: WasmInstance, file: Loader, from?: WasmSession) {
    this.#instance = instance;
    this.#file = file;
    this.#bytes = instance.exports.session_bytes(instance.model);
    const block = instance.heap.alloc(this.#bytes);
    try {
      this.#address = from === undefined ? instance.exports.session_open(instance.model, block, this.#bytes) : this.#copy(from, block);
      if (this.#address === 0) throw new ChordError('internal', 'the model is not ready for a session');
    } catch (error) {
      if (instance.isUsable) instance.heap.free(block, this.#bytes);
      throw error;
    }
  }

  #copy(from: WasmSession, block: number): number {
    for (;;) {
      const copy = this.#exports.session_fork(from.address, block, this.#bytes);
      if (copy !== -Status.NEED_MEMORY) return this.#check(copy);
      this.#instance.giveMemory(from.state().wanted_bytes);
    }
  }

  /** Append tokens to be evaluated. Throws `context-full` (nothing appended), `invalid-argument`. */
  push(ids: ArrayLike<number>): void {
    const list = toIds(ids);
    this.#withIds(list, (block) => this.#check(this.#exports.session_push(this.#at, block, list.length)));
  }

  /** Logits of the last pushed token only (the default), or of all; `all` ends a step's batch at n_logits rows. */
  setOutputs(outputs: 'last' | 'all'): void {
    this.#check(this.#exports.session_outputs(this.#at, outputs === 'all' ? Output.ALL : Output.LAST));
  }

  get address(): number {
    return this.#at;
  }

  nextBatch(): Batch | undefined {
    const { exports, heap, scratch } = this.#instance;
    for (;;) {
      const status = this.#check(exports.session_next_batch(this.#at, scratch));
      if (status === Status.OK) break;
      if (status !== Status.NEED_MEMORY) return undefined;
      this.#instance.giveMemory(this.state().wanted_bytes);
    }
    const info = heap.readStruct(scratch, batchInfoLayout);
    this.#batch = info;
    return { firstPosition: info.first_pos, ids: heap.copyOutIds(info.ids, info.n_tokens), rows: heap.copyOutIds(info.rows, info.n_outputs) };
  }

  acceptBatch(outputs: Float32Array): void {
    const { heap } = this.#instance;
    const { outputs: at, stride, n_width, n_outputs } = this.#batch!;
    for (let i = 0; i < n_outputs; i++) heap.copyInFloats(at + i * stride * 4, outputs.subarray(i * n_width, (i + 1) * n_width));
    this.#check(this.#exports.session_accept_batch(this.#at));
  }

  /** The numbers of output row `row` of the last finished batch. */
  logits(row = 0): Float32Array<ArrayBuffer> {
    const address = this.#exports.session_logits(this.#at, row);
    if (address === 0) throw new ChordError('internal', `there is no output row ${row}`);
    return this.#instance.heap.copyOutFloats(address, this.#file.modelInfo().n_vocab);
  }

  /** How `sample` draws from now on. */
  setSampling(sampling: Sampling): void {
    const heap = this.#instance.heap;
    const bias = sampling.bias ?? [];
    const bytes = samplingLayout.size + bias.length * 8;
    const block = heap.alloc(bytes);
    this.#dropSampling();
    [this.#sampling, this.#samplingBytes] = [block, bytes];
    const fields: { -readonly [name in keyof typeof samplingLayout.fields]?: number } = {
      version: ABI_VERSION, size: samplingLayout.size, typical_p: numbers.typicalP.off,
      n_bias: bias.length, bias: bias.length === 0 ? 0 : block + samplingLayout.size,
    };
    for (const name of samplingNames) fields[numbers[name].c] = sampling[name];
    heap.writeStruct(block, samplingLayout, fields);
    const pairs = new DataView(new ArrayBuffer(bias.length * 8));
    bias.forEach(([id, value], i) => {
      pairs.setInt32(i * 8, id, true);
      pairs.setFloat32(i * 8 + 4, value, true);
    });
    heap.copyIn(block + samplingLayout.size, new Uint8Array(pairs.buffer));
  }

  /** Draw an id from the last output row; it isn't pushed. Throws `internal` on non-finite logits. */
  sample(): number {
    if (this.#sampling === 0) throw new ChordError('internal', 'setSampling comes before sample');
    return this.#check(this.#exports.session_sample(this.#at, this.#sampling));
  }

  /** A whole number below 2^53. */
  seed(seed: number): void {
    this.#exports.session_seed(this.#at, seed);
  }

  /**
   * Forget the tokens from position `count` on, and a batch under way. Returns where the session stands: `count`, or an
   * earlier position where its caches allow no later one; the tokens between are pushed again.
   */
  truncate(count: number): number {
    return this.#check(this.#exports.session_truncate(this.#at, count));
  }

  /** How many leading ids equal the evaluated tokens. */
  match(ids: ArrayLike<number>): number {
    const list = toIds(ids);
    return this.#withIds(list, (block) => this.#exports.session_match(this.#at, block, list.length));
  }

  state(): SessionState {
    const out = this.#instance.scratch;
    this.#check(this.#exports.session_get_state(this.#at, out));
    return this.#instance.heap.readStruct(out, sessionStateLayout);
  }

  /** Give the pages back to the model and the block to the heap. Safe on a freed model, and twice. */
  close(): void {
    const address = this.#address;
    this.#address = 0;
    if (address === 0 || !this.#instance.isUsable) return;
    this.#instance.exports.session_close(address);
    this.#instance.heap.free(address, this.#bytes);
    this.#dropSampling();
  }

  get #exports() {
    return this.#instance.exports;
  }

  get #at(): number {
    if (this.#address === 0) throw new ChordError('disposed', 'the session was closed');
    return this.#address;
  }

  #check(status: number): number {
    return this.#instance.check(status);
  }

  #dropSampling(): void {
    if (this.#sampling !== 0) this.#instance.heap.free(this.#sampling, this.#samplingBytes);
    this.#sampling = 0;
  }

  #withIds<T>(ids: Int32Array, use: (block: number) => T): T {
    const { heap, scratch } = this.#instance;
    if (ids.byteLength <= SCRATCH) {
      heap.copyInIds(scratch, ids);
      return use(scratch);
    }
    const block = heap.alloc(ids.byteLength);
    try {
      heap.copyInIds(block, ids);
      return use(block);
    } finally {
      heap.free(block, ids.byteLength);
    }
  }
}
