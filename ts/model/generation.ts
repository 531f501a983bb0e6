// SPDX-License-Identifier: Apache-2.0
// generation.ts: level 1's continuation, step by step. generate() runs it in a loop, a stream between turns of the
// event loop: the same steps, the same text.
import { Continuation } from '../continuation.js';
import type { Work } from '../continuation.js';
import { numbers } from '../options.js';

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
  readonly #continuation: Continuation;
  #taken = 0;
  #isFinished = false;

  /**
   * Tokenises and prepares; computes nothing yet. The KV of the longest common prefix with what the session
   * holds is kept: the logits are bitwise the same as without it.
   *
   * Throws `context-full` when the prompt leaves no room for one token, `invalid-argument` for an empty one.
   */
  constructor(workplace: Workplace, prompt: string, config: GenerationConfig) {
    const { work } = workplace;
    this.#at = workplace;
    this.#continuation = new Continuation(work, work.engine.tokenizePrompt(prompt), {
      maxTokens: config.maxTokens, ignoreEos: false, seed: undefined, stop: [], logprobs: false,
      sampling: { ...config, minP: numbers.minP.off, frequencyPenalty: numbers.frequencyPenalty.off, presencePenalty: numbers.presencePenalty.off },
    });
  }

  /** Tokens so far. */
  get tokenCount(): number {
    return this.#continuation.tokens;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  /**
   * One step of about 10 ms. Gives a piece of text when a token is complete, '' included, and undefined when
   * there is more to do for it. The last piece, with `isFinished`, may be text that was held back and no token.
   */
  step(): string | undefined {
    if (this.#isFinished || !this.#continuation.step()) return undefined;
    const { promptTokens, cachedTokens } = this.#continuation;
    if (this.#taken === 0) this.#at.counters.tokensPrefilled += promptTokens - cachedTokens;
    else this.#at.counters.tokensDecoded += 1;
    this.#taken += 1;
    const { text } = this.#continuation.take();
    if (this.#continuation.finishReason !== undefined) this.end();
    return text;
  }

  /** Stop here; again is a no-op. What was evaluated stays in the session for the next call. */
  end(): void {
    this.#isFinished = true;
    this.#continuation.close();
  }
}
