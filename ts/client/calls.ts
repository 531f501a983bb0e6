// SPDX-License-Identifier: Apache-2.0
// The calls of one sequence of tokens: session 0, which LanguageModel shows, or one that a Session shows.
import {
  asBoolean,
  asBytes,
  asIdList,
  asOptions,
  asSignal,
  isObject,
  reading,
  refuse,
  wrong,
} from '../check.js';
import { ChatCompletions } from '../chat/completions.js';
import type { RenderedPrompt } from '../chat/prompt.js';
import type { ChatCompletionMessageParam } from '../chat/shapes.js';
import type { ChatMessage, ChatTemplateOptions } from '../chat/template.js';
import { ChordError, quiet } from '../errors.js';
import { nextTurn } from '../platform.js';
import type { GenerationStats, Loaded, Results } from '../worker/protocol.js';
import type { CallEvents, Connection, Message, OpenCall } from './connection.js';
import { Generation } from './generation.js';
import { checkGenerateOptions } from './options.js';

/** Ids per turn of the event loop, where a list becomes an array. */
const IDS_PER_TURN = 1 << 17;

type PromptMessages = readonly (ChatMessage | ChatCompletionMessageParam)[];

const promptOptions: readonly (keyof ChatTemplateOptions)[] = [
  'addGenerationPrompt',
  'continueFinalMessage',
  'tools',
  'chatTemplate',
  'templateKwargs',
  'toolsInText',
  'signal',
];

export class Calls {
  readonly connection: Connection;
  readonly loaded: Loaded;
  readonly session: number;
  /** The ids that the session holds, as of its last call's end. Session 0 has none. */
  tokens: Int32Array<ArrayBuffer> = new Int32Array();
  /** Why there are no more calls; undefined: there are. */
  closed: ChordError | undefined;

  constructor(connection: Connection, loaded: Loaded, session: number) {
    this.connection = connection;
    this.loaded = loaded;
    this.session = session;
  }

  /** Opens a call. After `closed` was set, its `ended` is rejected. */
  open<Op extends keyof Results>(
    message: Extract<Message, { op: Op }>,
    events: CallEvents = {},
    transfer?: Transferable[],
  ): OpenCall<Results[Op]> {
    if (this.closed !== undefined)
      return { id: -1, ended: quiet(Promise.reject<Results[Op]>(ChordError.from(this.closed))), post() {} };
    return this.connection.open<Op>(
      message,
      {
        onEvent: (reply) => {
          if (reply.type === 'history') this.tokens = reply.ids as Int32Array<ArrayBuffer>;
          else events.onEvent?.(reply);
        },
      },
      transfer,
    );
  }

  held<T>(promise: Promise<T>): Promise<T> {
    return this.connection.held(promise);
  }

  /** A call that its signal can abort. It rejects with the signal's reason once the worker has stopped. */
  async run<T>(given: unknown, open: () => OpenCall<T>): Promise<T> {
    const signal = asSignal('signal', given);
    signal?.throwIfAborted();
    const call = open();
    const onAbort = (): void => call.post({ op: 'cancel' });
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await this.held(call.ended);
    } catch (error) {
      if (ChordError.isInstance(error) && error.code === 'aborted') signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** `mostOfPrompt`: the text is a prompt, of at most so many tokens. */
  async tokenize(text: string | Uint8Array, options: unknown, mostOfPrompt?: number): Promise<number[]> {
    const given = asOptions('tokenize', options, ['addSpecial', 'parseSpecial', 'signal']);
    const own =
      typeof text === 'string' ? text : asBytes('the text', text, 'a string or a Uint8Array').slice();
    const addSpecial = asBoolean('addSpecial', given['addSpecial'] ?? true),
      parseSpecial = asBoolean('parseSpecial', given['parseSpecial'] ?? true);
    const ids = await this.run(given['signal'], () =>
      this.open<'tokenize'>({ op: 'tokenize', text: own, addSpecial, parseSpecial, mostOfPrompt }),
    );
    const list: number[] = [];
    for (let at = 0; at < ids.length; at += IDS_PER_TURN) {
      if (at > 0) await nextTurn();
      for (const id of ids.subarray(at, at + IDS_PER_TURN)) list.push(id);
    }
    return list;
  }

  async detokenize(ids: ArrayLike<number>, options: unknown): Promise<string> {
    const given = asOptions('detokenize', options, ['skipSpecial', 'signal']);
    const list = asIdList('ids', ids);
    const skipSpecial = asBoolean('skipSpecial', given['skipSpecial'] ?? false);
    let text = '';
    const rest = await this.run(given['signal'], () => {
      const call: OpenCall<string> = this.open<'detokenize'>(
        { op: 'detokenize', ids: list, skipSpecial },
        {
          onEvent(reply) {
            if (reply.type !== 'text') return;
            text += reply.text;
            call.post({ op: 'taken', count: 1 });
          },
        },
      );
      return call;
    });
    return text + rest;
  }

  async logits(ids: ArrayLike<number>, options: unknown): Promise<Float32Array> {
    const given = asOptions('logits', options, ['all', 'signal']);
    const list = asIdList('ids', ids);
    const all = asBoolean('all', given['all'] ?? false);
    const { vocabularySize: width, contextLength } = this.loaded.info;
    // Too many ids are refused below.
    const out = list.length > contextLength ? new Float32Array() : makeRows(all ? list.length : 1, width);
    await this.run(given['signal'], () => {
      const call: OpenCall<null> = this.open<'logits'>(
        { op: 'logits', session: this.session, ids: list, all },
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

  generate(prompt: string | ArrayLike<number>, options: unknown): Generation {
    const { record, signal } = checkGenerateOptions(options);
    const { vocabularySize } = this.loaded.info;
    for (const [id] of record.sampling.bias ?? [])
      if (id >= vocabularySize)
        refuse(`logitBias has token ${id}, the vocabulary has ${vocabularySize} tokens`);
    return new Generation(
      this,
      typeof prompt === 'string' ? prompt : asIdList('the prompt', prompt),
      record,
      signal,
    );
  }

  async applyChatTemplate(messages: PromptMessages, options: ChatTemplateOptions): Promise<string> {
    return (await this.prompt(messages, options)).text;
  }

  /** Renders messages. They are read at once: the caller may change them later. */
  async prompt(messages: PromptMessages, options: ChatTemplateOptions): Promise<RenderedPrompt> {
    if (this.closed !== undefined) throw ChordError.from(this.closed);
    const { signal, ...given } = asOptions('applyChatTemplate', options, promptOptions);
    const request = reading('messages', () => {
      for (let i = 0; Array.isArray(messages) && i < messages.length; i++)
        if (!isObject(messages[i])) wrong(`messages[${i}]`, messages[i], 'an object');
      return JSON.stringify({ ...given, messages });
    });
    const { promptOf } = await import('./prompt.js');
    return promptOf(this, request, asSignal('signal', signal));
  }

  completions(): ChatCompletions<GenerationStats> {
    const { name, architecture, variant, contextLength } = this.loaded.info;
    return new ChatCompletions<GenerationStats>({
      name: name || architecture,
      fingerprint: variant,
      contextLength,
      encode: async ({ messages, options }, signal) => {
        const { text, template } = await this.prompt(messages, { ...options, toolsInText: true, signal });
        const ids = await this.tokenize(text, { signal }, contextLength);
        return { ids, promptTail: text.slice(-400), template };
      },
      tokenize: (text, parseSpecial, signal) =>
        this.tokenize(text, { addSpecial: false, parseSpecial, signal }),
      generate: (ids, { maxTokens, ...sampling }, signal) =>
        this.generate(ids, {
          maxTokens: maxTokens ?? contextLength,
          controls: true,
          ...sampling,
          signal,
        }),
    });
  }
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
