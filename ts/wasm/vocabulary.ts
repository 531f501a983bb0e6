// SPDX-License-Identifier: Apache-2.0
// A loaded model's vocabulary: converts text to ids, and ids to bytes and text; opens text streams.
import { TextFlag, TokenFlag } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { TokenizeOptions } from '../options.js';
import { STAGING, decoder } from './instance.js';
import type { WasmInstance } from './instance.js';
import type { Loader } from './loader.js';
import { Detokenizing } from './detokenizing.js';
import { TextStream } from './stream.js';
import { Tokenizing } from './tokenizing.js';

export class Vocabulary {
  readonly #instance: WasmInstance;
  readonly #file: Loader;

  constructor(instance: WasmInstance, file: Loader) {
    this.#instance = instance;
    this.#file = file;
  }

  /** Converts text, or UTF-8 bytes, to ids. Invalid bytes become tokens too. Throws as `Tokenizing`. */
  tokenize(text: string | Uint8Array, options: TokenizeOptions = {}): Int32Array<ArrayBuffer> {
    const work = this.openTokenizing(text, options);
    try {
      while (!work.step());
      return work.ids();
    } finally {
      work.close();
    }
  }

  /**
   * Starts `tokenize` in slices. The caller calls `step` until it returns true, then `ids`, then `close`.
   */
  openTokenizing(text: string | Uint8Array, options: TokenizeOptions = {}): Tokenizing {
    return new Tokenizing(this.#instance, text, options);
  }

  /**
   * Returns the ids of a prompt from the ids of its text. Drops the BOS that tokenising added if the text
   * starts with a BOS. An empty text becomes a BOS, if the model has one. Throws `invalid-argument` for an
   * empty text otherwise.
   */
  promptIds(ids: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
    const { bos, eos, add_bos, add_eos } = this.#file.modelInfo();
    if (ids.length === 0 && bos >= 0) return Int32Array.of(bos);
    if (ids.length === 0)
      throw new ChordError('invalid-argument', 'the prompt is empty, and the model has no BOS token');
    const begin = add_bos !== 0 && ids[0] === bos && ids[1] === bos ? 1 : 0;
    const end = add_eos !== 0 && ids.at(-1) === eos && ids.at(-2) === eos ? -1 : ids.length;
    return ids.slice(begin, end);
  }

  /**
   * Converts ids to bytes. A character may be cut at both ends. `skipSpecial` leaves out special tokens.
   * `wholeText` removes the blank that SentencePiece puts before a text; the pieces of a stream need theirs.
   * Throws `invalid-argument` for an unknown id.
   */
  detokenizeBytes(
    ids: ArrayLike<number>,
    options: { skipSpecial?: boolean | undefined; wholeText?: boolean } = {},
  ): Uint8Array<ArrayBuffer> {
    const list = this.knownIds(ids);
    const flags =
      (options.skipSpecial === true ? TextFlag.SKIP_SPECIAL : 0) |
      (options.wholeText === true ? TextFlag.WHOLE_TEXT : 0);
    return this.#instance.withBlock(list.byteLength, (block) => {
      this.#instance.heap.copyInIds(block, list);
      const bytes = this.#instance.exports.detokenize(
        this.#instance.model,
        block,
        list.length,
        flags,
        this.#instance.staging,
        STAGING,
      );
      this.#instance.check(Math.min(bytes, 0));
      if (bytes <= STAGING) return this.#instance.heap.copyOut(this.#instance.staging, bytes);
      return this.#instance.withBlock(bytes, (out) => {
        this.#instance.exports.detokenize(this.#instance.model, block, list.length, flags, out, bytes);
        return this.#instance.heap.copyOut(out, bytes);
      });
    });
  }

  /** Converts the ids of a whole text to the text. Bytes that aren't UTF-8 become U+FFFD. */
  detokenize(ids: ArrayLike<number>, options: { skipSpecial?: boolean | undefined } = {}): string {
    return decoder.decode(this.detokenizeBytes(ids, { ...options, wholeText: true }));
  }

  /** Starts `detokenize` in slices. The caller calls `step` until `isDone`. */
  openDetokenizing(ids: readonly number[] | Int32Array, skipSpecial: boolean): Detokenizing {
    return new Detokenizing(this.#instance, this, ids, skipSpecial);
  }

  /**
   * Returns the ids as int32. Throws `invalid-argument`, which names the first unknown id by its index and
   * `offset`.
   */
  knownIds(ids: ArrayLike<number>, offset = 0): Int32Array<ArrayBuffer> {
    const list = toIds(ids, offset);
    const { n_vocab } = this.#file.modelInfo();
    const bad = list.findIndex((id) => id < 0 || id >= n_vocab);
    if (bad >= 0) {
      throw new ChordError(
        'invalid-argument',
        `ids[${offset + bad}] is ${list[bad]}, not 0 to ${n_vocab - 1}`,
      );
    }
    return list;
  }

  /** Whether the model ends its turn with this id. Throws `invalid-argument` for an unknown id. */
  isEndOfGeneration(id: number): boolean {
    return this.#has(id, TokenFlag.EOG);
  }

  /** Whether the id is a control token, which a stream's text leaves out. Throws as `isEndOfGeneration`. */
  isControl(id: number): boolean {
    return this.#has(id, TokenFlag.CONTROL);
  }

  #has(id: number, flag: TokenFlag): boolean {
    return (this.#instance.check(this.#instance.exports.token_flags(this.#instance.model, id)) & flag) !== 0;
  }

  /** The own text of an id. */
  tokenText(id: number): string {
    return decoder.decode(this.detokenizeBytes([id]));
  }

  /**
   * Opens a text stream that ends before the first of the strings `stops`. Throws as the stream's
   * constructor.
   */
  openStream(stops: readonly string[] = []): TextStream {
    return new TextStream(this.#instance, this, stops);
  }
}

/**
 * Returns the ids as int32. Throws `invalid-argument`, which names the first that isn't an int32 by its index
 * and `offset`.
 */
export function toIds(ids: ArrayLike<number>, offset = 0): Int32Array<ArrayBuffer> {
  const list = new Int32Array(ids.length);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if (typeof id !== 'number' || (id | 0) !== id)
      throw new ChordError('invalid-argument', `ids[${offset + i}] is ${String(id)}, not a token id`);
    list[i] = id;
  }
  return list;
}
