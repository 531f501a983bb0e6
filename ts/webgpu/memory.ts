// SPDX-License-Identifier: Apache-2.0
// The buffers of a model on the GPU, apart from its matrices: slots, vectors, pages of keys, values and
// states, page tables, token ids, output rows. They are made once. Only a pool of pages may grow, when
// several sequences need more pages than one full context.
import { CacheKind, PAGE_TOKENS } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { OpRecord, Program } from '../executor.js';
import { asked } from './asked.js';
import { pageBytes, partialBytes } from './attend.js';
import { bytesOf, counting } from './counting.js';
import type { Cache, Features, Slot, Vector, View } from './dispatch.js';
import { tableBytes } from './experts.js';
import type { Table } from './experts.js';
import { Usage } from './flags.js';
import { firstLine } from './patience.js';
import { mostStagedBytes } from './tiles.js';

/** Tokens behind a window that the session keeps (src/session/caches.c, KEPT_TOKENS). */
const KEPT_TOKENS = 256;
/** Steps that are submitted before the token that they evaluate is known. */
export const AHEAD = 2;
/** States of a sequence: before the batch, behind it and behind steps ahead, and two checkpoints. */
const STATES = 4 + AHEAD;
/** Also those of embeddings. */
export const allOps = ({ ops, embeddings }: Pick<Program, 'ops' | 'embeddings'>): readonly OpRecord[] =>
  embeddings === undefined ? ops : [...ops, ...embeddings.pool, ...embeddings.rank];
/** Weights of an op are vectors, except a product's and an embedding's matrices. */
const isMatrixOf = (op: OpRecord, i: number): boolean =>
  op.name === 'EMBED' || (op.name === 'MATMUL' && i < 3) || (op.name === 'EXPERTS' && i < 2);

export class GpuMemory {
  readonly slots: readonly Slot[];
  readonly vectors: View;
  /** u32: the page tables of all classes. */
  readonly tables: View;
  /** Where the table of each class begins, in words. */
  readonly tableOf: readonly number[];
  /** u32[nCtx + 1]: the ids of the sequence under way by position. */
  readonly tokens: View;
  /** u32: the rows of the batch that have an output row. */
  readonly rows: View;
  /** u32: first row and number of rows of each text of the batch. */
  readonly runs: View;
  /** u32: the positions of the rows of a batch of texts. */
  readonly positions: View;
  /** Scratch of attention. */
  readonly partial: View;
  /** Scratch of products over staged inputs: the input's rows. Undefined: this device stages nothing. */
  readonly staged: View | undefined;
  /** Which tokens each expert has, for mixtures. */
  readonly expertsTable: Table | undefined;
  /** The uniform `batch`. */
  readonly batch: GPUBuffer;
  readonly #device: GPUDevice;
  readonly #program: Program;
  readonly #features: Features;
  readonly #vectors = new Map<number, Vector>();
  readonly #spares = new Map<number, Slot>();
  /** Pages that each class has room for. */
  readonly #pages: number[];
  readonly #caches: GPUBuffer[];
  /** A page on its way. */
  readonly #page: GPUBuffer;
  readonly #others: GPUBuffer[] = [];

  /** Throws `out-of-memory`, and `no-webgpu` when a binding can't hold a cache. */
  static async open(device: GPUDevice, features: Features, program: Program): Promise<GpuMemory> {
    device.pushErrorScope('out-of-memory');
    let memory: GpuMemory;
    try {
      memory = new GpuMemory(device, features, program);
    } catch (error) {
      await asked(device.popErrorScope());
      throw error;
    }
    const error = await asked(device.popErrorScope());
    if (error !== null) {
      memory.destroy();
      throw new ChordError('out-of-memory', `the GPU can't hold the context: ${firstLine(error.message)}`, {
        hint: "use a shorter contextLength, or backend: 'cpu'",
      });
    }
    return memory;
  }

  /** Of a program that is planned: makes no buffer, only says how large they are. Throws `no-webgpu`. */
  static counted(features: Features, program: Program): GpuMemory {
    return new GpuMemory(counting, features, program);
  }

  private constructor(device: GPUDevice, features: Features, program: Program) {
    this.#device = device;
    this.#program = program;
    this.#features = features;
    const { nBatch, nLogits, nCtx, nClasses } = program;
    this.slots = program.slots.map(({ width, rows }, i) => {
      const stride = Math.ceil(width / 4) * 4;
      const bytes = (rows === 1 ? nLogits : nBatch) * stride * 4;
      if (bytes > features.maxBinding)
        throw new ChordError(
          'no-webgpu',
          `the rows of a batch take ${bytes} bytes, a binding of this GPU holds ${features.maxBinding}`,
          { hint: 'use a shorter contextLength' },
        );
      return { view: { buffer: this.#make(`slot ${i}`, bytes) }, width, stride };
    });
    this.vectors = { buffer: this.#makeVectors() };
    const entries = Math.ceil(nCtx / PAGE_TOKENS) + 1;
    this.tableOf = Array.from({ length: nClasses }, (_, cls) => cls * entries);
    this.tables = { buffer: this.#make('page tables', nClasses * entries * 4) };
    this.tokens = { buffer: this.#make('tokens', (Math.max(nCtx, nBatch) + 1) * 4) };
    this.rows = { buffer: this.#make('rows', nLogits * 4) };
    const textRows = program.embeddings === undefined ? 0 : nBatch;
    this.runs = { buffer: this.#make('runs of texts', textRows * 8) };
    this.positions = { buffer: this.#make('positions of texts', textRows * 4) };
    this.partial = { buffer: this.#make('attention scratch', this.#partialBytes()) };
    const stagedRows = allOps(program).map((op) => {
      if (op.name === 'MATMUL') return mostStagedBytes(features, op.part.n_in);
      if (op.name !== 'EXPERTS') return 0;
      return mostStagedBytes(features, op.part.n_in * (op.part.is_each === 0 ? 1 : op.part.n_used), true);
    });
    const staged = nBatch * Math.max(0, ...stagedRows);
    this.staged = staged > 0 ? { buffer: this.#make('staged inputs', staged) } : undefined;
    const tables = program.ops.map((op) =>
      op.name === 'ROUTE' ? tableBytes(nBatch, op.part.n_expert, op.part.n_used) : 0,
    );
    const most = Math.max(0, ...tables);
    this.expertsTable =
      most > 0 ? { view: { buffer: this.#make("experts' tokens", most) }, nBatch } : undefined;
    this.batch = device.createBuffer({ label: 'batch', size: 16, usage: Usage.uniform | Usage.copyTarget });
    this.#others.push(this.batch);
    this.#page = this.#make('page', Math.max(0, ...program.caches.map((_, i) => this.pageBytes(i))));
    this.#pages = Array.from({ length: nClasses }, (_, cls) => this.#firstPages(cls));
    this.#caches = program.caches.map(({ cls }, i) => this.#makeCache(i, this.#pages[cls]!));
  }

  /** A second buffer for slot `index`, for an op that reads the slot and writes it. */
  spare(index: number): Slot {
    let spare = this.#spares.get(index);
    if (spare === undefined) {
      const slot = this.slots[index]!;
      spare = { ...slot, view: { buffer: this.#make(`slot ${index}, spare`, slot.view.buffer.size) } };
      this.#spares.set(index, spare);
    }
    return spare;
  }

  /** Bytes of keys, values and states. */
  get kvBytes(): number {
    return bytesOf(this.#caches);
  }

  /** Bytes of all its buffers. */
  get gpuBytes(): number {
    return bytesOf(this.#others) + this.kvBytes;
  }

  /** Writes the vectors when the load is complete. */
  loadVectors(): void {
    for (const [tensor, { offset }] of this.#vectors) {
      const data = this.#program.vector(tensor);
      if (data === undefined) throw new ChordError('internal', `vector ${tensor} isn't loaded`);
      this.#device.queue.writeBuffer(this.vectors.buffer, offset * 4, data as Float32Array<ArrayBuffer>);
    }
  }

  vector(tensor: number): Vector {
    const vector = this.#vectors.get(tensor);
    if (vector === undefined) throw new ChordError('internal', `tensor ${tensor} is no vector`);
    return vector;
  }

  /** The vector of an optional weight. */
  optional(tensor: number): Vector | undefined {
    return tensor < 0 ? undefined : this.vector(tensor);
  }

  cache(index: number): Cache {
    const { n_kv, k_dim, v_dim, window, kind, cls } = this.#program.caches[index]!;
    return {
      view: { buffer: this.#caches[index]! },
      kv: kind === CacheKind.STATE ? 'f32' : this.#program.kv,
      nKv: n_kv,
      kDim: k_dim,
      vDim: v_dim,
      window: kind === CacheKind.WINDOW ? window : 0,
      table: this.tableOf[cls]!,
    };
  }

  /** Bytes of a page, or of a state, of one cache. */
  pageBytes(index: number): number {
    const { kind, n_state } = this.#program.caches[index]!;
    if (kind === CacheKind.STATE) return n_state * 4;
    return pageBytes(this.#describe(index));
  }

  /**
   * Makes room for pages up to number `most` of a class. Returns true when buffers were replaced: bind groups
   * with the caches of the class are stale then.
   */
  reserve(cls: number, most: number): boolean {
    const had = this.#pages[cls]!;
    if (most < had) return false;
    this.#pages[cls] = Math.max(most + 1, had * 2);
    const encoder = this.#device.createCommandEncoder({ label: 'grow' });
    const old: GPUBuffer[] = [];
    this.#program.caches.forEach((cache, i) => {
      if (cache.cls !== cls) return;
      const grown = this.#makeCache(i, this.#pages[cls]!);
      encoder.copyBufferToBuffer(this.#caches[i]!, 0, grown, 0, had * this.pageBytes(i));
      old.push(this.#caches[i]!);
      this.#caches[i] = grown;
    });
    this.#device.queue.submit([encoder.finish()]);
    for (const buffer of old) buffer.destroy();
    return true;
  }

  /** Copies page `from` of a class to page `to`, or fills it with zeros. */
  fill(encoder: GPUCommandEncoder, cls: number, to: number, from: number | undefined): void {
    this.#program.caches.forEach((cache, i) => {
      if (cache.cls !== cls) return;
      const bytes = this.pageBytes(i);
      const buffer = this.#caches[i]!;
      if (from === undefined) {
        encoder.clearBuffer(buffer, to * bytes, bytes);
        return;
      }
      // A buffer can't be copied to itself.
      encoder.copyBufferToBuffer(buffer, from * bytes, this.#page, 0, bytes);
      encoder.copyBufferToBuffer(this.#page, 0, buffer, to * bytes, bytes);
    });
  }

  /** The place of a page of one cache. */
  placeOf(index: number, page: number): Required<GPUBufferBinding> {
    const size = this.pageBytes(index);
    return { buffer: this.#caches[index]!, offset: page * size, size };
  }

  destroy(): void {
    for (const buffer of [...this.#others, ...this.#caches]) buffer.destroy();
  }

  #describe(index: number): Omit<Cache, 'view' | 'table'> {
    const { n_kv, k_dim, v_dim, window } = this.#program.caches[index]!;
    return { kv: this.#program.kv, nKv: n_kv, kDim: k_dim, vDim: v_dim, window };
  }

  #partialBytes(): number {
    const sizes = this.#program.ops.map((op) => {
      if (op.name !== 'ATTEND') return 0;
      const cache = { ...this.#describe(op.cache), view: this.tables, table: 0 };
      const { n_head: nHead, v_dim: vDim } = op.part;
      return Math.max(
        ...(['one', 'few'] as const).map((tokens) => partialBytes({ nHead, vDim, tokens, cache })),
      );
    });
    return Math.max(0, ...sizes);
  }

  /** Pages that one sequence with a full context needs. */
  #firstPages(cls: number): number {
    const { nCtx, nBatch, caches } = this.#program;
    const cache = caches.find((one) => one.cls === cls);
    if (cache === undefined) return 0;
    if (cache.kind === CacheKind.STATE) return STATES;
    const all = Math.ceil(nCtx / PAGE_TOKENS) + 1;
    const kept = Math.ceil((cache.window + KEPT_TOKENS + nBatch) / PAGE_TOKENS) + 2;
    return cache.kind === CacheKind.WINDOW ? Math.min(all, kept) : all;
  }

  #makeCache(index: number, pages: number): GPUBuffer {
    const bytes = pages * this.pageBytes(index);
    if (bytes > this.#features.maxBinding)
      throw new ChordError(
        'no-webgpu',
        `a layer's keys and values take ${bytes} bytes, a binding of this GPU holds ${this.#features.maxBinding}`,
        { hint: 'use a shorter contextLength' },
      );
    return this.#device.createBuffer({
      label: `cache ${index}`,
      size: Math.max(16, bytes),
      usage: Usage.storage | Usage.copySource | Usage.copyTarget,
    });
  }

  #make(label: string, bytes: number): GPUBuffer {
    const buffer = this.#device.createBuffer({
      label,
      size: Math.max(16, Math.ceil(bytes / 4) * 4),
      usage: Usage.storage | Usage.copySource | Usage.copyTarget,
    });
    this.#others.push(buffer);
    return buffer;
  }

  /** Places the vectors. A vector begins at a multiple of 16 bytes. */
  #makeVectors(): GPUBuffer {
    const { tensors } = this.#program;
    const used = new Set(
      allOps(this.#program).flatMap((op) =>
        op.weight.filter((tensor, i) => tensor >= 0 && !isMatrixOf(op, i)),
      ),
    );
    let offset = 0;
    for (const tensor of used) {
      const { nIn, nRows } = tensors[tensor]!;
      this.#vectors.set(tensor, { offset, length: nIn * nRows });
      offset += Math.ceil((nIn * nRows) / 4) * 4;
    }
    return this.#make('vectors', offset * 4);
  }
}
