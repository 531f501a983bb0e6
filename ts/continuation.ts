// SPDX-License-Identifier: Apache-2.0
// The one loop of generation: match, truncate, push, step, sample, text, end. Level 1 drives it in the caller's
// thread, level 2 in the engine worker. Nothing here waits: the owner lets the event loop turn between two calls,
// and decides when the text reaches its reader.
import { ChordError } from './errors.js';
import type { Ran } from './executor.js';
import type { Sampling } from './options.js';
import type { WasmEngine } from './wasm/engine.js';
import type { Pace } from './wasm/pace.js';
import type { WasmSession } from './wasm/session.js';
import type { TextStream } from './wasm/stream.js';

type Ids = readonly number[] | Int32Array;

/** Steps, those with more work than their budget, and tokens of prompts that steps evaluated. */
const newCounters = () => ({ stepsRun: 0, stepsOverBudget: 0, tokensPrefilled: 0 });
export type WorkCounters = ReturnType<typeof newCounters>;

/** A session at work: tokens in, paced steps until output rows can be read. One user at a time. */
export class Work {
  readonly engine: WasmEngine;
  readonly session: WasmSession;
  readonly counters: WorkCounters;
  readonly #pace: Pace;

  /** Opens a session: an empty one, or a copy of `from`. Sessions of one model may share `pace` and `counters`. */
  constructor(engine: WasmEngine, pace: Pace, counters = newCounters(), from?: WasmSession) {
    this.engine = engine;
    this.session = engine.openSession(from);
    this.counters = counters;
    this.#pace = pace;
  }

  /**
   * Makes the session hold `ids`, keeping the KV of the longest common prefix: logits are bitwise the same as without it.
   * The last id is always evaluated again, for its logits. `spare` positions must be left. Returns how many ids were kept.
   *
   * Throws `context-full`, and `invalid-argument` for no ids or ids that don't exist.
   */
  begin(ids: Ids, outputs: 'last' | 'all', spare: number): number {
    const contextLength = this.engine.file.planInfo.n_ctx;
    if (ids.length === 0) throw new ChordError('invalid-argument', 'there are no tokens to evaluate');
    if (ids.length + spare > contextLength) {
      throw contextFull(`${ids.length} tokens${spare > 0 ? ' and one more' : ''}`, contextLength);
    }
    const kept = this.session.truncate(outputs === 'all' ? 0 : Math.min(this.session.match(ids), ids.length - 1));
    this.session.setOutputs(outputs);
    this.session.push(ids.slice(kept));
    return kept;
  }

  /**
   * One step. True when output rows can be read, false when there is more to do for them. A promise where the executor
   * returns one.
   */
  step(isPrompt: boolean): boolean | Promise<boolean> {
    const before = isPrompt ? this.session.state() : undefined;
    const kind = before === undefined || before.n_tokens - before.n_past === 1 ? 'single' : 'many';
    const budget = this.#pace.budget(kind);
    const begin = performance.now();
    const count = ({ isDone, work }: Ran): boolean => {
      this.#pace.measured(kind, work, performance.now() - begin);
      this.counters.stepsRun += 1;
      if (work > budget) this.counters.stepsOverBudget += 1;
      if (before !== undefined) this.counters.tokensPrefilled += this.session.state().n_past - before.n_past;
      return isDone;
    };
    const fail = (error: unknown): never => {
      if (this.engine.isUsable) this.forget(Number.MAX_SAFE_INTEGER); // the model stays usable
      throw error;
    };
    try {
      const ran = this.engine.executor.run(this.session, budget);
      return ran instanceof Promise ? ran.then(count).catch(fail) : count(ran);
    } catch (error) {
      return fail(error);
    }
  }

  /** Back to the first `count` evaluated tokens; a batch under way and pending tokens are dropped. */
  forget(count: number): void {
    this.session.truncate(Math.min(count, this.session.state().n_past));
  }
}

/** What is said of tokens that don't fit: how many, in words. */
export function contextFull(tokens: string, contextLength: number): ChordError {
  return new ChordError('context-full', `${tokens} don't fit the context length of ${contextLength}`, {
    hint: 'shorten the prompt, or load the model (loadModel) with a larger contextLength',
  });
}

export interface ContinuationOptions {
  readonly maxTokens: number;
  readonly ignoreEos: boolean;
  readonly sampling: Sampling;
  /** Undefined: another one every time. */
  readonly seed: number | undefined;
  readonly stop: readonly string[];
  readonly logprobs: boolean;
}

/** What a step of a continuation gives. `text` is whole characters; '' while one, or a possible stop string, is held back. */
export interface ContinuationToken {
  readonly text: string;
  readonly token: number;
  readonly logprob?: number;
}

/** One continuation of a prompt. After the constructor: `step` until it is true, `take` a token, and again until `finishReason`. */
export class Continuation {
  readonly promptTokens: number;
  /** Of these, the ones whose KV was kept. */
  readonly cachedTokens: number;
  readonly #work: Work;
  readonly #options: ContinuationOptions;
  readonly #stream: TextStream;
  readonly #most: number;
  #tokens = 0;
  #finishReason: 'stop' | 'length' | undefined;

  /** Prepares and computes nothing. Throws as `Work.begin`, and `invalid-argument` for stop strings that are refused. */
  constructor(work: Work, ids: Ids, options: ContinuationOptions) {
    this.#work = work;
    this.#options = options;
    this.promptTokens = ids.length;
    this.#most = Math.min(options.maxTokens, work.engine.file.planInfo.n_ctx - ids.length);
    this.#stream = work.engine.vocabulary.openStream(options.stop);
    try {
      this.cachedTokens = work.begin(ids, 'last', 1);
      work.session.setSampling(options.sampling);
      work.session.seed(options.seed ?? Math.floor(Math.random() * Number.MAX_SAFE_INTEGER));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Tokens taken. The one that ends the text is none of them. */
  get tokens(): number {
    return this.#tokens;
  }

  /** `stop`: the model ended its turn, or a stop string came; `length`: no more tokens were wanted, or had room. */
  get finishReason(): 'stop' | 'length' | undefined {
    return this.#finishReason;
  }

  /** One step; true when a token can be taken. */
  step(): boolean | Promise<boolean> {
    return this.#work.step(this.#tokens === 0);
  }

  /** Samples the next token. The last one, with `finishReason`, brings what text was held back. */
  take(): ContinuationToken {
    const { session, engine } = this.#work;
    const token = session.sample();
    const logprob = this.#options.logprobs ? { logprob: logProbability(session.logits(), token) } : {};
    const isEnd = !this.#options.ignoreEos && engine.vocabulary.isEndOfGeneration(token);
    let text = isEnd ? this.#stream.end() : this.#stream.push(token);
    if (!isEnd) this.#tokens += 1;
    if (isEnd || this.#stream.isStopped) this.#finishReason = 'stop';
    else if (this.#tokens >= this.#most) this.#finishReason = 'length';
    if (this.#finishReason === undefined) session.push([token]);
    else if (!isEnd) text += this.#stream.end();
    return { text, token, ...logprob };
  }

  /** Stops here; again is a no-op. What was evaluated stays in the session for the next call. */
  close(): void {
    this.#stream.close();
  }
}

/** ln softmax(logits)[token], in double. */
function logProbability(logits: Float32Array, token: number): number {
  let most = -Infinity;
  for (const logit of logits) if (logit > most) most = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return logits[token]! - most - Math.log(sum);
}
