// SPDX-License-Identifier: Apache-2.0
// The one loop of generation: match, truncate, push, step, sample, text, end. Level 1 drives the loop in the
// caller's thread, level 2 in the engine worker. Nothing here waits for a timer or a reader: the caller lets
// the event loop turn between two calls, and decides when to send the text to its reader.
import { ChordError } from './errors.js';
import type { Ran } from './executor.js';
import type { ContinuationOptions, Sampling, TokenLogprob } from './options.js';
import type { WasmEngine } from './wasm/engine.js';
import type { Pace } from './wasm/pace.js';
import type { WasmSession } from './wasm/session.js';
import type { TextStream } from './wasm/stream.js';

type Ids = readonly number[] | Int32Array;

/** Counts steps, steps whose planned work exceeded their budget, and prompt tokens that steps evaluated. */
const newCounters = () => ({ stepsRun: 0, stepsOverBudget: 0, tokensPrefilled: 0 });
export type WorkCounters = ReturnType<typeof newCounters>;

/**
 * A session and its paced steps: `begin` pushes tokens, and `step` runs until output rows can be read. One
 * caller at a time.
 */
export class Work {
  readonly engine: WasmEngine;
  readonly session: WasmSession;
  readonly counters: WorkCounters;
  readonly #pace: Pace;
  #drawn: number | undefined;

  /**
   * Opens an empty session, or a copy of `from`. Sessions of one model may share `pace` and `counters`.
   * Throws `out-of-memory`.
   */
  constructor(engine: WasmEngine, pace: Pace, counters = newCounters(), from?: WasmSession) {
    this.engine = engine;
    this.session = engine.openSession(from);
    this.counters = counters;
    this.#pace = pace;
  }

  /**
   * Makes the session hold `ids`, and leaves those that need evaluation pending. Returns the number of ids
   * whose keys and values were kept.
   *
   * With `outputs` 'last', the session keeps the keys and values of the longest prefix that it shares with
   * `ids` and that its caches allow. The logits are bitwise the same as without that prefix. The last id is
   * always evaluated again, for its logits. With 'all', every id is evaluated again. `spare`: number of
   * positions that must be free behind `ids`.
   *
   * Throws `context-full` when `ids` and `spare` exceed the context, and `invalid-argument` for no ids or
   * unknown ids.
   */
  begin(ids: Ids, outputs: 'last' | 'all', spare: number): number {
    const contextLength = this.engine.file.planInfo.n_ctx;
    if (ids.length === 0) throw new ChordError('invalid-argument', 'there are no tokens to evaluate');
    if (ids.length + spare > contextLength) {
      throw contextFull(`${ids.length} tokens${spare > 0 ? ' and a new one' : ''}`, contextLength);
    }
    const kept = this.session.truncate(
      outputs === 'all' ? 0 : Math.min(this.session.match(ids), ids.length - 1),
    );
    this.session.setOutputs(outputs);
    this.session.push(ids.slice(kept));
    return kept;
  }

  /**
   * Runs one step. Returns true when output rows can be read, false when they need more steps; a promise of
   * the result if the executor returns a promise. `isPrompt` counts the evaluated tokens in
   * `tokensPrefilled`.
   *
   * `sampling`: the executor may draw the next token, for `sample`.
   *
   * After an error, the session drops its pending tokens and keeps its evaluated tokens, if the engine is
   * still usable.
   */
  step(isPrompt: boolean, sampling?: Sampling): boolean | Promise<boolean> {
    const before = isPrompt ? this.session.state() : undefined;
    const kind = before === undefined || before.n_tokens - before.n_past === 1 ? 'single' : 'many';
    const budget = this.#pace.budget(kind);
    const begin = performance.now();
    const count = ({ isDone, work, token, waitMs = 0 }: Ran): boolean => {
      this.#drawn = token;
      this.#pace.measured(kind, work, performance.now() - begin - waitMs);
      this.counters.stepsRun += 1;
      if (work > budget) this.counters.stepsOverBudget += 1;
      if (before !== undefined) this.counters.tokensPrefilled += this.session.state().n_past - before.n_past;
      return isDone;
    };
    const fail = (error: unknown): never => {
      if (this.engine.isUsable) this.forget(); // the session stays usable
      throw error;
    };
    try {
      const ran = this.engine.executor.run(this.session, budget, sampling);
      return ran instanceof Promise ? ran.then(count).catch(fail) : count(ran);
    } catch (error) {
      return fail(error);
    }
  }

  /**
   * The token behind the last step, drawn with the sampling that the step got, or by the session's own.
   * Throws `internal` for logits that aren't finite.
   */
  sample(): number {
    return this.#drawn ?? this.session.sample();
  }

  /** Appends the token of `sample()`. `isRandom`: its draw took a number of the generator. */
  accept(token: number, isRandom: boolean): void {
    if (this.#drawn !== undefined && isRandom) this.session.acceptToken(token);
    else this.session.push([token]);
  }

  /**
   * Drops the session's pending tokens and a batch under way.
   */
  forget(): void {
    this.session.truncate(this.session.state().n_past);
  }

  /**
   * Keeps the session's first `count` tokens. Those whose keys and values its caches can't keep, or that
   * were never evaluated, are pending.
   */
  keep(count: number): void {
    const { session } = this;
    const ids = session.tokens().subarray(0, count);
    session.push(ids.subarray(session.truncate(ids.length)));
  }
}

/** Returns the `context-full` error. `tokens`: how many tokens don't fit, in words. */
export function contextFull(tokens: string, contextLength: number): ChordError {
  return new ChordError('context-full', `${tokens} don't fit the context length of ${contextLength}`, {
    hint: 'shorten the prompt, or load the model (loadModel) with a larger contextLength',
  });
}

/** One sampled token. */
export interface ContinuationToken {
  /**
   * Whole characters. An unfinished character and the possible start of a stop string are held back, so the
   * text may be ''.
   */
  readonly text: string;
  readonly token: number;
  readonly logprob?: number;
  /** The token's own bytes, which may be a part of a character. */
  readonly bytes?: Uint8Array;
  readonly topLogprobs?: readonly TokenLogprob[];
  /** The own text of a control token. It isn't in `text`, whose characters are all before it. */
  readonly control?: string;
}

/**
 * One continuation of a prompt. Call `step` until it returns true, then `take`; repeat both until
 * `finishReason` is defined, then `close`.
 */
export class Continuation {
  readonly promptTokens: number;
  /** Number of prompt tokens whose keys and values were kept from earlier calls. */
  readonly cachedTokens: number;
  readonly #work: Work;
  readonly #options: ContinuationOptions;
  readonly #stream: TextStream;
  readonly #most: number;
  #tokens = 0;
  #finishReason: 'stop' | 'length' | undefined;
  #stopString: string | undefined;
  #endToken: string | undefined;

  /**
   * Prepares the session and computes nothing. Throws the errors of `Work.begin`, and `invalid-argument` for
   * refused stop strings.
   */
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

  /** Number of tokens taken. An end-of-generation token that ends the text isn't counted. */
  get tokens(): number {
    return this.#tokens;
  }

  /**
   * `stop`: the model ended its turn, or the text reached a stop string. `length`: `maxTokens` tokens were
   * taken, or the context is full. Undefined: the continuation goes on.
   */
  get finishReason(): 'stop' | 'length' | undefined {
    return this.#finishReason;
  }

  /** The stop string that the text reached; undefined: none, or the model ended its turn. */
  get stopString(): string | undefined {
    return this.#stopString;
  }

  /** The own text of the end-of-generation token that ended the text; undefined: none did. */
  get endToken(): string | undefined {
    return this.#endToken;
  }

  /** Runs one step, as `Work.step`. Returns true when a token can be taken. */
  step(): boolean | Promise<boolean> {
    const { logprobs, sampling } = this.#options;
    return this.#work.step(this.#tokens === 0, logprobs ? undefined : sampling);
  }

  /**
   * Samples the next token. The last token sets `finishReason`, and its text ends with the text held back.
   * Throws `internal` for logits that aren't finite.
   */
  take(): ContinuationToken {
    const { engine } = this.#work;
    const token = this.#work.sample();
    const { vocabulary } = engine;
    const logprobs = this.#logprobs(token);
    const isEnd = !this.#options.ignoreEos && vocabulary.isEndOfGeneration(token);
    const isControl = !isEnd && this.#options.controls && vocabulary.isControl(token);
    // A control token has no text of its own in the stream. What is held back comes before it.
    let text = isEnd || isControl ? this.#stream.end() : this.#stream.push(token);
    if (isEnd) this.#endToken = vocabulary.tokenText(token);
    if (!isEnd) this.#tokens += 1;
    this.#stopString = this.#stream.stopString;
    if (isEnd || this.#stopString !== undefined) this.#finishReason = 'stop';
    else if (this.#tokens >= this.#most) this.#finishReason = 'length';
    // The last token stays pending: it's a part of the session's text, and needn't be evaluated.
    if (!isEnd) this.#work.accept(token, this.#options.sampling.temperature > 0);
    if (!isEnd && this.#finishReason !== undefined) text += this.#stream.end();
    return { text, token, ...logprobs, ...(isControl ? { control: vocabulary.tokenText(token) } : {}) };
  }

  #logprobs(token: number): Omit<ContinuationToken, 'text' | 'token' | 'control'> {
    const { logprobs, topLogprobs, controls } = this.#options;
    if (!logprobs) return {};
    const { session, engine } = this.#work;
    const [own, ...best] = session
      .logprobs(token, topLogprobs)
      .map((one) => (controls ? { ...one, bytes: engine.vocabulary.detokenizeBytes([one.token]) } : one));
    return { ...own, ...(topLogprobs > 0 ? { topLogprobs: best } : {}) };
  }

  /**
   * Ends the continuation. Evaluated tokens stay in the session for the next call. A second call does
   * nothing.
   */
  close(): void {
    this.#stream.close();
  }
}
