// SPDX-License-Identifier: Apache-2.0
import { ChordError, quiet } from '../errors.js';
import type { ContinuationOptions } from '../options.js';
import type { GenerationStats, Ids, TokenEvent } from '../worker/protocol.js';
import type { Calls } from './calls.js';
import type { OpenCall } from './connection.js';

interface Waiting {
  /** Not collected while it waits. */
  readonly reader: Generation;
  readonly resolve: (result: IteratorResult<TokenEvent, void>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One continuation of a prompt. Iterate it for one event per token, or await `text()`. A run is read once: a
 * second loop, or `text()` after a loop, throws `invalid-argument`. Calls of `next()` may come before a loop
 * or `text()`.
 *
 * Nothing is queued or computed before the first `next()` or `text()`. The worker runs at most a few tokens
 * ahead of the reader, and sends together the tokens of 12 ms. When the reader pauses, the run pauses, and
 * calls that compute wait behind the run. `break`, `return()` and an abort stop the run at its next step (of
 * some 20 ms), also while the prompt is read. They resolve when the worker has stopped: the next call works
 * at once.
 */
export class Generation implements AsyncIterableIterator<TokenEvent, void> {
  /** @internal The build shortens other names. */
  static readonly name: string = 'Generation';
  readonly #run: Run;
  #text: Promise<string> | undefined;

  /** `model.generate` makes runs. @internal */
  constructor(
    calls: Calls,
    prompt: string | Ids,
    options: ContinuationOptions,
    signal: AbortSignal | undefined,
  ) {
    this.#run = new Run(calls, { prompt, options }, signal);
    dropped.register(this, this.#run);
  }

  /** Figures of the run; undefined until it has ended. */
  get stats(): GenerationStats | undefined {
    return this.#run.stats;
  }

  /**
   * Resolves to the next event.
   *
   * @throws {ChordError} `context-full` when no token fits in the context behind the prompt,
   *   `invalid-argument`, `disposed`, `out-of-memory`, `internal`.
   * @throws The signal's `reason` when it aborts.
   */
  next(): Promise<IteratorResult<TokenEvent, void>> {
    return quiet(this.#run.next(this));
  }

  /** Stops the run. Resolves when the worker has stopped. Pending `next()` calls end. */
  return(): Promise<IteratorResult<TokenEvent, void>> {
    return this.#run.leave().then(() => ({ value: undefined, done: true }));
  }

  /** Stops the run, then throws `error`. */
  throw(error?: unknown): Promise<IteratorResult<TokenEvent, void>> {
    return quiet(this.#run.leave().then(() => Promise.reject(error)));
  }

  /** Throws `invalid-argument` when the run has been read already. */
  [Symbol.asyncIterator](): AsyncIterableIterator<TokenEvent, void> {
    if (this.#run.isRead) {
      throw new ChordError('invalid-argument', 'the run was read already', {
        hint: 'keep its events the first time, or call generate again',
      });
    }
    this.#run.isRead = true;
    const iterator: Required<AsyncIterableIterator<TokenEvent, void>> = {
      next: () => this.next(),
      return: () => this.return(),
      throw: (error) => this.throw(error),
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /**
   * The text from here to the end. A second call returns the same text. Rejects with `invalid-argument` after
   * a loop.
   */
  text(): Promise<string> {
    return (this.#text ??= quiet(this.#collect()));
  }

  async #collect(): Promise<string> {
    let text = '';
    for await (const event of this) text += event.text;
    return text;
  }

  /** The events as a stream. Cancelling the stream stops the run. */
  toReadableStream(): ReadableStream<TokenEvent> {
    let events: AsyncIterator<TokenEvent, void> | undefined;
    return new ReadableStream<TokenEvent>(
      {
        pull: async (controller) => {
          events ??= this[Symbol.asyncIterator]();
          const { done, value } = await events.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        },
        cancel: async () => void (await this.return()),
      },
      // Nothing is requested before the first read.
      { highWaterMark: 0 },
    );
  }
}

/** A run, which its call holds. The call doesn't hold the Generation, except while a `next()` is pending. */
class Run {
  readonly #calls: Calls;
  readonly #request: { readonly prompt: string | Ids; readonly options: ContinuationOptions };
  readonly #signal: AbortSignal | undefined;
  readonly #events: TokenEvent[] = [];
  readonly #waiting: Waiting[] = [];
  /** Events that the reader has received and that the client hasn't reported to the worker. */
  #untold = 0;
  #call: OpenCall<Omit<GenerationStats, 'ttftMs'>> | undefined;
  #finished: Promise<void> | undefined;
  #begin = 0;
  #ttftMs = 0;
  /** The run has ended for the reader: by the worker, by return(), or by an abort. */
  #isOver = false;
  #isLeft = false;
  #failure: { readonly error: unknown } | undefined;
  stats: GenerationStats | undefined;
  /** A loop, a stream or `text()` reads the events, or `next()` has returned the end. */
  isRead = false;

  constructor(
    calls: Calls,
    request: { readonly prompt: string | Ids; readonly options: ContinuationOptions },
    signal: AbortSignal | undefined,
  ) {
    this.#calls = calls;
    this.#request = request;
    this.#signal = signal;
  }

  next(reader: Generation): Promise<IteratorResult<TokenEvent, void>> {
    if (this.#signal?.aborted === true && !this.#isOver) this.#abort();
    this.#start();
    const result = new Promise<IteratorResult<TokenEvent, void>>((resolve, reject) =>
      this.#waiting.push({ reader, resolve, reject }),
    );
    this.#deliver();
    return this.#calls.held(result);
  }

  #start(): void {
    if (this.#call !== undefined || this.#isOver) return;
    this.#begin = performance.now();
    const { prompt, options } = this.#request;
    const call = this.#calls.open<'generate'>(
      { op: 'generate', session: this.#calls.session, prompt, options },
      {
        onEvent: (reply) => {
          if (reply.type === 'ping') this.#tell();
          if (reply.type !== 'tokens') return;
          if (this.#ttftMs === 0) this.#ttftMs = performance.now() - this.#begin;
          this.#events.push(...reply.events);
          this.#deliver();
        },
      },
    );
    this.#call = call;
    const onAbort = (): void => this.#abort();
    this.#signal?.addEventListener('abort', onAbort, { once: true });
    this.#finished = call.ended
      .then(
        (stats) => void (this.stats = { ...stats, ttftMs: this.#ttftMs }),
        (error: unknown) => {
          if (!this.#isLeft) this.#failure ??= { error };
        },
      )
      .then(() => {
        this.#signal?.removeEventListener('abort', onAbort);
        this.stats ??= noStats;
        this.#isOver = true;
        this.#deliver();
      });
  }

  /** Resolves pending `next()` calls with the events that have arrived, in order. */
  #deliver(): void {
    for (;;) {
      const reader = this.#waiting[0];
      if (reader === undefined) return;
      const event = this.#isLeft ? undefined : this.#events.shift();
      if (event === undefined && !this.#isOver) return;
      this.#waiting.shift();
      if (event !== undefined) {
        this.#untold += 1;
        // One message to the worker for all events of a message.
        if (this.#events.length === 0) this.#tell();
        reader.resolve({ value: event, done: false });
      } else if (this.#failure !== undefined) {
        const { error } = this.#failure;
        // The error is reported to one `next()` only.
        this.#failure = undefined;
        this.isRead = true;
        reader.reject(error);
      } else {
        this.isRead = true;
        reader.resolve({ value: undefined, done: true });
      }
    }
  }

  #tell(): void {
    if (this.#untold > 0) this.#call?.post({ op: 'taken', count: this.#untold });
    this.#untold = 0;
  }

  #abort(): void {
    if (this.#isOver || this.#isLeft) return;
    this.#failure = { error: this.#signal?.reason };
    void this.leave();
  }

  async leave(): Promise<void> {
    if (!this.#isLeft && !this.#isOver) {
      this.#isLeft = true;
      this.#events.length = 0;
      if (this.#call === undefined) {
        this.#isOver = true;
        this.stats = noStats;
      } else {
        this.#tell(); // `text()` has read these events
        this.#call.post({ op: 'cancel' });
      }
    }
    this.#isLeft = true;
    this.#events.length = 0;
    if (this.#finished !== undefined) await this.#calls.held(this.#finished);
    this.#deliver();
  }
}

/** Stops the runs whose Generation was collected before its end: other calls would wait behind them. */
const dropped = new FinalizationRegistry<Run>((run) => void run.leave());

/** Figures of a run that never started. */
const noStats: GenerationStats = {
  promptTokens: 0,
  cachedTokens: 0,
  tokens: 0,
  promptMs: 0,
  decodeMs: 0,
  ttftMs: 0,
  tokensPerSecond: 0,
  finishReason: 'abort',
  stopString: undefined,
  endToken: undefined,
};
