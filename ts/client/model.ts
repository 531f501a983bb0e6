// SPDX-License-Identifier: Apache-2.0
/// <reference lib="esnext.disposable" preserve="true" />
import { asBoolean, asBytes, asIdList, asOptions, asSignal } from '../check.js';
import { ChatCompletions } from '../chat/completions.js';
import { renderChatTemplate } from '../chat/template.js';
import type { ChatMessage, ChatTemplateOptions } from '../chat/template.js';
import { ChordError } from '../errors.js';
import type { BufferMeter } from '../load/meter.js';
import type { GenerationStats, LanguageModelInfo, Loaded, ModelCounters, ProfileEntry } from '../worker/protocol.js';
import { quiet } from './connection.js';
import type { Connection, OpenCall } from './connection.js';
import { Generation } from './generation.js';
import { checkGenerateOptions } from './options.js';
import type { GenerateOptions } from './options.js';

export interface TokenizeCallOptions {
  /** Add BOS and EOS as the file says; default true. */
  addSpecial?: boolean | undefined;
  /** Take special tokens written in the text as such; default true. */
  parseSpecial?: boolean | undefined;
  signal?: AbortSignal | undefined;
}
export interface DetokenizeCallOptions {
  /** Leave special tokens out instead of writing their text; default false. */
  skipSpecial?: boolean | undefined;
  signal?: AbortSignal | undefined;
}
export interface LogitsCallOptions {
  /** A row for every id instead of the last one's; default false. */
  all?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * A loaded model; its engine lives in a worker. Made by `loadModel`.
 *
 * Calls that compute (`generate`, `logits`) queue in order, one at a time; text calls and `counters` are
 * answered between two steps. Inside the loop over a run such a call would wait for ever: where a run's reader reads nothing
 * for two seconds, the call that waits behind it rejects with `busy`. After `dispose()` every call rejects with `disposed`.
 */
export class LanguageModel {
  /** What the model is and how it runs here. */
  readonly info: LanguageModelInfo;
  /** OpenAI's chat completions: `model.chat.completions.create({ messages })`. */
  readonly chat: { readonly completions: ChatCompletions<GenerationStats> };
  readonly #connection: Connection;
  readonly #loaded: Loaded;
  readonly #meter: BufferMeter;
  #disposed: Promise<void> | undefined;
  /** As `dispose()`; there where the runtime knows `Symbol.asyncDispose`. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /** Made by `loadModel`. */
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
      // The template writes the special tokens itself, as llama.cpp's server takes it.
      encode: async (messages, signal) => this.#tokenize(await this.applyChatTemplate(messages), { addSpecial: false, parseSpecial: true, signal }, contextLength),
      generate: (ids, { maxTokens, ...sampling }, signal) => this.generate(ids, { maxTokens: maxTokens ?? contextLength, ...sampling, signal }),
      tokenText: async (id) => {
        const { ids, length } = await (before ??= textBefore()); // alone, a token would lose SentencePiece's blank
        return (await this.detokenize([...ids, id])).slice(length);
      },
    });
  }

  /** Text, or UTF-8 bytes, to token ids as llama.cpp makes them. */
  tokenize(text: string | Uint8Array, options: TokenizeCallOptions = {}): Promise<number[]> {
    return quiet(this.#tokenize(text, options));
  }

  async #tokenize(text: string | Uint8Array, options: TokenizeCallOptions, most?: number): Promise<number[]> {
    const given = asOptions('tokenize', options, ['addSpecial', 'parseSpecial', 'signal']);
    const own = typeof text === 'string' ? text : asBytes('the text', text).slice();
    const addSpecial = asBoolean('addSpecial', given['addSpecial'] ?? true), parseSpecial = asBoolean('parseSpecial', given['parseSpecial'] ?? true);
    const ids = await this.#run(given['signal'], () => this.#connection.open<'tokenize'>({ op: 'tokenize', text: own, addSpecial, parseSpecial, most }));
    return Array.from(ids);
  }

  /** Token ids to text; bytes that aren't UTF-8 become U+FFFD. Throws `invalid-argument` for an id that doesn't exist. */
  detokenize(ids: ArrayLike<number>, options: DetokenizeCallOptions = {}): Promise<string> {
    return quiet(this.#detokenize(ids, options));
  }

  async #detokenize(ids: ArrayLike<number>, options: DetokenizeCallOptions): Promise<string> {
    const given = asOptions('detokenize', options, ['skipSpecial', 'signal']);
    const list = asIdList('ids', ids);
    const skipSpecial = asBoolean('skipSpecial', given['skipSpecial'] ?? false);
    return this.#run(given['signal'], () => this.#connection.open<'detokenize'>({ op: 'detokenize', ids: list, skipSpecial }));
  }

  /**
   * The numbers behind the next token: `[vocabularySize]` after the last id, or one row an id with
   * `all`, row after row in one array.
   *
   * Throws `context-full` when the ids don't fit the context, `invalid-argument` for none or unknown ones.
   */
  logits(ids: ArrayLike<number>, options: LogitsCallOptions = {}): Promise<Float32Array> {
    return quiet(this.#logits(ids, options));
  }

  async #logits(ids: ArrayLike<number>, options: LogitsCallOptions): Promise<Float32Array> {
    const given = asOptions('logits', options, ['all', 'signal']);
    const list = asIdList('ids', ids);
    const all = asBoolean('all', given['all'] ?? false);
    const width = this.info.vocabularySize;
    const out = list.length > this.info.contextLength ? new Float32Array() : makeRows(all ? list.length : 1, width); // too many: refused below
    await this.#run(given['signal'], () => {
      const call: OpenCall<null> = this.#connection.open<'logits'>({ op: 'logits', ids: list, all }, {
        onEvent: (reply) => {
          if (reply.type !== 'rows') return;
          out.set(reply.values, reply.firstRow * width);
          call.post({ op: 'taken', count: 1 });
        },
      });
      return call;
    });
    return out;
  }

  /**
   * Starts a continuation of `prompt`: iterate the result for one event a token, or await its `text()`.
   * A text gets special tokens as the file says (a BOS is never doubled) and may contain special tokens;
   * ids are taken as they are. The KV of the longest common prefix with the call before is kept.
   *
   * Nothing is queued before the first `next()` or `text()`; see Generation.
   *
   * @throws {ChordError} `invalid-argument` naming an option that is unknown, out of range or not in this version.
   */
  generate(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): Generation {
    const { record, signal } = checkGenerateOptions(options);
    return new Generation(this.#connection, typeof prompt === 'string' ? prompt : asIdList('the prompt', prompt), record, signal);
  }

  /**
   * The messages as one prompt, by the template in the model's file.
   * Throws `invalid-argument` when there is none, or when it refuses the messages.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): Promise<string> {
    return quiet(this.#applyChatTemplate(messages, options));
  }

  async #applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions): Promise<string> {
    if (this.#disposed !== undefined) throw disposed();
    const given: ChatTemplateOptions = asOptions('applyChatTemplate', options, ['addGenerationPrompt', 'tools']);
    const { info, bosToken, eosToken } = this.#loaded;
    return renderChatTemplate({ template: info.chatTemplate, bosToken, eosToken }, messages, given);
  }

  /** What was done so far, counted and not timed. */
  counters(): Promise<ModelCounters> {
    return quiet(this.#counters());
  }

  async #counters(): Promise<ModelCounters> {
    const counters = await this.#connection.request<'counters'>({ op: 'counters' });
    return { ...counters, bufferBytesPeak: counters.bufferBytesPeak + this.#meter.peak };
  }

  /**
   * Where the time of steps goes, by op, longest first: what came since the last call. The first call begins to
   * measure, at a fraction of a percent, and gives [].
   */
  profile(): Promise<ProfileEntry[]> {
    return quiet(this.#connection.request<'profile'>({ op: 'profile' }));
  }

  /** Stops what runs, ends the worker and its threads, and lets go of all memory. Again is a no-op. */
  dispose(): Promise<void> {
    return (this.#disposed ??= quiet(this.#dispose()));
  }

  async #dispose(): Promise<void> {
    try {
      await this.#connection.request<'dispose'>({ op: 'dispose' });
    } catch {
      // The worker is dead already: what's left is to say so.
    }
    await this.#connection.end(disposed());
  }

  /** A call that its signal can stop: rejects with the signal's reason once the worker has let go. */
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
  Object.defineProperty(LanguageModel.prototype, Symbol.asyncDispose, { value(this: LanguageModel) { return this.dispose(); } });
}

function makeRows(rows: number, width: number): Float32Array {
  try {
    return new Float32Array(rows * width);
  } catch (cause) {
    throw new ChordError('out-of-memory', `${rows} rows of ${width} logits don't fit into this thread's memory`, { cause, hint: 'ask for fewer ids at a time' });
  }
}

const disposed = (): ChordError => new ChordError('disposed', 'the model was disposed of');
