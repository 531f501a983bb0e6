// SPDX-License-Identifier: Apache-2.0
// One instance of the module over one model's memory: exports, heap, faults, and the library's errors as
// ChordErrors. The rest of this room calls the library through a WasmInstance. Calls are synchronous, by one
// caller at a time.
//
// The memory from __heap_base on holds scratch, staging and the header's arena, which grows at the top until
// the header is complete. The plan's block, the helpers' stacks, sessions and KV pages follow.
import { statusErrors } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { ChordErrorCode } from '../errors.js';
import { instantiate, isWideModule } from './instantiate.js';
import type { Exports } from './instantiate.js';
import { Heap, makeMemory } from './memory.js';

/** Bytes of scratch, which holds structs, names and messages during a call. */
export const SCRATCH = 4096;
/** Bytes of staging. It is large enough to hide the cost of a call, and small beside any model. */
export const STAGING = 1 << 20;
/** Minimum bytes by which the header's arena grows. A large vocabulary makes it grow a few dozen times. */
export const ARENA = 256 << 10;

/** Bytes of a helper's stack; the leader's stack, which the linker reserves, has the same size. */
export const STACK = 64 << 10;

export const hints: { readonly [code in ChordErrorCode]?: string } = {
  'context-full': 'shorten the prompt, or load the model with a larger contextLength',
  'out-of-memory': 'use a smaller model or quantization, a shorter contextLength, or fewer models at a time',
  internal: "please report this with the model's name and the package's version",
};

/** `ignoreBOM` keeps a U+FEFF at the start of a text. */
export const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** What brings the weights that a step lacks (ts/paging). */
export interface Weights {
  /** A count that changes when weights have come. */
  seen(): number;
  /**
   * Waits for `layer`, or for rows if it is -1, but not long. `seen`: the count before the step that lacks
   * them. Throws the errors of the file.
   */
  wait(session: number, layer: number, seen: number): Promise<void>;
  /** Throws the error of the file, if a step has failed with `status` because of it. */
  throwFault(status: number): void;
}

export class WasmInstance {
  readonly module: WebAssembly.Module;
  /** Address of SCRATCH bytes, which every call may overwrite. */
  readonly scratch: number;
  /** Address of STAGING bytes, which every call that moves bytes may overwrite. */
  readonly staging: number;
  /** Address of the chord_model. */
  readonly model: number;
  /** Where the weights of a paged model come from; undefined: all are in the memory. */
  weights: Weights | undefined;
  #heap: Heap | undefined;
  #exports: Exports | undefined;
  #fault: ChordError | undefined;

  /**
   * Creates the memory, an instance of `module`, and an empty model. `memoryBudget`: maximum bytes of the
   * memory. Throws `out-of-memory`, `internal`.
   */
  constructor(module: WebAssembly.Module, memoryBudget?: number) {
    this.module = module;
    const isWide = isWideModule(module);
    const { memory, maximum } = makeMemory(memoryBudget, isWide);
    this.#exports = instantiate(module, memory, (cause) => this.#onTrap(cause));
    this.#heap = new Heap(memory, Number(this.#exports.__heap_base.value), maximum, isWide);
    this.scratch = this.heap.alloc(SCRATCH);
    this.staging = this.heap.alloc(STAGING);
    this.model = this.#exports.model_init(this.heap.allocTop(ARENA), ARENA);
    if (this.model === 0) throw new ChordError('internal', 'chord_model_init refused its block');
  }

  /** The model's memory. Throws `disposed`. */
  get heap(): Heap {
    if (this.#heap === undefined) throw disposed();
    return this.#heap;
  }

  /** The instance's exports. Throws `disposed`, or the fault: the error of an earlier trap. */
  get exports(): Exports {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#exports === undefined) throw disposed();
    return this.#exports;
  }

  /** True until the instance is freed or a call traps. */
  get isUsable(): boolean {
    return this.#exports !== undefined && this.#fault === undefined;
  }

  /** Returns a result of the library. Throws for a negative status, with the text of chord_last_error(). */
  check(status: number): number {
    if (status < 0) throw this.#error(status);
    return status;
  }

  #error(status: number): ChordError {
    const known = (statusErrors as { [status: number]: { code: ChordErrorCode; text: string } | undefined })[
      status
    ];
    const { code, text } = known ?? { code: 'internal' as const, text: `unknown status ${status}` };
    const detail = this.#lastError();
    return new ChordError(code, detail === '' ? text : `${text}: ${detail}`, { hint: hints[code] });
  }

  #lastError(): string {
    const length = this.exports.last_error(this.model, this.scratch, 1024);
    return decoder.decode(this.heap.copyOut(this.scratch, Math.min(Math.max(length, 0), 1023)));
  }

  #onTrap(cause: unknown): ChordError {
    this.#fault ??= new ChordError(
      'internal',
      `the WebAssembly instance stopped: ${(cause as Error).message}`,
      {
        cause,
        hint: "load the model again; please report this with the model's name and the package's version",
      },
    );
    return this.#fault;
  }

  /** Gives the model `bytes` of memory for KV pages. Throws `out-of-memory`. */
  giveMemory(bytes: number): void {
    this.check(this.exports.model_give(this.model, this.heap.alloc(bytes), bytes));
  }

  /** Returns the text at `address`, which ends at a zero byte or after `cap` bytes. */
  string(address: number, cap: number): string {
    const bytes = this.heap.copyOut(address, cap);
    const end = bytes.indexOf(0);
    return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /**
   * Calls `use` with the address of a block of `bytes` bytes, and frees the block. Throws `out-of-memory`.
   */
  withBlock<T>(bytes: number, use: (block: number) => T): T {
    const block = this.heap.alloc(bytes);
    try {
      return use(block);
    } finally {
      this.heap.free(block, bytes);
    }
  }

  /**
   * Drops exports and memory, so that they can be collected while this object is still referenced. A helper
   * keeps the memory until its thread ends.
   */
  free(): void {
    this.#exports = undefined;
    this.#heap = undefined;
  }
}

const disposed = (): ChordError => new ChordError('disposed', 'the model was disposed of');
