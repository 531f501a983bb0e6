// SPDX-License-Identifier: Apache-2.0
// Types of OpenAI's chat completions: requests and answers, as far as this version supports them. Names and
// nesting equal the public API's, so code written for that API needs no change. Fields that other servers
// have too are named as in vLLM and llama-server.
import type { ToolFormatName } from './answer/reader.js';

/** A part of a message's content. Only the type `text` is accepted; others are refused by their name. */
export interface ChatContentPart {
  readonly type: 'text' | (string & {});
  readonly text?: string | undefined;
}

/** A call of a function, in a message of the assistant. */
export interface ChatCompletionToolCallParam {
  readonly id: string;
  /** Only the type `function` is accepted. */
  readonly type: 'function' | (string & {});
  readonly function?: { readonly name: string; readonly arguments: string } | undefined;
}

/** A function that the model may call. Its description goes into the prompt. */
export interface ChatCompletionTool {
  /** Only the type `function` is accepted. */
  readonly type: 'function' | (string & {});
  readonly function?:
    | {
        readonly name: string;
        readonly description?: string | undefined;
        /** A JSON schema of the arguments. */
        readonly parameters?: object | undefined;
        /** Accepted and not enforced: nothing holds the arguments to the schema in this version. */
        readonly strict?: boolean | null | undefined;
      }
    | undefined;
}

/** A message. */
export interface ChatCompletionMessageParam {
  /**
   * The template gets `developer` as `system`, unless the template names `'developer'`. Any string
   * has the type, so that a list needs no `as const`; another role is refused as `invalid-argument`.
   */
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool' | (string & {});
  /**
   * Text parts become one text, joined by line ends as in llama.cpp's server, unless the template reads
   * parts. A message of the assistant with calls needs no content.
   */
  readonly content?: string | readonly ChatContentPart[] | null | undefined;
  readonly name?: string | undefined;
  /** Calls that the assistant made: those of an answer can be sent back as they are. */
  readonly tool_calls?: readonly ChatCompletionToolCallParam[] | null | undefined;
  /** With the role `tool`: the id of the call whose result the content is. */
  readonly tool_call_id?: string | undefined;
  /** What the assistant thought. Templates drop it or keep it. */
  readonly reasoning_content?: string | null | undefined;
  /** Answers have this field, null. It is accepted, so that the message of an answer can be sent back. */
  readonly refusal?: string | null | undefined;
}

export interface ChatCompletionCreateParams {
  readonly messages: readonly ChatCompletionMessageParam[];
  /** Any text. The loaded model answers, and the answer has its name. */
  readonly model?: string | undefined;
  readonly stream?: boolean | null | undefined;
  /** `include_usage`: adds a last chunk without choices, with the usage. */
  readonly stream_options?:
    | { readonly include_usage?: boolean | undefined; readonly include_obfuscation?: boolean | undefined }
    | null
    | undefined;
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
  /**
   * The same seed and `system_fingerprint` give the same answer in one JavaScript engine. With `n`, the
   * choices have the seeds seed, seed + 1, ...
   */
  readonly seed?: number | null | undefined;
  /** Token ids as keys. */
  readonly logit_bias?: Readonly<Record<string, number>> | null | undefined;
  /** Log-probabilities of the chosen tokens, before sampling options apply. */
  readonly logprobs?: boolean | null | undefined;
  /** Log-probabilities of so many most likely tokens at each place, 0 to 20; needs `logprobs`. */
  readonly top_logprobs?: number | null | undefined;
  /** Number of answers to the same prompt, 1 to 128, one after the other; default 1. */
  readonly n?: number | null | undefined;
  /**
   * Functions that the model may call. The template writes them into the prompt. The calls are read from the
   * answer in the format that the template shows.
   */
  readonly tools?: readonly ChatCompletionTool[] | null | undefined;
  /**
   * 'auto', the default: the model decides. 'none': the prompt has the tools, and calls are text, as in
   * llama-server. This version can't force a call: 'required' and a named function are refused.
   * 'allowed_tools' with the mode 'auto' leaves the other tools out.
   */
  readonly tool_choice?: 'none' | 'auto' | 'required' | { readonly type: string } | null | undefined;
  /** False: an answer ends behind its first call; default true. */
  readonly parallel_tool_calls?: boolean | null | undefined;
  /** The variable `reasoning_effort` of templates that read it. */
  readonly reasoning_effort?: string | null | undefined;
  /** Variables for the template, such as `{ enable_thinking: false }`. */
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>> | null | undefined;
  /** Name of one of the file's templates. */
  readonly chat_template?: string | null | undefined;
  /** End the prompt with the start of the assistant's turn; default true, unless a message is continued. */
  readonly add_generation_prompt?: boolean | null | undefined;
  /**
   * The answer goes on with the last message, which is the assistant's. Default, as in llama-server: if that
   * message has text and no calls, and `add_generation_prompt` isn't given.
   */
  readonly continue_final_message?: boolean | null | undefined;
  /**
   * The format of the model's calls; default 'auto': the one that the template shows. 'none': calls stay in
   * the text.
   */
  readonly tool_format?: ToolFormatName | 'auto' | 'none' | null | undefined;
  /** 'auto', the default: reasoning is split off where the template has marks for it. 'none': it stays. */
  readonly reasoning_format?: 'auto' | 'none' | null | undefined;
  /** For OpenAI's service. These fields can't change an answer here: any value is accepted and ignored. */
  readonly user?: string | null | undefined;
  readonly safety_identifier?: string | null | undefined;
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
  readonly store?: boolean | null | undefined;
  readonly service_tier?: string | null | undefined;
  readonly prompt_cache_key?: string | null | undefined;
  readonly prompt_cache_retention?: string | null | undefined;
  readonly prompt_cache_options?: object | null | undefined;
  readonly response_format?: { readonly type: 'text' } | null | undefined;
  /** Options that OpenAI's API doesn't have. Those below the sampling's may also stand beside `messages`. */
  readonly extra_body?:
    | {
        readonly top_k?: number | undefined;
        readonly min_p?: number | undefined;
        readonly repetition_penalty?: number | undefined;
        readonly chat_template_kwargs?: Readonly<Record<string, unknown>> | undefined;
        readonly chat_template?: string | undefined;
        readonly add_generation_prompt?: boolean | undefined;
        readonly continue_final_message?: boolean | undefined;
        readonly tool_format?: ToolFormatName | 'auto' | 'none' | undefined;
        readonly reasoning_format?: 'auto' | 'none' | undefined;
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
  /** Sum over the choices. */
  completion_tokens: number;
  total_tokens: number;
  /** Tokens of the prompt whose keys and values were kept from the last call. */
  prompt_tokens_details: { cached_tokens: number };
  /** Tokens of the reasoning, its marks included. */
  completion_tokens_details: { reasoning_tokens: number };
  /** With `overflow: 'drop-oldest'`: how many messages were dropped. */
  dropped_messages?: number;
}

export interface ChatCompletionTokenLogprob {
  /** A part of a character is U+FFFD here. */
  token: string;
  /** The token's own bytes, also where they are a part of a character. */
  bytes: number[];
  logprob: number;
  /** With `top_logprobs`: the most likely tokens, best first. */
  top_logprobs: { token: string; bytes: number[]; logprob: number }[];
}

export interface ChatCompletionLogprobs {
  content: ChatCompletionTokenLogprob[] | null;
  refusal: null;
}

/**
 * `stop`: the model ended its turn, or a stop string came; `length`: max_tokens or the context was reached;
 * `tool_calls`: the answer ended and has calls.
 */
export type ChatFinishReason = 'stop' | 'length' | 'tool_calls';

export interface ChatCompletionToolCall {
  id: string;
  type: 'function';
  function: {
    name: string;
    /** JSON text of an object, as the model wrote it. An answer that was cut off has its beginning. */
    arguments: string;
  };
}

export interface ChatCompletionMessage {
  role: 'assistant';
  /** Null where the answer has calls and no text. */
  content: string | null;
  refusal: null;
  /** What the model thought before it answered. Absent: nothing. */
  reasoning_content?: string;
  /** Absent: the answer has no calls. */
  tool_calls?: ChatCompletionToolCall[];
}

export interface ChatCompletion {
  id: string;
  object: 'chat.completion';
  /** Unix time in seconds. */
  created: number;
  model: string;
  choices: {
    index: number;
    message: ChatCompletionMessage;
    logprobs: ChatCompletionLogprobs | null;
    finish_reason: ChatFinishReason;
    /** The stop string that ended the answer, named as in vLLM's server. Absent: the model ended it. */
    stop_reason?: string;
  }[];
  usage: CompletionUsage;
  system_fingerprint: string;
}

export interface ChatCompletionDelta {
  role?: 'assistant';
  content?: string;
  refusal?: null;
  reasoning_content?: string;
  /** A call comes with its id and name; its arguments follow in pieces. */
  tool_calls?: {
    index: number;
    id?: string;
    type?: 'function';
    function: { name?: string; arguments: string };
  }[];
}

export interface ChatCompletionChunk {
  id: string;
  object: 'chat.completion.chunk';
  created: number;
  model: string;
  choices: {
    index: number;
    delta: ChatCompletionDelta;
    logprobs: ChatCompletionLogprobs | null;
    finish_reason: ChatFinishReason | null;
    /** In the chunk with the finish reason: as in a whole completion. */
    stop_reason?: string;
  }[];
  /** With `include_usage` only: null, except in the last chunk, which has no choices. */
  usage?: CompletionUsage | null;
  system_fingerprint: string;
}
