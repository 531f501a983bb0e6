// SPDX-License-Identifier: Apache-2.0
// A loaded model's vocabulary: text to ids, ids to bytes and text, and text streams.
import { TextFlag, TokenFlag } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { TokenizeOptions } from '../options.js';
import { STAGING, decoder } from './instance.js';
import type { WasmInstance } from './instance.js';
import type { Loader } from './loader.js';
import { TextStream } from './stream.js';
import { Tokenizing } from './tokenizing.js';

export class Vocabulary {
  readonly #instance: WasmInstance;
  readonly #file: Loader;

  constructor(instance: WasmInstance, file: Loader) {
    this.#instance = instance;
    this.#file = file;
  }

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
    return new Tokenizing(this.#instance, text, options);
  }

  /**
   * A prompt's ids out of its text's: special tokens as the file says, but no second BOS where the text brings its own. An
   * empty text is a BOS where the model has one. Throws `invalid-argument` when nothing is left.
   */
  promptIds(ids: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
    const { bos, add_bos } = this.#file.modelInfo();
    if (ids.length === 0 && bos >= 0) return Int32Array.of(bos);
    if (ids.length === 0) throw new ChordError('invalid-argument', 'the prompt is empty, and the model has no token that begins a text');
    return add_bos !== 0 && ids[0] === bos && ids[1] === bos ? ids.slice(1) : ids;
  }

  /** The bytes that ids stand for; a character may be cut at either end. `wholeText` takes off the blank that
   * SentencePiece puts before a text, so that it isn't for the pieces of a stream. */
  detokenizeBytes(ids: ArrayLike<number>, options: { skipSpecial?: boolean | undefined; wholeText?: boolean } = {}): Uint8Array<ArrayBuffer> {
    const list = this.#knownIds(ids);
    const flags = (options.skipSpecial === true ? TextFlag.SKIP_SPECIAL : 0) | (options.wholeText === true ? TextFlag.WHOLE_TEXT : 0);
    return this.#instance.withBlock(list.byteLength, (block) => {
      this.#instance.heap.copyInIds(block, list);
      const bytes = this.#instance.exports.detokenize(this.#instance.model, block, list.length, flags, this.#instance.staging, STAGING);
      this.#instance.check(Math.min(bytes, 0));
      if (bytes <= STAGING) return this.#instance.heap.copyOut(this.#instance.staging, bytes);
      return this.#instance.withBlock(bytes, (out) => {
        this.#instance.exports.detokenize(this.#instance.model, block, list.length, flags, out, bytes);
        return this.#instance.heap.copyOut(out, bytes);
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
    const { n_vocab } = this.#file.modelInfo();
    const bad = list.findIndex((id) => id < 0 || id >= n_vocab);
    if (bad >= 0) throw new ChordError('invalid-argument', `ids[${bad}] is ${list[bad]}, the vocabulary has ${n_vocab}`);
    return list;
  }

  /** Whether the model ends its turn with this id, which `sample` gave. */
  isEndOfGeneration(id: number): boolean {
    return (this.#instance.check(this.#instance.exports.token_flags(this.#instance.model, id)) & TokenFlag.EOG) !== 0;
  }

  /** Whole characters out of tokens; what may become one of `stops` is held back. */
  openStream(stops: readonly string[] = []): TextStream {
    return new TextStream(this.#instance, this, stops);
  }
}

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
