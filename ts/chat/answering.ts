// SPDX-License-Identifier: Apache-2.0
// Answers a chat request. request.ts checks it, encode renders its prompt. This file turns a run into a
// completion, or into chunks. A chunk of the package: nothing of it is loaded before the first call.
import type { Cut } from './overflow.js';
import { parseChatRequest } from './request.js';
import type { ChatRequest, ChatSampling } from './request.js';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionLogprobs,
  ChatCompletionTokenLogprob,
  ChatFinishReason,
  CompletionUsage,
} from './shapes.js';
import type { ChatMessage, ChatTemplateOptions } from './template.js';

interface Event {
  readonly text: string;
  readonly token: number;
  readonly logprob?: number;
}
export interface Stats {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly tokens: number;
  readonly finishReason: string;
  readonly stopString: string | undefined;
}
/** The part of `Generation` that is used here. */
interface Run<S extends Stats> extends AsyncIterable<Event> {
  readonly stats: S | undefined;
}

/** What `encode` renders: messages, and the options of `applyChatTemplate`. */
export interface PromptRequest {
  readonly messages: readonly ChatMessage[];
  readonly options: ChatTemplateOptions;
}

export interface Prompt {
  readonly ids: number[];
  /** The last 400 characters of the rendered prompt. An answer's reader starts in their state. */
  readonly promptTail: string;
  /** The text of the template that was rendered. */
  readonly template: string;
}

/** The parts of a model that a chat uses. */
export interface ChatEngine<S extends Stats> {
  readonly name: string;
  /** With the same fingerprint and the same seed, answers are the same in one JavaScript engine. */
  readonly fingerprint: string;
  readonly template: string | undefined;
  readonly contextLength: number;
  /** Renders messages to a prompt and converts it to token ids. */
  encode(request: PromptRequest, signal: AbortSignal): Promise<Prompt>;
  /** Returns a run, which starts when it is first read. */
  generate(ids: number[], sampling: ChatSampling, signal: AbortSignal): Run<S>;
  /** The text of a token that is inside a text. */
  tokenText(id: number): Promise<string>;
}

/** Tokens of the context left for an answer without `max_tokens`: the default of generate's maxTokens. */
const ROOM = 256;

/** What stays from call to call: where the call before cut its conversation. */
export interface Memory {
  cut?: Cut;
}

/** Checks a request and renders its prompt. The run starts when the answer is first read. */
export async function beginAnswer<S extends Stats>(
  engine: ChatEngine<S>,
  memory: Memory,
  body: unknown,
  options: unknown,
): Promise<Answer<S>> {
  const answer = new Answer(engine, parseChatRequest(body, options), memory);
  await answer.begin();
  return answer;
}

/**
 * One request in progress: its run, the controller that all its signals abort, and the fields common to all
 * its objects.
 */
export class Answer<S extends Stats> {
  readonly controller = new AbortController();
  readonly #engine: ChatEngine<S>;
  readonly #request: ChatRequest;
  readonly #id = `chatcmpl-${Array.from({ length: 3 }, () => Math.random().toString(36).slice(2, 10).padEnd(8, '0')).join('')}`;
  readonly #created = Math.floor(Date.now() / 1000);
  readonly #memory: Memory;
  #run: Run<S> | undefined;
  dropped = 0;

  /** `memory`: where the call before cut its conversation. */
  constructor(engine: ChatEngine<S>, request: ChatRequest, memory: Memory) {
    this.#engine = engine;
    this.#request = request;
    this.#memory = memory;
  }

  get isStream(): boolean {
    return this.#request.stream;
  }

  get stats(): S | undefined {
    return this.#run?.stats;
  }

  async begin(): Promise<void> {
    const knowsDeveloper = this.#engine.template?.includes('developer') === true;
    const messages = this.#request.messages.map((message) =>
      message.role === 'developer' && !knowsDeveloper ? { ...message, role: 'system' } : message,
    );
    const unlink = this.#link();
    try {
      const { ids } = await this.#encode(messages);
      this.#run = this.#engine.generate(ids, this.#request.sampling, this.controller.signal);
    } finally {
      unlink();
    }
  }

  async #encode(messages: readonly ChatMessage[]): Promise<Prompt> {
    const { overflow, sampling } = this.#request;
    const encode = (some: readonly ChatMessage[]): Promise<Prompt> =>
      this.#engine.encode({ messages: some, options: {} }, this.controller.signal);
    if (overflow === 'error') return encode(messages);
    const { contextLength } = this.#engine;
    const room = Math.min(sampling.maxTokens ?? ROOM, contextLength >> 1);
    const { dropOldest } = await import('./overflow.js');
    const { prompt, cut } = await dropOldest(messages, contextLength - room, this.#memory.cut, encode);
    this.#memory.cut = cut;
    this.dropped = cut.dropped;
    return prompt;
  }

  async whole(): Promise<ChatCompletion> {
    let content = '';
    const logprobs: ChatCompletionTokenLogprob[] = [];
    for await (const event of this.events()) {
      content += event.text;
      if (event.logprob !== undefined) logprobs.push(await this.#tokenLogprob(event.token, event.logprob));
    }
    return {
      ...this.#head('chat.completion'),
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content, refusal: null },
          logprobs: this.#request.sampling.logprobs ? { content: logprobs, refusal: null } : null,
          finish_reason: this.#finishReason(),
          ...this.#stopReason(),
        },
      ],
      usage: this.#usage(),
    };
  }

  /**
   * Yields a first chunk with the role, at most one chunk per token, a chunk with the finish reason, and, if
   * requested, a chunk with the usage.
   */
  async *chunks(): AsyncGenerator<ChatCompletionChunk, void> {
    const { includeUsage, sampling } = this.#request;
    const chunk = (
      delta: ChatCompletionChunk['choices'][0]['delta'],
      finish_reason: ChatFinishReason | null = null,
      logprobs: ChatCompletionLogprobs | null = null,
    ): ChatCompletionChunk => ({
      ...this.#head('chat.completion.chunk'),
      choices: [
        {
          index: 0,
          delta,
          logprobs,
          finish_reason,
          ...(finish_reason === null ? {} : this.#stopReason()),
        },
      ],
      ...(includeUsage ? { usage: null } : {}),
    });
    let isFirst = true;
    for await (const { text, token, logprob } of this.events()) {
      if (isFirst) yield chunk({ role: 'assistant', content: '', refusal: null });
      isFirst = false;
      if (text === '' && logprob === undefined) continue;
      yield chunk(
        { content: text },
        null,
        sampling.logprobs && logprob !== undefined
          ? { content: [await this.#tokenLogprob(token, logprob)], refusal: null }
          : null,
      );
    }
    if (this.controller.signal.aborted) return;
    if (isFirst) yield chunk({ role: 'assistant', content: '', refusal: null });
    yield chunk({}, this.#finishReason());
    if (includeUsage) yield { ...this.#head('chat.completion.chunk'), choices: [], usage: this.#usage() };
  }

  /**
   * Yields the run's events. When a caller's signal aborts, the generator throws the signal's reason.
   * `controller.abort()` ends the events, as in openai-node.
   */
  async *events(): AsyncGenerator<Event, void> {
    const unlink = this.#link();
    try {
      if (!this.controller.signal.aborted) yield* this.#run!;
    } catch (error) {
      if (!this.controller.signal.aborted || this.#request.signals.some((signal) => signal.aborted))
        throw error;
    } finally {
      unlink();
    }
  }

  /**
   * Aborts when a caller's signal does, until the returned function is called. Throws when a signal has
   * aborted already.
   */
  #link(): () => void {
    const { signals } = this.#request;
    for (const signal of signals) signal.throwIfAborted();
    const listeners = signals.map((signal) => {
      const onAbort = (): void => this.controller.abort(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      return () => signal.removeEventListener('abort', onAbort);
    });
    return () => listeners.forEach((remove) => remove());
  }

  #head<O extends string>(
    object: O,
  ): { id: string; object: O; created: number; model: string; system_fingerprint: string } {
    return {
      id: this.#id,
      object,
      created: this.#created,
      model: this.#engine.name,
      system_fingerprint: this.#engine.fingerprint,
    };
  }

  #finishReason(): ChatFinishReason {
    return this.stats?.finishReason === 'stop' ? 'stop' : 'length';
  }

  #stopReason(): { stop_reason?: string } {
    const stop_reason = this.stats?.stopString;
    return stop_reason === undefined ? {} : { stop_reason };
  }

  #usage(): CompletionUsage {
    const { promptTokens = 0, cachedTokens = 0, tokens = 0 } = this.stats ?? {};
    return {
      prompt_tokens: promptTokens,
      completion_tokens: tokens,
      total_tokens: promptTokens + tokens,
      prompt_tokens_details: { cached_tokens: cachedTokens },
      ...(this.#request.overflow === 'error' ? {} : { dropped_messages: this.dropped }),
    };
  }

  async #tokenLogprob(id: number, logprob: number): Promise<ChatCompletionTokenLogprob> {
    const token = await this.#engine.tokenText(id);
    const bytes = token.includes('\ufffd') ? null : Array.from(new TextEncoder().encode(token));
    return { token, bytes, logprob, top_logprobs: [] };
  }
}
