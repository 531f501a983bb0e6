// SPDX-License-Identifier: Apache-2.0
// One choice of an answer: the events of one run become deltas. The reader (answer/reader.ts) may hold text
// back; the log-probabilities of the tokens then wait for the next delta, so that each appears once.
import { createAnswerReader } from './answer/reader.js';
import type { AnswerPart, AnswerReader, AnswerReaderOptions } from './answer/reader.js';
import type {
  ChatCompletionDelta,
  ChatCompletionLogprobs,
  ChatCompletionMessage,
  ChatCompletionTokenLogprob,
} from './shapes.js';

interface Logprob {
  readonly token: number;
  readonly logprob: number;
  readonly bytes?: Uint8Array;
}

/** The part of a run's event that is used here. */
export interface ChoiceEvent {
  readonly text: string;
  readonly control?: string;
  readonly token: number;
  readonly logprob?: number;
  readonly bytes?: Uint8Array;
  readonly topLogprobs?: readonly Logprob[];
}

export interface Piece {
  readonly delta: ChatCompletionDelta;
  readonly logprobs: ChatCompletionLogprobs | null;
}

/** Reads the events of a run. */
export class Choice {
  readonly #reader: AnswerReader;
  readonly #isOneCall: boolean;
  #logprobs: ChatCompletionTokenLogprob[] = [];
  /** Tokens since the last part. */
  #waiting = 0;
  #isReasoning = false;
  #calls = 0;
  #reasoningTokens = 0;
  #isComplete = false;

  constructor(options: AnswerReaderOptions, isOneCall: boolean) {
    this.#reader = createAnswerReader(options);
    this.#isOneCall = isOneCall;
  }

  get reasoningTokens(): number {
    return this.#reasoningTokens;
  }

  get hasCalls(): boolean {
    return this.#calls > 0;
  }

  /** The answer has the one call that it may have: the run's rest isn't needed. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  push(event: ChoiceEvent): Piece[] {
    this.#waiting += 1;
    if (event.logprob !== undefined) {
      const { token, logprob, bytes, topLogprobs = [] } = event;
      this.#logprobs.push({
        ...entry({ token, logprob, ...(bytes === undefined ? {} : { bytes }) }),
        top_logprobs: topLogprobs.map(entry),
      });
    }
    return this.#pieces(this.#reader.push(event.text, event.control));
  }

  /** The pieces that were held back, and the log-probabilities that wait. */
  end(): Piece[] {
    const pieces = this.#isComplete ? [] : this.#pieces(this.#reader.end());
    if (this.#isReasoning) this.#reasoningTokens += this.#waiting;
    this.#waiting = 0;
    if (this.#logprobs.length > 0) pieces.push({ delta: {}, logprobs: this.#takeLogprobs() });
    return pieces;
  }

  #pieces(parts: readonly AnswerPart[]): Piece[] {
    const pieces: Piece[] = [];
    for (const part of parts) {
      if (this.#isComplete) break;
      if (part.type === 'call' && part.index > 0 && this.#isOneCall) {
        this.#isComplete = true;
        break;
      }
      if (part.type === 'call') this.#calls += 1;
      pieces.push({ delta: deltaOf(part), logprobs: this.#takeLogprobs() });
    }
    this.#count(parts);
    return pieces;
  }

  /** Counts the tokens since the last part: those before the last one belong to what stood before it. */
  #count(parts: readonly AnswerPart[]): void {
    const last = parts.at(-1);
    if (last === undefined) return;
    const wasReasoning = this.#isReasoning || parts[0]!.type === 'reasoning';
    this.#isReasoning = last.type === 'reasoning';
    if (this.#isReasoning) this.#reasoningTokens += this.#waiting;
    else if (wasReasoning) this.#reasoningTokens += Math.max(0, this.#waiting - 1);
    this.#waiting = 0;
  }

  #takeLogprobs(): ChatCompletionLogprobs | null {
    if (this.#logprobs.length === 0) return null;
    return { content: this.#logprobs.splice(0), refusal: null };
  }
}

function deltaOf(part: AnswerPart): ChatCompletionDelta {
  switch (part.type) {
    case 'content':
      return { content: part.text };
    case 'reasoning':
      return { reasoning_content: part.text };
    case 'call': {
      const { index, id, name } = part;
      return { tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] };
    }
    case 'arguments':
      return { tool_calls: [{ index: part.index, function: { arguments: part.text } }] };
    default: {
      const unknown: never = part;
      return unknown;
    }
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

function entry({
  logprob,
  bytes = new Uint8Array(),
}: Logprob): Omit<ChatCompletionTokenLogprob, 'top_logprobs'> {
  return { token: decoder.decode(bytes), bytes: Array.from(bytes), logprob };
}

/** Adds a delta to the message that the deltas before it made. */
export function addDelta(message: ChatCompletionMessage, delta: ChatCompletionDelta): void {
  if (delta.content !== undefined) message.content = (message.content ?? '') + delta.content;
  if (delta.reasoning_content !== undefined)
    message.reasoning_content = (message.reasoning_content ?? '') + delta.reasoning_content;
  for (const { index, id, function: of } of delta.tool_calls ?? []) {
    const calls = (message.tool_calls ??= []);
    if (id !== undefined)
      calls[index] = { id, type: 'function', function: { name: of.name ?? '', arguments: '' } };
    calls[index]!.function.arguments += of.arguments;
  }
}
