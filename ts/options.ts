// SPDX-License-Identifier: Apache-2.0
// The numeric options of callers, each once. Level 1, level 2, chat and the worker's protocol take ranges,
// defaults and the other names of an option from this table.
import { asNumber, asWhole } from './check.js';

interface NumberOption {
  readonly least: number;
  readonly most: number;
  readonly isWhole: boolean;
  /** Default; undefined where the model, the machine or chance decides. */
  readonly otherwise: number | undefined;
  /** The value that switches the option off; undefined: no value does. */
  readonly off: number | undefined;
  /** Name in chord.h's structs. Level 1 and OpenAI use the same name where they have the option. */
  readonly c: string;
}

const INT32 = 2 ** 31 - 1;

export const numbers = {
  maxTokens: { least: 1, most: INT32, isWhole: true, otherwise: 256, off: undefined, c: 'max_tokens' },
  temperature: { least: 0, most: 1e6, isWhole: false, otherwise: 0.8, off: undefined, c: 'temperature' },
  topK: { least: 0, most: INT32, isWhole: true, otherwise: 40, off: 0, c: 'top_k' },
  topP: { least: 0, most: 1, isWhole: false, otherwise: 0.95, off: 1, c: 'top_p' },
  minP: { least: 0, most: 1, isWhole: false, otherwise: 0.05, off: 0, c: 'min_p' },
  /** Not in this version: only `off` is accepted. */
  typicalP: { least: 0, most: 1, isWhole: false, otherwise: 1, off: 1, c: 'typical_p' },
  repetitionPenalty: {
    least: 1e-6,
    most: 1e6,
    isWhole: false,
    otherwise: 1,
    off: 1,
    c: 'repetition_penalty',
  },
  frequencyPenalty: { least: -1e6, most: 1e6, isWhole: false, otherwise: 0, off: 0, c: 'frequency_penalty' },
  presencePenalty: { least: -1e6, most: 1e6, isWhole: false, otherwise: 0, off: 0, c: 'presence_penalty' },
  seed: {
    least: 0,
    most: Number.MAX_SAFE_INTEGER,
    isWhole: true,
    otherwise: undefined,
    off: undefined,
    c: 'seed',
  },
  topLogprobs: { least: 0, most: 20, isWhole: true, otherwise: 0, off: 0, c: 'top_logprobs' },
  contextLength: { least: 1, most: INT32, isWhole: true, otherwise: undefined, off: undefined, c: 'n_ctx' },
  memoryBudget: {
    least: 1,
    most: Number.MAX_SAFE_INTEGER,
    isWhole: true,
    otherwise: undefined,
    off: undefined,
    c: 'memory_budget',
  },
  threads: { least: 1, most: 64, isWhole: true, otherwise: undefined, off: undefined, c: 'n_threads' },
  /** Ranges of one file that are downloaded at the same time. The core doesn't know them. */
  connections: { least: 1, most: 16, isWhole: true, otherwise: undefined, off: undefined, c: 'connections' },
} as const satisfies { readonly [name: string]: NumberOption };

export type NumberName = keyof typeof numbers;

/** The numeric fields of a `Sampling`. */
export const samplingNames = [
  'temperature',
  'topK',
  'topP',
  'minP',
  'repetitionPenalty',
  'frequencyPenalty',
  'presencePenalty',
] as const;
export type SamplingName = (typeof samplingNames)[number];

/** Whether a model may be paged. */
export const pagings = ['auto', 'never'] as const;
export const unknownPres = ['refuse', 'default'] as const;

/** Poolings of embeddings; their places are the core's numbers, CHORD_POOLING_*. */
export const poolings = ['none', 'mean', 'cls', 'last', 'rank'] as const;
export type Pooling = (typeof poolings)[number];

/** Names of backends. */
export const backends = ['auto', 'cpu', 'webgpu'] as const;

export const kvTypes = ['f16', 'q8_0', 'f32'] as const;

/**
 * Returns `value` if it is in the range of option `name`. Throws `invalid-argument`, naming `label` and the
 * range.
 */
export function asOption(name: NumberName, value: unknown, label: string = name): number {
  const { least, most, isWhole } = numbers[name];
  return isWhole ? asWhole(label, value, least, most) : asNumber(label, value, least, most);
}

export const asContextLength = (value: unknown): number | 'auto' =>
  value === 'auto' ? value : asOption('contextLength', value);

/** The numbers of a Sampling, each read by `read`. */
export function samplingOf(read: (name: SamplingName) => number): { [name in SamplingName]: number } {
  return Object.fromEntries(samplingNames.map((name) => [name, read(name)])) as {
    [name in SamplingName]: number;
  };
}

/**
 * An id of `logitBias` and the number added to its logit; -Infinity forbids the token. `label`: its name in
 * messages.
 */
export function asBias(label: string, id: unknown, value: unknown): [id: number, value: number] {
  return [
    asWhole(`a token id of ${label}`, id, 0, INT32),
    value === -Infinity ? value : asNumber(`${label}[${String(id)}]`, value, -3e38, 3e38),
  ];
}

/** Options of a model's layout. 0 or absent: the library's default. */
export interface PlanOptions {
  /** Context length; default min(the trained context length, 4096). */
  readonly contextLength?: number | undefined;
  /** Maximum number of tokens in a batch; default 256. */
  readonly batchTokens?: number | undefined;
  /** Maximum number of output rows in a batch; default what fits in 4 MiB. */
  readonly outputRows?: number | undefined;
  readonly kvType?: KvTypeName | undefined;
  /** Threads that compute, the caller's included; default 1. */
  readonly threads?: number | undefined;
  /** True: an executor outside the instance has matrices, slots and caches. */
  readonly isExternal?: boolean | undefined;
  /** Bytes that the matrices of layers may take, for a paged model; absent: all are in memory. */
  readonly residentBytes?: number | undefined;
  /** 'default': an unknown `tokenizer.ggml.pre` is read as that; absent: it is refused. */
  readonly unknownPreTokenizer?: 'refuse' | 'default' | undefined;
  /** Bytes that the host will allocate beside the plan. */
  readonly hostBytes?: number | undefined;
}
export type KvTypeName = 'f16' | 'q8_0' | 'f32';

/** All fields of the sampler, in llama.cpp's order. */
export interface Sampling {
  /** 0: argmax, lowest id on a tie. */
  readonly temperature: number;
  /** 0: off. */
  readonly topK: number;
  /** 1: off. */
  readonly topP: number;
  /** 0: off. */
  readonly minP: number;
  /** 1: off. Like the next two fields, it applies to the last 64 tokens. */
  readonly repetitionPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** Added to the logits of these ids before all other steps; -Infinity forbids an id. */
  readonly bias?: readonly (readonly [id: number, bias: number])[] | undefined;
}

export interface TokenizeOptions {
  /** Add BOS/EOS as the file says; default true. */
  readonly addSpecial?: boolean | undefined;
  /** Parse special tokens written in the text; default true. */
  readonly parseSpecial?: boolean | undefined;
}

/** A token, and the natural logarithm of its probability before sampling options apply. */
export interface TokenLogprob {
  /** The token's id. */
  readonly token: number;
  readonly logprob: number;
  /** For chat: the token's own bytes, which may be a part of a character. @internal */
  readonly bytes?: Uint8Array;
}

/** The options of one generation, complete and checked. */
export interface ContinuationOptions {
  readonly maxTokens: number;
  readonly ignoreEos: boolean;
  readonly sampling: Sampling;
  /** Undefined: another seed for each continuation. */
  readonly seed: number | undefined;
  readonly stop: readonly string[];
  readonly logprobs: boolean;
  /** How many of the most likely tokens each event has; 0: none. */
  readonly topLogprobs: number;
  /**
   * For chat: events of control tokens have their own text, as `control`, and log-probabilities the tokens'
   * own bytes.
   */
  readonly controls: boolean;
}
