// SPDX-License-Identifier: Apache-2.0
// Parses a chat request from any value. Every field is accepted, or refused by its name. Only fields for
// OpenAI's own service are ignored.
import { asOneOf, asSignal, asWhole, isObject as isAnyObject, reading, refuse } from '../check.js';
import type { Fields } from '../check.js';
import { show } from '../errors.js';
import { asOption, numbers } from '../options.js';
import type { NumberName } from '../options.js';
import type { ChatMessage } from './template.js';

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
}

export interface ChatRequest {
  readonly messages: readonly ChatMessage[];
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
  'parallel_tool_calls',
];
const extras = ['top_k', 'min_p', 'repetition_penalty'];
const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

/**
 * OpenAI's fields that this version doesn't support. The function returns true for values that request
 * nothing.
 */
const notTaken: { readonly [name: string]: (value: unknown) => boolean } = {
  n: (value) => value === 1,
  tools: isEmpty,
  functions: isEmpty,
  tool_choice: (value) => value === 'none',
  function_call: (value) => value === 'none',
  response_format: (value) => isObject(value) && value['type'] === 'text',
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  audio: () => false,
  prediction: () => false,
  reasoning_effort: () => false,
  verbosity: () => false,
  web_search_options: () => false,
};

const isObject = (value: unknown): value is Fields => isAnyObject(value) && !Array.isArray(value);

/** The own fields of a caller's object, read once. */
function fieldsOf(at: string, value: unknown): Fields {
  const names = reading(at, () => (isObject(value) ? Object.keys(value) : undefined));
  if (names === undefined) return refuse(`${at} is ${show(value)}, not an object`);
  return Object.fromEntries(
    names.map((name) => [name, reading(`${at}.${name}`, () => (value as Fields)[name])]),
  );
}

const notInThisVersion = (name: string): never => refuse(`${name} is not in this version`, 'leave it out');

/**
 * Throws `invalid-argument`, which names the field. Null and undefined fields count as absent, as in OpenAI's
 * types.
 */
export function parseChatRequest(body: unknown, options: unknown): ChatRequest {
  return reading('the request', () => parse(fieldsOf('the body of chat.completions.create', body), options));
}

function parse(body: Fields, options: unknown): ChatRequest {
  for (const [name, value] of Object.entries(body)) {
    if (value === undefined || value === null || taken.includes(name) || forTheService.includes(name))
      continue;
    const asksForNothing = Object.hasOwn(notTaken, name) ? notTaken[name] : undefined;
    if (asksForNothing !== undefined && reading(name, () => asksForNothing(value))) continue;
    if (asksForNothing !== undefined) notInThisVersion(name);
    else if (extras.includes(name))
      refuse(
        `chat.completions.create has no field '${name}'`,
        `write extra_body: { ${name}: ${show(value)} }`,
      );
    else refuse(`chat.completions.create has no field '${name}'`, `the fields are ${taken.join(', ')}`);
  }
  if (body['model'] !== undefined && body['model'] !== null && typeof body['model'] !== 'string')
    refuse(`model is ${show(body['model'])}, not a string`);
  const stream = boolean(body, 'stream') ?? false;
  const extra = object(body, 'extra_body', extras);
  const max = [number(body, 'maxTokens'), number(body, 'maxTokens', 'max_completion_tokens')];
  if (max[0] !== undefined && max[1] !== undefined)
    refuse('max_tokens and max_completion_tokens are both given, but mean the same', 'leave max_tokens out');
  const streamOptions = object(body, 'stream_options', ['include_usage']);
  if (streamOptions !== undefined && !stream)
    refuse(
      'stream_options needs stream: true',
      'leave it out: an answer without stream always has its usage',
    );
  return {
    messages: reading('messages', () => parseMessages(body['messages'])),
    stream,
    overflow: asOneOf('overflow', body['overflow'] ?? 'error', ['error', 'drop-oldest'] as const),
    includeUsage: boolean(streamOptions ?? {}, 'include_usage') ?? false,
    signals: [body['signal'], object({ options }, 'options', ['signal'])?.['signal']].flatMap(
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
      logprobs: parseLogprobs(body),
      topK: number(extra ?? {}, 'topK', numbers.topK.c, 'extra_body.'),
      minP: number(extra ?? {}, 'minP', numbers.minP.c, 'extra_body.'),
      repetitionPenalty: number(extra ?? {}, 'repetitionPenalty', numbers.repetitionPenalty.c, 'extra_body.'),
    },
  };
}

function parseMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value)) refuse(`messages is ${show(value)}, not an array`);
  if (value.length === 0) refuse('messages is empty');
  return Array.from(value, (given: unknown, index) => {
    const at = `messages[${index}]`;
    const message = fieldsOf(at, given);
    const role = message['role'];
    if (role === 'tool' || role === 'function') notInThisVersion(`${at}.role '${role}'`);
    if (role !== 'system' && role !== 'developer' && role !== 'user' && role !== 'assistant') {
      refuse(`${at}.role is ${show(role)}, not 'system', 'developer', 'user' or 'assistant'`);
    }
    const name = message['name'] ?? undefined;
    if (name !== undefined && typeof name !== 'string') refuse(`${at}.name is ${show(name)}, not a string`);
    for (const [field, content] of Object.entries(message)) {
      // The message of an answer has these fields, empty. The caller may send such a message back.
      if (
        ['role', 'content', 'name'].includes(field) ||
        content === undefined ||
        content === null ||
        reading(`${at}.${field}`, () => isEmpty(content))
      )
        continue;
      if (['refusal', 'audio', 'tool_calls', 'function_call', 'tool_call_id', 'annotations'].includes(field))
        notInThisVersion(`${at}.${field}`);
      refuse(`${at} has no field '${field}'`);
    }
    return {
      role,
      content: reading(`${at}.content`, () => parseContent(`${at}.content`, message['content'])),
      ...(name === undefined ? {} : { name }),
    };
  });
}

function parseContent(at: string, content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) refuse(`${at} is ${show(content)}, neither a string nor an array of parts`);
  const texts = Array.from(content, (given: unknown, index) => {
    const part = fieldsOf(`${at}[${index}]`, given);
    if (part['type'] !== 'text')
      refuse(`${at}[${index}].type is ${show(part['type'])}, not 'text', the only type in this version`);
    if (typeof part['text'] !== 'string')
      refuse(`${at}[${index}].text is ${show(part['text'])}, not a string`);
    return part['text'];
  });
  return texts.join('\n');
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

function parseLogprobs(body: Fields): boolean {
  const logprobs = boolean(body, 'logprobs') ?? false;
  const top =
    body['top_logprobs'] === undefined || body['top_logprobs'] === null
      ? undefined
      : asWhole('top_logprobs', body['top_logprobs'], 0, 20);
  if (top !== undefined && !logprobs) refuse('top_logprobs needs logprobs: true');
  if (top !== undefined && top > 0)
    refuse(
      'top_logprobs is not in this version',
      'leave it out: logprobs: true returns those of the chosen tokens',
    );
  return logprobs;
}

function boolean(fields: Fields, name: string): boolean | undefined {
  const value = fields[name] ?? undefined;
  return value === undefined || typeof value === 'boolean'
    ? value
    : refuse(`${name} is ${show(value)}, not true or false`);
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

function object(fields: Fields, name: string, known: readonly string[]): Fields | undefined {
  if (fields[name] === undefined || fields[name] === null) return undefined;
  const value = fieldsOf(name, fields[name]);
  for (const [field, content] of Object.entries(value)) {
    if (content !== undefined && content !== null && !known.includes(field))
      refuse(`${name} has no field '${field}' in this version`, `the fields are ${known.join(', ')}`);
  }
  return value;
}
