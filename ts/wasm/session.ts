// SPDX-License-Identifier: Apache-2.0
// A session of a model in wasm memory: the tokens of one sequence with their KV cache, output rows and
// sampling. A session computes nothing. An executor computes its pending tokens as batches.
import {
  ABI_VERSION,
  MAX_TOP,
  Output,
  Status,
  batchInfoLayout,
  samplingLayout,
  sessionStateLayout,
} from '../abi/abi.gen.js';
import type { StructValue } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { Batch, Batches, PageFill } from '../executor.js';
import { numbers, poolings, samplingNames } from '../options.js';
import type { Pooling, Sampling, TokenLogprob } from '../options.js';
import { SCRATCH, STAGING } from './instance.js';
import type { WasmInstance } from './instance.js';
import type { Loader } from './loader.js';
import { toIds } from './vocabulary.js';

/** Classes of pages that a program has at most. */
const MAX_CLASSES = 8;

export type SessionState = StructValue<typeof sessionStateLayout>;

/**
 * A session in the model's memory; `close` frees it. After that, and after the model was freed, every method
 * except `close` throws `disposed`.
 */
export class WasmSession implements Batches {
  readonly #instance: WasmInstance;
  readonly #file: Loader;
  readonly #bytes: number;
  #address = 0;
  #batch: StructValue<typeof batchInfoLayout> | undefined; // of the last nextBatch()
  #texts: Int32Array[] = []; // that were pushed and aren't computed yet
  #changes = 0; // of what is evaluated, and of the pages that hold it
  #sampling = 0; // address of a block: chord_sampling, then the bias pairs
  #samplingBytes = 0;

  /** Opens an empty session, or a copy of `from` that shares its whole pages. Throws `out-of-memory`. */
  constructor(instance: WasmInstance, file: Loader, from?: WasmSession) {
    this.#instance = instance;
    this.#file = file;
    this.#bytes = instance.exports.session_bytes(instance.model);
    const block = instance.heap.alloc(this.#bytes);
    try {
      this.#address =
        from === undefined
          ? instance.exports.session_open(instance.model, block, this.#bytes)
          : this.#copy(from, block);
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

  /**
   * Appends tokens to be evaluated. Throws `context-full`, `invalid-argument`; no token is appended then.
   */
  push(ids: ArrayLike<number>): void {
    const list = toIds(ids);
    this.#withIds(list, (block) => this.#check(this.#exports.session_push(this.#at, block, list.length)));
  }

  /**
   * Makes the empty session one of texts, for embeddings: each `pushText` is a text. Throws
   * `invalid-argument` when the model has no embeddings, or no classifier for 'rank'.
   */
  setPooling(pooling: Pooling): void {
    this.#check(this.#exports.session_embed(this.#at, poolings.indexOf(pooling)));
  }

  /**
   * Appends a text to the batch. Returns false when the batch has no room: evaluate it first. Throws
   * `context-full` for a text that no batch holds, and `invalid-argument`.
   */
  pushText(ids: Int32Array): boolean {
    const isAdded = this.#withIds(
      ids,
      (block) => this.#check(this.#exports.session_push(this.#at, block, ids.length)) === Status.OK,
    );
    if (isAdded) this.#texts.push(ids);
    return isAdded;
  }

  /** Output rows [0, count) of the last batch of texts, `width` floats each, one after another. */
  embeddings(count: number, width: number): Float32Array<ArrayBuffer> {
    const all = new Float32Array(count * width);
    for (let row = 0; row < count; row++) {
      const address = this.#exports.session_embedding(this.#at, row);
      if (address === 0) throw new ChordError('internal', `there is no embedding ${row}`);
      all.set(this.#instance.heap.copyOutFloats(address, width), row * width);
    }
    this.#texts = [];
    return all;
  }

  /** Appends a token that an executor drew: the generator moves on by one number. Throws as `push`. */
  acceptToken(id: number): void {
    this.#check(this.#exports.session_accept_token(this.#at, id));
  }

  /**
   * Selects the tokens that have output rows: the last pushed token (the default), or all. With 'all', a
   * batch has at most n_logits tokens.
   */
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
    const lengths = Int32Array.from(
      { length: info.pooling < 0 ? 0 : info.n_runs },
      (_, i) => heap.copyOutIds(info.runs + i * info.run_bytes, 2)[1]!,
    );
    return {
      firstPosition: info.first_pos,
      ids: heap.copyOutIds(info.ids, info.n_tokens),
      rows:
        info.rows === 0
          ? Int32Array.from({ length: info.n_outputs }, (_, i) => i)
          : heap.copyOutIds(info.rows, info.n_outputs),
      nAxes: info.n_axes,
      ...(info.positions !== 0 && {
        positions: heap.copyOutIds(info.positions, info.n_tokens * info.n_axes),
      }),
      ...(lengths.length > 0 && { texts: { lengths, pooling: info.pooling } }),
      ...(info.n_embeddings > 0 && {
        embeddings: {
          first: info.first_embedding,
          rows: heap.copyOutFloats(info.embeddings, info.n_embeddings * info.n_embd),
        },
      }),
      random: info.random,
      changes: this.#changes,
    };
  }

  reserve(ahead: number): boolean {
    for (;;) {
      const status = this.#check(this.#exports.session_reserve(this.#at, ahead));
      if (status !== Status.NEED_MEMORY) return true;
      try {
        this.#instance.giveMemory(this.state().wanted_bytes);
      } catch {
        return false;
      }
    }
  }

  pages(cls: number, first: number): Int32Array {
    const { exports, heap, staging } = this.#instance;
    const most = STAGING / 4;
    const n = this.#check(exports.session_pages(this.#at, cls, first, staging, most));
    if (n > most) throw new ChordError('internal', `a table of ${n} pages`);
    return heap.copyOutIds(staging, n);
  }

  fills(): PageFill[] {
    const { exports, heap, scratch } = this.#instance;
    const n = this.#check(exports.session_copies(this.#at, scratch, MAX_CLASSES));
    const triples = heap.copyOutIds(scratch, 3 * n);
    return Array.from({ length: n }, (_, i) => {
      const [cls, page, from] = triples.subarray(3 * i);
      return { cls: cls!, page: page!, from: from! < 0 ? undefined : from! };
    });
  }

  evaluateAgain(): void {
    const ids = this.tokens();
    const texts = this.#texts;
    if (texts.length > 0) {
      this.truncate(0);
      for (const text of texts) this.pushText(text);
      return;
    }
    this.truncate(0);
    if (ids.length === 0) return;
    if (ids.includes(-1))
      throw new ChordError(
        'device-lost',
        'the GPU was lost, and embeddings can only be pushed again by the caller',
      );
    this.push(ids);
  }

  acceptBatch(outputs: Float32Array): void {
    this.#changes += 1;
    const { heap } = this.#instance;
    const { outputs: at, stride, n_width, n_outputs } = this.#batch!;
    for (let i = 0; i < n_outputs; i++)
      heap.copyInFloats(at + i * stride * 4, outputs.subarray(i * n_width, (i + 1) * n_width));
    this.#check(this.#exports.session_accept_batch(this.#at));
    if (n_outputs > 0) this.#texts = [];
  }

  /**
   * Returns the logits of output row `row` of the last finished batch. Throws `internal` for an unknown row.
   */
  logits(row = 0): Float32Array<ArrayBuffer> {
    const address = this.#exports.session_logits(this.#at, row);
    if (address === 0) throw new ChordError('internal', `there is no output row ${row}`);
    return this.#instance.heap.copyOutFloats(address, this.#file.modelInfo().n_vocab);
  }

  /** Sets how `sample` draws from now on. Throws `out-of-memory`. */
  setSampling(sampling: Sampling): void {
    const heap = this.#instance.heap;
    const bias = sampling.bias ?? [];
    const bytes = samplingLayout.size + bias.length * 8;
    const block = heap.alloc(bytes);
    this.#dropSampling();
    [this.#sampling, this.#samplingBytes] = [block, bytes];
    const fields: { -readonly [name in keyof typeof samplingLayout.fields]?: number } = {
      version: ABI_VERSION,
      size: samplingLayout.size,
      typical_p: numbers.typicalP.off,
      n_bias: bias.length,
      bias: bias.length === 0 ? 0 : block + samplingLayout.size,
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

  /**
   * Draws an id from the last output row, and doesn't push it. Throws `internal` for logits that aren't
   * finite.
   */
  sample(): number {
    if (this.#sampling === 0) throw new ChordError('internal', 'sample was called before setSampling');
    return this.#check(this.#exports.session_sample(this.#at, this.#sampling));
  }

  /**
   * Returns the natural logarithms of probabilities from the last output row: of `id` first, then of the
   * `count` most likely tokens, at most MAX_TOP. They are before all sampling options. Throws `internal` for
   * logits that aren't finite.
   */
  logprobs(id: number, count: number): TokenLogprob[] {
    const { heap, scratch } = this.#instance;
    const at = scratch + 8 * (1 + MAX_TOP);
    const n = this.#check(this.#exports.session_logprobs(this.#at, id, count, at, scratch));
    return Array.from(heap.copyOutIds(at, n), (token, i) => ({
      token,
      logprob: heap.readDouble(scratch + 8 * i),
    }));
  }

  /** Seeds the generator that `sample` draws with. `seed`: an integer from 0 to 2^53 - 1. */
  seed(seed: number): void {
    this.#exports.session_seed(this.#at, seed);
  }

  /**
   * The number in [0, 1) that `sample` will draw with after the next `ahead` draws; 0: its next number. The
   * generator doesn't move.
   */
  randomAhead(ahead: number): number {
    return this.#exports.session_random(this.#at, ahead);
  }

  /**
   * Drops the tokens from position `count` on, and undoes a batch under way. Returns the number of tokens
   * kept: `count`, or fewer where the caches allow no later position. The caller pushes the tokens between
   * again. Throws `invalid-argument` unless 0 <= `count` <= n_tokens.
   */
  truncate(count: number): number {
    this.#changes += 1;
    this.#texts = [];
    return this.#check(this.#exports.session_truncate(this.#at, count));
  }

  /** Returns how many leading ids equal the evaluated tokens. */
  match(ids: ArrayLike<number>): number {
    const list = toIds(ids);
    return this.#withIds(list, (block) => this.#exports.session_match(this.#at, block, list.length));
  }

  /** The session's ids: the evaluated ones, then the pending ones. */
  tokens(): Int32Array<ArrayBuffer> {
    return this.#instance.heap.copyOutIds(this.#exports.session_tokens(this.#at), this.state().n_tokens);
  }

  /** Bytes of a save of the session as it is now. */
  get saveBytes(): number {
    return this.#exports.session_save_bytes(this.#at);
  }

  savePlace(at: number): { cls: number; page: number; offset: number; bytes: number } {
    const { heap, scratch } = this.#instance;
    const bytes = this.#check(this.#exports.session_save_place(this.#at, at, scratch));
    const [cls, page, offset] = heap.copyOutIds(scratch, 3);
    return { cls: cls!, page: page!, offset: offset!, bytes };
  }

  /**
   * Returns the save's bytes from `at` on, at most STAGING. `at` is 0, or the end of the bytes returned
   * before. Throws `invalid-argument` when the session has changed since the save began.
   */
  save(at: number, given?: Uint8Array): Uint8Array<ArrayBuffer> {
    const { heap, staging } = this.#instance;
    if (given !== undefined) heap.copyIn(staging, given);
    const most = Math.min(given?.byteLength ?? STAGING, this.saveBytes - at);
    this.#check(this.#exports.session_save(this.#at, at, staging, most));
    return heap.copyOut(staging, most);
  }

  /**
   * Reads the save's bytes from `at` on into this empty session. Returns true after the last byte. Throws
   * `integrity` for a damaged save, `invalid-argument` for bytes that are no save of this model,
   * `context-full`, `out-of-memory`; the session is empty then.
   */
  restore(at: number, bytes: Uint8Array): boolean {
    this.#changes += 1;
    const { heap, staging } = this.#instance;
    heap.copyIn(staging, bytes);
    for (;;) {
      const status = this.#check(this.#exports.session_restore(this.#at, at, staging, bytes.byteLength));
      if (status !== Status.NEED_MEMORY) return status === Status.DONE;
      this.#instance.giveMemory(this.state().wanted_bytes);
    }
  }

  state(): SessionState {
    const out = this.#instance.scratch;
    this.#check(this.#exports.session_get_state(this.#at, out));
    return this.#instance.heap.readStruct(out, sessionStateLayout);
  }

  /**
   * Returns the pages to the model and frees the block. A second call, or one on a freed model, does
   * nothing.
   */
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
