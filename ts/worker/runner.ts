// SPDX-License-Identifier: Apache-2.0
// A loaded model's sessions, its generations and logits, and when their results are posted. The event loop
// turns after a step, or after a few steps of quick tokens, so a posted cancel arrives without shared
// memory.
import { Continuation, Work, contextFull } from '../continuation.js';
import { refuse } from '../check.js';
import { ChordError } from '../errors.js';
import type { ByteStream } from '../load/stream.js';
import type { TokenizeOptions } from '../options.js';
import { nextTurn } from '../platform.js';
import type { CompiledModule } from '../wasm/instantiate.js';
import type { WasmEngine } from '../wasm/engine.js';
import type { Pace } from '../wasm/pace.js';
import type { WasmSession } from '../wasm/session.js';
import type { ThreadPool } from '../wasm/threads.js';
import type { Call } from './call.js';
import type { Paging } from '../paging/start.js';
import { WINDOW } from './protocol.js';
import { TextBatch, pairOf, usualPooling } from './texts.js';
import type { Embedded, GenerationStats, Request, Results, TokenEvent } from './protocol.js';

export interface LoadedEngine {
  readonly engine: WasmEngine;
  readonly compiled: CompiledModule;
  /** The reason for the number of threads. */
  readonly why: string;
  /** The reason for the backend. */
  readonly reason: string;
  readonly pool: ThreadPool | undefined;
  /** Bytes of weights that went to the GPU. */
  readonly bytesUploaded: number;
  /** Of a paged model. */
  readonly paging: Paging | undefined;
  readonly pagingReason: string;
}

type Requested<Op extends Request['op']> = Extract<Request, { op: Op }>;

/**
 * Maximum bytes of a message with rows of logits, unless one row is larger. Two messages may be under way.
 */
const ROWS_BYTES = 1 << 20;

/**
 * The tokens of GATHER_MS travel in one message, and the event loop doesn't turn between them. A message and
 * a turn cost about 0.1 ms, and they wake the page's thread, which may take a helper's core. GATHER_MS is
 * shorter than a frame of a screen. It is also shorter than a step of the engine worker, so a cancel takes
 * effect within the time of a step.
 */
const GATHER_MS = 12;

/** A text of more characters is posted in parts. Between two turns, its conversion takes about TEXT_MS. */
const TEXT_LENGTH = 1 << 18;
const TEXT_MS = 4;

/** What ended a text that no stop string and no token did. */
const noEnd = { stopString: undefined, endToken: undefined };

/** Thrown in a call that was cancelled, at its next turn. The host turns it into the call's answer. */
export class Cancelled extends Error {}

export class Runner {
  readonly engine: WasmEngine;
  /** Sessions by number. The model's own session has number 0. */
  readonly #sessions = new Map<number, Work>();
  readonly #own: Work;
  /** For embeddings. */
  #texts: Work | undefined;
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

  get counters(): {
    stepsRun: number;
    stepsOverBudget: number;
    tokensPrefilled: number;
    tokensDecoded: number;
  } {
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

  /**
   * Opens an empty session, or a copy of session `from`. Returns the new session's number. Throws
   * `invalid-argument` for an unknown `from`, and `out-of-memory`.
   */
  openSession(from?: number): number {
    this.#sessions.set(++this.#opened, this.#open(from));
    return this.#opened;
  }

  #open(from?: number): Work {
    const copied = from === undefined ? undefined : this.#work(from).session;
    return new Work(this.engine, this.#pace, this.#own.counters, copied);
  }

  /** A session that can be saved or restored. */
  #movable(session: number): Work {
    const { holdsCaches, save } = this.engine.executor;
    if (holdsCaches === true && save === undefined)
      refuse('a session of this backend can be neither saved nor restored in this version');
    return this.#work(session);
  }

  /** Opens a copy of a session and posts its ids. Returns the new session's number. */
  forkSession(call: Call<Requested<'fork-session'>>): number {
    const session = this.openSession(call.request.session);
    this.#tell(call, this.#work(session));
    return session;
  }

  /** Posts a session as slices of bytes. Returns their number. The event loop turns between two slices. */
  async saveSession(call: Call<Requested<'save-session'>>): Promise<number> {
    const { session } = this.#movable(call.request.session);
    const total = session.saveBytes;
    for (let at = 0; at < total;) {
      const bytes = (await this.engine.executor.save?.(session, at)) ?? session.save(at);
      at += bytes.byteLength;
      await call.send({ type: 'saved', call: call.id, total, bytes }, 1, 2, [bytes.buffer]);
      await nextTurn();
      if (call.signal.aborted) throw new Cancelled();
    }
    return total;
  }

  /**
   * Replaces a session by the one whose save `stream` gives. Until the save is complete and right, the
   * session stays as it was.
   */
  async restoreSession(call: Call<Requested<'restore-session'>>, stream: ByteStream): Promise<null> {
    const old = this.#movable(call.request.session);
    const work = this.#open();
    let isDone = false;
    try {
      let at = 0;
      for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
        const { executor } = this.engine;
        isDone = executor.restore?.(work.session, at, bytes) ?? work.session.restore(at, bytes);
        at += bytes.byteLength;
        await nextTurn();
        if (call.signal.aborted) throw new Cancelled();
      }
      if (!isDone) throw new ChordError('integrity', `the saved session is cut off after ${at} bytes`);
      this.#sessions.set(call.request.session, work);
      this.#tell(call, work);
      return null;
    } finally {
      if (this.engine.isUsable) this.engine.closeSession((isDone ? old : work).session);
    }
  }

  closeSession(session: number): null {
    if (session === 0) refuse("session 0 can't be closed: dispose closes it with the model");
    this.engine.closeSession(this.#work(session).session);
    this.#sessions.delete(session);
    return null;
  }

  /**
   * Returns the ids of a text. The event loop turns between slices. Throws `context-full` as soon as the
   * text certainly has more than `most` ids.
   */
  async tokenize(call: Call<Requested<'tokenize'>>): Promise<Results['tokenize']> {
    const { text, mostOfPrompt } = call.request;
    const ids = await this.#tokenize(text, call.request, call.signal, mostOfPrompt ?? Infinity);
    return mostOfPrompt === undefined ? ids : this.engine.vocabulary.promptIds(ids);
  }

  async #tokenize(
    text: string | Uint8Array,
    options: TokenizeOptions,
    signal: AbortSignal,
    most: number,
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

  /**
   * Returns the text of ids. A long text is posted in parts, and the last one returned. The event loop turns
   * every few milliseconds.
   */
  async detokenize(call: Call<Requested<'detokenize'>>): Promise<string> {
    const { ids, skipSpecial } = call.request;
    const work = this.engine.vocabulary.openDetokenizing(ids, skipSpecial);
    let text = '';
    let turned = performance.now();
    while (!work.isDone) {
      text += work.step();
      if (text.length > TEXT_LENGTH) {
        await call.send({ type: 'text', call: call.id, text }, 1, 2);
        text = '';
      }
      if (performance.now() - turned < TEXT_MS) continue;
      await nextTurn();
      if (call.signal.aborted) throw new Cancelled();
      turned = performance.now();
    }
    return text;
  }

  /** Returns the ids of a prompt, without a doubled BOS. Returns undefined when the call was cancelled. */
  async #promptIds(prompt: string, signal: AbortSignal): Promise<Int32Array<ArrayBuffer> | undefined> {
    try {
      return this.engine.vocabulary.promptIds(
        await this.#tokenize(prompt, {}, signal, this.engine.file.planInfo.n_ctx),
      );
    } catch (error) {
      if (error instanceof Cancelled) return undefined;
      throw error;
    }
  }

  /**
   * Runs a whole continuation. Posts the first event at once, and then the events of GATHER_MS together. A
   * cancel takes effect within a step or GATHER_MS, whichever is longer.
   */
  async generate(call: Call<Requested<'generate'>>): Promise<Results['generate']> {
    const { prompt, options } = call.request;
    const work = this.#work(call.request.session);
    const ids = typeof prompt === 'string' ? await this.#promptIds(prompt, call.signal) : prompt;
    if (ids === undefined) {
      return {
        promptTokens: 0,
        cachedTokens: 0,
        tokens: 0,
        promptMs: 0,
        decodeMs: 0,
        tokensPerSecond: 0,
        finishReason: 'abort',
        ...noEnd,
      };
    }
    const continuation = new Continuation(work, ids, options);
    const { promptTokens, cachedTokens } = continuation;
    const time = { promptMs: 0, decodeMs: 0 };
    let { tokens, finishReason }: { tokens: number; finishReason: GenerationStats['finishReason'] } = {
      tokens: 0,
      finishReason: 'abort',
    };
    try {
      finishReason = await this.#continue(call, continuation, time);
      tokens = continuation.tokens;
    } catch (error) {
      if (!(error instanceof Cancelled)) throw error;
      tokens = call.taken;
      work.keep(promptTokens + tokens); // tokens that the reader never took aren't part of the text
    } finally {
      continuation.close();
      this.#tell(call, work);
    }
    const tokensPerSecond = tokens > 1 && time.decodeMs > 0 ? ((tokens - 1) / time.decodeMs) * 1000 : 0;
    const { stopString, endToken } = finishReason === 'stop' ? continuation : noEnd;
    return {
      promptTokens,
      cachedTokens,
      tokens,
      ...time,
      tokensPerSecond,
      finishReason,
      stopString,
      endToken,
    };
  }

  /** Posts the ids that the session of a call holds now. The model's own session has no reader for them. */
  #tell(call: { readonly request: Request; post: Call['post'] }, { session }: Work): void {
    const { request } = call;
    if (!('session' in request) || (request.session === 0 && request.op !== 'fork-session')) return;
    if (this.engine.isUsable) call.post({ type: 'history', call: request.call, ids: session.tokens() });
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
        const isDue =
          performance.now() - turned + stepMs > this.#gatherMs || call.outstanding + events.length >= WINDOW;
        if (isLast || isDue || continuation.tokens === 1) {
          if (events.length > 0)
            await call.send({ type: 'tokens', call: call.id, events }, events.length, WINDOW);
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
      // These tokens were complete before the error.
      if (!(error instanceof Cancelled) && events.length > 0)
        call.post({ type: 'tokens', call: call.id, events });
      throw error;
    }
  }

  /**
   * Posts the embeddings of texts, a message for each batch. A batch has as many texts as it holds. The
   * session of texts is opened with the first call, and stays.
   */
  async embed(call: Call<Requested<'embed'>>): Promise<Embedded> {
    const { texts, normalize, query } = call.request;
    const { engine } = this;
    const pooling = query === undefined ? (call.request.pooling ?? usualPooling(engine)) : 'rank';
    const work = (this.#texts ??= this.#open());
    const tokenize = (text: string, addSpecial: boolean, parseSpecial = true): Promise<Int32Array> =>
      this.#tokenize(text, { addSpecial, parseSpecial }, call.signal, Infinity);
    const pair = query === undefined ? undefined : await pairOf(engine, query, tokenize);
    const width = pooling === 'rank' ? engine.file.modelInfo().n_labels : engine.file.modelInfo().n_embd;
    const batch = new TextBatch(work.session, pooling, width, engine);
    const tokens = new Int32Array(texts.length);
    let [first, row] = [0, 0];
    try {
      for (let i = 0; first < texts.length; first = i) {
        for (; i < texts.length; i++) {
          const text = texts[i]!;
          const ids =
            typeof text !== 'string'
              ? text
              : pair !== undefined
                ? await pair(text)
                : await tokenize(text, true);
          if (!batch.push(ids, i)) break;
          tokens[i] = ids.length;
        }
        await this.#finishBatches(call.signal, true, () => work.step(true));
        const values = batch.read(normalize);
        await call.send({ type: 'rows', call: call.id, firstRow: row, values, texts: i }, 1, 2, [
          values.buffer,
        ]);
        row += values.length / width;
        if (call.signal.aborted) throw new Cancelled();
      }
      return { pooling, width, tokens };
    } finally {
      if (this.engine.isUsable) work.forget();
    }
  }

  /** Posts the logits of the last id, or of all ids, as messages with one or more rows. */
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
      if (this.engine.isUsable) work.keep(ids.length);
      if (this.engine.isUsable) session.setOutputs('last');
      this.#tell(call, work);
    }
  }

  async #sendRows(call: Call, session: WasmSession, count: number, firstRow: number): Promise<void> {
    const block = Math.max(1, Math.floor(ROWS_BYTES / (this.#vocabulary * 4)));
    for (let row = 0; row < count; row += block) {
      const rows = Math.min(block, count - row);
      const values = new Float32Array(rows * this.#vocabulary);
      for (let i = 0; i < rows; i++) values.set(session.logits(row + i), i * this.#vocabulary);
      await call.send({ type: 'rows', call: call.id, firstRow: firstRow + row, values }, 1, 2, [
        values.buffer,
      ]);
      if (call.signal.aborted) throw new Cancelled();
    }
  }

  /**
   * Runs steps until output rows can be read. Returns the milliseconds of computing. The event loop turns
   * after each step, except after the last step of a token (`isPrompt` false).
   */
  async #finishBatches(
    signal: AbortSignal,
    isPrompt: boolean,
    step: () => boolean | Promise<boolean>,
  ): Promise<number> {
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
