// SPDX-License-Identifier: Apache-2.0
// The pool of the engine worker: sub-workers that help it with the large slices of a step. All have joined
// before the first step, because a worker neither starts nor gets messages in Chromium while its creator
// is busy. While idle they sleep in the wasm memory and don't keep a Node process alive.
import { ChordError } from '../errors.js';
import { nextTurn, startWorker } from '../platform.js';
import type { Peer } from '../platform.js';
import type { WasmEngine } from './engine.js';

/** A browser may take its time to start workers on a busy machine; then one thread does. */
const START_MS = 10_000;

export class ThreadPool {
  readonly #peers: Peer[] = [];
  #ups = 0;
  #onChange: () => void = () => {};
  #isStopping = false;
  /** Why the pool is useless: a thread couldn't start, or died. */
  fault: ChordError | undefined;

  /** Starts `count` workers and waits until each runs. Throws `internal` when one can't. */
  static async start(count: number): Promise<ThreadPool> {
    const pool = new ThreadPool();
    await Promise.all(Array.from({ length: count }, () => pool.#add()));
    await pool.#until(() => pool.#ups === count, 'started');
    return pool;
  }

  async #add(): Promise<void> {
    const peer = await startWorker('thread.js', () => new Worker(new URL('./thread.js', import.meta.url), { type: 'module' }));
    this.#peers.push(peer);
    peer.listen(
      (message) => {
        if (message === 'up') this.#ups += 1;
        else if (!this.#isStopping) this.#fail(new Error(JSON.stringify(message)));
        this.#onChange();
      },
      (cause) => this.#fail(cause),
    );
    peer.hold(false);
  }

  #fail(cause: Error): void {
    if (this.#isStopping) return;
    this.fault ??= new ChordError('internal', `a pool thread died: ${cause.message}`, { cause, hint: 'load the model again, perhaps with threads: 1' });
    this.#onChange();
  }

  /** Lets all threads join the model, which was planned for this many, and waits until they have. */
  async join(engine: WasmEngine): Promise<void> {
    this.#peers.forEach((peer, i) => peer.post(engine.threadStart(i + 1)));
    const deadline = performance.now() + START_MS;
    while (engine.threadsReady < this.#peers.length) {
      if (this.fault !== undefined) throw this.fault;
      if (performance.now() > deadline) throw new ChordError('internal', 'the pool threads did not join the model');
      await nextTurn();
    }
  }

  /** Ends all threads, which must have been let go by engine.stopThreads(); a stuck one is terminated. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#peers.splice(0).map((peer) => peer.end()));
  }

  async #until(isTrue: () => boolean, what: string): Promise<void> {
    const timeout = new ChordError('internal', `the pool threads were not ${what} within ${START_MS / 1000} s`);
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => reject(timeout), START_MS);
        this.#onChange = () => (this.fault !== undefined ? reject(this.fault) : isTrue() ? resolve() : undefined);
        this.#onChange();
      });
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#onChange = () => {};
    }
  }
}
