// SPDX-License-Identifier: Apache-2.0
/// <reference lib="esnext.disposable" preserve="true" />
import type { ChatCompletions } from '../chat/completions.js';
import type { ChatCompletionMessageParam } from '../chat/shapes.js';
import type { ChatMessage, ChatTemplateOptions } from '../chat/template.js';
import { ChordError, quiet } from '../errors.js';
import type { BufferMeter } from '../load/meter.js';
import type {
  GpuDispatch,
  GenerationStats,
  LanguageModelInfo,
  Loaded,
  ModelCounters,
  ProfileEntry,
  Results,
} from '../worker/protocol.js';
import { Calls } from './calls.js';
import type { Connection } from './connection.js';
import type {
  EmbedOptions,
  EmbeddingCreateParams,
  EmbeddingsResponse,
  RankedDocument,
  RerankOptions,
  TextInput,
} from './embed-options.js';
import type { Generation } from './generation.js';
import type { GenerateOptions } from './options.js';
import { Session } from './session.js';

export interface TokenizeCallOptions {
  /** Add BOS and EOS as the file says; default true. */
  addSpecial?: boolean | undefined;
  /** Parse special tokens written in the text; default true. */
  parseSpecial?: boolean | undefined;
  signal?: AbortSignal | undefined;
}
export interface DetokenizeCallOptions {
  /** Leave out special tokens instead of writing their text; default false. */
  skipSpecial?: boolean | undefined;
  signal?: AbortSignal | undefined;
}
export interface LogitsCallOptions {
  /** One row per id instead of one row for the last id; default false. */
  all?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * A loaded model, made by `loadModel`. Its engine runs in a worker.
 *
 * Calls that compute (`generate`, `logits`, `embed`) queue in order and run one at a time. Text calls and
 * `counters` are answered between two steps. Inside the loop over a run, a call that computes would wait for
 * the loop, and the loop for the call. When a run's reader reads nothing for two seconds, the call that waits
 * behind the run rejects with `busy`. After `dispose()` every call rejects with `disposed`.
 */
export class LanguageModel {
  /** @internal The build shortens other names. */
  static readonly name: string = 'LanguageModel';
  /** Facts about the model and how it runs here. */
  readonly info: LanguageModelInfo;
  /** OpenAI's chat completions: `model.chat.completions.create({ messages })`. */
  readonly chat: { readonly completions: ChatCompletions<GenerationStats> };
  /** OpenAI's embeddings: `model.embeddings.create({ input })`. */
  readonly embeddings = {
    create: (
      params: EmbeddingCreateParams,
      options: { signal?: AbortSignal | undefined } = {},
    ): Promise<EmbeddingsResponse> =>
      quiet(import('./embed.js').then(({ create }) => create(this.#calls, params, options))),
  };
  readonly #calls: Calls;
  readonly #meter: BufferMeter;
  #disposed: Promise<void> | undefined;
  /** The same as `dispose()`, where the JavaScript engine has `Symbol.asyncDispose`. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /** `loadModel` makes models. @internal */
  constructor(connection: Connection, loaded: Loaded, meter: BufferMeter) {
    this.#meter = meter;
    this.info = loaded.info;
    this.#calls = new Calls(connection, loaded, 0);
    this.chat = { completions: this.#calls.completions() };
  }

  /** Converts text, or UTF-8 bytes, to the token ids that llama.cpp returns. */
  tokenize(text: string | Uint8Array, options: TokenizeCallOptions = {}): Promise<number[]> {
    return quiet(this.#calls.tokenize(text, options));
  }

  /**
   * Converts token ids to text. Bytes that aren't UTF-8 become U+FFFD. Throws `invalid-argument` for an
   * unknown id.
   */
  detokenize(ids: ArrayLike<number>, options: DetokenizeCallOptions = {}): Promise<string> {
    return quiet(this.#calls.detokenize(ids, options));
  }

  /**
   * The scores of all tokens as the next token: `[vocabularySize]` after the last id, or with `all` one row
   * per id, row after row in one array.
   *
   * Throws `context-full` when the ids don't fit the context, and `invalid-argument` for no ids or unknown
   * ids.
   */
  logits(ids: ArrayLike<number>, options: LogitsCallOptions = {}): Promise<Float32Array> {
    return quiet(this.#calls.logits(ids, options));
  }

  /**
   * The embedding of a text: a vector that is near to those of similar texts. Of a list of texts, one vector
   * each, in their order; a list of numbers is the ids of one text. A text gets special tokens as the file
   * says, and nothing else: a prefix that the model card asks for is the caller's.
   *
   * Texts are computed in batches of as many as fit, and weights are read once a batch. So many short texts
   * in one call cost far less than one call each. A vector doesn't depend on the other texts.
   *
   * @throws {ChordError} `context-full` for a text that is too long, which the message names, and
   * `invalid-argument`.
   */
  embed(text: TextInput, options?: EmbedOptions): Promise<Float32Array>;
  embed(texts: readonly TextInput[], options?: EmbedOptions): Promise<Float32Array[]>;
  embed(
    input: TextInput | readonly TextInput[],
    options: EmbedOptions = {},
  ): Promise<Float32Array | Float32Array[]> {
    return quiet(import('./embed.js').then(({ embed }) => embed(this.#calls, input, options)));
  }

  /**
   * Sorts documents by how well they answer the query, the best first. The model must be a reranker: one with
   * a classifier. Throws as `embed`.
   */
  rerank(
    query: string,
    documents: readonly string[],
    options: RerankOptions = {},
  ): Promise<RankedDocument[]> {
    return quiet(import('./embed.js').then(({ rerank }) => rerank(this.#calls, query, documents, options)));
  }

  /**
   * Starts a continuation of `prompt`. Iterate the result for one event per token, or await its `text()`. A
   * text gets special tokens as the file says (a BOS is never doubled), and special tokens in the text are
   * parsed. Ids are used unchanged. The keys and values of the longest common prefix with the last call are
   * kept.
   *
   * Nothing is queued before the first `next()` or `text()`; see Generation.
   *
   * @throws {ChordError} `invalid-argument`, which names an option that is unknown, out of range or not in
   *   this version.
   */
  generate(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): Generation {
    return this.#calls.generate(prompt, options);
  }

  /**
   * Opens an empty session: a sequence of tokens with keys and values of its own, such as a conversation
   * beside others. `session.dispose()` frees its memory. Throws `out-of-memory`.
   */
  createSession(): Promise<Session> {
    return quiet(this.#createSession());
  }

  async #createSession(): Promise<Session> {
    const { connection, loaded } = this.#calls;
    return new Session(new Calls(connection, loaded, await this.#request({ op: 'open-session' })));
  }

  #request<Op extends 'open-session' | 'counters' | 'profile' | 'dispatches' | 'dispose'>(message: {
    readonly op: Op;
  }): Promise<Results[Op]> {
    return this.#calls.held(this.#calls.open<Op>(message as never).ended);
  }

  /**
   * Renders the messages to one prompt with the template in the model's file, as Jinja2 does with the
   * settings of Hugging Face transformers. `generate(prompt)` reads the tokens that `chat.completions` reads;
   * with tools, set `toolsInText` for that.
   *
   * Contents in parts are joined, and the arguments of calls parsed, where the template wants it. A system
   * message that the template refuses is merged into the next user message. The event loop turns while a
   * template renders, and its steps and memory are limited.
   *
   * @throws {ChordError} `invalid-argument` when the file has no template, or when the template fails or
   *   refuses the messages; the message names the template's line.
   * @throws The signal's reason.
   */
  applyChatTemplate(
    messages: readonly (ChatMessage | ChatCompletionMessageParam)[],
    options: ChatTemplateOptions = {},
  ): Promise<string> {
    return quiet(this.#calls.applyChatTemplate(messages, options));
  }

  /** Counters of the work done so far; none of them is a time. */
  counters(): Promise<ModelCounters> {
    return quiet(this.#counters());
  }

  async #counters(): Promise<ModelCounters> {
    const counters = await this.#request({ op: 'counters' });
    return { ...counters, bufferBytesPeak: counters.bufferBytesPeak + this.#meter.peak };
  }

  /**
   * The time of steps by op, longest first, since the last call. The first call starts the measurement, which
   * costs a fraction of a percent, and returns [].
   */
  profile(): Promise<ProfileEntry[]> {
    return quiet(this.#request({ op: 'profile' }));
  }

  /**
   * The dispatches of one decoded token on the GPU, in order: what the program of the model was lowered to.
   * [] on the CPU.
   */
  dispatches(): Promise<GpuDispatch[]> {
    return quiet(this.#request({ op: 'dispatches' }));
  }

  /** Stops what runs, ends the worker and its threads, and frees all memory. A second call does nothing. */
  dispose(): Promise<void> {
    return (this.#disposed ??= quiet(this.#dispose()));
  }

  async #dispose(): Promise<void> {
    const disposed = new ChordError('disposed', 'the model was disposed of');
    const ending = this.#request({ op: 'dispose' });
    this.#calls.closed = disposed;
    await ending.catch(() => {}); // the worker is dead already
    await this.#calls.connection.end(disposed);
  }
}

if (typeof Symbol.asyncDispose === 'symbol') {
  Object.defineProperty(LanguageModel.prototype, Symbol.asyncDispose, {
    value(this: LanguageModel) {
      return this.dispose();
    },
  });
}
