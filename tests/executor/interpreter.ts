// SPDX-License-Identifier: Apache-2.0
// interpreter.ts: the float64 interpreter of tests/reference as an executor. tools/build.mjs substitutes
// this file for ts/wasm/executor.ts, so it has the same exports. It computes a batch in
// build/test/interpreter.wasm, and hands the output rows over as an executor outside the instance does
// (ts/executor.ts). In a worker, `run` returns a promise that resolves after a turn of the event loop. In
// the main thread it returns the result at once, because level 1 needs that.
import { isMainThread } from 'node:worker_threads';
import { batchInfoLayout } from '../../ts/abi/abi.gen.js';
import type { Batches, Executor, Ran } from '../../ts/executor.js';
import type { WasmInstance } from '../../ts/wasm/instance.js';

interface InterpreterExports {
  interpreter_bytes(session: number): number;
  interpreter_run(session: number, flags: number, heap: number, bytes: number): number;
}

class Interpreter implements Executor {
  readonly name = 'cpu';
  readonly #instance: WasmInstance;

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
    if (batch.ids.length === 0 || batch.rows.some((row) => row >= batch.ids.length)) throw new Error('the batch has no ids, or an output row beyond its ids');
    const exports = this.#instance.exports as unknown as InterpreterExports;
    const bytes = exports.interpreter_bytes(batches.address);
    this.#instance.withBlock(bytes, (block) => this.#instance.check(exports.interpreter_run(batches.address, 0, block, bytes)));
    batches.acceptBatch(this.#takeOut(batches.address));
    return { isDone: batch.rows.length > 0, work: 0 };
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

  free(): void {
    if (this.#instance.isUsable) this.#instance.exports.model_stop(this.#instance.model);
  }
}

export function openExecutor(instance: WasmInstance): Executor {
  return new Interpreter(instance);
}
