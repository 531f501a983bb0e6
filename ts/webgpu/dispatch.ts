// SPDX-License-Identifier: Apache-2.0
// The common language of this room: what a dispatch is, and where matrices, vectors and slots lie on the GPU.
// matmul.ts, rows.ts, attend.ts and sample.ts make dispatches of ops. lowering.ts puts them in order.
// pipelines.ts compiles their kernels. executor.ts encodes them.

/** ggml's name of a weight format, in lower case: the name of its file in kernels/formats. */
export type FormatName =
  | 'f32'
  | 'f16'
  | 'bf16'
  | 'q4_0'
  | 'q4_1'
  | 'q5_0'
  | 'q5_1'
  | 'q8_0'
  | 'q2_k'
  | 'q3_k'
  | 'q4_k'
  | 'q5_k'
  | 'q6_k'
  | 'iq4_nl'
  | 'iq4_xs'
  | 'iq1_s'
  | 'iq1_m'
  | 'iq2_xxs'
  | 'iq2_xs'
  | 'iq2_s'
  | 'iq3_xxs'
  | 'iq3_s'
  | 'q1_0'
  | 'q2_0'
  | 'mxfp4'
  | 'nvfp4'
  | 'tq1_0'
  | 'tq2_0';

export type KvName = 'f32' | 'f16' | 'q8_0';

/** What a kernel may use on this device. Every kernel also works with none of them. */
export interface Features {
  readonly f16: boolean;
  readonly subgroups: boolean;
  /** Sizes of a subgroup; 0 without subgroups. Equal: the compiler has no choice. */
  readonly subgroupMin: number;
  readonly subgroupMax: number;
  /** dot4I8Packed and unpack4xI8 (`packed_4x8_integer_dot_product`). */
  readonly packedDot: boolean;
  /** The packed dot is an instruction of the GPU's, as far as the adapter's name tells. */
  readonly fastDot: boolean;
  /** Prompts gain by f16 in workgroup memory. */
  readonly f16Tiles: boolean;
  /** The adapter has subgroup matrices, an experiment of Chromium's. No kernel uses them yet. */
  readonly subgroupMatrices: boolean;
  /** Parameters as `var<immediate>`, at most 64 bytes. */
  readonly immediates: boolean;
  readonly maxBinding: number;
  readonly maxWorkgroupStorage: number;
  readonly maxInvocations: number;
}

/** A part of a buffer, as it is bound. `offset` is a multiple of 256, `size` of 4. */
export interface View {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
  readonly size?: number;
}

/**
 * A matrix in its planes: row after row, `rowWords` words of four bytes each. In the row come the blocks of
 * the file. Where a block has a length that isn't a multiple of four, its two bytes `d` are taken out: then
 * come first the blocks without d, then the d of all blocks. Zeros follow up to a whole word, or to a
 * multiple of four words (rowWords in placement.ts). Rows [firstRow, firstRow + nRows) are at word `offset`
 * of `view`, which begins with the grids where a format has one (kernels/formats/grids.wgsl).
 */
export interface MatrixPart {
  readonly view: View;
  /** Words from the beginning of `view` to row `firstRow`. */
  readonly offset: number;
  readonly firstRow: number;
  readonly nRows: number;
}
export interface Matrix {
  readonly name: string;
  readonly format: FormatName;
  /** Row length in elements. */
  readonly nIn: number;
  readonly nRows: number;
  readonly rowWords: number;
  /** One part, or several where a binding holds less than the matrix. */
  readonly parts: readonly MatrixPart[];
}

/** A vector of floats (norm, bias, taps): `offset` in floats from the beginning of the one buffer of all. */
export interface Vector {
  readonly offset: number;
  readonly length: number;
}

/** A slot of the program: float32[rows][stride], stride >= width, a multiple of 4. */
export interface Slot {
  readonly view: View;
  readonly width: number;
  readonly stride: number;
}

/**
 * Keys and values of one cache, paged: kernels/kv.wgsl knows the order in a page. A page holds 32 tokens.
 */
export interface Cache {
  readonly view: View;
  readonly kv: KvName;
  readonly nKv: number;
  readonly kDim: number;
  /** 0: the values are the first part of the keys. */
  readonly vDim: number;
  readonly window: number;
  /** Where the table of the cache's class begins in the buffer of page tables, in words. */
  readonly table: number;
}

/** The uniform `batch` of every kernel (kernels/batch.wgsl has the same fields in the same order). */
export interface BatchShape {
  readonly nTokens: number;
  /** Position of row 0. */
  readonly firstPosition: number;
  readonly nOutputs: number;
  /** Rows of each text, for a batch of texts. */
  readonly texts?: ArrayLike<number>;
}

/** A parameter: a word of four bytes. */
export type Param = { readonly u32: number } | { readonly f32: number };

/**
 * One dispatch of a kernel.
 *
 * The kernel's text is kernels/<kernel>.wgsl with batch.wgsl before it; `with` names further texts
 * ('formats/q4_k', 'kv_f16') that go between. `constants` become `const NAME = value;` before all text: use
 * them for lengths of arrays in functions. `overrides` set the pipeline's `override` constants. Bindings of
 * group 0: 0 is the uniform `batch`, 1 the parameters `p` (uniform, or immediate where the device has them),
 * `buffers` from 2 on, at most 8.
 */
export interface Dispatch {
  readonly kernel: string;
  /** For people: op/format/layer, as "matvec/q4_k/3". */
  readonly label: string;
  readonly with?: readonly string[];
  /** WGSL that goes with them: functions that choose among functions of the texts. */
  readonly glue?: string;
  readonly constants?: Readonly<Record<string, number>>;
  readonly overrides?: Readonly<Record<string, number>>;
  /** At most 16 words. */
  readonly params: readonly Param[];
  readonly buffers: readonly View[];
  /** Workgroups for a batch; [0, 0, 0]: the dispatch is left out. */
  groups(batch: BatchShape): readonly [number, number, number];
  /** Planned multiply-adds, as the CPU's plan counts them, and bytes of weights and caches read. */
  work(batch: BatchShape): { readonly madds: number; readonly bytes: number };
}
