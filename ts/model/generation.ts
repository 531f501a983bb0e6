// SPDX-License-Identifier: Apache-2.0
// generation.ts: level 1's continuation, step by step. generate() runs it in a loop, a stream between turns of the
// event loop: the same steps, the same text.
import { Continuation, contextFull } from '../continuation.js';
import type { Work } from '../continuation.js';
import { ChordError } from '../errors.js';
import { numbers } from '../options.js';
import type { Tokenizing } from '../wasm/tokenizing.js';

/** What set_config sets. */
export interface GenerationConfig {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly repetitionPenalty: number;
}

/** What a generation works with; one at a time has it. */
export interface Workplace {
  readonly work: Work;
  /** Of prompts that were read to their end, and evaluated after the first. */
  readonly counters: { tokensPrefilled: number; tokensDecoded: number };
}

export class Generation {
  readonly #at: Workplace;
  readonly #config: GenerationConfig;
  #prompt: Tokenizing | undefined;
  #continuation: Continuation | undefined;
  #taken = 0;
  #isFinished = false;

  /** Looks at nothing yet; the first steps tokenise. */
  constructor(workplace: Workplace, prompt: string, config: GenerationConfig) {
    this.#at = workplace;
    this.#config = config;
    this.#prompt = workplace.work.engine.vocabulary.openTokenizing(prompt);
  }

  /**
   * Prepares, after the prompt's last slice; computes nothing yet. The KV of the longest common prefix with what the
   * session holds is kept: the logits are bitwise the same as without it.
   *
   * Throws `context-full` when the prompt leaves no room for one token, `invalid-argument` for an empty one.
   */
  #begin(ids: Int32Array<ArrayBuffer>): Continuation {
    const { work } = this.#at;
    return new Continuation(work, work.engine.vocabulary.promptIds(ids), {
      maxTokens: this.#config.maxTokens, ignoreEos: false, seed: undefined, stop: [], logprobs: false,
      sampling: {
        ...this.#config, minP: numbers.minP.off, frequencyPenalty: numbers.frequencyPenalty.off,
        presencePenalty: numbers.presencePenalty.off,
      },
    });
  }

  /** A slice of the prompt's text; the continuation after the last. A prompt that can't fit is refused as soon as that is sure. */
  #tokenize(prompt: Tokenizing): Continuation | undefined {
    const { n_ctx } = this.#at.work.engine.file.planInfo;
    if (prompt.least > n_ctx) throw contextFull(`more than ${n_ctx} tokens`, n_ctx);
    if (!prompt.step()) return undefined;
    this.#prompt = undefined;
    prompt.close();
    return this.#begin(prompt.ids());
  }

  /** Tokens so far. */
  get tokenCount(): number {
    return this.#continuation?.tokens ?? 0;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  /**
   * One step of about 10 ms. Gives a piece of text when a token is complete, '' included, and undefined when
   * there is more to do for it. The last piece, with `isFinished`, may be text that was held back and no token.
   */
  step(): string | undefined {
    if (this.#isFinished) return undefined;
    if (this.#prompt !== undefined) this.#continuation = this.#tokenize(this.#prompt);
    const continuation = this.#continuation;
    const isDone = continuation?.step();
    if (isDone instanceof Promise) throw new ChordError('internal', 'level 1 needs an executor that answers at once');
    if (continuation === undefined || isDone !== true) return undefined;
    const { promptTokens, cachedTokens } = continuation;
    if (this.#taken === 0) this.#at.counters.tokensPrefilled += promptTokens - cachedTokens;
    else this.#at.counters.tokensDecoded += 1;
    this.#taken += 1;
    const { text } = continuation.take();
    if (continuation.finishReason !== undefined) this.end();
    return text;
  }

  /** Stop here; again is a no-op. What was evaluated stays in the session for the next call. */
  end(): void {
    this.#isFinished = true;
    this.#prompt?.close();
    this.#continuation?.close();
  }
}
