// SPDX-License-Identifier: Apache-2.0
/// <reference lib="esnext.disposable" preserve="true" />
import { asBoolean, asBytes, asIdList, asOptions, asSignal } from '../check.js';
import { ChatCompletions } from '../chat/completions.js';
import { renderChatTemplate } from '../chat/template.js';
import type { ChatMessage, ChatTemplateOptions } from '../chat/template.js';
import { ChordError, quiet } from '../errors.js';
import type { BufferMeter } from '../load/meter.js';
import type {
  GenerationStats,
  LanguageModelInfo,
  Loaded,
  ModelCounters,
  ProfileEntry,
} from '../worker/protocol.js';
import type { Connection, OpenCall } from './connection.js';
import { Generation } from './generation.js';
import { checkGenerateOptions } from './options.js';
import type { GenerateOptions } from './options.js';

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
 * Calls that compute (`generate`, `logits`) queue in order and run one at a time. Text calls and `counters`
 * are answered between two steps. Inside the loop over a run, a call that computes would wait for the loop,
 * and the loop for the call. When a run's reader reads nothing for two seconds, the call that waits behind
 * the run rejects with `busy`. After `dispose()` every call rejects with `disposed`.
 */
export class LanguageModel {
  /** Facts about the model and how it runs here. */
  readonly info: LanguageModelInfo;
  /** OpenAI's chat completions: `model.chat.completions.create({ messages })`. */
  readonly chat: { readonly completions: ChatCompletions<GenerationStats> };
  readonly #connection: Connection;
  readonly #loaded: Loaded;
  readonly #meter: BufferMeter;
  #disposed: Promise<void> | undefined;
  /** The same as `dispose()`, where the JavaScript engine has `Symbol.asyncDispose`. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /** `loadModel` makes models. @internal */
  constructor(connection: Connection, loaded: Loaded, meter: BufferMeter, backendReason: string) {
    this.#connection = connection;
    this.#loaded = loaded;
    this.#meter = meter;
    this.info = { ...loaded.info, backendReason: `${backendReason}${loaded.info.backendReason}` };
    this.chat = { completions: this.#completions() };
  }

  #completions(): ChatCompletions<GenerationStats> {
    const { name, architecture, variant, chatTemplate, contextLength } = this.info;
    let before: Promise<{ ids: number[]; length: number }> | undefined;
    const textBefore = async (): Promise<{ ids: number[]; length: number }> => {
      const ids = await this.tokenize('a', { addSpecial: false });
      return { ids, length: (await this.detokenize(ids)).length };
    };
    return new ChatCompletions<GenerationStats>({
      name: name || architecture,
      fingerprint: variant,
      template: chatTemplate,
      // The template writes the special tokens itself, so tokenising adds none, as in llama.cpp's server.
      encode: async (messages, signal) =>
        this.#tokenize(
          await this.applyChatTemplate(messages),
          { addSpecial: false, parseSpecial: true, signal },
          contextLength,
        ),
      generate: (ids, { maxTokens, ...sampling }, signal) =>
        this.generate(ids, { maxTokens: maxTokens ?? contextLength, ...sampling, signal }),
      tokenText: async (id) => {
        // Tokenised alone, SentencePiece drops a token's leading blank.
        const { ids, length } = await (before ??= textBefore());
        return (await this.detokenize([...ids, id])).slice(length);
      },
    });
  }

  /** Converts text, or UTF-8 bytes, to the token ids that llama.cpp returns. */
  tokenize(text: string | Uint8Array, options: TokenizeCallOptions = {}): Promise<number[]> {
    return quiet(this.#tokenize(text, options));
  }

  async #tokenize(text: string | Uint8Array, options: TokenizeCallOptions, most?: number): Promise<number[]> {
    const given = asOptions('tokenize', options, ['addSpecial', 'parseSpecial', 'signal']);
    const own = typeof text === 'string' ? text : asBytes('the text', text).slice();
    const addSpecial = asBoolean('addSpecial', given['addSpecial'] ?? true),
      parseSpecial = asBoolean('parseSpecial', given['parseSpecial'] ?? true);
    const ids = await this.#run(given['signal'], () =>
      this.#connection.open<'tokenize'>({ op: 'tokenize', text: own, addSpecial, parseSpecial, most }),
    );
    return Array.from(ids);
  }

  /**
   * Converts token ids to text. Bytes that aren't UTF-8 become U+FFFD. Throws `invalid-argument` for an
   * unknown id.
   */
  detokenize(ids: ArrayLike<number>, options: DetokenizeCallOptions = {}): Promise<string> {
    return quiet(this.#detokenize(ids, options));
  }

  async #detokenize(ids: ArrayLike<number>, options: DetokenizeCallOptions): Promise<string> {
    const given = asOptions('detokenize', options, ['skipSpecial', 'signal']);
    const list = asIdList('ids', ids);
    const skipSpecial = asBoolean('skipSpecial', given['skipSpecial'] ?? false);
    return this.#run(given['signal'], () =>
      this.#connection.open<'detokenize'>({ op: 'detokenize', ids: list, skipSpecial }),
    );
  }

  /**
   * The scores of all tokens as the next token: `[vocabularySize]` after the last id, or with `all` one row
   * per id, row after row in one array.
   *
   * Throws `context-full` when the ids don't fit the context, and `invalid-argument` for no ids or unknown
   * ids.
   */
  logits(ids: ArrayLike<number>, options: LogitsCallOptions = {}): Promise<Float32Array> {
    return quiet(this.#logits(ids, options));
  }

  async #logits(ids: ArrayLike<number>, options: LogitsCallOptions): Promise<Float32Array> {
    const given = asOptions('logits', options, ['all', 'signal']);
    const list = asIdList('ids', ids);
    const all = asBoolean('all', given['all'] ?? false);
    const width = this.info.vocabularySize;
    // Too many ids are refused below.
    const out =
      list.length > this.info.contextLength ? new Float32Array() : makeRows(all ? list.length : 1, width);
    await this.#run(given['signal'], () => {
      const call: OpenCall<null> = this.#connection.open<'logits'>(
        { op: 'logits', ids: list, all },
        {
          onEvent: (reply) => {
            if (reply.type !== 'rows') return;
            out.set(reply.values, reply.firstRow * width);
            call.post({ op: 'taken', count: 1 });
          },
        },
      );
      return call;
    });
    return out;
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
    const { record, signal } = checkGenerateOptions(options);
    return new Generation(
      this.#connection,
      typeof prompt === 'string' ? prompt : asIdList('the prompt', prompt),
      record,
      signal,
    );
  }

  /**
   * Renders the messages to one prompt with the template in the model's file.
   * Throws `invalid-argument` when the file has no template, or when the template refuses the messages.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): Promise<string> {
    return quiet(this.#applyChatTemplate(messages, options));
  }

  async #applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions): Promise<string> {
    if (this.#disposed !== undefined) throw disposed();
    const given: ChatTemplateOptions = asOptions('applyChatTemplate', options, [
      'addGenerationPrompt',
      'tools',
    ]);
    const { info, bosToken, eosToken } = this.#loaded;
    return renderChatTemplate({ template: info.chatTemplate, bosToken, eosToken }, messages, given);
  }

  /** Counters of the work done so far; none of them is a time. */
  counters(): Promise<ModelCounters> {
    return quiet(this.#counters());
  }

  async #counters(): Promise<ModelCounters> {
    const counters = await this.#connection.request<'counters'>({ op: 'counters' });
    return { ...counters, bufferBytesPeak: counters.bufferBytesPeak + this.#meter.peak };
  }

  /**
   * The time of steps by op, longest first, since the last call. The first call starts the measurement, which
   * costs a fraction of a percent, and returns [].
   */
  profile(): Promise<ProfileEntry[]> {
    return quiet(this.#connection.request<'profile'>({ op: 'profile' }));
  }

  /** Stops what runs, ends the worker and its threads, and frees all memory. A second call does nothing. */
  dispose(): Promise<void> {
    return (this.#disposed ??= quiet(this.#dispose()));
  }

  async #dispose(): Promise<void> {
    try {
      await this.#connection.request<'dispose'>({ op: 'dispose' });
    } catch {
      // The worker is dead already.
    }
    await this.#connection.end(disposed());
  }

  /** A call that its signal can abort. It rejects with the signal's reason once the worker has stopped. */
  async #run<T>(given: unknown, open: () => OpenCall<T>): Promise<T> {
    const signal = asSignal('signal', given);
    signal?.throwIfAborted();
    const call = open();
    const onAbort = (): void => call.post({ op: 'cancel' });
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await this.#connection.held(call.ended);
    } catch (error) {
      if (ChordError.isInstance(error) && error.code === 'aborted') signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }
}

if (typeof Symbol.asyncDispose === 'symbol') {
  Object.defineProperty(LanguageModel.prototype, Symbol.asyncDispose, {
    value(this: LanguageModel) {
      return this.dispose();
    },
  });
}

function makeRows(rows: number, width: number): Float32Array {
  try {
    return new Float32Array(rows * width);
  } catch (cause) {
    throw new ChordError(
      'out-of-memory',
      `${rows} rows of ${width} logits don't fit into this thread's memory`,
      { cause, hint: 'pass fewer ids at a time' },
    );
  }
}

const disposed = (): ChordError => new ChordError('disposed', 'the model was disposed of');
