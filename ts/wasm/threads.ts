// SPDX-License-Identifier: Apache-2.0
// The helpers of the engine worker: nested workers that compute units of its steps. All helpers join before
// the first step, because in Chromium a worker neither starts nor gets messages while its creator is busy.
// Idle helpers sleep in the wasm memory and don't keep a Node process alive.
import { ChordError, isErrorRecord } from '../errors.js';
import { nextTurn, startWorker } from '../platform.js';
import type { Peer } from '../platform.js';
import { STACK } from './instance.js';
import type { WasmInstance } from './instance.js';
import type { FilesStart, ThreadStart } from './thread.js';

/**
 * Maximum milliseconds for the helpers to start, and to join. If they don't start, the model has one thread.
 */
const START_MS = 10_000;
/** Maximum milliseconds for the helpers to close themselves. A helper that is stuck is terminated. */
const CLOSE_MS = 1000;

export class ThreadPool {
  readonly #peers: Peer[] = [];
  /** Helpers that are closing themselves, or have died. */
  readonly #gone = new Set<Peer>();
  /** Helpers that run. */
  readonly #up = new Set<Peer>();
  /** Set when the I/O worker has opened the model's files. */
  #isOpen = false;
  #onChange: () => void = () => {};
  #isStopping = false;
  /** Set when a helper couldn't start or has died. The pool can't be used then. */
  fault: ChordError | undefined;
  onFault: (fault: ChordError) => void = () => {};

  /**
   * Starts `count` helpers from `url` (default: the package's own file) and waits until all run. Throws
   * `internal` when one doesn't start; all others are ended then.
   */
  static async start(count: number, url: string | undefined): Promise<ThreadPool> {
    const pool = new ThreadPool();
    try {
      for (const added of await Promise.allSettled(Array.from({ length: count }, () => pool.#add(url))))
        if (added.status === 'rejected') throw added.reason;
      if (!(await pool.#until(() => pool.#up.size === count, START_MS)))
        throw new ChordError('internal', `the pool threads did not start within ${START_MS / 1000} s`);
      if (pool.fault !== undefined) throw pool.fault;
      return pool;
    } catch (error) {
      await pool.stop();
      throw error;
    }
  }

  async #add(url: string | undefined): Promise<void> {
    const peer = await startWorker(
      'thread.js',
      () => new Worker(new URL('./thread.js', import.meta.url), { type: 'module' }),
      url,
    );
    this.#peers.push(peer);
    peer.listen(
      (message) => {
        const { error } = message as { error?: unknown };
        if (message === 'up') this.#up.add(peer);
        else if (message === 'open') this.#isOpen = true;
        // It couldn't open a file, or has left the model.
        else
          this.#lost(
            peer,
            isErrorRecord(error) ? ChordError.from(error) : new Error(JSON.stringify(message)),
          );
        this.#onChange();
      },
      (cause) => this.#lost(peer, cause),
    );
    peer.hold(false);
  }

  #lost(peer: Peer, cause: Error): void {
    this.#gone.add(peer);
    const what = this.#up.has(peer)
      ? 'a pool thread died'
      : "threadUrl or thread.js can't be started (it needs the headers of worker.js)";
    if (!this.#isStopping)
      this.fault ??=
        ChordError.isInstance(cause) && cause.code !== 'internal'
          ? cause
          : new ChordError('internal', `${what}: ${cause.message}`, {
              cause,
              hint: 'load the model again, perhaps with threads: 1',
            });
    if (this.fault !== undefined) this.onFault(this.fault);
    this.#onChange();
  }

  /**
   * Makes all helpers join the model, and waits until they have. The model must be planned for one thread
   * more than there are helpers. Throws `internal` when a helper dies or doesn't join, `out-of-memory` for
   * their stacks.
   */
  async join(instance: WasmInstance): Promise<void> {
    const { module, heap, model } = instance;
    const stacks = heap.alloc(this.#peers.length * STACK);
    this.#peers.forEach((peer, i) => {
      const start: ThreadStart = {
        module,
        memory: heap.memory,
        model,
        index: i + 1,
        stackTop: stacks + (i + 1) * STACK,
      };
      peer.post(start);
    });
    const deadline = performance.now() + START_MS;
    while (instance.exports.threads_ready(model) < this.#peers.length) {
      if (this.fault !== undefined) throw this.fault;
      if (performance.now() > deadline)
        throw new ChordError(
          'internal',
          `the pool threads did not join the model within ${START_MS / 1000} s`,
        );
      await nextTurn();
    }
  }

  /**
   * Makes the only worker of this pool the I/O worker of a paged model, and waits until it has opened the
   * files. Throws its error.
   */
  async serve(start: FilesStart): Promise<void> {
    this.#peers[0]!.post(start);
    if (!(await this.#until(() => this.#isOpen, START_MS)))
      throw new ChordError('io', `the I/O worker opened no file within ${START_MS / 1000} s`);
    if (this.fault !== undefined) throw this.fault;
  }

  /**
   * Waits until all helpers have closed themselves. Call the executor's free() before: it makes them leave
   * the model. Only a stuck helper is terminated, because Chromium leaves workers running, with their
   * memory, when they and their creator are terminated at the same time.
   */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const peer of this.#peers) peer.post('end'); // received by helpers that never joined
    await this.#until(() => this.#gone.size === this.#peers.length, CLOSE_MS);
    await Promise.all(this.#peers.filter((peer) => !this.#gone.has(peer)).map((peer) => peer.end()));
  }

  /**
   * Waits until `isTrue()`, or until a fault if the pool isn't stopping. Returns false if neither came
   * within `ms` milliseconds.
   */
  async #until(isTrue: () => boolean, ms: number): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const isDone = await new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, ms, false);
      this.#onChange = () =>
        void ((isTrue() || (this.fault !== undefined && !this.#isStopping)) && resolve(true));
      this.#onChange();
    });
    clearTimeout(timer);
    this.#onChange = () => {};
    return isDone;
  }
}
