// SPDX-License-Identifier: Apache-2.0
// One instance of the module over one model's memory: exports, heap, faults, and the library's errors as
// JavaScript's. The rest of this room calls the library through it. Synchronous; one caller at a time.
//
// Memory, from __heap_base on: scratch, staging, then the header's arena growing at the top until the
// header is complete, then the plan's block, pool stacks, sessions and KV pages.
import { statusErrors } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { ChordErrorCode } from '../errors.js';
import { instantiate } from './instantiate.js';
import type { Exports } from './instantiate.js';
import { Heap, makeMemory } from './memory.js';

/** Bytes for structs, names and messages. */
export const SCRATCH = 4096;
/** Bytes between file and memory: large enough to hide the call, small beside any model. */
export const STAGING = 1 << 20;
/** The header's arena grows by at least this much, so that a big vocabulary asks a few dozen times. */
export const ARENA = 256 << 10;

export const hints: { readonly [code in ChordErrorCode]?: string } = {
  'context-full': 'shorten the prompt, or load the model with a larger contextLength',
  'out-of-memory': 'a smaller model or quantization, a shorter contextLength, or fewer models at a time need less',
  'internal': 'please report this with the model\'s name and the package\'s version',
};

/** `ignoreBOM`: a text may begin with U+FEFF, and it is the reader's. */
export const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export class WasmInstance {
  readonly module: WebAssembly.Module;
  /** SCRATCH bytes. Every call may overwrite them. */
  readonly scratch: number;
  /** STAGING bytes. Every call that moves bytes may overwrite them. */
  readonly staging: number;
  /** Address of the chord_model. */
  readonly model: number;
  #heap: Heap | undefined;
  #exports: Exports | undefined;
  #fault: ChordError | undefined;

  /** Makes the memory, an instance of `module`, and an empty model. Throws `out-of-memory`. */
  constructor(module: WebAssembly.Module) {
    this.module = module;
    const { memory, maximum } = makeMemory();
    this.#exports = instantiate(module, memory, (cause) => this.#onTrap(cause));
    this.#heap = new Heap(memory, this.#exports.__heap_base.value as number, maximum);
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

  /** The instance's exports. Throws `disposed`, or the fault that poisoned the instance. */
  get exports(): Exports {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#exports === undefined) throw disposed();
    return this.#exports;
  }

  /** Neither freed nor poisoned. */
  get isUsable(): boolean {
    return this.#exports !== undefined && this.#fault === undefined;
  }

  /** Passes results through, throws errors with what the library says was at fault. */
  check(status: number): number {
    if (status < 0) throw this.#error(status);
    return status;
  }

  #error(status: number): ChordError {
    const known = (statusErrors as { [status: number]: { code: ChordErrorCode; text: string } | undefined })[status];
    const { code, text } = known ?? { code: 'internal' as const, text: `unknown status ${status}` };
    const detail = this.#lastError();
    return new ChordError(code, detail === '' ? text : `${text}: ${detail}`, { hint: hints[code] });
  }

  #lastError(): string {
    const length = this.exports.last_error(this.model, this.scratch, 1024);
    return decoder.decode(this.heap.copyOut(this.scratch, Math.min(Math.max(length, 0), 1023)));
  }

  #onTrap(cause: unknown): ChordError {
    this.#fault ??= new ChordError('internal', `the WebAssembly instance stopped: ${(cause as Error).message}`, {
      cause,
      hint: 'load the model again; please report this with the model\'s name and the package\'s version',
    });
    return this.#fault;
  }

  /** Hands `bytes` of memory to the model for KV pages. */
  giveMemory(bytes: number): void {
    this.check(this.exports.model_give(this.model, this.heap.alloc(bytes), bytes));
  }

  /** The text at `address`: `cap` bytes at most, ended by a zero byte. */
  string(address: number, cap: number): string {
    const bytes = this.heap.copyOut(address, cap);
    const end = bytes.indexOf(0);
    return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** Runs `use` with a block that is freed afterwards. */
  withBlock<T>(bytes: number, use: (block: number) => T): T {
    const block = this.heap.alloc(bytes);
    try {
      return use(block);
    } finally {
      this.heap.free(block, bytes);
    }
  }

  /** Drops exports and memory, though this object may be held for long. A helper keeps the memory until it ends. */
  free(): void {
    this.#exports = undefined;
    this.#heap = undefined;
  }
}

const disposed = (): ChordError => new ChordError('disposed', 'the model was disposed of');
