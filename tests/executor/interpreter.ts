// SPDX-License-Identifier: Apache-2.0
// interpreter.ts: the float64 interpreter of tests/reference as an executor. tools/build.mjs substitutes
// this file for ts/wasm/executor.ts, so it has the same exports. It computes a batch in
// build/test/interpreter.wasm, and hands the output rows over as an executor outside the instance does
// (ts/executor.ts). Its caches are its own: one block of the instance's heap for each sequence. In a worker,
// `run` returns a promise that resolves after a turn of the event loop. In the main thread it returns the
// result at once, because level 1 needs that.
import { isMainThread } from 'node:worker_threads';
import { batchInfoLayout } from '../../ts/abi/abi.gen.js';
import type { Batches, Executor, Ran } from '../../ts/executor.js';
import type { WasmInstance } from '../../ts/wasm/instance.js';

interface InterpreterExports {
  interpreter_kept_bytes(session: number): number;
  interpreter_bytes(session: number): number;
  interpreter_run(session: number, flags: number, heap: number, bytes: number, kept: number): number;
  interpreter_work(): number;
}

/** A sequence's keys, values and states: one row for each position, and unused rows at the end. */
interface Kept {
  readonly block: number;
  readonly bytes: number;
}
/** The caches of a sequence grow by this number of positions. */
const GROWTH = 64;

/** A run of the interpreter, for tests: its batch, its multiply-adds, and how many sequences have caches. */
interface Run {
  readonly firstPosition: number;
  readonly tokens: number;
  readonly work: number;
  readonly sequences: number;
}
const watched = globalThis as { onInterpreterRun?: (run: Run) => void };

class Interpreter implements Executor {
  readonly name = 'cpu';
  readonly holdsCaches = true;
  readonly #instance: WasmInstance;
  /** Caches by the sequence's address. */
  readonly #kept = new Map<number, Kept>();

  constructor(instance: WasmInstance) {
    this.#instance = instance;
  }

  run(batches: Batches): Ran | Promise<Ran> {
    if (isMainThread) return this.#run(batches);
    return new Promise((resolve) => setImmediate(resolve)).then(() => this.#run(batches));
  }

  /** Computes one whole batch. The interpreter can't stop inside a batch, so the budget is ignored. */
  #run(batches: Batches): Ran {
    const batch = batches.nextBatch();
    if (batch === undefined) return { isDone: true, work: 0 };
    if (batch.ids.length === 0 || batch.rows.some((row) => row >= batch.ids.length))
      throw new Error('the batch has no ids, or an output row beyond its ids');
    const { address } = batches;
    const exports = this.#exports;
    const kept = this.#grow(address, batch.firstPosition + batch.ids.length);
    const bytes = exports.interpreter_bytes(address);
    this.#instance.withBlock(bytes, (heap) =>
      this.#instance.check(exports.interpreter_run(address, 0, heap, bytes, kept)),
    );
    const work = exports.interpreter_work();
    watched.onInterpreterRun?.({
      firstPosition: batch.firstPosition,
      tokens: batch.ids.length,
      work,
      sequences: this.#kept.size,
    });
    batches.acceptBatch(this.#takeOut(address));
    return { isDone: batch.rows.length > 0, work };
  }

  /** Returns the address of a sequence's caches, after they have grown to at least `positions`. */
  #grow(address: number, positions: number): number {
    const old = this.#kept.get(address);
    const row = this.#exports.interpreter_kept_bytes(address);
    if (old !== undefined && old.bytes >= positions * row) return old.block;
    const { block } = this.#allocate(address, Math.ceil(positions / GROWTH) * GROWTH * row, old);
    if (old !== undefined) this.#instance.heap.free(old.block, old.bytes);
    return block;
  }

  /** Allocates a sequence's caches. They start with a copy of `from`. */
  #allocate(address: number, bytes: number, from: Kept | undefined): Kept {
    const { heap } = this.#instance;
    const kept = { block: heap.alloc(bytes), bytes };
    if (from !== undefined) heap.copyIn(kept.block, heap.copyOut(from.block, from.bytes));
    this.#kept.set(address, kept);
    return kept;
  }

  fork(from: Batches, to: Batches): void {
    const kept = this.#kept.get(from.address);
    if (kept !== undefined) this.#allocate(to.address, kept.bytes, kept);
  }

  close({ address }: Batches): void {
    const kept = this.#kept.get(address);
    this.#kept.delete(address);
    if (kept !== undefined && this.#instance.isUsable) this.#instance.heap.free(kept.block, kept.bytes);
  }

  /**
   * Returns the rows that the interpreter wrote into the instance, and overwrites them there with NaN: only
   * acceptBatch can then provide the logits.
   */
  #takeOut(address: number): Float32Array {
    const { exports, heap, scratch } = this.#instance;
    this.#instance.check(exports.session_next_batch(address, scratch)); // returns the batch under way again
    const { n_outputs, n_width, stride, outputs } = heap.readStruct(scratch, batchInfoLayout);
    const rows = new Float32Array(n_outputs * n_width);
    for (let i = 0; i < n_outputs; i++) {
      rows.set(heap.copyOutFloats(outputs + i * stride * 4, n_width), i * n_width);
      heap.copyInFloats(outputs + i * stride * 4, new Float32Array(n_width).fill(NaN));
    }
    return rows;
  }

  get #exports(): InterpreterExports {
    return this.#instance.exports as unknown as InterpreterExports;
  }

  free(): void {
    this.#kept.clear();
    if (this.#instance.isUsable) this.#instance.exports.model_stop(this.#instance.model);
  }
}

export function openExecutor(instance: WasmInstance): Executor {
  return new Interpreter(instance);
}
