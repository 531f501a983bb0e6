// SPDX-License-Identifier: Apache-2.0
// Types of OpenAI's chat completions: requests and answers, as far as this version supports them. Names and
// nesting equal the public API's, so code written for that API needs no change.

export interface ChatTextPart {
  readonly type: 'text';
  readonly text: string;
}

/** A message. Text parts become one text, joined by line ends as in llama.cpp's server. */
export interface ChatCompletionMessageParam {
  /**
   * The template gets `developer` as `system`, unless the template contains the word `developer`. Any string
   * has the type, so that a list needs no `as const`; another role is refused as `invalid-argument`.
   */
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | (string & {});
  readonly content: string | readonly ChatTextPart[];
  readonly name?: string | undefined;
  /** Answers have this field. It is accepted, so that the message of an answer can be sent back. */
  readonly refusal?: null | undefined;
}

export interface ChatCompletionCreateParams {
  readonly messages: readonly ChatCompletionMessageParam[];
  /** Any text. The loaded model answers, and the answer has its name. */
  readonly model?: string | undefined;
  readonly stream?: boolean | null | undefined;
  /** `include_usage`: adds a last chunk without choices, with the usage. */
  readonly stream_options?: { readonly include_usage?: boolean | undefined } | null | undefined;
  /** Maximum tokens of the answer; default: what the context holds. Set only one of these two fields. */
  readonly max_tokens?: number | null | undefined;
  readonly max_completion_tokens?: number | null | undefined;
  /** 0: always the most likely token. Default 0.8, as in `generate`. */
  readonly temperature?: number | null | undefined;
  /** Default 0.95, as in `generate`. */
  readonly top_p?: number | null | undefined;
  readonly frequency_penalty?: number | null | undefined;
  readonly presence_penalty?: number | null | undefined;
  /** The answer ends before the first of these strings. */
  readonly stop?: string | readonly string[] | null | undefined;
  /** The same seed and `system_fingerprint` give the same answer in one JavaScript engine. */
  readonly seed?: number | null | undefined;
  /** Token ids as keys. */
  readonly logit_bias?: Readonly<Record<string, number>> | null | undefined;
  /** Log-probabilities of the chosen tokens. This version accepts only 0 for `top_logprobs`. */
  readonly logprobs?: boolean | null | undefined;
  readonly top_logprobs?: number | null | undefined;
  /** For OpenAI's service. These fields can't change an answer here: any value is accepted and ignored. */
  readonly user?: string | null | undefined;
  readonly safety_identifier?: string | null | undefined;
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
  readonly store?: boolean | null | undefined;
  readonly service_tier?: string | null | undefined;
  readonly prompt_cache_key?: string | null | undefined;
  readonly prompt_cache_retention?: string | null | undefined;
  /** For tools, which this version doesn't have: any value is accepted and ignored. */
  readonly parallel_tool_calls?: boolean | null | undefined;
  readonly n?: 1 | null | undefined;
  readonly response_format?: { readonly type: 'text' } | null | undefined;
  /** Options that OpenAI's API doesn't have. */
  readonly extra_body?:
    | {
        readonly top_k?: number | undefined;
        readonly min_p?: number | undefined;
        readonly repetition_penalty?: number | undefined;
      }
    | null
    | undefined;
  /**
   * What happens to a conversation that has outgrown the context. 'error', the default: `context-full`.
   * 'drop-oldest': the oldest turns are dropped, whole, until the rest leaves room for `max_tokens` tokens,
   * or 256, but not more than half of the context. Leading system messages and the last turn stay. The cut
   * stays where it is for several turns, so that keys and values are used again. `usage.dropped_messages`
   * and the stream's `droppedMessages` tell how many messages were dropped. Not a field of OpenAI's.
   */
  readonly overflow?: 'error' | 'drop-oldest' | null | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ChatRequestOptions {
  /**
   * Takes the call out of the queue, or stops it at its next step. The call then throws the signal's reason.
   */
  readonly signal?: AbortSignal | null | undefined;
}

export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Tokens of the prompt whose keys and values were kept from the last call. */
  prompt_tokens_details: { cached_tokens: number };
  /** With `overflow: 'drop-oldest'`: how many messages were dropped. */
  dropped_messages?: number;
}

export interface ChatCompletionTokenLogprob {
  token: string;
  /** Null where the token is a part of a character. */
  bytes: number[] | null;
  logprob: number;
  top_logprobs: { token: string; bytes: number[] | null; logprob: number }[];
}

export interface ChatCompletionLogprobs {
  content: ChatCompletionTokenLogprob[] | null;
  refusal: null;
}

/**
 * `stop`: the model ended its turn, or a stop string came; `length`: max_tokens or the context was reached.
 */
export type ChatFinishReason = 'stop' | 'length';

export interface ChatCompletionMessage {
  role: 'assistant';
  content: string;
  refusal: null;
}

export interface ChatCompletion {
  id: string;
  object: 'chat.completion';
  /** Unix time in seconds. */
  created: number;
  model: string;
  choices: {
    index: 0;
    message: ChatCompletionMessage;
    logprobs: ChatCompletionLogprobs | null;
    finish_reason: ChatFinishReason;
    /** The stop string that ended the answer, named as in vLLM's server. Absent: the model ended it. */
    stop_reason?: string;
  }[];
  usage: CompletionUsage;
  system_fingerprint: string;
}

export interface ChatCompletionChunk {
  id: string;
  object: 'chat.completion.chunk';
  created: number;
  model: string;
  choices: {
    index: 0;
    delta: { role?: 'assistant'; content?: string; refusal?: null };
    logprobs: ChatCompletionLogprobs | null;
    finish_reason: ChatFinishReason | null;
    /** In the chunk with the finish reason: as in a whole completion. */
    stop_reason?: string;
  }[];
  /** With `include_usage` only: null, except in the last chunk, which has no choices. */
  usage?: CompletionUsage | null;
  system_fingerprint: string;
}
