// SPDX-License-Identifier: Apache-2.0
// generation.ts: one continuation of a prompt, step by step. generate() runs it in a loop, a stream between
// turns of the event loop: the same steps, the same text.
import type { WasmEngine } from '../wasm/engine.js';
import type { TextStream, WasmSession } from '../wasm/session.js';
import { ChordError } from '../errors.js';
import { numbers } from '../options.js';
import type { Pace } from '../wasm/pace.js';

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
  readonly engine: WasmEngine;
  readonly session: WasmSession;
  readonly pace: Pace;
  readonly counters: { stepsRun: number; tokensPrefilled: number; tokensDecoded: number };
}

export class Generation {
  readonly #at: Workplace;
  readonly #text: TextStream;
  readonly #maxTokens: number;
  readonly #contextLength: number;
  #pending: number;
  #length: number;
  #tokens = 0;
  #isFinished = false;

  /**
   * Tokenises and prepares; computes nothing yet. The KV of the longest common prefix with what the session
   * holds is kept: the logits are bitwise the same as without it.
   *
   * Throws `context-full` when the prompt leaves no room for one token, `invalid-argument` for an empty one.
   */
  constructor(workplace: Workplace, prompt: string, config: GenerationConfig) {
    const { engine, session } = workplace;
    const ids = engine.tokenizePrompt(prompt);
    this.#at = workplace;
    this.#maxTokens = config.maxTokens;
    this.#contextLength = engine.planInfo.n_ctx;
    if (ids.length >= this.#contextLength) {
      throw new ChordError('context-full', `the prompt has ${ids.length} tokens, the context ${this.#contextLength}`, {
        hint: 'shorten the prompt; level 2 (loadModel) takes a contextLength',
      });
    }
    const kept = Math.min(session.match(ids), ids.length - 1);
    session.truncate(kept);
    session.setSampling({
      ...config, minP: numbers.minP.off, frequencyPenalty: numbers.frequencyPenalty.off, presencePenalty: numbers.presencePenalty.off,
    });
    session.seed(Math.floor(Math.random() * Number.MAX_SAFE_INTEGER));
    session.push(ids.subarray(kept));
    this.#pending = ids.length - kept;
    this.#length = ids.length;
    this.#text = engine.openStream();
  }

  /** Tokens so far. */
  get tokenCount(): number {
    return this.#tokens;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  /**
   * One step of about 10 ms. Gives a piece of text when a token is complete, '' included, and undefined when
   * there is more to do for it. The last piece, with `isFinished`, may be text that was held back and no token.
   */
  step(): string | undefined {
    const { engine, session, pace, counters } = this.#at;
    if (this.#isFinished) return undefined;
    const kind = this.#pending === 1 ? 'single' : 'many';
    const begin = performance.now();
    const result = session.step(pace.budget(kind));
    pace.measured(kind, session.state().last_step_work, performance.now() - begin);
    counters.stepsRun += 1;
    if (result === 'more') return undefined;
    if (result !== 'done') throw new ChordError('internal', `a step ended as ${result}`);
    if (this.#tokens === 0) counters.tokensPrefilled += this.#pending;
    else counters.tokensDecoded += 1;

    const token = session.sample();
    if (engine.isEndOfGeneration(token)) return this.#finish('');
    const piece = this.#text.push(token);
    this.#tokens += 1;
    this.#length += 1;
    if (this.#tokens === this.#maxTokens || this.#length >= this.#contextLength) return this.#finish(piece);
    session.push([token]);
    this.#pending = 1;
    return piece;
  }

  /** Stop here; again is a no-op. What was evaluated stays in the session for the next call. */
  end(): void {
    this.#isFinished = true;
    this.#text.close();
  }

  #finish(piece: string): string {
    const last = piece + this.#text.end();
    this.end();
    return last;
  }
}
