// SPDX-License-Identifier: Apache-2.0
// OpenAI's chat completions as types: what goes in and what comes out, as far as this version takes it.
// Names and nesting are the public API's, so that code written for it needs no change.

export interface ChatTextPart {
  readonly type: 'text';
  readonly text: string;
}

/** A turn. Parts of text become one text, joined by line ends as llama.cpp's server does. */
export interface ChatCompletionMessageParam {
  /** `developer` is given to the template as `system`, unless the template knows the word. */
  readonly role: 'system' | 'developer' | 'user' | 'assistant';
  readonly content: string | readonly ChatTextPart[];
  readonly name?: string | undefined;
  /** As answers have it, so that an answer's message can be given back. */
  readonly refusal?: null | undefined;
}

export interface ChatCompletionCreateParams {
  readonly messages: readonly ChatCompletionMessageParam[];
  /** Any text: the model is the one that was loaded, and the answer names it. */
  readonly model?: string | undefined;
  readonly stream?: boolean | null | undefined;
  /** `include_usage`: a last chunk without choices has the usage. */
  readonly stream_options?: { readonly include_usage?: boolean | undefined } | null | undefined;
  /** Most tokens of the answer; default: as many as the context holds. One of the two names. */
  readonly max_tokens?: number | null | undefined;
  readonly max_completion_tokens?: number | null | undefined;
  /** 0: always the likeliest token. Default 0.8, as `generate`. */
  readonly temperature?: number | null | undefined;
  /** Default 0.95, as `generate`. */
  readonly top_p?: number | null | undefined;
  readonly frequency_penalty?: number | null | undefined;
  readonly presence_penalty?: number | null | undefined;
  /** The answer ends before the first of these. */
  readonly stop?: string | readonly string[] | null | undefined;
  /** The same seed and `system_fingerprint` give the same answer. */
  readonly seed?: number | null | undefined;
  /** Token ids as keys. */
  readonly logit_bias?: Readonly<Record<string, number>> | null | undefined;
  /** The chosen tokens' log-probabilities. `top_logprobs` isn't in this version, but for 0. */
  readonly logprobs?: boolean | null | undefined;
  readonly top_logprobs?: number | null | undefined;
  /** For OpenAI's service. They can't change an answer here: any value is taken, and nothing is done with it. */
  readonly user?: string | null | undefined;
  readonly safety_identifier?: string | null | undefined;
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
  readonly store?: boolean | null | undefined;
  readonly service_tier?: string | null | undefined;
  readonly prompt_cache_key?: string | null | undefined;
  readonly prompt_cache_retention?: string | null | undefined;
  /** The same: without `tools` there are no calls. */
  readonly parallel_tool_calls?: boolean | null | undefined;
  readonly n?: 1 | null | undefined;
  readonly response_format?: { readonly type: 'text' } | null | undefined;
  /** What OpenAI's API doesn't have. */
  readonly extra_body?: {
    readonly top_k?: number | undefined;
    readonly min_p?: number | undefined;
    readonly repetition_penalty?: number | undefined;
  } | null | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ChatRequestOptions {
  /** Takes the call out of the queue, or stops it at its next step; it then throws the signal's reason. */
  readonly signal?: AbortSignal | null | undefined;
}

export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Tokens of the prompt whose KV was kept from the call before. */
  prompt_tokens_details: { cached_tokens: number };
}

export interface ChatCompletionTokenLogprob {
  token: string;
  /** Null where the token holds a part of a character. */
  bytes: number[] | null;
  logprob: number;
  top_logprobs: { token: string; bytes: number[] | null; logprob: number }[];
}

export interface ChatCompletionLogprobs {
  content: ChatCompletionTokenLogprob[] | null;
  refusal: null;
}

/** `stop`: the model ended its turn, or a stop text came; `length`: max_tokens or the context was reached. */
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
  choices: { index: 0; message: ChatCompletionMessage; logprobs: ChatCompletionLogprobs | null; finish_reason: ChatFinishReason }[];
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
  }[];
  /** With `include_usage` alone: null but in the last chunk, which has no choices. */
  usage?: CompletionUsage | null;
  system_fingerprint: string;
}
