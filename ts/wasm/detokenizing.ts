// SPDX-License-Identifier: Apache-2.0
// Converts token ids to text in slices. The event loop can turn between two slices, and the text doesn't
// depend on them.
import { TextFlag } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import { SCRATCH, STAGING } from './instance.js';
import type { WasmInstance } from './instance.js';
import type { Vocabulary } from './vocabulary.js';

/** Maximum number of ids per slice: a millisecond of short tokens. Long tokens make it smaller. */
const MOST_IDS = SCRATCH / 4;
/** Maximum characters of a text. No JavaScript engine has strings of twice this length. */
const MOST_TEXT = 2 ** 28;

export class Detokenizing {
  readonly #instance: WasmInstance;
  readonly #vocabulary: Vocabulary;
  readonly #ids: readonly number[] | Int32Array;
  readonly #skipSpecial: boolean;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #at = 0;
  #size = 64;
  #length = 0;

  constructor(
    instance: WasmInstance,
    vocabulary: Vocabulary,
    ids: readonly number[] | Int32Array,
    skipSpecial: boolean,
  ) {
    this.#instance = instance;
    this.#vocabulary = vocabulary;
    this.#ids = ids;
    this.#skipSpecial = skipSpecial;
  }

  get isDone(): boolean {
    return this.#at >= this.#ids.length;
  }

  /**
   * Converts a slice. Returns its text, without a character that is cut at its end. Throws
   * `invalid-argument`, which names the first unknown id, and `out-of-memory` for a text that is too long.
   */
  step(): string {
    const { exports, heap, model, scratch, staging } = this.#instance;
    const flags =
      (this.#skipSpecial ? TextFlag.SKIP_SPECIAL : 0) | (this.#at === 0 ? TextFlag.WHOLE_TEXT : 0);
    for (;;) {
      const ids = this.#vocabulary.knownIds(this.#ids.slice(this.#at, this.#at + this.#size), this.#at);
      heap.copyInIds(scratch, ids);
      const bytes = exports.detokenize(model, scratch, ids.length, flags, staging, STAGING);
      this.#instance.check(Math.min(bytes, 0));
      if (bytes > STAGING && ids.length > 1) {
        this.#size = Math.max(1, this.#size >> 2);
        continue;
      }
      const wholeText = this.#at === 0;
      const out =
        bytes <= STAGING
          ? heap.copyOut(staging, bytes)
          : this.#vocabulary.detokenizeBytes(ids, { skipSpecial: this.#skipSpecial, wholeText });
      this.#at += ids.length;
      if (bytes < STAGING / 8) this.#size = Math.min(MOST_IDS, this.#size * 2);
      const text = this.#decoder.decode(out, { stream: !this.isDone });
      this.#length += text.length;
      if (this.#length <= MOST_TEXT) return text;
      throw new ChordError(
        'out-of-memory',
        `the text of the first ${this.#at} of ${this.#ids.length} ids has more than ${MOST_TEXT} characters`,
        { hint: 'detokenize the ids in parts' },
      );
    }
  }
}
