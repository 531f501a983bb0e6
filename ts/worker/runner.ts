// SPDX-License-Identifier: Apache-2.0
// The loaded model at work: the step loop with its budget, generation and logits over one session. Between
// steps (of quick tokens: between a few) the event loop turns, so a posted cancel always arrives, shared memory or not.
import { ChordError } from '../errors.js';
import { nextTurn } from '../platform.js';
import type { CompiledModule } from '../wasm/instantiate.js';
import type { WasmEngine } from '../wasm/engine.js';
import type { Pace } from '../wasm/pace.js';
import type { WasmSession } from '../wasm/session.js';
import type { ThreadPool } from '../wasm/threads.js';
import type { Call } from './call.js';
import { WINDOW } from './protocol.js';
import type { GenerationStats, Ids, Request, Results, TokenEvent } from './protocol.js';

export interface LoadedEngine {
  readonly engine: WasmEngine;
  readonly compiled: CompiledModule;
  /** Why so many threads. */
  readonly why: string;
  readonly pool: ThreadPool | undefined;
}

type Requested<Op extends Request['op']> = Extract<Request, { op: Op }>;

/** Bytes of logits in a block on its way to the client; two may be under way. */
const ROWS_BYTES = 1 << 20;

/** Tokens that take less together go to the reader together, and between them the event loop doesn't turn: both cost 0.1 ms, and
 * wake the page's thread, which may be a helper's core. Within a frame of a screen; a cancel waits no longer for it than for a step. */
const GATHER_MS = 12;

/** Ends a run at its next turn; the host turns it into the call's answer. */
export class Cancelled extends Error {}

export class Runner {
  readonly counters = { stepsRun: 0, stepsOverBudget: 0, tokensPrefilled: 0, tokensDecoded: 0 };
  readonly engine: WasmEngine;
  readonly #session: WasmSession;
  readonly #pool: ThreadPool | undefined;
  readonly #pace: Pace;
  readonly #gatherMs: number;
  readonly #vocabulary: number;

  constructor(loaded: LoadedEngine, pace: Pace) {
    this.engine = loaded.engine;
    this.#pool = loaded.pool;
    this.#pace = pace;
    this.#gatherMs = Math.min(GATHER_MS, pace.targetMs);
    this.#session = loaded.engine.openSession();
    this.#vocabulary = loaded.engine.modelInfo().n_vocab;
  }

  get kvPages(): number {
    return this.#session.state().n_pages;
  }

  /** A whole continuation. Posts the first event at once, then what GATHER_MS bring; ends within one step, or that time, of a cancel. */
  async generate(call: Call<Requested<'generate'>>): Promise<Results['generate']> {
    const { prompt, options } = call.request;
    const ids = typeof prompt === 'string' ? this.engine.tokenizePrompt(prompt) : prompt;
    const stream = this.engine.openStream(options.stop);
    const run = { promptTokens: ids.length, cachedTokens: 0, tokens: 0, promptMs: 0, decodeMs: 0 };
    let finishReason: GenerationStats['finishReason'];
    try {
      run.cachedTokens = this.#begin(ids, 'last', 1);
      this.#session.setSampling(options.sampling);
      this.#session.seed(options.seed ?? Math.floor(Math.random() * Number.MAX_SAFE_INTEGER));
      finishReason = await this.#continue(call, run, stream);
    } catch (error) {
      if (!(error instanceof Cancelled)) throw error;
      finishReason = 'abort';
      this.#forget(ids.length + call.taken); // what the reader never saw isn't part of the text
      run.tokens = call.taken;
    } finally {
      stream.close();
    }
    const tokensPerSecond = run.tokens > 1 && run.decodeMs > 0 ? ((run.tokens - 1) / run.decodeMs) * 1000 : 0;
    return { ...run, tokensPerSecond, finishReason };
  }

  async #continue(
    call: Call<Requested<'generate'>>,
    run: { promptTokens: number; tokens: number; promptMs: number; decodeMs: number },
    stream: ReturnType<WasmEngine['openStream']>,
  ): Promise<'stop' | 'length'> {
    const { options } = call.request;
    const room = this.engine.planInfo.n_ctx - run.promptTokens;
    const most = Math.min(options.maxTokens, room);
    run.promptMs = await this.#finishBatches(call.signal, true);
    let events: TokenEvent[] = [];
    let stepMs = 0;
    let turned = performance.now();
    try {
      for (;;) {
        const begin = performance.now();
        const token = this.#session.sample();
        this.counters.tokensDecoded += 1;
        const logprob = options.logprobs ? { logprob: logProbability(this.#session.logits(), token) } : {};
        const isEnd = !options.ignoreEos && this.engine.isEndOfGeneration(token);
        let text = isEnd ? stream.end() : stream.push(token);
        if (!isEnd) run.tokens += 1;
        const isLast = isEnd || stream.isStopped || run.tokens >= most;
        if (isLast && !isEnd) text += stream.end();
        if (!isLast) this.#session.push([token]);
        let ms = performance.now() - begin;
        if (!isEnd || text !== '') events.push({ text, token, ...logprob });
        const isDue = performance.now() - turned + stepMs > this.#gatherMs || call.outstanding + events.length >= WINDOW;
        if (isLast || isDue || run.tokens === 1) {
          if (events.length > 0) await call.send({ type: 'tokens', call: call.id, events }, events.length, WINDOW);
          if (!isLast) await nextTurn();
          if (call.signal.aborted) throw new Cancelled();
          events = [];
          turned = performance.now();
        }
        if (isLast) return isEnd || stream.isStopped ? 'stop' : 'length';
        stepMs = await this.#finishBatches(call.signal, false);
        ms += stepMs;
        run.decodeMs += ms;
      }
    } catch (error) {
      if (!(error instanceof Cancelled) && events.length > 0) call.post({ type: 'tokens', call: call.id, events }); // they were written
      throw error;
    }
  }

  /** Logits of the last id, or of all, in blocks of rows. */
  async logits(call: Call<Requested<'logits'>>): Promise<null> {
    const { ids, all } = call.request;
    try {
      this.#begin(ids, all ? 'all' : 'last', 0);
      let isDone = false;
      while (!isDone) {
        await this.#finishBatches(call.signal, true);
        const { n_rows, first_row, n_past, n_tokens } = this.#session.state();
        await this.#sendRows(call, n_rows, all ? first_row : 0);
        isDone = n_past === n_tokens;
      }
      return null;
    } finally {
      if (this.engine.isUsable) this.#forget(ids.length);
      if (this.engine.isUsable) this.#session.setOutputs('last');
    }
  }

  async #sendRows(call: Call, count: number, firstRow: number): Promise<void> {
    const block = Math.max(1, Math.floor(ROWS_BYTES / (this.#vocabulary * 4)));
    for (let row = 0; row < count; row += block) {
      const rows = Math.min(block, count - row);
      const values = new Float32Array(rows * this.#vocabulary);
      for (let i = 0; i < rows; i++) values.set(this.#session.logits(row + i), i * this.#vocabulary);
      await call.send({ type: 'rows', call: call.id, firstRow: firstRow + row, values }, 1, 2, [values.buffer]);
      if (call.signal.aborted) throw new Cancelled();
    }
  }

  /**
   * Makes the session hold `ids`, keeping the KV of the longest common prefix; the last id is always
   * evaluated again, for its logits. `spare` positions must be left. Returns how many ids were kept.
   */
  #begin(ids: Ids, outputs: 'last' | 'all', spare: number): number {
    const contextLength = this.engine.planInfo.n_ctx;
    if (ids.length === 0) throw new ChordError('invalid-argument', 'there are no tokens to evaluate');
    if (ids.length + spare > contextLength) {
      throw new ChordError('context-full', `${ids.length} tokens${spare > 0 ? ' and one more' : ''} don't fit the context length of ${contextLength}`, {
        hint: 'shorten the prompt, or load the model with a larger contextLength',
      });
    }
    const kept = outputs === 'all' ? 0 : Math.min(this.#session.match(ids), ids.length - 1);
    this.#session.truncate(kept);
    this.#session.setOutputs(outputs);
    this.#session.push(ids.slice(kept));
    return kept;
  }

  /** Steps until output rows can be read; returns the time computed. The loop turns after each step, but for the last of a token. */
  async #finishBatches(signal: AbortSignal, isPrompt: boolean): Promise<number> {
    let ms = 0;
    for (;;) {
      if (signal.aborted) throw new Cancelled();
      const begin = performance.now();
      const isDone = this.#step(isPrompt);
      ms += performance.now() - begin;
      if (isDone && !isPrompt) return ms;
      await nextTurn();
      if (isDone && !signal.aborted) return ms;
    }
  }

  #step(isPrompt: boolean): boolean {
    if (this.#pool?.fault !== undefined) throw this.#pool.fault;
    const before = isPrompt ? this.#session.state() : undefined;
    const kind = before === undefined || before.n_tokens - before.n_past === 1 ? 'single' : 'many';
    const budget = this.#pace.budget(kind);
    const begin = performance.now();
    try {
      const result = this.#session.step(budget);
      const after = this.#session.state();
      this.#pace.measured(kind, after.last_step_work, performance.now() - begin);
      this.counters.stepsRun += 1;
      if (after.last_step_work > budget) this.counters.stepsOverBudget += 1;
      if (before !== undefined) this.counters.tokensPrefilled += after.n_past - before.n_past;
      return result === 'done';
    } catch (error) {
      if (this.engine.isUsable) this.#forget(Number.MAX_SAFE_INTEGER); // the model stays usable
      throw error;
    }
  }

  /** Back to the first `count` evaluated tokens; a batch under way and pending tokens are dropped. */
  #forget(count: number): void {
    this.#session.truncate(Math.min(count, this.#session.state().n_past));
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
