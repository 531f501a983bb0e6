// SPDX-License-Identifier: Apache-2.0
// The messages between the client and the engine worker. The client gives each call a number. Each call ends
// with exactly one `result` or `failed`. `parseRequest` trusts no message: it checks every field's type.
//
//   client                              worker
//   load, estimate, inspect,       ->   progress* ... result | failed
//   download, tokenize,
//   detokenize, render,
//   logits, generate, embed,
//   counters, profile, dispatches,
//   open-session, fork-session,
//   save-session, restore-session,
//   close-session, dispose
//   chunk*, end | fail (to a load  ->   taken* (each acknowledges one chunk)
//     or the like of a pushed source,
//     or a restore-session)
//   taken* (the reader took n      <-   tokens*, rows*, texts*, saved* (the worker runs a few ahead of the
//     events, or a block)                 reader)
//                                  <-   history (before the result: the ids that the session now holds)
//   bytes | error of that read     <-   read (of a paged model whose source the client has; numbered apart)
//   pong (its event loop turns)    <-   ping (before a call that waits for a reader is refused as `busy`)
//   cancel                         ->   the call ends soon: generate with its stats, others with `aborted`
import { asBoolean, asOneOf, asOptional, asString, asStrings, asWhole, isObject, wrong } from '../check.js';
import type { Fields } from '../check.js';
import { isErrorRecord } from '../errors.js';
import type { ErrorRecord } from '../errors.js';
import type { LoadProgress } from '../load/progress.js';
import type { HttpFile } from '../load/http.js';
import type { RemoteFile, RemoteSource } from '../load/remote.js';
import {
  asBias,
  asContextLength,
  asOption,
  backends,
  kvTypes,
  pagings,
  poolings,
  samplingOf,
  unknownPres,
} from '../options.js';
import type { ContinuationOptions, KvTypeName, Pooling, Sampling, TokenLogprob } from '../options.js';
import type { LanguageModelInfo, ModelTemplates } from '../wasm/describe.js';
import type { FileFacts, TensorFacts } from '../wasm/facts.js';
import type { CacheChoice, CachedModel } from '../store/cache.js';
import type { KeepOptions } from '../store/open.js';
import type { Rendered, Rendering } from '../template/engine.js';
import type { GpuDispatch } from '../executor.js';
import type { ProfileEntry } from '../wasm/profile.js';

export type { GpuDispatch, LanguageModelInfo, ProfileEntry, TokenLogprob };

/** Counters of a loaded model. They count from the load on, and none of them is a time. */
export interface ModelCounters {
  /** Steps that the executor ran. A step takes about 20 ms, or 10 ms with `worker: false` or on a GPU. */
  readonly stepsRun: number;
  /** Steps whose planned work exceeded their budget. A single unit larger than the budget causes one. */
  readonly stepsOverBudget: number;
  /** Prompt tokens evaluated. Tokens whose keys and values were in the KV cache aren't counted. */
  readonly tokensPrefilled: number;
  /** Tokens sampled. */
  readonly tokensDecoded: number;
  /** Bytes read from the source. */
  readonly bytesRead: number;
  /** Bytes of weights that went to the GPU; 0 where the CPU computes, as all counters of the GPU. */
  readonly bytesUploaded: number;
  /** KV pages in use, summed over the sessions. A page that two sessions share counts twice. */
  readonly kvPages: number;
  /** Size of the model's WebAssembly memory, in bytes. */
  readonly wasmBytes: number;
  /** Maximum bytes that the loader and the protocol held in buffers at one time. */
  readonly bufferBytesPeak: number;
  /** Of a paged model: bytes of weights read from its file since the load. */
  readonly bytesPaged: number;
  /** Of a paged model: steps that had to wait for weights. */
  readonly pagingWaits: number;
  /** Dispatches of kernels since the load. */
  readonly gpuDispatches: number;
  /** Bytes of the model's buffers on the GPU: weights, keys and values, activations. */
  readonly gpuBytes: number;
  /** Planned bytes of weights, keys and values that the dispatches read. */
  readonly gpuBytesRead: number;
  /** Submissions to the GPU's queue. */
  readonly submits: number;
  /** Of these, steps that were submitted before the token that they evaluate was known. */
  readonly submitsAhead: number;
  /** Times that results were read back from the GPU. */
  readonly readbacks: number;
}

/** One event per token. */
export interface TokenEvent {
  /**
   * Whole characters. An unfinished character and the possible start of a stop string are held back, so the
   * text may be ''. The last event's text ends with the text held back.
   */
  readonly text: string;
  /** The token's id. */
  readonly token: number;
  /** With `logprobs: true`: natural logarithm of the token's probability before sampling options apply. */
  readonly logprob?: number;
  /** For chat: the token's own bytes, which may be a part of a character. @internal */
  readonly bytes?: Uint8Array;
  /** With `topLogprobs` above 0: the most likely tokens, best first; on a tie the lower id comes first. */
  readonly topLogprobs?: readonly TokenLogprob[];
  /**
   * For chat: the own text of a control token. It isn't in `text`, whose characters are all before it.
   * @internal
   */
  readonly control?: string;
}

/** Figures of one generation. */
export interface GenerationStats {
  /** Tokens in the prompt. */
  readonly promptTokens: number;
  /** Prompt tokens whose keys and values were kept from an earlier call. */
  readonly cachedTokens: number;
  /** New tokens. An end-of-generation token that ends the text isn't counted. */
  readonly tokens: number;
  /** Milliseconds of computing for the prompt. */
  readonly promptMs: number;
  /** Milliseconds of computing for the tokens after the first. */
  readonly decodeMs: number;
  /** Milliseconds from the first `next()` to the first event. Time in the queue is included. */
  readonly ttftMs: number;
  /** Tokens after the first, per second of `decodeMs`; 0 when there are none. */
  readonly tokensPerSecond: number;
  /**
   * `stop`: the model ended its turn, or the text reached a stop string. `length`: `maxTokens` was reached,
   * or the context is full. `abort`: the reader or a signal stopped the generation.
   */
  readonly finishReason: 'stop' | 'length' | 'abort';
  /** With `stop`: the stop string that the text reached; undefined: the model ended its turn. */
  readonly stopString: string | undefined;
  /** With `stop`: the token that ended the text, such as `<|im_end|>`; undefined: no token did. */
  readonly endToken: string | undefined;
}

export interface LoadOptions extends KeepOptions {
  readonly backend: 'auto' | 'cpu' | 'webgpu';
  /** Flags for Dawn, where Node's package `webgpu` is the GPU. */
  readonly gpu: readonly string[] | undefined;
  /** Address of webgpu.js; undefined: this build has no WebGPU backend, or it isn't asked for. */
  readonly webgpuUrl: string | undefined;
  /** Why no GPU is used: a GPU failed when this model was loaded onto it. */
  readonly noGpu?: string | undefined;
  readonly contextLength: number | 'auto' | undefined;
  /** Undefined: what the machine is known to have. */
  readonly memoryBudget: number | undefined;
  readonly paging: 'auto' | 'never' | undefined;
  /** Address of paging.js. */
  readonly pagingUrl: string | undefined;
  readonly kvType: KvTypeName | undefined;
  readonly unknownPreTokenizer: 'refuse' | 'default' | undefined;
  /** Undefined: the number that the hardware runs at once, at most 8. */
  readonly threads: number | undefined;
  /** Address of thread.js; undefined: beside the worker's own script. */
  readonly threadUrl: string | undefined;
  /**
   * Address of a wasm module, or of the folder (with a final slash) that has the package's; or the bytes of
   * the variant that suits this JavaScript engine. Undefined: beside the worker's own script.
   */
  readonly wasm: string | Uint8Array<ArrayBuffer> | undefined;
}

/** The answer to `load`. */
export interface Loaded {
  readonly info: LanguageModelInfo;
  readonly templates: ModelTemplates;
}

/**
 * What a model would need on this device, from its header alone. The fields of `LanguageModelInfo` have the
 * values that the loaded model's `info` would have.
 */
export interface ModelEstimate extends LanguageModelInfo {
  /** Size of the file in bytes. Where the source doesn't say it: the end of the last tensor. */
  readonly fileBytes: number;
  /** Type of the KV cache. */
  readonly kvType: KvTypeName;
  /**
   * Whether the model fits on this device with `contextLength` tokens: `memory.total` is at most
   * `availableBytes`. `loadModel` with the same options throws `out-of-memory` if not. No GPU says how much
   * memory it has: whether `memory.gpu` bytes are there, only a load shows.
   */
  readonly fits: boolean;
  /** What was compared, as a sentence with the bytes. */
  readonly why: string;
  /**
   * How `loadModel` would run the model: on the GPU, with all weights in memory, with layers that are read
   * again each time they are needed, or not at all. `why` and `pagingReason` have the reasons.
   */
  readonly placement: 'gpu' | 'resident' | 'paged' | 'impossible';
  /** Size of the WebAssembly memory with all weights in it and `contextLength` tokens, on the CPU. */
  readonly residentBytes: number;
  /**
   * Bytes that the model may take here: `memoryBudget`, or the memory that this machine is known to have, and
   * at most the address space that this process has granted. Memory that is in use now isn't taken off.
   */
  readonly availableBytes: number;
  /**
   * Largest context length that fits with as many layers in memory as are planned, in tokens, at most the
   * trained one; 0 if the weights don't fit. A longer one may fit with more layers paged.
   */
  readonly largestContextLength: number;
}

/** A model's header, and what `loadModel` with the same options would make of it. */
export interface ModelInspection extends FileFacts {
  /** Size of the file in bytes, where the source says it. */
  readonly fileBytes: number | undefined;
  /** Number of tokens in the vocabulary. */
  readonly vocabularySize: number | undefined;
  /** Context length that the model was trained for, in tokens. */
  readonly trainedContextLength: number | undefined;
  readonly embeddingLength: number | undefined;
  /** Number of layers. */
  readonly blockCount: number | undefined;
  readonly chatTemplate: string | undefined;
  readonly chatTemplateSource: 'file' | 'architecture' | undefined;
  readonly chatTemplates: readonly string[];
  /** All metadata as text; arrays as '[type x count]'. */
  readonly metadata: { readonly [key: string]: string };
  readonly tensors: readonly TensorFacts[];
  /** Memory, backend and threads, as `estimateModel` says them; undefined for a model that can't run. */
  readonly estimate: ModelEstimate | undefined;
  /** Why this version can't run the file; undefined: it can. Whether it fits here, `estimate.fits` says. */
  readonly problem: ErrorRecord | undefined;
}

export type Ids = readonly number[] | Int32Array;
/** A call with no field but its session. */
type OfSession<Op> = Op extends string
  ? { readonly op: Op; readonly call: number; readonly session: number }
  : never;
export type Request =
  | {
      readonly op: 'load' | 'estimate' | 'inspect';
      readonly call: number;
      readonly source: RemoteSource;
      readonly options: LoadOptions;
    }
  | {
      readonly op: 'download';
      readonly call: number;
      readonly source: RemoteSource;
      readonly options: KeepOptions;
    }
  // `file`: index among the source's files.
  | { readonly op: 'chunk'; readonly call: number; readonly file: number; readonly bytes: Uint8Array }
  | { readonly op: 'end'; readonly call: number; readonly file: number }
  | { readonly op: 'fail'; readonly call: number; readonly file: number; readonly error: ErrorRecord }
  | {
      readonly op: 'tokenize';
      readonly call: number;
      readonly text: string | Uint8Array;
      readonly addSpecial: boolean;
      readonly parseSpecial: boolean;
      /** Maximum number of ids; the text is a prompt, and its BOS and EOS aren't doubled. */
      readonly mostOfPrompt?: number | undefined;
    }
  // `module`: the template engine's. The first message has it.
  | ({
      readonly op: 'render';
      readonly call: number;
      readonly module?: Uint8Array<ArrayBuffer> | undefined;
    } & Rendering)
  | { readonly op: 'detokenize'; readonly call: number; readonly ids: Ids; readonly skipSpecial: boolean }
  | {
      readonly op: 'logits';
      readonly call: number;
      readonly session?: number;
      readonly ids: Ids;
      readonly all: boolean;
    }
  // `query`: the texts are documents, which are ranked for it.
  | {
      readonly op: 'embed';
      readonly call: number;
      readonly texts: readonly (string | Ids)[];
      readonly pooling?: Pooling | undefined;
      readonly normalize: boolean;
      readonly query?: string | undefined;
    }
  | {
      readonly op: 'generate';
      readonly call: number;
      readonly session?: number;
      readonly prompt: string | Ids;
      readonly options: ContinuationOptions;
    }
  | { readonly op: 'taken'; readonly call: number; readonly count: number }
  // `call`: the number of the read.
  | { readonly op: 'bytes'; readonly call: number; readonly bytes: Uint8Array | ErrorRecord }
  | { readonly op: 'pong'; readonly call: number }
  | { readonly op: 'cancel'; readonly call: number }
  | { readonly op: 'open-session'; readonly call: number }
  | OfSession<'fork-session' | 'close-session' | 'save-session' | 'restore-session'>
  | { readonly op: 'counters'; readonly call: number }
  | { readonly op: 'profile'; readonly call: number }
  | { readonly op: 'dispatches'; readonly call: number }
  // `isClosed`: becomes 1 when everything is closed, where nobody can read the answer.
  | { readonly op: 'dispose'; readonly call: number; readonly isClosed?: Int32Array | undefined };
export type Op = Request['op'];

/** The value in each op's `result`. */
export interface Results {
  load: Loaded;
  download: CachedModel;
  estimate: ModelEstimate;
  inspect: ModelInspection;
  tokenize: Int32Array;
  render: Rendered;
  detokenize: string;
  logits: null;
  /** The rows came before, as `rows`. */
  embed: Embedded;
  generate: Omit<GenerationStats, 'ttftMs'>;
  /** The new session's number. Session 0 exists from the load on. `dispose` closes every session. */
  'open-session': number;
  'fork-session': number;
  'close-session': null;
  /** The save's bytes came before, as `saved`. */
  'save-session': number;
  'restore-session': null;
  counters: ModelCounters;
  profile: ProfileEntry[];
  dispatches: GpuDispatch[];
  dispose: null;
}

/** What `embed` computed: floats of a row, and the tokens of each text. */
export interface Embedded {
  readonly pooling: Pooling;
  readonly width: number;
  readonly tokens: Int32Array;
}

export type Reply =
  | { readonly type: 'result'; readonly call: number; readonly value: Results[keyof Results] }
  | { readonly type: 'failed'; readonly call: number; readonly error: ErrorRecord }
  | { readonly type: 'progress'; readonly call: number; readonly progress: LoadProgress }
  // `buffer` is the chunk's: the client reuses it for the next chunk.
  | {
      readonly type: 'taken';
      readonly call: number;
      readonly file: number;
      readonly bytes: number;
      readonly buffer: ArrayBufferLike;
    }
  // `call` is the number of the read, which no call has.
  | {
      readonly type: 'read';
      readonly call: number;
      readonly file: number;
      readonly from: number;
      readonly bytes: number;
    }
  | { readonly type: 'ping'; readonly call: number }
  | { readonly type: 'text'; readonly call: number; readonly text: string }
  | { readonly type: 'history'; readonly call: number; readonly ids: Int32Array }
  | { readonly type: 'saved'; readonly call: number; readonly total: number; readonly bytes: Uint8Array }
  | { readonly type: 'tokens'; readonly call: number; readonly events: readonly TokenEvent[] }
  | {
      readonly type: 'rows';
      readonly call: number;
      readonly firstRow: number;
      readonly values: Float32Array;
      /** Of `embed`: texts that are complete. */
      readonly texts?: number;
    };

/**
 * Maximum number of events that the worker runs ahead of the reader. It is large enough to hide the delay of
 * a message, and small because these tokens are lost when the reader stops.
 */
export const WINDOW = 6;
/** Maximum number of chunks of a pushed source under way. */
export const CHUNKS = 3;
/** Maximum number of a model's files: CHORD_MAX_FILES of the core. */
export const MOST_FILES = 256;
/** Maximum bytes of a pushed source's chunk. */
export const CHUNK_BYTES = 1 << 20;

// ---- parsing ------------------------------------------------------------------------------------------

function asIds(name: string, value: unknown): Ids {
  if (!Array.isArray(value) && !(value instanceof Int32Array)) wrong(name, value, 'a list of token ids');
  return value as Ids; // each id is checked when it is copied into wasm memory
}

/** Returns the session number of a call; 0 if the call names no session. */
const asSession = (fields: Fields): number =>
  asWhole('session', fields['session'] ?? 0, 0, Number.MAX_SAFE_INTEGER);

/** Returns a message's file; 0 if it names none. */
const asFile = (fields: Fields): number => asWhole('file', fields['file'] ?? 0, 0, MOST_FILES - 1);

function asObject(name: string, value: unknown): Fields {
  if (!isObject(value)) wrong(name, value, 'an object');
  return value;
}

function parseFile(value: unknown): HttpFile {
  const file = asObject('source.file', value);
  return {
    url: asString('source.file.url', file['url']),
    name: asString('source.file.name', file['name']),
    headers: asOptional(file['headers'], (list) => {
      if (!Array.isArray(list)) wrong('headers', list, 'a list of pairs');
      return Array.from(list, (pair: unknown): [string, string] => {
        if (!Array.isArray(pair)) wrong('headers', pair, 'a pair of name and value');
        return [asString('headers', pair[0]), asString('headers', pair[1])];
      });
    }),
    credentials: asOptional(file['credentials'], (kind) =>
      asOneOf('credentials', kind, ['omit', 'same-origin', 'include'] as const),
    ),
    sha256: asOptional(file['sha256'], (hash) => asString('sha256', hash)),
    bytes: asOptional(file['bytes'], (bytes) => asWhole('bytes', bytes, 0, Number.MAX_SAFE_INTEGER)),
  };
}

function parseSource(value: unknown): RemoteSource {
  const { kind, files } = asObject('source', value);
  if (kind !== 'files') return parseFileSource(value);
  if (!Array.isArray(files) || files.length < 1 || files.length > MOST_FILES)
    wrong('source.files', files, `a list of 1 to ${MOST_FILES} files`);
  return { kind, files: Array.from(files, parseFileSource) };
}

function parseFileSource(value: unknown): RemoteFile {
  const source = asObject('source', value);
  switch (source['kind']) {
    case 'url':
      return { kind: 'url', file: parseFile(source['file']) };
    case 'path':
      return { kind: 'path', path: asString('source.path', source['path']) };
    case 'blob':
      if (!(source['blob'] instanceof Blob)) wrong('source.blob', source['blob'], 'a Blob');
      return { kind: 'blob', blob: source['blob'], name: asString('source.name', source['name']) };
    case 'pushed':
      return {
        kind: 'pushed',
        name: asString('source.name', source['name']),
        totalBytes: asOptional(source['totalBytes'], (bytes) =>
          asWhole('source.totalBytes', bytes, 0, Number.MAX_SAFE_INTEGER),
        ),
        phase: source['phase'] === 'download' ? 'download' : 'read',
        isSeekable: source['isSeekable'] === true,
      };
    default:
      return wrong('source.kind', source['kind'], 'url, path, blob or pushed');
  }
}

function parseKeepOptions(options: Fields): KeepOptions {
  return {
    cache: asOptional(options['cache'], (cache) => {
      if (typeof cache !== 'string' && !isObject(cache)) wrong('cache', cache, 'a string or a directory');
      return cache as CacheChoice;
    }),
    sha256: asOptional(options['sha256'], (hash) => asString('sha256', hash)),
    connections: asOptional(options['connections'], (n) => asOption('connections', n)),
  };
}

function parseLoadOptions(value: unknown): LoadOptions {
  const options = asObject('options', value);
  return {
    ...parseKeepOptions(options),
    backend: asOneOf('backend', options['backend'] ?? 'cpu', backends),
    gpu: asOptional(options['gpu'], (flags) => asStrings('gpu', flags)),
    webgpuUrl: asOptional(options['webgpuUrl'], (url) => asString('webgpuUrl', url)),
    noGpu: asOptional(options['noGpu'], (why) => asString('noGpu', why)),
    contextLength: asOptional(options['contextLength'], asContextLength),
    memoryBudget: asOptional(options['memoryBudget'], (n) => asOption('memoryBudget', n)),
    paging: asOptional(options['paging'], (name) => asOneOf('paging', name, pagings)),
    pagingUrl: asOptional(options['pagingUrl'], (url) => asString('pagingUrl', url)),
    kvType: asOptional(options['kvType'], (name) => asOneOf('kvType', name, kvTypes)),
    unknownPreTokenizer: asOptional(options['unknownPreTokenizer'], (name) =>
      asOneOf('unknownPreTokenizer', name, unknownPres),
    ),
    threads: asOptional(options['threads'], (n) => asOption('threads', n)),
    threadUrl: asOptional(options['threadUrl'], (url) => asString('threadUrl', url)),
    wasm: asOptional(options['wasm'], (wasm) =>
      wasm instanceof Uint8Array ? (wasm as Uint8Array<ArrayBuffer>) : asString('wasm', wasm),
    ),
  };
}

export function parseSampling(value: unknown): Sampling {
  const sampling = asObject('sampling', value);
  const bias = asOptional(sampling['bias'], (list) => {
    if (!Array.isArray(list)) wrong('bias', list, 'a list of pairs');
    return Array.from(list, (pair: unknown): [number, number] => {
      if (!Array.isArray(pair)) wrong('bias', pair, 'a pair of token id and number');
      return asBias('bias', pair[0], pair[1]);
    });
  });
  return { ...samplingOf((name) => asOption(name, sampling[name])), bias };
}

function parseGenerateOptions(value: unknown): ContinuationOptions {
  const options = asObject('options', value);
  const stop = options['stop'];
  if (!Array.isArray(stop)) wrong('stop', stop, 'a list of strings');
  return {
    maxTokens: asOption('maxTokens', options['maxTokens']),
    ignoreEos: asBoolean('ignoreEos', options['ignoreEos']),
    sampling: parseSampling(options['sampling']),
    seed: asOptional(options['seed'], (seed) => asOption('seed', seed)),
    stop: Array.from(stop, (text: unknown) => asString('stop', text)),
    logprobs: asBoolean('logprobs', options['logprobs']),
    topLogprobs: asOption('topLogprobs', options['topLogprobs'] ?? 0),
    controls: asBoolean('controls', options['controls'] ?? false),
  };
}

/** Ops that belong to a call under way. They have no answer of their own. */
const controls: ReadonlySet<unknown> = new Set<Op>([
  'chunk',
  'end',
  'fail',
  'taken',
  'bytes',
  'pong',
  'cancel',
]);

/** Returns the number of the call that `message` opens; undefined if it opens none. A refusal answers it. */
export function callOf(message: unknown): number | undefined {
  if (!isObject(message) || controls.has(message['op'])) return undefined;
  const call = message['call'];
  return Number.isSafeInteger(call) && (call as number) >= 0 ? (call as number) : undefined;
}

/** Parses any value as a request. Throws `invalid-argument`, which names the field at fault. */
export function parseRequest(message: unknown): Request {
  const fields = asObject('the message', message);
  const call = asWhole('call', fields['call'], 0, Number.MAX_SAFE_INTEGER);
  const op = fields['op'] as Op;
  switch (op) {
    case 'load':
    case 'estimate':
    case 'inspect':
      return {
        op,
        call,
        source: parseSource(fields['source']),
        options: parseLoadOptions(fields['options']),
      };
    case 'download':
      return {
        op,
        call,
        source: parseSource(fields['source']),
        options: parseKeepOptions(asObject('options', fields['options'])),
      };
    case 'chunk':
      if (!(fields['bytes'] instanceof Uint8Array)) wrong('bytes', fields['bytes'], 'a Uint8Array');
      return { op, call, file: asFile(fields), bytes: fields['bytes'] };
    case 'bytes': {
      const { bytes } = fields;
      if (!(bytes instanceof Uint8Array) && !isErrorRecord(bytes)) wrong('bytes', bytes, 'bytes or an error');
      return { op, call, bytes };
    }
    case 'fail':
      if (!isErrorRecord(fields['error'])) wrong('error', fields['error'], 'an error record');
      return { op, call, file: asFile(fields), error: fields['error'] };
    case 'tokenize': {
      const text = fields['text'];
      if (typeof text !== 'string' && !(text instanceof Uint8Array))
        wrong('text', text, 'a string or a Uint8Array');
      return {
        op,
        call,
        text,
        addSpecial: asBoolean('addSpecial', fields['addSpecial']),
        parseSpecial: asBoolean('parseSpecial', fields['parseSpecial']),
        mostOfPrompt: asOptional(fields['mostOfPrompt'], (most) =>
          asWhole('mostOfPrompt', most, 0, Number.MAX_SAFE_INTEGER),
        ),
      };
    }
    case 'render':
      return {
        op,
        call,
        module: asOptional(fields['module'], (bytes) =>
          bytes instanceof Uint8Array ? (bytes as Uint8Array<ArrayBuffer>) : wrong('module', bytes, 'bytes'),
        ),
        template: asString('template', fields['template']),
        variables: asString('variables', fields['variables']),
        now: Array.from({ length: 6 }, (_, i) =>
          asWhole('now', (fields['now'] as readonly unknown[] | undefined)?.[i], 0, 9999),
        ),
        mergeSystem: asBoolean('mergeSystem', fields['mergeSystem']),
      };
    case 'detokenize':
      return {
        op,
        call,
        ids: asIds('ids', fields['ids']),
        skipSpecial: asBoolean('skipSpecial', fields['skipSpecial']),
      };
    case 'logits':
      return {
        op,
        call,
        session: asSession(fields),
        ids: asIds('ids', fields['ids']),
        all: asBoolean('all', fields['all']),
      };
    case 'embed': {
      const texts = fields['texts'];
      if (!Array.isArray(texts)) wrong('texts', texts, 'a list');
      return {
        op,
        call,
        texts: Array.from(texts, (text: unknown) => (typeof text === 'string' ? text : asIds('texts', text))),
        pooling: asOptional(fields['pooling'], (name) => asOneOf('pooling', name, poolings)),
        normalize: asBoolean('normalize', fields['normalize']),
        query: asOptional(fields['query'], (query) => asString('query', query)),
      };
    }
    case 'generate': {
      const prompt = fields['prompt'];
      return {
        op,
        call,
        session: asSession(fields),
        prompt: typeof prompt === 'string' ? prompt : asIds('prompt', prompt),
        options: parseGenerateOptions(fields['options']),
      };
    }
    case 'taken':
      return { op, call, count: asWhole('count', fields['count'], 0, 2 ** 31 - 1) };
    case 'fork-session':
    case 'close-session':
    case 'save-session':
    case 'restore-session':
      return { op, call, session: asSession(fields) };
    case 'end':
      return { op, call, file: asFile(fields) };
    case 'open-session':
    case 'pong':
    case 'cancel':
    case 'counters':
    case 'profile':
    case 'dispatches':
      return { op, call };
    case 'dispose':
      return {
        op,
        call,
        isClosed: asOptional(fields['isClosed'], (flag) =>
          flag instanceof Int32Array && flag.length > 0
            ? flag
            : wrong('isClosed', flag, 'an Int32Array of one number'),
        ),
      };
    default: {
      const unknown: never = op;
      return wrong('op', unknown, 'an op of the protocol');
    }
  }
}
