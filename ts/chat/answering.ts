// SPDX-License-Identifier: Apache-2.0
// Answers a chat request. request.ts checks it, encode renders its prompt. This file turns its runs into a
// completion, or into chunks. A chunk of the package: nothing of it is loaded before the first call.
import { controlOf } from './answer/reader.js';
import { addDelta, Choice } from './choice.js';
import type { ChoiceEvent } from './choice.js';
import type { Cut } from './overflow.js';
import { parseChatRequest } from './request.js';
import type { ChatRequest, ChatSampling } from './request.js';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionMessage,
  ChatFinishReason,
  CompletionUsage,
} from './shapes.js';
import type { ChatMessage, ChatTemplateOptions } from './template.js';

export interface Stats {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly tokens: number;
  readonly finishReason: string;
  readonly stopString: string | undefined;
}
/** The part of `Generation` that is used here. */
interface Run<S extends Stats> extends AsyncIterable<ChoiceEvent> {
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
  readonly contextLength: number;
  /** Renders messages to a prompt and converts it to token ids. */
  encode(request: PromptRequest, signal: AbortSignal): Promise<Prompt>;
  /** Converts a text to ids, without BOS and EOS. Control tokens are seen in it only with `parseSpecial`. */
  tokenize(text: string, parseSpecial: boolean, signal: AbortSignal): Promise<number[]>;
  /** Returns a run, which starts when it is first read. Its events have control tokens and bytes. */
  generate(ids: number[], sampling: ChatSampling, signal: AbortSignal): Run<S>;
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

/** One request in progress: its prompt, its runs, and the controller that all its signals abort. */
export class Answer<S extends Stats> {
  readonly controller = new AbortController();
  readonly #engine: ChatEngine<S>;
  readonly #request: ChatRequest;
  readonly #memory: Memory;
  readonly #id = `chatcmpl-${Array.from({ length: 3 }, () => Math.random().toString(36).slice(2, 10).padEnd(8, '0')).join('')}`;
  readonly #created = Math.floor(Date.now() / 1000);
  #prompt: Prompt | undefined;
  #isSpelled = false;
  #run: Run<S> | undefined;
  /** Figures of the choices that have ended. */
  readonly #usage: { stats: S; reasoningTokens: number }[] = [];
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
    const unlink = this.#link();
    try {
      this.#prompt = await this.#encode();
      const control = controlOf({ ...this.#request.reader, template: this.#prompt.template });
      this.#isSpelled = control !== undefined && !(await this.#isControl(control));
    } finally {
      unlink();
    }
  }

  /** Whether the vocabulary has `text` as a control token. */
  async #isControl(text: string): Promise<boolean> {
    const count = async (parseSpecial: boolean): Promise<number> =>
      (await this.#engine.tokenize(text, parseSpecial, this.controller.signal)).length;
    return (await count(true)) === 1 && (await count(false)) > 1;
  }

  async #encode(): Promise<Prompt> {
    const { messages, overflow, sampling, template } = this.#request;
    const encode = (some: readonly ChatMessage[]): Promise<Prompt> =>
      this.#engine.encode({ messages: some, options: template }, this.controller.signal);
    if (overflow === 'error') return encode(messages);
    const { contextLength } = this.#engine;
    const room = Math.min(sampling.maxTokens ?? ROOM, contextLength >> 1);
    const { dropOldest } = await import('./overflow.js');
    const { prompt, cut } = await dropOldest(messages, contextLength - room, this.#memory.cut, encode);
    this.#memory.cut = cut;
    this.dropped = cut.dropped;
    return prompt;
  }

  /** The completion that the chunks make. */
  async whole(): Promise<ChatCompletion> {
    const choices: ChatCompletion['choices'] = [];
    const { logprobs: hasLogprobs } = this.#request.sampling;
    for await (const { choices: deltas } of this.chunks()) {
      for (const { index, delta, logprobs, finish_reason, stop_reason } of deltas) {
        const choice = (choices[index] ??= {
          index,
          message: { role: 'assistant', content: null, refusal: null } satisfies ChatCompletionMessage,
          logprobs: hasLogprobs ? { content: [], refusal: null } : null,
          finish_reason: 'stop',
        });
        addDelta(choice.message, delta);
        choice.logprobs?.content?.push(...(logprobs?.content ?? []));
        if (finish_reason !== null) choice.finish_reason = finish_reason;
        if (stop_reason !== undefined) choice.stop_reason = stop_reason;
      }
    }
    for (const { message } of choices)
      if (message.content === '' && message.tool_calls !== undefined) message.content = null;
    return { ...this.#head('chat.completion'), choices, usage: this.#sums() };
  }

  /**
   * Yields per choice a first chunk with the role, chunks with what is certain, and a chunk with the finish
   * reason; then, if requested, a chunk with the usage.
   */
  async *chunks(): AsyncGenerator<ChatCompletionChunk, void> {
    const { includeUsage, n } = this.#request;
    for (let index = 0; index < n && !this.controller.signal.aborted; index++) yield* this.#choice(index);
    if (includeUsage && !this.controller.signal.aborted)
      yield { ...this.#head('chat.completion.chunk'), choices: [], usage: this.#sums() };
  }

  async *#choice(index: number): AsyncGenerator<ChatCompletionChunk, void> {
    const { includeUsage, isOneCall, reader } = this.#request;
    const { ids, promptTail, template } = this.#prompt!;
    const choice = new Choice({ template, promptTail, isSpelled: this.#isSpelled, ...reader }, isOneCall);
    const chunk = (
      fields: Pick<ChatCompletionChunk['choices'][0], 'delta'> & Partial<ChatCompletionChunk['choices'][0]>,
    ): ChatCompletionChunk => ({
      ...this.#head('chat.completion.chunk'),
      choices: [{ index, logprobs: null, finish_reason: null, ...fields }],
      ...(includeUsage ? { usage: null } : {}),
    });
    this.#run = this.#engine.generate(ids, this.#sampling(index), this.controller.signal);
    let isFirst = true;
    const first = (): ChatCompletionChunk[] => {
      const wasFirst = isFirst;
      isFirst = false;
      return wasFirst ? [chunk({ delta: { role: 'assistant', content: '', refusal: null } })] : [];
    };
    for await (const event of this.#events(this.#run)) {
      yield* first();
      for (const piece of choice.push(event)) yield chunk(piece);
      if (choice.isComplete) break;
    }
    if (this.controller.signal.aborted) return;
    yield* first();
    for (const piece of choice.end()) yield chunk(piece);
    const stats = this.#run.stats!;
    this.#usage.push({ stats, reasoningTokens: choice.reasoningTokens });
    const { stopString: stop_reason } = stats;
    yield chunk({
      delta: {},
      finish_reason: finishReason(stats, choice),
      ...(stop_reason === undefined ? {} : { stop_reason }),
    });
  }

  /** The choices have seeds one after the other, so each differs from the others and can be had again. */
  #sampling(index: number): ChatSampling {
    const { sampling } = this.#request;
    const { seed } = sampling;
    return {
      ...sampling,
      seed: seed === undefined ? undefined : seedBehind(seed, index),
    };
  }

  /**
   * Yields the run's events. When a caller's signal aborts, the generator throws the signal's reason.
   * `controller.abort()` ends the events, as in openai-node.
   */
  async *#events(run: Run<S>): AsyncGenerator<ChoiceEvent, void> {
    const unlink = this.#link();
    try {
      if (!this.controller.signal.aborted) yield* run;
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

  /** The prompt counts once, with the tokens that the first choice found cached. */
  #sums(): CompletionUsage {
    const { promptTokens = 0, cachedTokens = 0 } = this.#usage[0]?.stats ?? {};
    const sum = (of: (one: { stats: S; reasoningTokens: number }) => number): number =>
      this.#usage.reduce((total, one) => total + of(one), 0);
    const tokens = sum(({ stats }) => stats.tokens);
    return {
      prompt_tokens: promptTokens,
      completion_tokens: tokens,
      total_tokens: promptTokens + tokens,
      prompt_tokens_details: { cached_tokens: cachedTokens },
      completion_tokens_details: { reasoning_tokens: sum(({ reasoningTokens }) => reasoningTokens) },
      ...(this.#request.overflow === 'error' ? {} : { dropped_messages: this.dropped }),
    };
  }
}

/** A run that was left behind its one call has ended by 'abort'. */
function finishReason({ finishReason: reason }: Stats, { hasCalls, isComplete }: Choice): ChatFinishReason {
  if (hasCalls && (reason === 'stop' || isComplete)) return 'tool_calls';
  return reason === 'stop' ? 'stop' : 'length';
}

/** The seed `index` places behind `seed`. 0 follows the largest: a sum above it would be rounded. */
function seedBehind(seed: number, index: number): number {
  const left = Number.MAX_SAFE_INTEGER - seed;
  return index > left ? index - left - 1 : seed + index;
}
