// SPDX-License-Identifier: Apache-2.0
// The profile of a model's steps: milliseconds by op.
import { OpKind, opLayout } from '../abi/abi.gen.js';
import type { StructValue } from '../abi/abi.gen.js';
import type { WasmInstance } from './instance.js';
import type { Loader } from './loader.js';

/** The time of all ops with the same name; on a GPU, of all dispatches of a kernel. */
export interface ProfileEntry {
  /**
   * The op's name. A MATMUL's name also has its weights: `MATMUL ffn_gate+ffn_up`. On a GPU the kernel and
   * its weight format: `norm+matvec+glu/q4_k`.
   */
  readonly op: string;
  /** Number of ops with this name in the program, usually one per layer. On a GPU, of dispatches. */
  readonly count: number;
  /** Milliseconds that the leader took for these ops, including its waits for helpers. */
  readonly ms: number;
  /** On a GPU: planned bytes of weights, keys and values that the kernel read. */
  readonly bytes?: number;
}

export class Profile {
  readonly #instance: WasmInstance;
  readonly #file: Loader;
  #at = 0;

  constructor(instance: WasmInstance, file: Loader) {
    this.#instance = instance;
    this.#file = file;
  }

  /**
   * Returns the time by op since the last call, longest first. The first call starts the measurement and
   * returns [].
   */
  read(): ProfileEntry[] {
    const { n_ops } = this.#file.planInfo;
    const program = this.#instance.exports.model_program(this.#instance.model);
    if (this.#at === 0) {
      this.#at = this.#instance.heap.alloc(n_ops * 8);
      this.#instance.heap.copyIn(this.#at, new Uint8Array(n_ops * 8));
      this.#instance.check(this.#instance.exports.model_profile(this.#instance.model, this.#at));
      return [];
    }
    const entries = new Map<string, { count: number; ms: number }>();
    for (let i = 0; i < n_ops; i++) {
      const name = this.#opName(this.#instance.heap.readStruct(program + i * opLayout.size, opLayout));
      const { count, ms } = entries.get(name) ?? { count: 0, ms: 0 };
      entries.set(name, { count: count + 1, ms: ms + this.#instance.heap.readDouble(this.#at + 8 * i) });
    }
    this.#instance.heap.copyIn(this.#at, new Uint8Array(n_ops * 8));
    return [...entries]
      .map(([op, entry]) => ({ op, ...entry }))
      .filter(({ ms }) => ms > 0)
      .sort((a, b) => b.ms - a.ms);
  }

  #opName(op: StructValue<typeof opLayout>): string {
    const [kind] = Object.entries(OpKind).find(([, number]) => number === op.kind) ?? ['?'];
    if (op.kind !== OpKind.MATMUL) return kind;
    const weights = Array.from(op.weight)
      .filter((index) => index >= 0)
      .map((index) =>
        this.#file
          .tensor(index)
          .name.replace(/^blk\.\d+\./, '')
          .replace(/\.weight$/, ''),
      );
    return `${kind} ${weights.join('+')}`;
  }
}
