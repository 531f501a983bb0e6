// SPDX-License-Identifier: Apache-2.0
// A text stream (chord_stream) in a model's memory.
import { STREAM_PUSH, TextFlag } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import { decoder } from './instance.js';
import type { WasmInstance } from './instance.js';
import type { Vocabulary } from './vocabulary.js';

const encoder = new TextEncoder();

/**
 * Converts a generation's tokens to text. Only whole characters are returned. An unfinished character and
 * the possible start of a stop string are held back until they are decided, or until `end`.
 */
export class TextStream {
  readonly #instance: WasmInstance;
  readonly #vocabulary: Vocabulary;
  readonly #block: number;
  readonly #bytes: number;
  readonly #textAt: number; // the library writes the text's address here; `push` passes the token here
  readonly #pieceAt: number; // STREAM_PUSH bytes
  readonly #stops: readonly string[];
  #address: number;

  /** Opens the stream. Throws `out-of-memory`, and `invalid-argument` for refused stop strings. */
  constructor(instance: WasmInstance, vocabulary: Vocabulary, stops: readonly string[]) {
    this.#instance = instance;
    this.#vocabulary = vocabulary;
    this.#stops = stops;
    const list = packStops(stops);
    const streamBytes = Math.ceil(instance.exports.stream_bytes(list.byteLength) / 64) * 64;
    this.#bytes = streamBytes + 64 + STREAM_PUSH + list.byteLength;
    this.#block = instance.heap.alloc(this.#bytes);
    this.#textAt = this.#block + streamBytes;
    this.#pieceAt = this.#textAt + 64;
    const stopsAt = this.#pieceAt + STREAM_PUSH;
    instance.heap.copyIn(stopsAt, list);
    this.#address = instance.exports.stream_open(this.#block, streamBytes, stopsAt, list.byteLength);
    if (this.#address !== 0) return;
    instance.heap.free(this.#block, this.#bytes);
    throw new ChordError(
      'invalid-argument',
      'the stop strings are refused: one is empty, or all together have more than 65536 bytes',
    );
  }

  /** Adds a token. Returns the text that is decided now, which may be ''. Control tokens have no text. */
  push(token: number): string {
    const { exports, heap, model } = this.#instance;
    const stream = this.#at;
    heap.copyInIds(this.#textAt, [token]);
    const length = exports.detokenize(
      model,
      this.#textAt,
      1,
      TextFlag.SKIP_SPECIAL,
      this.#pieceAt,
      STREAM_PUSH,
    );
    if (length >= 0 && length <= STREAM_PUSH)
      return this.#text(exports.stream_push(stream, this.#pieceAt, length, this.#textAt));
    const piece = this.#vocabulary.detokenizeBytes([token], { skipSpecial: true });
    let text = this.#append(piece.subarray(0, STREAM_PUSH));
    for (let at = STREAM_PUSH; at < piece.byteLength; at += STREAM_PUSH)
      text += this.#append(piece.subarray(at, at + STREAM_PUSH));
    return text;
  }

  #append(bytes: Uint8Array<ArrayBuffer>): string {
    const { heap } = this.#instance;
    const block = heap.alloc(bytes.byteLength);
    try {
      heap.copyIn(block, bytes);
      return this.#text(this.#instance.exports.stream_push(this.#at, block, bytes.byteLength, this.#textAt));
    } finally {
      heap.free(block, bytes.byteLength);
    }
  }

  /** Returns the text held back. An unfinished character becomes U+FFFD. */
  end(): string {
    return this.#text(this.#instance.exports.stream_end(this.#at, this.#textAt));
  }

  /** The stop string that is complete, before which the text ends; undefined: none is. */
  get stopString(): string | undefined {
    return this.#stops[this.#instance.exports.stream_stopped(this.#at) - 1];
  }

  /** Frees the stream's memory. A second call, or a call after the model was freed, does nothing. */
  close(): void {
    if (this.#address !== 0 && this.#instance.isUsable) this.#instance.heap.free(this.#block, this.#bytes);
    this.#address = 0;
  }

  get #at(): number {
    if (this.#address === 0) throw new ChordError('disposed', 'the text stream was closed');
    return this.#address;
  }

  #text(length: number): string {
    this.#instance.check(length);
    if (length === 0) return '';
    const { heap } = this.#instance;
    return decoder.decode(heap.copyOut(heap.readDouble(this.#textAt), length));
  }
}

/** Packs the stop strings, each as an int32 length and its UTF-8 bytes. */
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
