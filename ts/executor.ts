// SPDX-License-Identifier: Apache-2.0
// The interface of an executor. Level 1, the engine worker and the loop of generation call it. An executor
// computes batches of tokens and returns output rows. Sessions, prompts, sampling, queues and text belong to
// its callers.
//
// ts/wasm/executor.ts is the CPU executor. tests/executor/interpreter.ts puts the float64 interpreter behind
// the same interface.
//
// These members aren't here, because nothing would call them yet:
//   tensors outside the instance                 the loader places all tensors inside
//   a token id instead of output rows            needs an executor that answers later
//   cancel of a `run` under way                  needs an executor that answers later

import type { Sampling } from './options.js';
import type {
  OpKind,
  StructValue,
  cacheLayout,
  opLayout,
  opPartLayouts,
  ropeLayout,
  slotLayout,
} from './abi/abi.gen.js';

/** An op's record: the head that all ops share, the op's name, and its own part under that name. */
export type OpRecord = {
  readonly [Name in keyof typeof OpKind]: Readonly<Omit<StructValue<typeof opLayout>, 'words'>> & {
    readonly name: Name;
    readonly part: Readonly<StructValue<(typeof opPartLayouts)[Name]>>;
  };
}[keyof typeof OpKind];

/** A matrix or vector of the model's file. */
export interface ProgramTensor {
  readonly name: string;
  /** ggml's type id and its name, as "Q4_K". */
  readonly type: number;
  readonly format: string;
  /** Row length, and the product of the other dimensions. */
  readonly nIn: number;
  readonly nRows: number;
  /** The file's number in the model, the offset in it, and the bytes there. */
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  /** False: the tensor is on the architecture's skip list, or it's a vector, which the instance holds. */
  readonly isMatrix: boolean;
}

/** The program and its tables (src/program), for an executor outside the instance. */
export interface Program {
  /** Those of logits. An encoder has none: its ops end with the rows that are pooled. */
  readonly ops: readonly OpRecord[];
  /** Undefined: the model makes no embeddings. */
  readonly embeddings:
    | {
        /** Those of `ops` before `nBody` run first, then `pool`, and for the pooling 'rank' `rank`. */
        readonly nBody: number;
        readonly pool: readonly OpRecord[];
        readonly rank: readonly OpRecord[];
        /** Where the results are: of `pool`, and of `rank`. */
        readonly pooledSlot: number;
        readonly rankSlot: number;
        /** False: a batch has several whole texts, and needs no cache. */
        readonly isOneText: boolean;
      }
    | undefined;
  readonly isEncoder: boolean;
  readonly slots: readonly Readonly<StructValue<typeof slotLayout>>[];
  readonly ropes: readonly (Readonly<StructValue<typeof ropeLayout>> & {
    /** The angle of each pair per position; empty until the load is complete. */
    readonly anglePerPosition: Float64Array;
  })[];
  readonly caches: readonly (Readonly<StructValue<typeof cacheLayout>> & { readonly cls: number })[];
  readonly nClasses: number;
  readonly outputSlot: number;
  readonly kv: 'f32' | 'f16' | 'q8_0';
  readonly tensors: readonly ProgramTensor[];
  /** A vector's elements (norm, bias, taps), widened; undefined: not complete yet, or a matrix. */
  vector(tensor: number): Float32Array | undefined;
  /** Decodes a row of `n` elements in file form: the specification of the format. */
  decode(type: number, row: Uint8Array, n: number): Float32Array;
  /** The grids of the IQ formats, as chord_grids() gives them. */
  grids(): Uint8Array<ArrayBuffer>;
  /** Row `row` of tensor `tensor` in file form; only of weights inside the instance. */
  row(tensor: number, row: number): Uint8Array;
  readonly nCtx: number;
  readonly nBatch: number;
  /** Output rows that a batch has at most. */
  readonly nLogits: number;
  readonly nVocab: number;
  /** Planned multiply-adds of one token at position 0. */
  readonly maddsPerToken: number;
}

/** Consecutive tokens of one sequence, or texts. */
export interface Batch {
  /** Position of the first token. The executor holds keys and values of the positions before it. */
  readonly firstPosition: number;
  readonly ids: Int32Array;
  /** Indices of the tokens that have an output row, ascending. Of texts their number alone counts. */
  readonly rows: Int32Array;
  /** Numbers per position: 1 or 3. */
  readonly nAxes: number;
  /** Positions for rotary angles, `nAxes` per token; undefined: consecutive from `firstPosition`. */
  readonly positions?: Int32Array;
  /** Rows in the place of ids, which are -1 there: of `rows`, the first is that of token `first`. */
  readonly embeddings?: { readonly first: number; readonly rows: Float32Array<ArrayBuffer> };
  /** Of texts: the rows of each, one text behind the other, and a number of CHORD_POOLING_*. */
  readonly texts?: { readonly lengths: Int32Array; readonly pooling: number };
  /** The number in [0, 1) that the session's generator gives next. */
  readonly random: number;
  /**
   * How often the sequence has been truncated, restored or moved on. A batch of another count is another
   * batch, also with the same ids: its pages may be others.
   */
  readonly changes: number;
}

/** What an executor with caches of its own must put into page `page` of class `cls`: a copy, or zeros. */
export interface PageFill {
  readonly cls: number;
  readonly page: number;
  /** The page that is copied; undefined: zeros. */
  readonly from: number | undefined;
}

/** The pending tokens of one sequence. An executor sees nothing else of the session. */
export interface Batches {
  /** Address of the session in the model's instance. The CPU executor computes and accepts batches there. */
  readonly address: number;
  /**
   * For other executors: returns the batch under way, or the next one; undefined when no token is pending.
   */
  nextBatch(): Batch | undefined;
  /**
   * For other executors: hands out early the pages, and the states, that `ahead` batches of one token behind
   * the batch under way write. False: there is no memory for them; the session is as before.
   */
  reserve(ahead: number): boolean;
  /**
   * For other executors: the numbers of the pages of a class from entry `first` of the sequence's table on,
   * -1 for a dead page. Entry i holds positions 32 i .. 32 i + 31. Of a class of states, entry 0 is read and
   * entry 1 is written; those handed out early follow.
   */
  pages(cls: number, first: number): Int32Array;
  /** For other executors: what must be put into pages before the batch runs. Each fill is told once. */
  fills(): PageFill[];
  /**
   * For other executors, when keys and values are lost: makes all tokens pending. Throws `device-lost` for a
   * sequence with embeddings, which is empty then.
   */
  evaluateAgain(): void;
  /** For other executors: the sequence's ids, evaluated and pending. */
  tokens(): Int32Array;
  /** For other executors: the number in [0, 1) that the draw behind the next `ahead` draws takes. */
  randomAhead(ahead: number): number;
  /** For other executors: bytes of a save of the session as it is now. */
  readonly saveBytes: number;
  /**
   * For other executors that hold all keys and values: where byte `at` of the save, or of the restore under
   * way, is: in page `page` of class `cls`, `offset` bytes behind its start as the core lays pages out; `cls`
   * -1: in the instance. `bytes` follow there; 0 at the end and before a restore's header has come.
   */
  savePlace(at: number): { cls: number; page: number; offset: number; bytes: number };
  /** For other executors: the save's bytes from `at` on. `given`: as many, those of pages filled in. */
  save(at: number, given?: Uint8Array): Uint8Array<ArrayBuffer>;
  /** For other executors: reads a save's bytes. Those of pages are only summed. True: it was the last. */
  restore(at: number, bytes: Uint8Array): boolean;
  /** For other executors: accepts the computed batch. `outputs` holds its output rows, one after another. */
  acceptBatch(outputs: Float32Array): void;
}

/** The result of one `run`. */
export interface Ran {
  /** True: output rows can be read. False: the budget is spent, and the next `run` continues there. */
  readonly isDone: boolean;
  /** Planned work of the units computed, in multiply-adds. */
  readonly work: number;
  /** Milliseconds of the run in which it waited for weights. */
  readonly waitMs?: number;
  /** The token that the executor drew. The output row can't be read then. */
  readonly token?: number | undefined;
}

/** A dispatch of a decoded token on a GPU. */
export interface GpuDispatch {
  /** What it does, the weights' format and the layer: "norm+matvec+glu/q4_k/3". */
  readonly label: string;
  readonly workgroups: number;
  /** Planned bytes of weights, keys and values, and multiply-adds, for the first token of a context. */
  readonly bytes: number;
  readonly madds: number;
}

/** What an executor on a GPU has done and holds. */
export interface GpuCounters {
  readonly gpuDispatches: number;
  /** Bytes of its buffers, those of the weights included. */
  readonly gpuBytes: number;
  /** Planned bytes of weights, keys and values that its dispatches read. */
  readonly gpuBytesRead: number;
  readonly submits: number;
  /** Of these, steps that were submitted before the token that they evaluate was known. */
  readonly submitsAhead: number;
  /** Times that results were read back. */
  readonly readbacks: number;
}

/** Bytes on a GPU by use. */
export interface GpuMemoryUse {
  /** The matrices. */
  readonly weights: number;
  /** Keys, values and states of one session with a full context. */
  readonly kv: number;
  /** All buffers. */
  readonly total: number;
}

/** What a GPU's products over rows of one format are off, at most. */
export interface SelfTested {
  /** Format of the weights, such as 'Q4_K'. */
  readonly format: string;
  /** Tokens of the product: one and several have kernels of their own. */
  readonly tokens: number;
  /** How the kernel reads inputs: as they are, or brought into fewer bits. */
  readonly inputs: 'f32' | 'f16' | 'q8';
  /** The difference from the sum in double that comes closest to its bound. */
  readonly difference: number;
  /** What the roundings of that sum can add up to. A larger difference is an error. */
  readonly bound: number;
}

export interface Executor {
  readonly name: 'cpu' | 'webgpu';
  /** Undefined: it had no self-test. */
  readonly selfTest?: readonly SelfTested[] | undefined;
  /** Of an executor on a GPU: why it uses less than the GPU has, for people; undefined: it uses all. */
  readonly downgrade?: string | undefined;
  /** Undefined: it runs on no GPU. So is `gpuMemory`. */
  readonly counters?: GpuCounters;
  readonly gpuMemory?: GpuMemoryUse;
  /**
   * True: keys and values are outside the instance. Its sessions are saved and restored by `save` and
   * `restore`, and can't be without them.
   */
  readonly holdsCaches?: boolean;
  /** Resolves to the save's bytes from `at` on, as many as it likes. */
  save?(batches: Batches, at: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Reads a save's bytes from `at` on into an empty session. Returns true after the last. */
  restore?(batches: Batches, at: number, bytes: Uint8Array): boolean;
  /**
   * Computes pending batches until one has output rows, or until about `budget` multiply-adds are spent. At
   * least one unit is computed. An executor that can't answer at once returns a promise. After an error the
   * caller truncates the sequence.
   *
   * `sampling`: an executor that can draw with these options draws the token behind the batch's last output
   * row, as the session would. It may then begin the next step before the caller knows the token.
   */
  run(batches: Batches, budget: number, sampling?: Sampling): Ran | Promise<Ran>;
  /**
   * Of an executor on a GPU: time and bytes by kernel since the last call. The first call starts the
   * measurement and resolves to [].
   */
  profile?(): Promise<{ op: string; count: number; ms: number; bytes: number }[]>;
  /** Of an executor on a GPU: the dispatches of one decoded token, in order. */
  dispatches?(): Promise<GpuDispatch[]>;
  /**
   * Called after the instance has made `to` a copy of `from`. An executor that holds keys and values outside
   * the instance copies them here.
   */
  fork?(from: Batches, to: Batches): void;
  /**
   * Called before the sequence is closed. An executor that holds keys and values outside the instance frees
   * them here.
   */
  close?(batches: Batches): void;
  /** Stops all work and frees what the executor holds outside the instance. */
  free(): void;
}
