// SPDX-License-Identifier: Apache-2.0
// async-token-stream.ts: the promised iterator of level 1.
import { nextTurn } from '../platform.js';
import type { Generation } from './generation.js';

/** What WasmModel gives a stream: take the model (throws `busy`, `disposed`), and give it back. */
export interface Lease {
  take(): void;
  start(): Generation;
  giveBack(): void;
}

/**
 * The pieces of a continuation, one `next()` a token. Nothing is computed before the first `next()`, which
 * takes the model; the end, `return()`, `throw()`, an error or `free()` gives it back. Between steps the
 * event loop turns, also while the prompt is read. Pending `next()` calls are served in order.
 *
 * The pieces together are the whole text. None splits a character: a piece may be '' while one is held
 * back, and the last one may be held text without a token of its own.
 */
export class AsyncTokenStream implements AsyncIterableIterator<string> {
  readonly #lease: Lease;
  #generation: Generation | undefined;
  #hasModel = false;
  #isComplete = false;
  #tokens = 0;
  #queue: Promise<unknown> = Promise.resolve();

  /** Made by `WasmModel.generate_async`. */
  constructor(lease: Lease) {
    this.#lease = lease;
  }

  /**
   * The next piece; `{ value: '', done: true }` after the last.
   *
   * @throws {ChordError} `busy` while another generation on the model is unfinished (this stream may be
   *   tried again later), `context-full`, `disposed`, `internal`.
   */
  next(): Promise<{ value: string; done: boolean }> {
    if (!this.#hasModel && !this.#isComplete) {
      try {
        this.#lease.take();
        this.#hasModel = true;
      } catch (error) {
        return Promise.reject(error);
      }
    }
    const result = this.#queue.then(() => this.#advance());
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #advance(): Promise<{ value: string; done: boolean }> {
    try {
      for (;;) {
        if (this.#isComplete) return { value: '', done: true };
        await nextTurn();
        if (this.#isComplete) continue; // return(), throw() or free() came in between
        const generation = (this.#generation ??= this.#lease.start());
        const piece = generation.step();
        const isToken = generation.tokenCount > this.#tokens;
        this.#tokens = generation.tokenCount;
        if (generation.isFinished) this.#finish();
        if (isToken || piece) return { value: piece ?? '', done: false };
      }
    } catch (error) {
      this.#finish();
      throw error;
    }
  }

  /** Stops the work at once and gives the model back; `break` in a for-await loop calls it. */
  return(): Promise<{ value: string; done: true }> {
    this.#finish();
    return Promise.resolve({ value: '', done: true });
  }

  /** As `return()`, but rejects with `error`. */
  throw(error?: unknown): Promise<{ value: string; done: true }> {
    this.#finish();
    return Promise.reject(error);
  }

  /** No further piece will come: the text ended, or the stream was left. */
  is_complete(): boolean {
    return this.#isComplete;
  }

  /** Tokens that `next()` has given so far. */
  token_count(): number {
    return this.#tokens;
  }

  /** As `return()`, without waiting. */
  free(): void {
    this.#finish();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #finish(): void {
    if (this.#isComplete) return;
    this.#isComplete = true;
    this.#generation?.end();
    if (this.#hasModel) this.#lease.giveBack();
  }
}
