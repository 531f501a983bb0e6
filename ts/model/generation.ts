// SPDX-License-Identifier: Apache-2.0
// generation.ts: a generation of level 1, step by step. generate() calls the steps in a loop. A stream calls
// them between turns of the event loop. The steps and the text are the same.
import { Continuation, contextFull } from '../continuation.js';
import type { Work } from '../continuation.js';
import { ChordError } from '../errors.js';
import { numbers } from '../options.js';
import type { Tokenizing } from '../wasm/tokenizing.js';

/** The values that set_config sets. */
export interface GenerationConfig {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly repetitionPenalty: number;
}

/** A model's session and counters. One generation at a time uses them. */
export interface Workplace {
  /** Replaced when the model goes onto the GPU, while no generation uses it. */
  work: Work;
  /**
   * `tokensPrefilled`: prompt tokens evaluated, of prompts that were read to their end. `tokensDecoded`:
   * tokens sampled, except the first of each generation.
   */
  readonly counters: { tokensPrefilled: number; tokensDecoded: number };
}

export class Generation {
  readonly #at: Workplace;
  readonly #config: GenerationConfig;
  #prompt: Tokenizing | undefined;
  #continuation: Continuation | undefined;
  #taken = 0;
  #isFinished = false;

  /** Copies the prompt; the first steps tokenise it. Throws `out-of-memory`, `invalid-argument`. */
  constructor(workplace: Workplace, prompt: string, config: GenerationConfig) {
    this.#at = workplace;
    this.#config = config;
    this.#prompt = workplace.work.engine.vocabulary.openTokenizing(prompt);
  }

  /**
   * Prepares the continuation after the prompt's last slice, and computes nothing. The keys and values of
   * the longest prefix that the session shares with the prompt are kept. The logits are bitwise the same as
   * without that prefix.
   *
   * Throws `context-full` when no new token fits in the context behind the prompt, and `invalid-argument`
   * for an empty prompt.
   */
  #begin(ids: Int32Array<ArrayBuffer>): Continuation {
    const { work } = this.#at;
    return new Continuation(work, work.engine.vocabulary.promptIds(ids), {
      maxTokens: this.#config.maxTokens,
      ignoreEos: false,
      seed: undefined,
      stop: [],
      logprobs: false,
      topLogprobs: 0,
      controls: false,
      sampling: {
        ...this.#config,
        minP: numbers.minP.off,
        frequencyPenalty: numbers.frequencyPenalty.off,
        presencePenalty: numbers.presencePenalty.off,
      },
    });
  }

  /**
   * Tokenises a slice of the prompt. Returns the continuation after the last slice, undefined before. Throws
   * `context-full` as soon as the prompt certainly exceeds the context.
   */
  #tokenize(prompt: Tokenizing): Continuation | undefined {
    const { n_ctx } = this.#at.work.engine.file.planInfo;
    if (prompt.least > n_ctx) throw contextFull(`more than ${n_ctx} tokens`, n_ctx);
    if (!prompt.step()) return undefined;
    this.#prompt = undefined;
    prompt.close();
    return this.#begin(prompt.ids());
  }

  /** Number of new tokens so far. */
  get tokenCount(): number {
    return this.#continuation?.tokens ?? 0;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  /**
   * Runs one step of about 10 ms. Returns a piece of text, which may be '', when a token is complete;
   * undefined when the token needs more steps. The last piece, which sets `isFinished`, may be text that was
   * held back, without a token of its own. Returns a promise of it where the executor answers later.
   */
  step(): string | undefined | Promise<string | undefined> {
    if (this.#isFinished) return undefined;
    if (this.#prompt !== undefined) this.#continuation = this.#tokenize(this.#prompt);
    const continuation = this.#continuation;
    if (continuation === undefined) return undefined;
    const isDone = continuation.step();
    if (!(isDone instanceof Promise)) return this.#took(continuation, isDone);
    return isDone.then(
      (isDone) => this.#took(continuation, isDone),
      (error: unknown) => {
        // The executor of another file has an error class of its own.
        throw ChordError.isInstance(error) ? ChordError.from(error) : error;
      },
    );
  }

  #took(continuation: Continuation, isDone: boolean): string | undefined {
    if (this.#isFinished || !isDone) return undefined;
    const { promptTokens, cachedTokens } = continuation;
    if (this.#taken === 0) this.#at.counters.tokensPrefilled += promptTokens - cachedTokens;
    else this.#at.counters.tokensDecoded += 1;
    this.#taken += 1;
    const { text } = continuation.take();
    if (continuation.finishReason !== undefined) this.end();
    return text;
  }

  /**
   * Ends the generation. Evaluated tokens stay in the session for the next call. A second call does nothing.
   */
  end(): void {
    this.#isFinished = true;
    this.#prompt?.close();
    this.#continuation?.close();
  }
}
