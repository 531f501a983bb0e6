// SPDX-License-Identifier: Apache-2.0
// Options as callers give them, checked by name: what is unknown, out of range or not in this version is
// an error and never ignored.
import { asBoolean, asOneOf, asOptional, asOptions, asSignal, asString, isObject, reading, refuse } from '../check.js';
import type { Fields } from '../check.js';
import type { LoadProgress } from '../load/progress.js';
import { asBias, asOption, kvTypes, numbers, samplingOf } from '../options.js';
import type { GenerateOptionsRecord, LoadOptions } from '../worker/protocol.js';

export interface LoadModelOptions {
  /** 'auto' takes the best that is there; this version has the CPU. Default 'auto'. */
  backend?: 'auto' | 'cpu' | 'webgpu' | undefined;
  /** Threads, the engine worker's own included; default: as many as the machine runs at once, 8 at most. */
  threads?: number | undefined;
  /** Most tokens of prompt and continuation; default min(the model's, 4096). KV pages are taken as tokens come. */
  contextLength?: number | undefined;
  /** Type of the KV cache; default 'f16'. */
  kvType?: 'f16' | 'q8_0' | 'f32' | undefined;
  /** This version keeps no copy of downloads: 'auto' and 'none' are the same. */
  cache?: 'auto' | 'none' | undefined;
  /** False runs the engine in the caller's thread, single-threaded, in steps of about 10 ms. Default true. */
  worker?: boolean | undefined;
  /** Aborts the load; everything is released. */
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: LoadProgress) => void) | undefined;
}

export interface GenerateOptions {
  /** Most new tokens; default 256. */
  maxTokens?: number | undefined;
  /** Go on after the model ends its turn; default false. */
  ignoreEos?: boolean | undefined;
  /** 0: always the likeliest token. Default 0.8. */
  temperature?: number | undefined;
  /** Draw from the k likeliest; 0: off. Default 40. */
  topK?: number | undefined;
  /** Draw from the likeliest whose probabilities sum to p; 1: off. Default 0.95. */
  topP?: number | undefined;
  /** Leave out what is less likely than p times the likeliest; 0: off. Default 0.05. */
  minP?: number | undefined;
  /** Not in this version but for 1, off. */
  typicalP?: number | undefined;
  /** Over the last 64 tokens; 1: off, the default. */
  repetitionPenalty?: number | undefined;
  /** Over the last 64 tokens; 0: off, the default. */
  frequencyPenalty?: number | undefined;
  presencePenalty?: number | undefined;
  /** A whole number from 0 on; the same seed and variant give the same text. Default: another one every time. */
  seed?: number | undefined;
  /** The text ends before the first of these. */
  stop?: string | readonly string[] | undefined;
  /** Added to the logits of token ids before everything else; -Infinity forbids a token. */
  logitBias?: Readonly<Record<number, number>> | ReadonlyMap<number, number> | undefined;
  /** Give each event its `logprob`; default false. */
  logprobs?: boolean | undefined;
  /** Takes the call out of the queue, or stops it at its next step; the loop then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Not in this version. */
  grammar?: undefined;
  jsonSchema?: undefined;
  regex?: undefined;
}

/** A load's options: what the worker is told, and what is the client's own. */
export interface CheckedLoad {
  readonly record: LoadOptions;
  readonly backend: 'auto' | 'cpu' | 'webgpu';
  readonly worker: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: LoadProgress) => void) | undefined;
}

export function checkLoadOptions(options: unknown): CheckedLoad {
  const given = asOptions('loadModel', options, ['backend', 'threads', 'contextLength', 'kvType', 'cache', 'worker', 'signal', 'onProgress']);
  const { cache, onProgress } = given;
  if (cache !== undefined && cache !== 'auto' && cache !== 'none') notInThisVersion('a cache of one\'s own', 'leave it out; downloads aren\'t kept');
  if (onProgress !== undefined && typeof onProgress !== 'function') refuse('onProgress is not a function');
  return {
    backend: asOneOf('backend', given['backend'] ?? 'auto', ['auto', 'cpu', 'webgpu'] as const),
    worker: asBoolean('worker', given['worker'] ?? true),
    signal: asSignal('signal', given['signal']),
    onProgress: onProgress as CheckedLoad['onProgress'],
    record: {
      contextLength: asOptional(given['contextLength'], (n) => asOption('contextLength', n)),
      kvType: asOptional(given['kvType'], (name) => asOneOf('kvType', name, kvTypes)),
      threads: asOptional(given['threads'], (n) => asOption('threads', n)),
    },
  };
}

export function checkGenerateOptions(options: unknown): { record: GenerateOptionsRecord; signal: AbortSignal | undefined } {
  const given = asOptions('generate', options, [
    'maxTokens', 'ignoreEos', 'temperature', 'topK', 'topP', 'minP', 'typicalP', 'repetitionPenalty', 'frequencyPenalty',
    'presencePenalty', 'seed', 'stop', 'logitBias', 'logprobs', 'grammar', 'jsonSchema', 'regex', 'signal',
  ]);
  for (const name of ['grammar', 'jsonSchema', 'regex']) if (given[name] !== undefined) notInThisVersion(name);
  if (given['typicalP'] !== undefined && given['typicalP'] !== numbers.typicalP.off) notInThisVersion('typicalP');
  const signal = asSignal('signal', given['signal']);
  return { signal, record: {
    maxTokens: asOption('maxTokens', given['maxTokens'] ?? numbers.maxTokens.otherwise),
    ignoreEos: asBoolean('ignoreEos', given['ignoreEos'] ?? false),
    sampling: {
      ...samplingOf((name) => asOption(name, given[name] ?? numbers[name].otherwise)),
      bias: asOptional(given['logitBias'], (bias) => reading('logitBias', () => biasPairs(bias))),
    },
    seed: asOptional(given['seed'], (seed) => asOption('seed', seed)),
    stop: asOptional(given['stop'], (stop) => reading('stop', () => stopList(stop))) ?? [],
    logprobs: asBoolean('logprobs', given['logprobs'] ?? false),
  } };
}

function notInThisVersion(name: string, hint = 'leave it out'): never {
  return refuse(`${name} is not in this version`, hint);
}

function stopList(stop: unknown): string[] {
  const list: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  return Array.from(list, (text) => {
    if (asString('stop', text) === '') refuse('a stop string is empty');
    return text as string;
  });
}

function biasPairs(bias: unknown): [number, number][] {
  if (!isObject(bias)) refuse('logitBias is not an object from token ids to numbers');
  const entries: Iterable<readonly [unknown, unknown]> = bias instanceof Map ? bias.entries() : Object.entries(bias as Fields);
  return Array.from(entries, ([id, value]) => asBias('logitBias', typeof id === 'string' && id.trim() !== '' ? Number(id) : id, value));
}
