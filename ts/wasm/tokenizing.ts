// SPDX-License-Identifier: Apache-2.0
// A text on its way to token ids, in slices: the event loop can turn between two, and the ids are the same
// however the text is cut. The model's memory holds the text, 70 kB, and what the C side asks for: nothing for
// texts of words, about 20 bytes a character for a long piece that can't be cut. All of it goes back at `close`.
import { Status, TextFlag } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { TokenizeOptions } from '../options.js';
import type { WasmInstance } from './instance.js';

/** Small steps a slice: one to three milliseconds. */
const SLICE = 20_000;
/** Ids that a slice can hand over. */
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

  /** Takes memory for the text; looks at nothing yet. Throws `out-of-memory`, `invalid-argument` from 512 MiB on. */
  constructor(instance: WasmInstance, text: string | Uint8Array, options: TokenizeOptions) {
    const bytes = typeof text === 'string' ? encoder.encode(text) : text;
    const flags = (options.addSpecial === false ? 0 : TextFlag.ADD_SPECIAL) | (options.parseSpecial === false ? 0 : TextFlag.PARSE_SPECIAL);
    const stateBytes = up(instance.exports.tokenizer_bytes());
    this.#instance = instance;
    this.#bytes = ROOM * 4 + 64 + stateBytes + bytes.byteLength;
    this.#block = instance.heap.alloc(this.#bytes);
    const state = this.#block + ROOM * 4 + 64;
    instance.heap.copyIn(state + stateBytes, bytes);
    this.#tokenizer = instance.exports.tokenizer_open(instance.model, state + stateBytes, bytes.byteLength, flags, state, stateBytes);
    if (this.#tokenizer !== 0) return;
    this.close();
    throw new ChordError('invalid-argument', `a text of ${bytes.byteLength} bytes is too long to be tokenised in one piece`);
  }

  /** A slice. True when that was all. */
  step(): boolean {
    const { exports, heap } = this.#instance;
    const status = this.#instance.check(exports.tokenizer_step(this.#tokenizer, SLICE, this.#block, ROOM, this.#countAt));
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

  /** How many ids there are at least, as far as is known yet. */
  get least(): number {
    return this.#instance.exports.tokenizer_least(this.#tokenizer);
  }

  /** The ids so far: all of them after the last step. */
  ids(): Int32Array<ArrayBuffer> {
    const ids = new Int32Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      ids.set(part, at);
      at += part.length;
    }
    return ids;
  }

  /** Gives the memory back, where the model still has any. Again is a no-op. */
  close(): void {
    if (this.#isClosed || !this.#instance.isUsable) return;
    this.#isClosed = true;
    const { heap } = this.#instance;
    if (this.#scratch !== undefined) heap.free(this.#scratch.address, this.#scratch.bytes);
    heap.free(this.#block, this.#bytes);
  }
}
