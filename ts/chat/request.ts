// SPDX-License-Identifier: Apache-2.0
// Parses a chat request from any value. Every field is accepted, or refused by its name. Only fields for
// OpenAI's own service are ignored.
import { asOneOf, asSignal, asWhole, reading, refuse } from '../check.js';
import type { Fields } from '../check.js';
import { show } from '../errors.js';
import { asOption, numbers } from '../options.js';
import type { NumberName } from '../options.js';
import type { AnswerReaderOptions, Tool } from './answer/reader.js';
import { FORMATS } from './answer/formats.js';
import { booleanField, fieldsOf, isObject, notInThisVersion, objectField, stringField } from './fields.js';
import { chosenTools, parseMessages, parseTools } from './messages.js';
import type { ChatMessage, ChatTemplateOptions } from './template.js';

/** The part of a request that `generate` uses. */
export interface ChatSampling {
  maxTokens: number | undefined;
  temperature: number | undefined;
  topP: number | undefined;
  topK: number | undefined;
  minP: number | undefined;
  repetitionPenalty: number | undefined;
  frequencyPenalty: number | undefined;
  presencePenalty: number | undefined;
  seed: number | undefined;
  stop: string[] | undefined;
  logitBias: Record<number, number> | undefined;
  logprobs: boolean;
  topLogprobs: number;
}

export interface ChatRequest {
  readonly messages: readonly ChatMessage[];
  readonly template: ChatTemplateOptions;
  readonly reader: Pick<AnswerReaderOptions, 'tools' | 'toolFormat' | 'reasoningFormat'>;
  /** The answer ends behind its first call. */
  readonly isOneCall: boolean;
  /** Number of choices. */
  readonly n: number;
  readonly sampling: ChatSampling;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly overflow: 'error' | 'drop-oldest';
  readonly signals: readonly AbortSignal[];
}

const taken = [
  'messages',
  'model',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'frequency_penalty',
  'presence_penalty',
  'stop',
  'seed',
  'logit_bias',
  'logprobs',
  'top_logprobs',
  'n',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'reasoning_effort',
  'extra_body',
  'overflow',
  'signal',
];
/** OpenAI's service reads these for itself. They can't change an answer here, so any value is accepted. */
const forTheService = [
  'user',
  'safety_identifier',
  'metadata',
  'store',
  'service_tier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'prompt_cache_options',
];
/** Fields of extra_body only. */
const extras = ['top_k', 'min_p', 'repetition_penalty'];
/** Fields that stand beside `messages`, or in extra_body. */
const anywhere = [
  'chat_template_kwargs',
  'chat_template',
  'add_generation_prompt',
  'continue_final_message',
  'tool_format',
  'reasoning_format',
];
const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

/**
 * OpenAI's fields that this version doesn't support. The function returns true for values that request
 * nothing.
 */
const notTaken: { readonly [name: string]: (value: unknown) => boolean } = {
  functions: isEmpty,
  function_call: (value) => value === 'none',
  response_format: (value) => isObject(value) && value['type'] === 'text',
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  audio: () => false,
  prediction: () => false,
  verbosity: () => false,
  web_search_options: () => false,
};

/**
 * Throws `invalid-argument`, which names the field. Null and undefined fields count as absent, as in OpenAI's
 * types.
 */
export function parseChatRequest(body: unknown, options: unknown): ChatRequest {
  return reading('the request', () => parse(fieldsOf('the body of chat.completions.create', body), options));
}

function parse(body: Fields, options: unknown): ChatRequest {
  const known = [...taken, ...anywhere, ...forTheService];
  for (const [name, value] of Object.entries(body)) {
    if (value === undefined || value === null || known.includes(name)) continue;
    const asksForNothing = Object.hasOwn(notTaken, name) ? notTaken[name] : undefined;
    if (asksForNothing !== undefined && reading(name, () => asksForNothing(value))) continue;
    const hint = name === 'functions' || name === 'function_call' ? 'use tools and tool_choice' : undefined;
    if (asksForNothing !== undefined) notInThisVersion(name, hint);
    else if (extras.includes(name))
      refuse(
        `chat.completions.create has no field '${name}'`,
        `write extra_body: { ${name}: ${show(value)} }`,
      );
    else
      refuse(
        `chat.completions.create has no field '${name}'`,
        `the fields are ${[...taken, ...anywhere].join(', ')}`,
      );
  }
  if (body['model'] !== undefined && body['model'] !== null && typeof body['model'] !== 'string')
    refuse(`model is ${show(body['model'])}, not a string`);
  const stream = booleanField(body, 'stream') ?? false;
  const extra = objectField(body, 'extra_body', [...extras, ...anywhere]);
  const max = [number(body, 'maxTokens'), number(body, 'maxTokens', 'max_completion_tokens')];
  if (max[0] !== undefined && max[1] !== undefined)
    refuse('max_tokens and max_completion_tokens are both given, but mean the same', 'leave max_tokens out');
  const streamOptions = objectField(body, 'stream_options', ['include_usage', 'include_obfuscation']);
  booleanField(streamOptions ?? {}, 'include_obfuscation'); // there is none: nobody listens on the way
  if (streamOptions !== undefined && !stream)
    refuse(
      'stream_options needs stream: true',
      'leave it out: an answer without stream always has its usage',
    );
  const n = body['n'] ?? 1;
  const all = reading('tools', () => parseTools(body['tools']));
  const tools = reading('tool_choice', () => chosenTools(body['tool_choice'], all));
  const placed = placedAnywhere(body, extra ?? {});
  return {
    n: asWhole('n', n, 1, 128),
    isOneCall: booleanField(body, 'parallel_tool_calls') === false,
    // As llama-server, 'none' leaves the tools in the prompt: its beginning stays the last turn's.
    template: templateOptions(
      placed,
      stringField(body, 'reasoning_effort'),
      body['tool_choice'] === 'none' ? all : tools,
    ),
    reader: {
      tools,
      toolFormat: asOneOf('tool_format', placed['tool_format'] ?? 'auto', toolFormats),
      reasoningFormat: asOneOf('reasoning_format', placed['reasoning_format'] ?? 'auto', [
        'auto',
        'none',
      ] as const),
    },
    messages: reading('messages', () => parseMessages(body['messages'])),
    stream,
    overflow: asOneOf('overflow', body['overflow'] ?? 'error', ['error', 'drop-oldest'] as const),
    includeUsage: booleanField(streamOptions ?? {}, 'include_usage') ?? false,
    signals: [body['signal'], objectField({ options }, 'options', ['signal'])?.['signal']].flatMap(
      (signal) => asSignal('signal', signal ?? undefined) ?? [],
    ),
    sampling: {
      maxTokens: max[0] ?? max[1],
      temperature: number(body, 'temperature'),
      topP: number(body, 'topP'),
      frequencyPenalty: number(body, 'frequencyPenalty'),
      presencePenalty: number(body, 'presencePenalty'),
      seed: number(body, 'seed'),
      stop: reading('stop', () => parseStop(body['stop'])),
      logitBias: reading('logit_bias', () => parseBias(body['logit_bias'])),
      ...parseLogprobs(body),
      topK: number(extra ?? {}, 'topK', numbers.topK.c, 'extra_body.'),
      minP: number(extra ?? {}, 'minP', numbers.minP.c, 'extra_body.'),
      repetitionPenalty: number(extra ?? {}, 'repetitionPenalty', numbers.repetitionPenalty.c, 'extra_body.'),
    },
  };
}

const toolFormats = ['auto', 'none', ...(Object.keys(FORMATS) as (keyof typeof FORMATS)[])] as const;

/** The fields that may stand in two places. */
function placedAnywhere(body: Fields, extra: Fields): Fields {
  return Object.fromEntries(
    anywhere.map((name) => {
      const [own, other] = [body[name] ?? undefined, extra[name] ?? undefined];
      if (own !== undefined && other !== undefined) refuse(`${name} is given twice, also in extra_body`);
      return [name, own ?? other];
    }),
  );
}

function templateOptions(
  placed: Fields,
  effort: string | undefined,
  tools: readonly Tool[],
): ChatTemplateOptions {
  const kwargs = placed['chat_template_kwargs'];
  if (kwargs !== undefined && !isObject(kwargs))
    refuse(`chat_template_kwargs is ${show(kwargs)}, not an object`);
  const options: Fields = {
    tools: tools.length > 0 ? tools : undefined,
    templateKwargs:
      kwargs === undefined && effort === undefined
        ? undefined
        : { ...(effort === undefined ? {} : { reasoning_effort: effort }), ...kwargs },
    chatTemplate: stringField(placed, 'chat_template'),
    addGenerationPrompt: booleanField(placed, 'add_generation_prompt'),
    continueFinalMessage: booleanField(placed, 'continue_final_message'),
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function parseStop(value: unknown): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return Array.from(list, (text) => {
    if (typeof text !== 'string') refuse(`stop is ${show(text)}, not a string or an array of strings`);
    return text === '' ? refuse('a stop string is empty') : text;
  });
}

function parseBias(value: unknown): Record<number, number> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) refuse(`logit_bias is ${show(value)}, not an object from token ids to numbers`);
  const bias: Record<number, number> = {};
  for (const [id, amount] of Object.entries(value)) {
    if (!/^\d{1,9}$/.test(id)) refuse(`logit_bias: '${id}' is not a token id`);
    if (typeof amount !== 'number' || !Number.isFinite(amount))
      refuse(`logit_bias[${id}] is ${show(amount)}, not a number`);
    bias[Number(id)] = amount;
  }
  return bias;
}

function parseLogprobs(body: Fields): { logprobs: boolean; topLogprobs: number } {
  const logprobs = booleanField(body, 'logprobs') ?? false;
  const topLogprobs = number(body, 'topLogprobs');
  if (topLogprobs !== undefined && !logprobs) refuse('top_logprobs needs logprobs: true');
  return { logprobs, topLogprobs: topLogprobs ?? 0 };
}

/** The option `name`, read from OpenAI's field `field`. */
function number(
  fields: Fields,
  name: NumberName,
  field: string = numbers[name].c,
  where = '',
): number | undefined {
  const value = fields[field] ?? undefined;
  return value === undefined ? undefined : asOption(name, value, `${where}${field}`);
}
