// SPDX-License-Identifier: Apache-2.0
// Saved sessions whose keys, values and states are on the GPU. The instance makes the stream of bytes and
// sums it (src/session/save.h); where the stream has a page's bytes, they come from the GPU or go there, in
// the core's layout. So a save of the GPU is one of the CPU.
import { CacheKind, PAGE_TOKENS } from '../abi/abi.gen.js';
import type { Batches, Program } from '../executor.js';
import { headBytes } from './attend.js';

/** Bytes of a save that are made at a time, and of a matrix that the fingerprint of saves has. */
const SLICE = 1 << 20;
const SAMPLE = 256;

/** What the core and the GPU have at different places of a page of one cache. */
interface Piece {
  readonly core: number;
  readonly gpu: number;
  readonly bytes: number;
}

const up = (bytes: number): number => Math.ceil(bytes / 16) * 16;

/** The pieces of a page of class `cls` by cache, and the page's bytes in the core. */
export function piecesOf(
  { caches, kv }: Pick<Program, 'caches' | 'kv'>,
  cls: number,
): { readonly caches: ReadonlyMap<number, readonly Piece[]>; readonly bytes: number } {
  const map = new Map<number, Piece[]>();
  let core = 0;
  caches.forEach((cache, index) => {
    if (cache.cls !== cls) return;
    const pieces: Piece[] = [];
    map.set(index, pieces);
    if (cache.kind === CacheKind.STATE) {
      pieces.push({ core, gpu: 0, bytes: cache.n_state * 4 });
      core += up(cache.n_state * 4);
      return;
    }
    let gpu = 0;
    for (const width of [cache.k_dim, cache.v_dim].filter((n) => n > 0))
      for (let head = 0; head < cache.n_kv; head++) {
        const scales = kv === 'q8_0' ? (width / 32) * 2 : 0;
        const row = kv === 'q8_0' ? width : width * (kv === 'f32' ? 4 : 2);
        const stride = kv === 'q8_0' ? width : headBytes(kv, width) / PAGE_TOKENS;
        for (let token = 0; token < PAGE_TOKENS; token++) {
          const at = core + token * (row + scales);
          pieces.push({ core: at, gpu: gpu + token * stride, bytes: row });
          // Behind all codes of a head, words of two scales (kernels/kv_q8_0.wgsl).
          const behind = gpu + PAGE_TOKENS * width + token * 4 * Math.ceil(width / 64);
          if (scales > 0) pieces.push({ core: at + row, gpu: behind, bytes: scales });
        }
        core += up(PAGE_TOKENS * (row + scales));
        gpu += headBytes(kv, width);
      }
  });
  return { caches: map, bytes: core };
}

/** The GPU's side: pages of single caches in its own layout. */
export interface CachePages {
  /** Resolves to page `page` of each of the caches. */
  read(caches: readonly number[], page: number): Promise<Uint8Array[]>;
  write(cache: number, page: number, bytes: Uint8Array<ArrayBuffer>): void;
  bytes(cache: number): number;
}

/** A page in the core's layout. */
interface Page {
  readonly address: number;
  readonly cls: number;
  readonly page: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export class Saves {
  readonly #program: Program;
  readonly #pages: CachePages;
  #page: Page | undefined;

  constructor(program: Program, pages: CachePages) {
    this.#program = program;
    this.#pages = pages;
  }

  /** See Executor.save(). */
  async save(batches: Batches, at: number): Promise<Uint8Array<ArrayBuffer>> {
    if (at === 0) this.#page = undefined;
    const first = batches.savePlace(at);
    const most = Math.min(batches.saveBytes - at, SLICE, ...(at === 0 ? [first.bytes] : []));
    const bytes = new Uint8Array(most);
    for (let n = 0; n < most;) {
      const place = batches.savePlace(at + n);
      const count = Math.min(place.bytes, most - n);
      if (place.cls >= 0) {
        const page = await this.#read(batches.address, place.cls, place.page);
        bytes.set(page.subarray(place.offset, place.offset + count), n);
      }
      n += count;
    }
    return batches.save(at, bytes);
  }

  /** See Executor.restore(). */
  restore(batches: Batches, at: number, bytes: Uint8Array): boolean {
    if (at === 0) this.#page = undefined;
    const isDone = batches.restore(at, bytes);
    for (let n = 0; n < bytes.byteLength;) {
      const { cls, page, offset, bytes: rest } = batches.savePlace(at + n);
      if (rest === 0) break; // the header hasn't come
      const count = Math.min(rest, bytes.byteLength - n);
      if (cls >= 0) this.#toWrite(batches.address, cls, page).set(bytes.subarray(n, n + count), offset);
      n += count;
    }
    if (isDone) this.#flush();
    return isDone;
  }

  #is(address: number, cls: number, page: number): boolean {
    const now = this.#page;
    return now !== undefined && now.address === address && now.cls === cls && now.page === page;
  }

  async #read(address: number, cls: number, page: number): Promise<Uint8Array> {
    if (!this.#is(address, cls, page)) {
      const { caches, bytes: size } = piecesOf(this.#program, cls);
      const bytes = new Uint8Array(size);
      const read = await this.#pages.read([...caches.keys()], page);
      [...caches.values()].forEach((pieces, i) => {
        for (const piece of pieces)
          bytes.set(read[i]!.subarray(piece.gpu, piece.gpu + piece.bytes), piece.core);
      });
      this.#page = { address, cls, page, bytes };
    }
    return this.#page!.bytes;
  }

  /** The bytes of the page that are written to the GPU when another one comes. */
  #toWrite(address: number, cls: number, page: number): Uint8Array {
    if (!this.#is(address, cls, page)) {
      this.#flush();
      this.#page = { address, cls, page, bytes: new Uint8Array(piecesOf(this.#program, cls).bytes) };
    }
    return this.#page!.bytes;
  }

  #flush(): void {
    if (this.#page === undefined) return;
    const { cls, page, bytes } = this.#page;
    for (const [cache, pieces] of piecesOf(this.#program, cls).caches) {
      const own = new Uint8Array(this.#pages.bytes(cache));
      for (const piece of pieces) own.set(bytes.subarray(piece.core, piece.core + piece.bytes), piece.gpu);
      this.#pages.write(cache, page, own);
    }
    this.#page = undefined;
  }
}

/** The first bytes of each matrix in the file, for the fingerprint of saves (chord_model_sample). */
export class Samples {
  readonly #wanted: {
    readonly index: number;
    readonly file: number;
    readonly at: number;
    bytes: Uint8Array;
  }[];
  readonly #had: number[];

  constructor({ tensors }: Pick<Program, 'tensors'>) {
    this.#wanted = tensors.flatMap(({ isMatrix, file, offset, bytes, nRows }, index) =>
      isMatrix ? [{ index, file, at: offset, bytes: new Uint8Array(Math.min(SAMPLE, bytes / nRows)) }] : [],
    );
    this.#had = this.#wanted.map(() => 0);
  }

  push(file: number, offset: number, chunk: Uint8Array): void {
    this.#wanted.forEach((one, i) => {
      const from = one.at + this.#had[i]!;
      if (one.file !== file || from < offset || from >= offset + chunk.byteLength) return;
      const part = chunk.subarray(from - offset, one.at + one.bytes.byteLength - offset);
      one.bytes.set(part, this.#had[i]!);
      this.#had[i]! += part.byteLength;
    });
  }

  *[Symbol.iterator](): Generator<readonly [tensor: number, bytes: Uint8Array]> {
    for (const { index, bytes } of this.#wanted) yield [index, bytes];
  }
}
