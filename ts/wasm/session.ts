// SPDX-License-Identifier: Apache-2.0
// A session (one sequence with its KV cache) and a text stream of a model in wasm memory.
import { ABI_VERSION, Output, STREAM_PUSH, Status, TextFlag, samplingLayout, sessionStateLayout } from '../abi/abi.gen.js';
import type { StructValue } from '../abi/abi.gen.js';
import type { Sampling, StepResult } from '../engine.js';
import { ChordError } from '../errors.js';
import { numbers, samplingNames } from '../options.js';
import { SCRATCH, toIds } from './engine.js';
import type { WasmEngine } from './engine.js';

export type SessionState = StructValue<typeof sessionStateLayout>;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Of the model's memory; `close` gives it back. Every method throws `disposed` once the model is freed. */
export class WasmSession {
  readonly #engine: WasmEngine;
  readonly #bytes: number;
  #address: number;
  #sampling = 0; // block: chord_sampling, then the bias pairs
  #samplingBytes = 0;

  constructor(engine: WasmEngine) {
    this.#engine = engine;
    this.#bytes = engine.exports.session_bytes(engine.model);
    const block = engine.heap.alloc(this.#bytes);
    this.#address = engine.exports.session_open(engine.model, block, this.#bytes);
    if (this.#address !== 0) return;
    engine.heap.free(block, this.#bytes);
    throw new ChordError('internal', 'the model is not ready for a session');
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

  /**
   * Go on with the pending tokens for about `budget` multiply-adds, at least one unit; grows the memory
   * for KV pages on the way. After an error the session stands at the end of its last finished batch.
   */
  step(budget: number): StepResult {
    for (;;) {
      const status = this.#check(this.#exports.session_step(this.#at, budget));
      if (status === Status.DONE) return 'done';
      if (status === Status.MORE) return 'more';
      if (status === Status.CANCELLED) return 'cancelled';
      if (status !== Status.NEED_MEMORY) throw new ChordError('internal', `a step ended with status ${status}`);
      this.#engine.giveMemory(this.state().wanted_bytes);
    }
  }

  /** Let the next step end with `cancelled`; the pending tokens are dropped then. */
  cancel(): void {
    this.#exports.cancel(this.#at);
  }

  /** The numbers of output row `row` of the last finished batch. */
  logits(row = 0): Float32Array<ArrayBuffer> {
    const address = this.#exports.session_logits(this.#at, row);
    if (address === 0) throw new ChordError('internal', `there is no output row ${row}`);
    return this.#engine.heap.copyOutFloats(address, this.#engine.modelInfo().n_vocab);
  }

  /** How `sample` draws from now on. */
  setSampling(sampling: Sampling): void {
    const heap = this.#engine.heap;
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
    const out = this.#engine.scratch;
    this.#check(this.#exports.session_get_state(this.#at, out));
    return this.#engine.heap.readStruct(out, sessionStateLayout);
  }

  /** Give the pages back to the model and the block to the heap. Safe on a freed model, and twice. */
  close(): void {
    const address = this.#address;
    this.#address = 0;
    if (address === 0 || !this.#engine.isUsable) return;
    this.#engine.exports.session_close(address);
    this.#engine.heap.free(address, this.#bytes);
    this.#dropSampling();
  }

  get #exports() {
    return this.#engine.exports;
  }

  get #at(): number {
    if (this.#address === 0) throw new ChordError('disposed', 'the session was closed');
    return this.#address;
  }

  #check(status: number): number {
    return this.#engine.check(status);
  }

  #dropSampling(): void {
    if (this.#sampling !== 0) this.#engine.heap.free(this.#sampling, this.#samplingBytes);
    this.#sampling = 0;
  }

  #withIds<T>(ids: Int32Array, use: (block: number) => T): T {
    const { heap, scratch } = this.#engine;
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

/**
 * Streamed text: tokens in, whole characters out. What may become a stop string, or is half a character,
 * is held back until it is decided; `end` lets go of it.
 */
export class TextStream {
  readonly #engine: WasmEngine;
  readonly #block: number;
  readonly #bytes: number;
  readonly #textAt: number; // where the library writes the text's address; a token on its way in
  readonly #pieceAt: number; // STREAM_PUSH bytes
  #address: number;

  constructor(engine: WasmEngine, stops: readonly string[]) {
    this.#engine = engine;
    const list = packStops(stops);
    const streamBytes = Math.ceil(engine.exports.stream_bytes(list.byteLength) / 64) * 64;
    this.#bytes = streamBytes + 64 + STREAM_PUSH + list.byteLength;
    this.#block = engine.heap.alloc(this.#bytes);
    this.#textAt = this.#block + streamBytes;
    this.#pieceAt = this.#textAt + 64;
    const stopsAt = this.#pieceAt + STREAM_PUSH;
    engine.heap.copyIn(stopsAt, list);
    this.#address = engine.exports.stream_open(this.#block, streamBytes, stopsAt, list.byteLength);
    if (this.#address !== 0) return;
    engine.heap.free(this.#block, this.#bytes);
    throw new ChordError('invalid-argument', 'the stop strings are refused: none may be empty, 64 kB are the most');
  }

  /** The text that is decided once `token` has come; may be ''. Control tokens have none. */
  push(token: number): string {
    const { exports, heap, model } = this.#engine;
    const stream = this.#at;
    heap.copyInIds(this.#textAt, [token]);
    const length = exports.detokenize(model, this.#textAt, 1, TextFlag.SKIP_SPECIAL, this.#pieceAt, STREAM_PUSH);
    if (length >= 0 && length <= STREAM_PUSH) return this.#text(exports.stream_push(stream, this.#pieceAt, length, this.#textAt));
    const piece = this.#engine.detokenizeBytes([token], { skipSpecial: true });
    let text = this.#append(piece.subarray(0, STREAM_PUSH));
    for (let at = STREAM_PUSH; at < piece.byteLength; at += STREAM_PUSH) text += this.#append(piece.subarray(at, at + STREAM_PUSH));
    return text;
  }

  #append(bytes: Uint8Array<ArrayBuffer>): string {
    const { heap } = this.#engine;
    const block = heap.alloc(bytes.byteLength);
    try {
      heap.copyIn(block, bytes);
      return this.#text(this.#engine.exports.stream_push(this.#at, block, bytes.byteLength, this.#textAt));
    } finally {
      heap.free(block, bytes.byteLength);
    }
  }

  /** What was held back, an unfinished character as U+FFFD. */
  end(): string {
    return this.#text(this.#engine.exports.stream_end(this.#at, this.#textAt));
  }

  /** A stop string was seen: the text ended before it. */
  get isStopped(): boolean {
    return this.#engine.exports.stream_stopped(this.#at) !== 0;
  }

  /** Safe on a freed model, and twice. */
  close(): void {
    if (this.#address !== 0 && this.#engine.isUsable) this.#engine.heap.free(this.#block, this.#bytes);
    this.#address = 0;
  }

  get #at(): number {
    if (this.#address === 0) throw new ChordError('disposed', 'the text stream was closed');
    return this.#address;
  }

  #text(length: number): string {
    this.#engine.check(length);
    if (length === 0) return '';
    const { heap } = this.#engine;
    return decoder.decode(heap.copyOut(heap.readDouble(this.#textAt), length));
  }
}

/** Each as int32 length, then its bytes. */
function packStops(stops: readonly string[]): Uint8Array<ArrayBuffer> {
  const texts = stops.map((stop) => encoder.encode(stop));
  const list = new Uint8Array(texts.reduce((sum, text) => sum + 4 + text.byteLength, 0));
  let at = 0;
  for (const text of texts) {
    new DataView(list.buffer).setInt32(at, text.byteLength, true);
    list.set(text, at + 4);
    at += 4 + text.byteLength;
  }
  return list;
}
