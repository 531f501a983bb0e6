// SPDX-License-Identifier: Apache-2.0
// The CPU executor: chord_session_step() in the model's instance. A step makes, computes and accepts batches
// inside the library, with the helpers that have joined the model (threads.ts).
import { Status, sessionStateLayout } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { Batches, Executor, Ran } from '../executor.js';
import type { WasmInstance } from './instance.js';

class CpuExecutor implements Executor {
  readonly name = 'cpu';
  readonly #instance: WasmInstance;

  constructor(instance: WasmInstance) {
    this.#instance = instance;
  }

  /**
   * Runs one step, and gives the model memory for KV pages when it needs some. A step that lacks weights ends
   * after a while, whether they have come or not. Throws `out-of-memory`, `internal`, and the other errors of
   * chord_session_step().
   */
  run({ address }: Batches, budget: number): Ran | Promise<Ran> {
    const { exports, heap, scratch, weights } = this.#instance;
    for (;;) {
      const seen = weights?.seen() ?? 0;
      const stepped = exports.session_step(address, budget);
      if (stepped < 0) weights?.throwFault(stepped);
      const status = this.#instance.check(stepped);
      exports.session_get_state(address, scratch);
      const { wanted_bytes, last_step_work, layer } = heap.readStruct(scratch, sessionStateLayout);
      if (status === Status.DONE || status === Status.MORE)
        return { isDone: status === Status.DONE, work: last_step_work };
      if (status === Status.NEED_WEIGHTS && weights !== undefined) {
        const begin = performance.now();
        return weights.wait(address, layer, seen).then(() => ({
          isDone: false,
          work: last_step_work,
          waitMs: performance.now() - begin,
        }));
      }
      if (status !== Status.NEED_MEMORY)
        throw new ChordError('internal', `a step ended with status ${status}`);
      this.#instance.giveMemory(wanted_bytes);
    }
  }

  /** Makes the helpers leave the model. */
  free(): void {
    if (this.#instance.isUsable) this.#instance.exports.model_stop(this.#instance.model);
  }
}

export function openExecutor(instance: WasmInstance): Executor {
  return new CpuExecutor(instance);
}
