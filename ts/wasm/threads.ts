// SPDX-License-Identifier: Apache-2.0
// The pool of the engine worker: sub-workers that help it with the large slices of a step. All have joined
// before the first step, because a worker neither starts nor gets messages in Chromium while its creator
// is busy. While idle they sleep in the wasm memory and don't keep a Node process alive.
import { ChordError } from '../errors.js';
import { nextTurn, startWorker } from '../platform.js';
import type { Peer } from '../platform.js';
import type { WasmInstance } from './instance.js';
import type { ThreadStart } from './thread.js';

/** A browser may take its time to start workers on a busy machine; then one thread does. */
const START_MS = 10_000;
/** A helper's stack, as the linker gives the first one. */
const STACK = 64 << 10;
/** How long a thread may take to close itself once its model has stopped; a stuck one is terminated. */
const CLOSE_MS = 1000;

export class ThreadPool {
  readonly #peers: Peer[] = [];
  /** Those that are closing themselves, or are dead. */
  readonly #gone = new Set<Peer>();
  #ups = 0;
  #onChange: () => void = () => {};
  #isStopping = false;
  /** Why the pool is useless: a thread couldn't start, or died. */
  fault: ChordError | undefined;

  /** Starts `count` workers and waits until each runs. Throws `internal` when one can't, and ends the others. */
  static async start(count: number): Promise<ThreadPool> {
    const pool = new ThreadPool();
    try {
      for (const added of await Promise.allSettled(Array.from({ length: count }, () => pool.#add()))) if (added.status === 'rejected') throw added.reason;
      if (!(await pool.#until(() => pool.#ups === count, START_MS))) throw new ChordError('internal', `the pool threads were not started within ${START_MS / 1000} s`);
      if (pool.fault !== undefined) throw pool.fault;
      return pool;
    } catch (error) {
      await pool.stop();
      throw error;
    }
  }

  async #add(): Promise<void> {
    const peer = await startWorker('thread.js', () => new Worker(new URL('./thread.js', import.meta.url), { type: 'module' }));
    this.#peers.push(peer);
    peer.listen(
      (message) => {
        if (message === 'up') this.#ups += 1;
        else this.#lost(peer, new Error(JSON.stringify(message))); // it has left the model, and closes
        this.#onChange();
      },
      (cause) => this.#lost(peer, cause),
    );
    peer.hold(false);
  }

  #lost(peer: Peer, cause: Error): void {
    this.#gone.add(peer);
    if (!this.#isStopping) this.fault ??= new ChordError('internal', `a pool thread died: ${cause.message}`, { cause, hint: 'load the model again, perhaps with threads: 1' });
    this.#onChange();
  }

  /** Lets all threads join the model, which was planned for this many, and waits until they have. */
  async join(instance: WasmInstance): Promise<void> {
    const { module, heap, model } = instance;
    const stacks = heap.alloc(this.#peers.length * STACK);
    this.#peers.forEach((peer, i) => {
      const start: ThreadStart = { module, memory: heap.memory, model, index: i + 1, stackTop: stacks + (i + 1) * STACK };
      peer.post(start);
    });
    const deadline = performance.now() + START_MS;
    while (instance.exports.threads_ready(model) < this.#peers.length) {
      if (this.fault !== undefined) throw this.fault;
      if (performance.now() > deadline) throw new ChordError('internal', 'the pool threads did not join the model');
      await nextTurn();
    }
  }

  /**
   * Waits until all threads, which the executor's free() must have let go, close themselves. Only a stuck one is terminated: Chromium
   * leaves workers running, and their memory, where they and their creator are terminated at the same time.
   */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const peer of this.#peers) peer.post('end'); // heard by those that never joined
    await this.#until(() => this.#gone.size === this.#peers.length, CLOSE_MS);
    await Promise.all(this.#peers.filter((peer) => !this.#gone.has(peer)).map((peer) => peer.end()));
  }

  /** Whether `isTrue` within `ms`; a fault ends the wait too. */
  async #until(isTrue: () => boolean, ms: number): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const isDone = await new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, ms, false);
      this.#onChange = () => void ((isTrue() || (this.fault !== undefined && !this.#isStopping)) && resolve(true));
      this.#onChange();
    });
    clearTimeout(timer);
    this.#onChange = () => {};
    return isDone;
  }
}
