// SPDX-License-Identifier: Apache-2.0
// Time and bytes by kernel: a timestamp before and after each dispatch. Browsers round timestamps, Chromium
// to 0.1 ms, unless a flag for developers is set; Dawn in Node rounds with its feature
// timestamp_quantization.
import { asked } from './asked.js';
import type { Dispatch } from './dispatch.js';
import { MAP_READ, Usage } from './flags.js';

/** Dispatches of one submit that are measured: a set has at most 4096 timestamps. */
const MOST = 2048;

export interface ProfiledKernel {
  /** The label without the layer: "norm+matvec/q4_k". */
  readonly op: string;
  readonly count: number;
  readonly ms: number;
  /** Planned bytes of weights, keys and values that were read. */
  readonly bytes: number;
}

interface Entry {
  count: number;
  ms: number;
  bytes: number;
}

export class Profiler {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #free: GPUBuffer[] = [];
  #entries = new Map<string, Entry>();
  #current: { op: string; bytes: number }[] = [];
  #pending: Promise<void>[] = [];

  /** The device must have the feature `timestamp-query`. */
  constructor(device: GPUDevice) {
    this.#device = device;
    this.#queries = device.createQuerySet({ type: 'timestamp', count: 2 * MOST });
    this.#resolved = device.createBuffer({
      label: 'timestamps',
      size: 16 * MOST,
      usage: Usage.query | Usage.copySource,
    });
  }

  /** The timestamps of a pass that holds one dispatch; undefined: the set is full. */
  writesOf({ label }: Dispatch, bytes: number): GPUComputePassTimestampWrites | undefined {
    const at = this.#current.length;
    if (at === MOST) return undefined;
    this.#current.push({
      op: label
        .split('/')
        .filter((part) => !/^(\d+|out)$/.test(part))
        .join('/'),
      bytes,
    });
    return {
      querySet: this.#queries,
      beginningOfPassWriteIndex: 2 * at,
      endOfPassWriteIndex: 2 * at + 1,
    };
  }

  /** Encodes the readout at the end of what is submitted next. Call `submitted` after the submit. */
  end(encoder: GPUCommandEncoder): () => void {
    const dispatches = this.#current;
    this.#current = [];
    const bytes = 16 * dispatches.length;
    if (bytes === 0) return () => {};
    const buffer =
      this.#free.pop() ??
      this.#device.createBuffer({
        label: 'timestamps read',
        size: 16 * MOST,
        usage: Usage.mapRead | Usage.copyTarget,
      });
    encoder.resolveQuerySet(this.#queries, 0, 2 * dispatches.length, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, buffer, 0, bytes);
    // A device that is destroyed meanwhile gives no times.
    return () => this.#pending.push(this.#take(buffer, dispatches, bytes).catch(() => undefined));
  }

  async #take(buffer: GPUBuffer, dispatches: { op: string; bytes: number }[], bytes: number): Promise<void> {
    await asked(buffer.mapAsync(MAP_READ, 0, bytes));
    const times = new BigUint64Array(buffer.getMappedRange(0, bytes).slice(0));
    buffer.unmap();
    this.#free.push(buffer);
    dispatches.forEach(({ op, bytes: read }, i) => {
      const entry = this.#entries.get(op) ?? { count: 0, ms: 0, bytes: 0 };
      entry.count += 1;
      entry.ms += Math.max(0, Number(times[2 * i + 1]! - times[2 * i]!)) / 1e6;
      entry.bytes += read;
      this.#entries.set(op, entry);
    });
  }

  /** Resolves to the kernels since the last call, longest first. */
  async read(): Promise<ProfiledKernel[]> {
    await Promise.all(this.#pending.splice(0));
    const entries = [...this.#entries].map(([op, entry]) => ({ op, ...entry }));
    this.#entries = new Map();
    return entries.sort((a, b) => b.ms - a.ms);
  }

  destroy(): void {
    this.#queries.destroy();
    for (const buffer of [this.#resolved, ...this.#free]) buffer.destroy();
  }
}
