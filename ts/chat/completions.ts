// SPDX-License-Identifier: Apache-2.0
// chat.completions: OpenAI's interface over one loaded model. answering.ts, a chunk that is loaded with the
// first call, makes the answers; shapes.ts has the types.
import type { Fields } from '../check.js';
import { ChordError, quiet } from '../errors.js';
import type { Answer, ChatEngine, Memory, Stats } from './answering.js';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionCreateParams,
  ChatRequestOptions,
} from './shapes.js';

type Streaming = ChatCompletionCreateParams & { readonly stream: true };
type Whole = ChatCompletionCreateParams & { readonly stream?: false | null | undefined };

export class ChatCompletions<S extends Stats> {
  /** @internal The build shortens other names. */
  static readonly name: string = 'ChatCompletions';
  readonly #engine: ChatEngine<S>;
  readonly #memory: Memory = {};

  /** Models have one as `model.chat.completions`. @internal */
  constructor(engine: ChatEngine<S>) {
    this.#engine = engine;
  }

  /**
   * Answers `messages` with the template in the model's file: as one completion, or with `stream: true` in
   * chunks. The keys and values of the longest common prefix with the last call are kept, so the next turn
   * reads only new tokens.
   *
   * For a stream nothing is computed before it is first read. The call queues with the model's other calls.
   *
   * @throws {ChordError} `invalid-argument`, which names a field that is unknown, out of range or not in this
   *   version, or says that the file has no template; `context-full` when no token fits in the context
   *   behind the messages (with `overflow: 'drop-oldest'`: behind the last turn).
   * @throws The reason of `signal`, in the body or in `options`, when it aborts.
   */
  create(body: Streaming, options?: ChatRequestOptions): Promise<ChatCompletionStream<S>>;
  create(body: Whole, options?: ChatRequestOptions): Promise<ChatCompletion>;
  create(
    body: ChatCompletionCreateParams,
    options?: ChatRequestOptions,
  ): Promise<ChatCompletion | ChatCompletionStream<S>>;
  create(
    body: ChatCompletionCreateParams,
    options: ChatRequestOptions = {},
  ): Promise<ChatCompletion | ChatCompletionStream<S>> {
    return quiet(this.#create(body, options));
  }

  async #create(
    body: ChatCompletionCreateParams,
    options: ChatRequestOptions,
  ): Promise<ChatCompletion | ChatCompletionStream<S>> {
    const asCalled = snapshot(body);
    const { beginAnswer } = await import('./answering.js');
    const answer = await beginAnswer(this.#engine, this.#memory, asCalled, options);
    return answer.isStream ? new ChatCompletionStream(answer) : answer.whole();
  }
}

/** The body as it is at the call: its checks are loaded later, and the caller may change it meanwhile. */
function snapshot(body: ChatCompletionCreateParams): unknown {
  try {
    const copy = Object.assign(Object.create(Object.getPrototypeOf(body) as object | null), body) as Fields;
    return Object.assign(
      copy,
      Object.fromEntries(
        Object.entries(copy).map(([name, value]) => [name, name === 'signal' ? value : copyOf(value)]),
      ),
    );
  } catch {
    return body; // the checks name what throws when it is read
  }
}

/** A copy of plain data. What can't be copied stays. */
function copyOf(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return value;
  }
}

/**
 * A completion in chunks. Iterate it once. `break`, an error in the loop and `controller.abort()` stop the
 * run at its next step, also while the prompt is read. The model stays usable.
 */
export class ChatCompletionStream<S extends Stats = Stats> implements AsyncIterable<ChatCompletionChunk> {
  /** @internal The build shortens other names. */
  static readonly name: string = 'ChatCompletionStream';
  readonly #answer: Answer<S>;
  #isConsumed = false;

  /** `chat.completions.create` makes streams. @internal */
  constructor(answer: Answer<S>) {
    this.#answer = answer;
  }

  /** `controller.abort()` ends the stream without an error. */
  get controller(): AbortController {
    return this.#answer.controller;
  }

  /** Figures of the run, speeds included; undefined until it has ended. With `n`: of the last run so far. */
  get stats(): S | undefined {
    return this.#answer.stats;
  }

  /** With `overflow: 'drop-oldest'`: how many messages were dropped; otherwise 0. */
  get droppedMessages(): number {
    return this.#answer.dropped;
  }

  [Symbol.asyncIterator](): AsyncIterator<ChatCompletionChunk, void> {
    if (this.#isConsumed)
      throw new ChordError('invalid-argument', 'the stream was read already', {
        hint: 'collect its chunks the first time',
      });
    this.#isConsumed = true;
    const chunks = this.#answer.chunks();
    return {
      next: () => chunks.next(),
      // Abort first: a generator's return() waits until its pending next() has settled.
      return: () => {
        this.controller.abort();
        return chunks.return();
      },
    };
  }

  /**
   * The chunks as lines of JSON in UTF-8, as openai-node writes and reads them. Cancelling the stream stops
   * the run.
   */
  toReadableStream(): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder();
    let chunks: AsyncIterator<ChatCompletionChunk, void> | undefined;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          chunks ??= this[Symbol.asyncIterator]();
          const { done, value } = await chunks.next();
          if (done === true) controller.close();
          else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
        },
        cancel: async () => {
          chunks ??= this[Symbol.asyncIterator]();
          await chunks.return?.();
        },
      },
      // Nothing is requested before the first read.
      { highWaterMark: 0 },
    );
  }
}
