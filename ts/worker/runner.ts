// SPDX-License-Identifier: Apache-2.0
// The loaded model at work: its sessions, generation and logits over one of them, and when what they give is posted. Between
// steps (of quick tokens: between a few) the event loop turns, so a posted cancel always arrives, shared memory or not.
import { Continuation, Work, contextFull } from '../continuation.js';
import { refuse } from '../check.js';
import type { TokenizeOptions } from '../options.js';
import { nextTurn } from '../platform.js';
import type { CompiledModule } from '../wasm/instantiate.js';
import type { WasmEngine } from '../wasm/engine.js';
import type { Pace } from '../wasm/pace.js';
import type { WasmSession } from '../wasm/session.js';
import type { ThreadPool } from '../wasm/threads.js';
import type { Call } from './call.js';
import { WINDOW } from './protocol.js';
import type { GenerationStats, Request, Results, TokenEvent } from './protocol.js';

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
  readonly engine: WasmEngine;
  /** Sessions by number. 0 is the model's own. */
  readonly #sessions = new Map<number, Work>();
  readonly #own: Work;
  readonly #pace: Pace;
  readonly #pool: ThreadPool | undefined;
  readonly #gatherMs: number;
  readonly #vocabulary: number;
  #tokensDecoded = 0;
  #opened = 0;

  constructor(loaded: LoadedEngine, pace: Pace) {
    this.engine = loaded.engine;
    this.#pool = loaded.pool;
    this.#gatherMs = Math.min(GATHER_MS, pace.targetMs);
    this.#pace = pace;
    this.#own = new Work(loaded.engine, pace);
    this.#sessions.set(0, this.#own);
    this.#vocabulary = loaded.engine.file.modelInfo().n_vocab;
  }

  get counters(): { stepsRun: number; stepsOverBudget: number; tokensPrefilled: number; tokensDecoded: number } {
    return { ...this.#own.counters, tokensDecoded: this.#tokensDecoded };
  }

  get kvPages(): number {
    return [...this.#sessions.values()].reduce((sum, { session }) => sum + session.state().n_pages, 0);
  }

  #work(session = 0): Work {
    const work = this.#sessions.get(session);
    if (work === undefined) refuse(`there is no session ${session}`);
    return work;
  }

  /** A new session's number; the session is empty, or a copy of session `from`. */
  openSession(from?: number): number {
    const copied = from === undefined ? undefined : this.#work(from).session;
    this.#sessions.set(++this.#opened, new Work(this.engine, this.#pace, this.#own.counters, copied));
    return this.#opened;
  }

  closeSession(session: number): null {
    if (session === 0) refuse('session 0 is closed with the model alone');
    this.#work(session).session.close();
    this.#sessions.delete(session);
    return null;
  }

  /** Ids of a text. The loop turns between slices; `most` refuses a text as soon as it is sure to have more. */
  async tokenize(call: Call<Requested<'tokenize'>>): Promise<Results['tokenize']> {
    const { text, most } = call.request;
    return this.#tokenize(text, call.request, call.signal, most ?? Infinity);
  }

  async #tokenize(
    text: string | Uint8Array, options: TokenizeOptions, signal: AbortSignal, most: number,
  ): Promise<Int32Array<ArrayBuffer>> {
    const work = this.engine.vocabulary.openTokenizing(text, options);
    try {
      for (;;) {
        if (signal.aborted) throw new Cancelled();
        if (work.least > most) throw contextFull(`more than ${most} tokens`, this.engine.file.planInfo.n_ctx);
        if (work.step()) return work.ids();
        await nextTurn();
      }
    } finally {
      work.close();
    }
  }

  /** The ids of a prompt; one of its first two may go. Undefined when the call was cancelled meanwhile. */
  async #promptIds(prompt: string, signal: AbortSignal): Promise<Int32Array<ArrayBuffer> | undefined> {
    try {
      return this.engine.vocabulary.promptIds(await this.#tokenize(prompt, {}, signal, this.engine.file.planInfo.n_ctx));
    } catch (error) {
      if (error instanceof Cancelled) return undefined;
      throw error;
    }
  }

  /** A whole continuation. Posts the first event at once, then what GATHER_MS bring; ends within one step, or that time, of a cancel. */
  async generate(call: Call<Requested<'generate'>>): Promise<Results['generate']> {
    const { prompt, options } = call.request;
    const work = this.#work(call.request.session);
    const ids = typeof prompt === 'string' ? await this.#promptIds(prompt, call.signal) : prompt;
    if (ids === undefined) {
      return { promptTokens: 0, cachedTokens: 0, tokens: 0, promptMs: 0, decodeMs: 0, tokensPerSecond: 0, finishReason: 'abort' };
    }
    const continuation = new Continuation(work, ids, options);
    const { promptTokens, cachedTokens } = continuation;
    const time = { promptMs: 0, decodeMs: 0 };
    let { tokens, finishReason }: { tokens: number; finishReason: GenerationStats['finishReason'] } = { tokens: 0, finishReason: 'abort' };
    try {
      finishReason = await this.#continue(call, continuation, time);
      tokens = continuation.tokens;
    } catch (error) {
      if (!(error instanceof Cancelled)) throw error;
      tokens = call.taken;
      work.forget(promptTokens + tokens); // what the reader never saw isn't part of the text
    } finally {
      continuation.close();
    }
    const tokensPerSecond = tokens > 1 && time.decodeMs > 0 ? ((tokens - 1) / time.decodeMs) * 1000 : 0;
    return { promptTokens, cachedTokens, tokens, ...time, tokensPerSecond, finishReason };
  }

  async #continue(
    call: Call<Requested<'generate'>>,
    continuation: Continuation,
    time: { promptMs: number; decodeMs: number },
  ): Promise<'stop' | 'length'> {
    const step = (): boolean | Promise<boolean> => continuation.step();
    time.promptMs = await this.#finishBatches(call.signal, true, step);
    let events: TokenEvent[] = [];
    let stepMs = 0;
    let turned = performance.now();
    try {
      for (;;) {
        const begin = performance.now();
        const before = continuation.tokens;
        const event = continuation.take();
        this.#tokensDecoded += 1;
        const isLast = continuation.finishReason !== undefined;
        let ms = performance.now() - begin;
        if (continuation.tokens > before || event.text !== '') events.push(event);
        const isDue = performance.now() - turned + stepMs > this.#gatherMs || call.outstanding + events.length >= WINDOW;
        if (isLast || isDue || continuation.tokens === 1) {
          if (events.length > 0) await call.send({ type: 'tokens', call: call.id, events }, events.length, WINDOW);
          if (!isLast) await nextTurn();
          if (call.signal.aborted) throw new Cancelled();
          events = [];
          turned = performance.now();
        }
        if (continuation.finishReason !== undefined) return continuation.finishReason;
        stepMs = await this.#finishBatches(call.signal, false, step);
        ms += stepMs;
        time.decodeMs += ms;
      }
    } catch (error) {
      if (!(error instanceof Cancelled) && events.length > 0) call.post({ type: 'tokens', call: call.id, events }); // they were written
      throw error;
    }
  }

  /** Logits of the last id, or of all, in blocks of rows. */
  async logits(call: Call<Requested<'logits'>>): Promise<null> {
    const { ids, all } = call.request;
    const work = this.#work(call.request.session);
    const { session } = work;
    try {
      work.begin(ids, all ? 'all' : 'last', 0);
      let isDone = false;
      while (!isDone) {
        await this.#finishBatches(call.signal, true, () => work.step(true));
        const { n_rows, first_row, n_past, n_tokens } = session.state();
        await this.#sendRows(call, session, n_rows, all ? first_row : 0);
        isDone = n_past === n_tokens;
      }
      return null;
    } finally {
      if (this.engine.isUsable) work.forget(ids.length);
      if (this.engine.isUsable) session.setOutputs('last');
    }
  }

  async #sendRows(call: Call, session: WasmSession, count: number, firstRow: number): Promise<void> {
    const block = Math.max(1, Math.floor(ROWS_BYTES / (this.#vocabulary * 4)));
    for (let row = 0; row < count; row += block) {
      const rows = Math.min(block, count - row);
      const values = new Float32Array(rows * this.#vocabulary);
      for (let i = 0; i < rows; i++) values.set(session.logits(row + i), i * this.#vocabulary);
      await call.send({ type: 'rows', call: call.id, firstRow: firstRow + row, values }, 1, 2, [values.buffer]);
      if (call.signal.aborted) throw new Cancelled();
    }
  }

  /** Steps until output rows can be read; returns the time computed. The loop turns after each step, but for the last of a token. */
  async #finishBatches(signal: AbortSignal, isPrompt: boolean, step: () => boolean | Promise<boolean>): Promise<number> {
    let ms = 0;
    for (;;) {
      if (signal.aborted) throw new Cancelled();
      if (this.#pool?.fault !== undefined) throw this.#pool.fault;
      const begin = performance.now();
      const isDone = await step();
      ms += performance.now() - begin;
      if (isDone && !isPrompt) return ms;
      await nextTurn();
      if (isDone && !signal.aborted) return ms;
    }
  }
}
