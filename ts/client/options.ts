// SPDX-License-Identifier: Apache-2.0
// Options as callers give them, checked by name: what is unknown, out of range or not in this version is
// an error and never ignored.
import { ChordError } from '../errors.js';
import type { LoadProgress } from '../load/progress.js';
import { asBoolean, asNumber, asString, asWhole } from '../worker/protocol.js';
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

const notInThisVersion = (name: string, hint?: string): never => {
  throw new ChordError('invalid-argument', `${name} is not in this version`, { hint: hint ?? 'leave it out' });
};

/** Refuses names that aren't `known`; undefined values count as absent. */
export function checkNames(what: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw new ChordError('invalid-argument', `${what} must be an object`);
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && !known.includes(name)) {
      throw new ChordError('invalid-argument', `${what} has no option '${name}'`, { hint: `it takes ${known.join(', ')}` });
    }
  }
}

export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new ChordError('invalid-argument', 'signal is not an AbortSignal');
}

export function checkLoadOptions(options: LoadModelOptions): LoadOptions {
  checkNames('loadModel', options, ['backend', 'threads', 'contextLength', 'kvType', 'cache', 'worker', 'signal', 'onProgress']);
  const { backend, cache, kvType, worker, onProgress } = options;
  const isOneOf = (name: string, value: unknown, known: readonly string[]): void => {
    if (value !== undefined && !known.includes(value as string)) throw new ChordError('invalid-argument', `${name} is ${String(value)}, not one of ${known.join(', ')}`);
  };
  isOneOf('backend', backend, ['auto', 'cpu', 'webgpu']);
  isOneOf('kvType', kvType, ['f16', 'q8_0', 'f32']);
  if (cache !== undefined && cache !== 'auto' && cache !== 'none') notInThisVersion('a cache of one\'s own', 'leave it out; downloads aren\'t kept');
  if (worker !== undefined) asBoolean('worker', worker);
  if (onProgress !== undefined && typeof onProgress !== 'function') throw new ChordError('invalid-argument', 'onProgress is not a function');
  checkSignal(options.signal);
  return {
    contextLength: options.contextLength === undefined ? undefined : asWhole('contextLength', options.contextLength, 1, 2 ** 31 - 1),
    kvType,
    threads: options.threads === undefined ? undefined : asWhole('threads', options.threads, 1, 256),
  };
}

export function checkGenerateOptions(options: GenerateOptions): GenerateOptionsRecord {
  checkNames('generate', options, [
    'maxTokens', 'ignoreEos', 'temperature', 'topK', 'topP', 'minP', 'typicalP', 'repetitionPenalty', 'frequencyPenalty',
    'presencePenalty', 'seed', 'stop', 'logitBias', 'logprobs', 'grammar', 'jsonSchema', 'regex', 'signal',
  ]);
  for (const name of ['grammar', 'jsonSchema', 'regex'] as const) if (options[name] !== undefined) notInThisVersion(name);
  if (options.typicalP !== undefined && options.typicalP !== 1) notInThisVersion('typicalP');
  checkSignal(options.signal);
  const float = (name: 'temperature' | 'topP' | 'minP' | 'frequencyPenalty' | 'presencePenalty', least: number, most: number, otherwise: number): number =>
    asNumber(name, options[name] ?? otherwise, least, most);
  return {
    maxTokens: asWhole('maxTokens', options.maxTokens ?? 256, 1, 2 ** 31 - 1),
    ignoreEos: asBoolean('ignoreEos', options.ignoreEos ?? false),
    sampling: {
      temperature: float('temperature', 0, 1e6, 0.8),
      topK: asWhole('topK', options.topK ?? 40, 0, 2 ** 31 - 1),
      topP: float('topP', 0, 1, 0.95),
      minP: float('minP', 0, 1, 0.05),
      repetitionPenalty: asNumber('repetitionPenalty', options.repetitionPenalty ?? 1, 1e-6, 1e6),
      frequencyPenalty: float('frequencyPenalty', -1e6, 1e6, 0),
      presencePenalty: float('presencePenalty', -1e6, 1e6, 0),
      bias: biasPairs(options.logitBias),
    },
    seed: options.seed === undefined ? undefined : asWhole('seed', options.seed, 0, Number.MAX_SAFE_INTEGER),
    stop: stopList(options.stop),
    logprobs: asBoolean('logprobs', options.logprobs ?? false),
  };
}

function stopList(stop: GenerateOptions['stop']): string[] {
  if (stop === undefined) return [];
  const list: readonly unknown[] = typeof stop === 'string' ? [stop] : Array.isArray(stop) ? stop : [asString('stop', stop)];
  return Array.from(list, (text) => {
    if (asString('stop', text) === '') throw new ChordError('invalid-argument', 'a stop string is empty');
    return text as string;
  });
}

function biasPairs(bias: GenerateOptions['logitBias']): [number, number][] | undefined {
  if (bias === undefined) return undefined;
  if (typeof bias !== 'object' || bias === null) throw new ChordError('invalid-argument', 'logitBias is not an object from token ids to numbers');
  const entries: Iterable<readonly [unknown, unknown]> = bias instanceof Map ? bias.entries() : Object.entries(bias);
  return [...entries].map(([id, value]) => [
    asWhole('a token id of logitBias', typeof id === 'string' && id.trim() !== '' ? Number(id) : id, 0, 2 ** 31 - 1),
    value === -Infinity ? value : asNumber(`logitBias[${String(id)}]`, value, -3e38, 3e38),
  ]);
}
