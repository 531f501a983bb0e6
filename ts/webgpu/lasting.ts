// SPDX-License-Identifier: Apache-2.0
// An executor that outlives its device. When the GPU is lost (a driver that starts again, a laptop that
// changes its GPU), another executor is made, and the sequences are evaluated again from their first token:
// a run goes on at the token where it was.
import { ChordError, messageOf } from '../errors.js';
import type {
  Batches,
  Executor,
  GpuCounters,
  GpuDispatch,
  GpuMemoryUse,
  Ran,
  SelfTested,
} from '../executor.js';
import type { ProfiledKernel } from './profiler.js';

/** An executor and its device. */
export interface OnDevice {
  readonly executor: Executor;
  destroyDevice(): void;
}

/** Losses without a step between them, after which the GPU is given up. */
const MOST_LOSSES = 3;

export class LastingExecutor implements Executor {
  readonly name = 'webgpu';
  readonly holdsCaches = true;
  readonly #again: () => Promise<OnDevice>;
  /** The sequences with keys and values on the GPU. */
  readonly #sequences = new Set<Batches>();
  #now: OnDevice;
  #before: GpuCounters | undefined;
  #losses = 0;
  #isFreed = false;

  /** `again` makes an executor on another device, with the same weights. */
  constructor(now: OnDevice, again: () => Promise<OnDevice>) {
    this.#now = now;
    this.#again = again;
  }

  get selfTest(): readonly SelfTested[] | undefined {
    return this.#now.executor.selfTest;
  }

  get downgrade(): string | undefined {
    return this.#now.executor.downgrade;
  }

  get counters(): GpuCounters {
    const now = this.#now.executor.counters!;
    return this.#before === undefined ? now : added(this.#before, now);
  }

  get gpuMemory(): GpuMemoryUse {
    return this.#now.executor.gpuMemory!;
  }

  async profile(): Promise<ProfiledKernel[]> {
    return (await this.#now.executor.profile?.()) ?? [];
  }

  async dispatches(): Promise<GpuDispatch[]> {
    return (await this.#now.executor.dispatches?.()) ?? [];
  }

  async run(...call: Parameters<Executor['run']>): Promise<Ran> {
    this.#sequences.add(call[0]);
    try {
      const ran = await this.#now.executor.run(...call);
      this.#losses = 0;
      return ran;
    } catch (error) {
      if (!isLoss(error) || this.#isFreed || ++this.#losses > MOST_LOSSES) throw error;
      const gone = await this.#revive(error);
      if (gone.has(call[0])) throw gone.get(call[0]);
      return { isDone: false, work: 0 };
    }
  }

  fork(from: Batches, to: Batches): void {
    this.#sequences.add(to);
    this.#now.executor.fork?.(from, to);
  }

  /** After a loss nothing is left to be saved: the session's tokens are pending. */
  async save(batches: Batches, at: number): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return await this.#now.executor.save!(batches, at);
    } catch (error) {
      if (!isLoss(error) || this.#isFreed) throw error;
      await this.#revive(error);
      throw new ChordError('device-lost', `the GPU was lost while a session was saved: ${error.message}`, {
        cause: error,
        hint: 'save the session again',
      });
    }
  }

  restore(batches: Batches, at: number, bytes: Uint8Array): boolean {
    this.#sequences.add(batches);
    return this.#now.executor.restore!(batches, at, bytes);
  }

  close(batches: Batches): void {
    this.#sequences.delete(batches);
    this.#now.executor.close?.(batches);
  }

  free(): void {
    this.#isFreed = true;
    this.#now.executor.free();
    this.#now.destroyDevice();
  }

  /** Returns the sequences that can't be evaluated again, with the errors. */
  async #revive(loss: ChordError): Promise<Map<Batches, unknown>> {
    let next: OnDevice;
    try {
      next = await this.#again();
    } catch (cause) {
      throw new ChordError('device-lost', `${loss.message}; it can't be used again: ${messageOf(cause)}`, {
        cause,
        hint: loss.hint,
      });
    }
    if (this.#isFreed) {
      next.executor.free();
      next.destroyDevice();
      throw new ChordError('disposed', 'the model was disposed of');
    }
    this.#before = this.counters;
    this.#now.executor.free();
    this.#now.destroyDevice();
    this.#now = next;
    const gone = new Map<Batches, unknown>();
    for (const sequence of this.#sequences)
      try {
        sequence.evaluateAgain();
      } catch (error) {
        gone.set(sequence, error);
      }
    return gone;
  }
}

const isLoss = (error: unknown): error is ChordError =>
  ChordError.isInstance(error) && error.code === 'device-lost';

/** Counts go on. Bytes are what is held now. */
function added(before: GpuCounters, now: GpuCounters): GpuCounters {
  return {
    gpuDispatches: before.gpuDispatches + now.gpuDispatches,
    gpuBytes: now.gpuBytes,
    gpuBytesRead: before.gpuBytesRead + now.gpuBytesRead,
    submits: before.submits + now.submits,
    submitsAhead: before.submitsAhead + now.submitsAhead,
    readbacks: before.readbacks + now.readbacks,
  };
}
