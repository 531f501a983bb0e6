// SPDX-License-Identifier: Apache-2.0
// The memory of one model. This file allocates its blocks from `__heap_base` on for the C core. Bytes cross
// between JavaScript and the memory only as copies, through Heap's methods. No view of the memory is
// returned: browsers refuse views of shared memory in TextDecoder, Blob and crypto, and growth replaces the
// buffer.
import { BLOCK_ALIGN } from '../abi/abi.gen.js';
import type { StructLayout, StructValue } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import { newMemory } from './detect.js';

/** Bytes of a wasm page. */
export const PAGE = 65536;
/**
 * Maximums to try, in wasm pages: 4 GiB, 3 GiB, 2 GiB, 1.5 GiB ... 64 MiB. A 32-bit or crowded process can't
 * reserve 4 GiB.
 */
const LADDER = Array.from({ length: 13 }, (_, i) => (i % 2 === 0 ? 65536 : 49152) >> (i >> 1));
/** With 64-bit addresses 16 GiB, the most that JavaScript engines grant, 12 GiB, 8 GiB, 6 GiB first. */
const WIDE_LADDER = [262144, 196608, 131072, 98304, ...LADDER];

/**
 * Creates a shared memory with the largest maximum of the ladder that this process grants, or less if
 * `budget` allows only fewer bytes, but never less than the last one: a header must be read to say what its
 * model needs. `isWide`: with 64-bit addresses. Returns the memory and the maximum in bytes. Throws
 * `out-of-memory`.
 */
export function makeMemory(
  budget = Infinity,
  isWide = false,
): { memory: WebAssembly.Memory; maximum: number } {
  const most = Math.max(Math.ceil(budget / PAGE), LADDER.at(-1)!);
  let maximum = 0;
  let cause: unknown;
  for (const step of isWide ? WIDE_LADDER : LADDER) {
    maximum = Math.min(step, most);
    try {
      return {
        memory: newMemory(isWide, 16, maximum),
        maximum: maximum * PAGE,
      };
    } catch (error) {
      cause = error;
    }
  }
  throw new ChordError(
    'out-of-memory',
    `no WebAssembly memory could be created, not even with a maximum of ${maximum * PAGE} bytes`,
    {
      cause,
      hint: 'dispose of models that are no longer used, or close other tabs',
    },
  );
}

const up = (bytes: number): number => Math.ceil(bytes / BLOCK_ALIGN) * BLOCK_ALIGN;

/** Allocates blocks of a model's memory, with a bump pointer and a first-fit list of freed blocks. */
export class Heap {
  readonly memory: WebAssembly.Memory;
  readonly #isWide: boolean;
  #maximum: number;
  #top: number;
  #free: { address: number; bytes: number }[] = []; // sorted by address; neighbours are merged

  /** `isWide`: the memory has 64-bit addresses. */
  constructor(memory: WebAssembly.Memory, base: number, maximum: number, isWide: boolean) {
    this.memory = memory;
    this.#isWide = isWide;
    this.#maximum = maximum;
    this.#top = up(base);
  }

  /** Size in bytes that the memory may reach, if the machine has so much. */
  get maximum(): number {
    return this.#maximum;
  }

  /** Lowers the maximum to `bytes`, in whole pages. */
  bound(bytes: number): void {
    this.#maximum = Math.min(this.#maximum, Math.ceil(bytes / PAGE) * PAGE);
  }

  /** Address of the next fresh block. An arena that ends here can be extended in place. */
  get top(): number {
    return this.#top;
  }

  /** Bytes by which the heap may still grow, if the machine has them. */
  get room(): number {
    return this.maximum - this.#top;
  }

  /** The memory's present size in bytes. */
  get size(): number {
    return this.memory.buffer.byteLength;
  }

  /**
   * Allocates a block of at least `bytes`, aligned to BLOCK_ALIGN, with undefined contents. Returns its
   * address. Throws `out-of-memory`.
   */
  alloc(bytes: number): number {
    const wanted = up(Math.max(1, bytes));
    const i = this.#free.findIndex((hole) => hole.bytes >= wanted);
    if (i < 0) return this.allocTop(wanted);
    const hole = this.#free[i]!;
    if (hole.bytes === wanted) this.#free.splice(i, 1);
    else this.#free[i] = { address: hole.address + wanted, bytes: hole.bytes - wanted };
    return hole.address;
  }

  /**
   * Allocates a block at the top of the heap, where it extends the block before it. Otherwise as `alloc`.
   */
  allocTop(bytes: number): number {
    const address = this.#top;
    const end = address + up(bytes);
    const missing = end - this.size;
    if (missing > 0) {
      try {
        // More than the ladder's first step is always refused.
        const pages = end > this.maximum ? WIDE_LADDER[0]! + 1 : Math.ceil(missing / PAGE);
        this.memory.grow((this.#isWide ? BigInt(pages) : pages) as number);
      } catch (cause) {
        throw new ChordError(
          'out-of-memory',
          `${end} bytes of WebAssembly memory were refused; ${this.size} are in use, the maximum is ${this.maximum}`,
          {
            cause,
            hint: 'use a smaller model or quantization, a shorter contextLength, or fewer models at a time',
          },
        );
      }
    }
    this.#top = end;
    return address;
  }

  /** Frees a block. `bytes`: the size that was passed to `alloc`. */
  free(address: number, bytes: number): void {
    const block = { address, bytes: up(Math.max(1, bytes)) };
    let i = this.#free.findIndex((hole) => hole.address > address);
    if (i < 0) i = this.#free.length;
    this.#free.splice(i, 0, block);
    for (const k of [i, i - 1]) {
      const [a, b] = [this.#free[k], this.#free[k + 1]];
      if (a === undefined || b === undefined || a.address + a.bytes !== b.address) continue;
      this.#free.splice(k, 2, { address: a.address, bytes: a.bytes + b.bytes });
    }
    const last = this.#free.at(-1);
    if (last !== undefined && last.address + last.bytes === this.#top) {
      this.#top = last.address;
      this.#free.pop();
    }
  }

  copyIn(address: number, bytes: Uint8Array): void {
    new Uint8Array(this.memory.buffer, address, bytes.byteLength).set(bytes);
  }

  copyInIds(address: number, ids: ArrayLike<number>): void {
    new Int32Array(this.memory.buffer, address, ids.length).set(ids);
  }

  copyInFloats(address: number, values: Float32Array): void {
    new Float32Array(this.memory.buffer, address, values.length).set(values);
  }

  copyOut(address: number, bytes: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(new Uint8Array(this.memory.buffer, address, bytes)); // a copy that isn't shared
  }

  copyOutIds(address: number, count: number): Int32Array<ArrayBuffer> {
    return new Int32Array(new Int32Array(this.memory.buffer, address, count));
  }

  copyOutFloats(address: number, count: number): Float32Array<ArrayBuffer> {
    return new Float32Array(new Float32Array(this.memory.buffer, address, count));
  }

  readDouble(address: number): number {
    return new DataView(this.memory.buffer, address, 8).getFloat64(0, true);
  }

  readStruct<L extends StructLayout>(address: number, layout: L): StructValue<L> {
    const view = new DataView(this.memory.buffer, address, layout.size);
    const value: { [name: string]: number | number[] } = {};
    for (const [name, field] of Object.entries(layout.fields)) {
      const width = field.type === 'f64' ? 8 : 4;
      const at = (i: number): number => {
        const offset = field.offset + i * width;
        if (field.type === 'i32') return view.getInt32(offset, true);
        return field.type === 'f32' ? view.getFloat32(offset, true) : view.getFloat64(offset, true);
      };
      value[name] = field.count === 1 ? at(0) : Array.from({ length: field.count }, (_, i) => at(i));
    }
    return value as StructValue<L>;
  }

  /** Writes all fields of a struct: those in `value`, and zero for the rest. */
  writeStruct<L extends StructLayout>(
    address: number,
    layout: L,
    value: { [K in keyof L['fields']]?: number },
  ): void {
    const view = new DataView(this.memory.buffer, address, layout.size);
    for (const [name, field] of Object.entries(layout.fields)) {
      const number = (value as { [name: string]: number | undefined })[name] ?? 0;
      if (field.type === 'i32') view.setInt32(field.offset, number, true);
      else if (field.type === 'f32') view.setFloat32(field.offset, number, true);
      else view.setFloat64(field.offset, number, true);
    }
  }
}
