// SPDX-License-Identifier: Apache-2.0
// Options of callers, checked by name. An option that is unknown, out of range or not in this version is an
// error; no option is ignored.
import {
  asBoolean,
  asOneOf,
  asOptional,
  asOptions,
  asSignal,
  asString,
  asStrings,
  isObject,
  reading,
  refuse,
  wrong,
} from '../check.js';
import type { Fields } from '../check.js';
import { show } from '../errors.js';
import { asAddress } from '../files.js';
import type { Fetch, HttpOptions } from '../load/ask.js';
import type { LoadProgress } from '../load/progress.js';
import {
  asBias,
  asContextLength,
  asOption,
  backends,
  kvTypes,
  numbers,
  pagings,
  unknownPres,
  samplingOf,
} from '../options.js';
import type { ContinuationOptions } from '../options.js';
import { environment, isNode } from '../platform.js';
import type { CacheChoice } from '../store/cache.js';
import type { LoadOptions } from '../worker/protocol.js';

export interface LoadModelOptions {
  /**
   * 'webgpu' runs the model on the GPU, or fails as `no-webgpu` with the reason. 'auto', the default: the GPU
   * where the browser has one, otherwise the CPU; `model.info.backendReason` says why. In Node only 'webgpu'
   * uses a GPU, through the package `webgpu`, which a project installs beside this one.
   */
  backend?: 'auto' | 'cpu' | 'webgpu' | undefined;
  /** Node: flags for the package `webgpu`, such as 'backend=vulkan'. It ignores those it doesn't know. */
  gpu?: readonly string[] | undefined;
  /**
   * Threads, including the engine worker's own, at most 64; default: as many as the hardware runs at once, at
   * most 8.
   */
  threads?: number | undefined;
  /**
   * Maximum tokens of prompt and continuation, at most the trained context length; default min(the trained
   * context length, 4096). Memory for the KV cache is taken as tokens come, but a context that could never
   * be filled is refused as `out-of-memory` before the file's data is read. A GPU takes it at the load: a
   * shorter context saves memory there. 'auto' takes the default; where the model wouldn't fit as a whole,
   * the largest length with which it does, from 256 tokens on; and else pages. A shorter context leaves a
   * paged model memory for more layers, so each token is faster.
   */
  contextLength?: number | 'auto' | undefined;
  /**
   * Maximum bytes of the model's WebAssembly memory, which has whole pages of 64 KiB: weights, vocabulary,
   * activations and KV cache. A model that needs more is paged, or refused as `out-of-memory` before its data
   * is read, and a call that needs more later fails with `out-of-memory` and leaves the model usable.
   * Default: what this machine is known to have, and at most what addresses reach: 4 GiB with 32 bits, 16 GiB
   * where the engine has Memory64. It doesn't bound what a GPU holds: `memory.gpu` of `estimateModel` says
   * that.
   */
  memoryBudget?: number | undefined;
  /**
   * 'auto', the default: a model that needs more memory than it may take keeps some of its layers in its
   * file, and reads them each time they are needed. It gives the same results, and each token takes as long
   * as reading them; `model.info.pagedLayers` says how many. The source must be one that can be read at any
   * byte: a path, a File or Blob, bytes, or a URL whose file is in the cache. 'never': such a model is
   * refused as `out-of-memory`.
   */
  paging?: 'auto' | 'never' | undefined;
  /** Type of the KV cache; default 'f16'. */
  kvType?: 'f16' | 'q8_0' | 'f32' | undefined;
  /**
   * What becomes of a file whose pre-tokenizer (`tokenizer.ggml.pre`) is unknown. 'refuse', the default: an
   * error names it, because another one would cut some texts into other tokens than those that the model was
   * trained with. 'default': the file is read as llama.cpp reads one that names none.
   */
  unknownPreTokenizer?: 'refuse' | 'default' | undefined;
  /**
   * Where a model of an http(s) URL is kept. 'auto', the default: in a browser the origin's private storage,
   * in Node the folder WASM_CHORD_CACHE, or wasm-chord in XDG_CACHE_HOME or ~/.cache; a load goes on without
   * it if it fails or is full. 'none': nowhere. A folder (Node), or a directory that the user picked.
   *
   * A copy in the cache is compared with its server's (length, ETag or date; four bytes are requested) and
   * replaced if the server has another. It is used as it is if the server can't be reached or says nothing
   * in two seconds, and if its `sha256` is the one that is asked for.
   */
  cache?: 'auto' | 'none' | (string & {}) | FileSystemDirectoryHandle | undefined;
  /** SHA-256 of the whole file in hex. A file with another one is refused as `integrity`. */
  sha256?: string | undefined;
  /** Ranges that are downloaded at the same time, where the server has ranges; default 4. */
  connections?: number | undefined;
  /** False runs the engine in the caller's thread, with one thread, in steps of about 10 ms. Default true. */
  worker?: boolean | undefined;
  /**
   * Addresses of the package's other files, for a bundler that doesn't carry them along, or a strict content
   * security policy. A relative address starts at the page. `wasmUrl` is one module, or a folder (with a
   * final slash) that has all three. Default: beside the package's JavaScript.
   */
  workerUrl?: string | URL | undefined;
  /** thread.js: the worker's helper threads. */
  threadUrl?: string | URL | undefined;
  /** webgpu.js: the WebGPU backend. */
  webgpuUrl?: string | URL | undefined;
  /** paging.js: what reads the layers of a model that memory doesn't hold. */
  pagingUrl?: string | URL | undefined;
  /** One .wasm file, or a folder. */
  wasmUrl?: string | URL | undefined;
  /** Headers of the requests for a URL or an address hf:. */
  headers?: Readonly<Record<string, string>> | Iterable<readonly [string, string]> | undefined;
  /** Whether these requests carry cookies, as in `fetch`. */
  credentials?: 'omit' | 'same-origin' | 'include' | undefined;
  /**
   * Makes these requests instead of the global `fetch`, in the caller's thread. The model is then downloaded
   * by one request per file and isn't kept. All shards of a split model are requested at once.
   */
  fetch?: Fetch | undefined;
  /**
   * The hub of addresses hf:. `endpoint`: default https://huggingface.co, in Node HF_ENDPOINT. `token`: sent
   * to that origin only; default in Node HF_TOKEN.
   */
  hub?: { endpoint?: string | undefined; token?: string | undefined } | undefined;
  /** Aborts the load; everything is released. */
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** Options of `downloadModel`, as in `loadModel`. */
export type DownloadModelOptions = Pick<
  LoadModelOptions,
  | 'cache'
  | 'sha256'
  | 'connections'
  | 'headers'
  | 'credentials'
  | 'hub'
  | 'worker'
  | 'workerUrl'
  | 'signal'
  | 'onProgress'
>;

/** Which cache: as in `loadModel`. Default 'auto'. */
export interface CacheOptions {
  cache?: 'auto' | (string & {}) | FileSystemDirectoryHandle | undefined;
}

export interface GenerateOptions {
  /** Maximum number of new tokens; default 256. */
  maxTokens?: number | undefined;
  /** Continue after the model ends its turn; default false. */
  ignoreEos?: boolean | undefined;
  /** 0: always the most likely token. Default 0.8. */
  temperature?: number | undefined;
  /** Draw from the k most likely tokens; 0: off. Default 40. */
  topK?: number | undefined;
  /** Draw from the most likely tokens whose probabilities sum to p; 1: off. Default 0.95. */
  topP?: number | undefined;
  /** Leave out tokens less likely than p times the most likely token; 0: off. Default 0.05. */
  minP?: number | undefined;
  /** Not in this version: only 1, which is off, is accepted. */
  typicalP?: number | undefined;
  /** Applies to the last 64 tokens; 1: off, the default. */
  repetitionPenalty?: number | undefined;
  /** Applies to the last 64 tokens; 0: off, the default. */
  frequencyPenalty?: number | undefined;
  presencePenalty?: number | undefined;
  /**
   * An integer from 0 on. The same seed gives the same text in one JavaScript engine with the same
   * `model.info.variant`, with any number of threads. Another engine or variant rounds differently, and where
   * two tokens are almost equally likely the text may differ. Default: another seed for each run.
   */
  seed?: number | undefined;
  /** The text ends before the first of these strings. */
  stop?: string | readonly string[] | undefined;
  /** Added to the logits of token ids before all other steps; -Infinity forbids a token. */
  logitBias?: Readonly<Record<number, number>> | ReadonlyMap<number, number> | undefined;
  /** Add `logprob` to each event; default false. */
  logprobs?: boolean | undefined;
  /** Add `topLogprobs` to each event: this many of the most likely tokens, 0 to 20; needs `logprobs`. */
  topLogprobs?: number | undefined;
  /** For chat: see ContinuationOptions. @internal */
  controls?: boolean | undefined;
  /**
   * Takes the call out of the queue, or stops it at its next step. The loop then throws the signal's reason.
   */
  signal?: AbortSignal | undefined;
  /** Not in this version. */
  grammar?: undefined;
  jsonSchema?: undefined;
  regex?: undefined;
}

/** A load's options: the part for the worker, and the part for the client. */
export interface CheckedLoad {
  readonly record: LoadOptions;
  readonly http: HttpOptions;
  readonly worker: boolean;
  readonly workerUrl: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: LoadProgress) => void) | undefined;
}

export function checkLoadOptions(
  options: unknown,
  what: 'loadModel' | 'estimateModel' | 'inspectModel' | 'downloadModel' = 'loadModel',
): CheckedLoad {
  const given = asOptions(what, options, [
    'cache',
    'sha256',
    'connections',
    'headers',
    'credentials',
    'fetch',
    'hub',
    'worker',
    'workerUrl',
    'signal',
    'onProgress',
    ...(what === 'downloadModel'
      ? []
      : [
          'backend',
          'gpu',
          'threads',
          'contextLength',
          'memoryBudget',
          'paging',
          'kvType',
          'unknownPreTokenizer',
          'threadUrl',
          'webgpuUrl',
          'pagingUrl',
          'wasmUrl',
        ]),
  ]);
  const { onProgress } = given;
  const cache = asCache(given['cache']);
  if (onProgress !== undefined && typeof onProgress !== 'function') refuse('onProgress is not a function');
  return {
    http: checkHttp(given),
    worker: asBoolean('worker', given['worker'] ?? true),
    workerUrl: asAddress('workerUrl', given['workerUrl']),
    signal: asSignal('signal', given['signal']),
    onProgress: onProgress as CheckedLoad['onProgress'],
    record: {
      cache: given['worker'] === false ? cache : reading('cache', () => structuredClone(cache)),
      backend: asOneOf('backend', given['backend'] ?? 'auto', backends),
      gpu: asOptional(given['gpu'], (flags) => asStrings('gpu', flags)),
      webgpuUrl: asAddress('webgpuUrl', given['webgpuUrl']),
      sha256: asOptional(given['sha256'], asSha256),
      connections: asOptional(given['connections'], (n) => asOption('connections', n)),
      contextLength: asOptional(given['contextLength'], asContextLength),
      memoryBudget: asOptional(given['memoryBudget'], (n) => asOption('memoryBudget', n)),
      paging: asOptional(given['paging'], (name) => asOneOf('paging', name, pagings)),
      pagingUrl: asAddress('pagingUrl', given['pagingUrl']),
      kvType: asOptional(given['kvType'], (name) => asOneOf('kvType', name, kvTypes)),
      unknownPreTokenizer: asOptional(given['unknownPreTokenizer'], (name) =>
        asOneOf('unknownPreTokenizer', name, unknownPres),
      ),
      threads: asOptional(given['threads'], (n) => asOption('threads', n)),
      threadUrl: asAddress('threadUrl', given['threadUrl']),
      wasm: asAddress('wasmUrl', given['wasmUrl']),
    },
  };
}

export function checkCacheOptions(options: unknown, what: string): { cache: CacheChoice } {
  return { cache: asCache(asOptions(what, options, ['cache'])['cache']) };
}

function asCache(value: unknown = 'auto'): CacheChoice {
  const isFolder = typeof value === 'string' && value !== '';
  if (value === 'auto' || value === 'none' || (isFolder && isNode)) return value as string;
  if (isFolder)
    refuse(`cache is ${show(value)}: a browser has no folders`, "use 'auto', 'none' or a directory's handle");
  const isDirectory =
    isObject(value) &&
    reading('cache', () =>
      ['getDirectoryHandle', 'getFileHandle', 'keys', 'removeEntry'].every(
        (name) => typeof value[name] === 'function',
      ),
    );
  if (!isDirectory) wrong('cache', value, "'auto', 'none', a folder or a directory's handle");
  return value as unknown as FileSystemDirectoryHandle;
}

function asSha256(value: unknown): string {
  const hash = asString('sha256', value).toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hash)) wrong('sha256', value, '64 hex digits');
  return hash;
}

/** Checks the options of requests; {} are the defaults. */
export function checkHttp(given: Fields): HttpOptions {
  const own = given['fetch'];
  if (own !== undefined && typeof own !== 'function') refuse('fetch is not a function');
  const hub = asOptions('hub', given['hub'] ?? {}, ['endpoint', 'token']);
  const token = asOptional(hub['token'] ?? environment('HF_TOKEN')?.trim(), (t) => asString('hub.token', t));
  // A request would be refused with a message that has the token.
  if (token !== undefined && !/^[!-~]+$/.test(token)) refuse('hub.token has characters that no token has');
  const endpoint = hub['endpoint'] ?? environment('HF_ENDPOINT') ?? 'https://huggingface.co';
  if (!/^https?:\/\/[^/?#]+[^?#]*$/i.test(asString('hub.endpoint', endpoint)))
    refuse('hub.endpoint is not an http or https address');
  return {
    headers: asOptional(given['headers'], asHeaders),
    credentials: asOptional(given['credentials'], (kind) =>
      asOneOf('credentials', kind, ['omit', 'same-origin', 'include'] as const),
    ),
    fetch: own as Fetch | undefined,
    hub: { endpoint: (endpoint as string).replace(/\/+$/, ''), token },
  };
}

function asHeaders(value: unknown): [string, string][] {
  let headers: [string, string][];
  try {
    headers = [...new Headers(value as Record<string, string>)];
  } catch {
    // The cause's message may have a value, which may be a secret.
    return refuse('headers has a name or a value that no request may have');
  }
  if (headers.some(([name]) => name === 'range')) refuse('headers may not have range');
  return headers;
}

export function checkGenerateOptions(options: unknown): {
  record: ContinuationOptions;
  signal: AbortSignal | undefined;
} {
  const given = asOptions('generate', options, [
    'maxTokens',
    'ignoreEos',
    'temperature',
    'topK',
    'topP',
    'minP',
    'typicalP',
    'repetitionPenalty',
    'frequencyPenalty',
    'presencePenalty',
    'seed',
    'stop',
    'logitBias',
    'logprobs',
    'topLogprobs',
    'controls',
    'grammar',
    'jsonSchema',
    'regex',
    'signal',
  ]);
  for (const name of ['grammar', 'jsonSchema', 'regex'])
    if (given[name] !== undefined) notInThisVersion(name);
  if (given['typicalP'] !== undefined && given['typicalP'] !== numbers.typicalP.off)
    notInThisVersion('typicalP');
  const signal = asSignal('signal', given['signal']);
  const logprobs = asBoolean('logprobs', given['logprobs'] ?? false);
  const topLogprobs = asOption('topLogprobs', given['topLogprobs'] ?? 0);
  if (topLogprobs > 0 && !logprobs) refuse('topLogprobs needs logprobs: true');
  return {
    signal,
    record: {
      maxTokens: asOption('maxTokens', given['maxTokens'] ?? numbers.maxTokens.otherwise),
      ignoreEos: asBoolean('ignoreEos', given['ignoreEos'] ?? false),
      sampling: {
        ...samplingOf((name) => asOption(name, given[name] ?? numbers[name].otherwise)),
        bias: asOptional(given['logitBias'], (bias) => reading('logitBias', () => biasPairs(bias))),
      },
      seed: asOptional(given['seed'], (seed) => asOption('seed', seed)),
      stop: asOptional(given['stop'], (stop) => reading('stop', () => stopList(stop))) ?? [],
      logprobs,
      topLogprobs,
      controls: asBoolean('controls', given['controls'] ?? false),
    },
  };
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
  const entries: Iterable<readonly [unknown, unknown]> =
    bias instanceof Map ? bias.entries() : Object.entries(bias as Fields);
  return Array.from(entries, ([id, value]) =>
    asBias('logitBias', typeof id === 'string' && id.trim() !== '' ? Number(id) : id, value),
  );
}
