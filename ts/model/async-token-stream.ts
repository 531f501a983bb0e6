// SPDX-License-Identifier: Apache-2.0
// async-token-stream.ts: the iterator that level 1's generate_async returns.
import { nextTurn } from '../platform.js';
import type { Generation } from './generation.js';

/** A stream's access to its WasmModel. */
export interface Lease {
  /** Reserves the model for the stream. Throws `busy`, `disposed`. */
  take(): void;
  /** Starts the generation on the reserved model. */
  start(): Generation;
  /** Releases the model. */
  giveBack(): void;
}

/**
 * The pieces of a continuation, one per token. Nothing is computed before the first `next()`, which reserves
 * the model. The end, an error, `return()`, `throw()` and `free()` release the model. The event loop turns
 * between steps, also while the prompt is read. Pending `next()` calls are served in order.
 *
 * The pieces together are the whole text. No piece splits a character: a piece is '' while its character
 * isn't complete. The last piece may be text that was held back, without a token of its own.
 */
export class AsyncTokenStream implements AsyncIterableIterator<string> {
  /** @internal The build shortens other names. */
  static readonly name: string = 'AsyncTokenStream';
  readonly #lease: Lease;
  #generation: Generation | undefined;
  #hasModel = false;
  #isComplete = false;
  #tokens = 0;
  #queue: Promise<unknown> = Promise.resolve();
  /** A step that the GPU hasn't answered yet. */
  #pending: Promise<unknown> | undefined;

  /** `WasmModel.generate_async` makes streams. @internal */
  constructor(lease: Lease) {
    this.#lease = lease;
  }

  /**
   * Resolves to the next piece, and to `{ value: '', done: true }` after the last one.
   *
   * @throws {ChordError} `busy` while another generation on the model is unfinished: call `next()` again
   *   later. `context-full`, `invalid-argument` for an empty prompt, `out-of-memory`, `disposed`,
   *   `internal`.
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
        const piece = await this.#answer(generation.step());
        if (this.#isComplete) continue;
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

  /** Resolves to a step's result. A step that is complete takes no turn. */
  async #answer(step: string | undefined | Promise<string | undefined>): Promise<string | undefined> {
    if (!(step instanceof Promise)) return step;
    this.#pending = step;
    try {
      return await step;
    } finally {
      this.#pending = undefined;
      if (this.#isComplete) this.#release();
    }
  }

  /**
   * Ends the stream and releases the model. `break` in a for-await loop calls it. Resolves after the step
   * that a GPU is computing.
   */
  async return(): Promise<{ value: string; done: true }> {
    const pending = this.#pending;
    this.#finish();
    await pending?.catch(() => undefined);
    return { value: '', done: true };
  }

  /** Ends the stream as `return()` does, and rejects with `error`. */
  throw(error?: unknown): Promise<{ value: string; done: true }> {
    this.#finish();
    return Promise.reject(error);
  }

  /**
   * True when no further piece will come: the text has ended, or the stream was ended by a call or an error.
   */
  is_complete(): boolean {
    return this.#isComplete;
  }

  /** Number of tokens that `next()` has returned so far. */
  token_count(): number {
    return this.#tokens;
  }

  /**
   * Ends the stream as `return()` does, without a promise. On the GPU the model is `busy` until the step
   * under way has ended.
   */
  free(): void {
    this.#finish();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #finish(): void {
    if (this.#isComplete) return;
    this.#isComplete = true;
    if (this.#pending === undefined) this.#release();
  }

  #release(): void {
    this.#generation?.end();
    if (this.#hasModel) this.#lease.giveBack();
  }
}
