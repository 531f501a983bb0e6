// SPDX-License-Identifier: Apache-2.0
// Converts a text to token ids in slices. The event loop can turn between two slices, and the ids don't
// depend on the slices. The model's memory holds the text, 70 kB, and scratch if the library asks for it.
// Texts of words need no scratch. A long piece that can't be cut needs about 20 bytes per byte. `close`
// frees this memory.
import { Status, TextFlag } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { TokenizeOptions } from '../options.js';
import type { WasmInstance } from './instance.js';

/** Budget of a slice, in the small steps of chord_tokenizer_step(): one to three milliseconds. */
const SLICE = 20_000;
/** Maximum number of ids per slice. */
const ROOM = 8192;

const encoder = new TextEncoder();
const up = (bytes: number): number => Math.ceil(bytes / 64) * 64;

export class Tokenizing {
  readonly #instance: WasmInstance;
  readonly #bytes: number;
  readonly #block: number;
  readonly #tokenizer: number;
  #scratch: { readonly address: number; readonly bytes: number } | undefined;
  #parts: Int32Array<ArrayBuffer>[] = [];
  #isClosed = false;

  /**
   * Copies the text into the model's memory; `step` tokenises it. Throws `out-of-memory`, and
   * `invalid-argument` for texts of 512 MiB or more.
   */
  constructor(instance: WasmInstance, text: string | Uint8Array, options: TokenizeOptions) {
    const bytes = typeof text === 'string' ? encoder.encode(text) : text;
    const flags =
      (options.addSpecial === false ? 0 : TextFlag.ADD_SPECIAL) |
      (options.parseSpecial === false ? 0 : TextFlag.PARSE_SPECIAL);
    const stateBytes = up(instance.exports.tokenizer_bytes());
    this.#instance = instance;
    this.#bytes = ROOM * 4 + 64 + stateBytes + bytes.byteLength;
    this.#block = instance.heap.alloc(this.#bytes);
    const state = this.#block + ROOM * 4 + 64;
    instance.heap.copyIn(state + stateBytes, bytes);
    this.#tokenizer = instance.exports.tokenizer_open(
      instance.model,
      state + stateBytes,
      bytes.byteLength,
      flags,
      state,
      stateBytes,
    );
    if (this.#tokenizer !== 0) return;
    this.close();
    throw new ChordError(
      'invalid-argument',
      `a text of ${bytes.byteLength} bytes is too long to tokenise: the maximum is 536870911 bytes`,
    );
  }

  /** Tokenises a slice. Returns true after the last slice. Throws `out-of-memory`. */
  step(): boolean {
    const { exports, heap } = this.#instance;
    const status = this.#instance.check(
      exports.tokenizer_step(this.#tokenizer, SLICE, this.#block, ROOM, this.#countAt),
    );
    const [count] = heap.copyOutIds(this.#countAt, 1);
    if (count! > 0) this.#parts.push(heap.copyOutIds(this.#block, count!));
    if (status === Status.NEED_MEMORY) this.#growScratch();
    return status === Status.DONE;
  }

  get #countAt(): number {
    return this.#block + ROOM * 4;
  }

  #growScratch(): void {
    const { exports, heap } = this.#instance;
    const bytes = exports.tokenizer_wanted(this.#tokenizer);
    const before = this.#scratch;
    const scratch = { address: heap.alloc(bytes), bytes };
    this.#instance.check(exports.tokenizer_give(this.#tokenizer, scratch.address, bytes));
    this.#scratch = scratch;
    if (before !== undefined) heap.free(before.address, before.bytes);
  }

  /** Minimum number of ids that the whole text has, as far as is known. */
  get least(): number {
    return this.#instance.exports.tokenizer_least(this.#tokenizer);
  }

  /** Returns the ids so far, which are all ids after the last slice. */
  ids(): Int32Array<ArrayBuffer> {
    const ids = new Int32Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      ids.set(part, at);
      at += part.length;
    }
    return ids;
  }

  /** Frees the memory, unless the model was freed. A second call does nothing. */
  close(): void {
    if (this.#isClosed || !this.#instance.isUsable) return;
    this.#isClosed = true;
    const { heap } = this.#instance;
    if (this.#scratch !== undefined) heap.free(this.#scratch.address, this.#scratch.bytes);
    heap.free(this.#block, this.#bytes);
  }
}
