// SPDX-License-Identifier: Apache-2.0
// What comes back from the GPU: output rows, one readback at a time, and the records of drawn tokens, through
// a ring of small buffers, so that later steps can be submitted before an earlier one is read.
import { ChordError } from '../errors.js';
import { asked } from './asked.js';
import { bytesOf } from './counting.js';
import { MAP_READ, Usage } from './flags.js';
import { PATIENCE_MS, within } from './patience.js';
import { readRecord } from './sample.js';
import type { Drawn, Sampler } from './sample.js';

export class Readback {
  #count = 0;
  readonly #device: GPUDevice;
  readonly #sampler: Sampler;
  readonly #ring: readonly { readonly buffer: GPUBuffer; free: Promise<unknown> }[];
  readonly #patienceMs: number;
  #rows: GPUBuffer | undefined;
  #at = 0;

  constructor(device: GPUDevice, sampler: Sampler, length: number, patienceMs = PATIENCE_MS) {
    this.#device = device;
    this.#patienceMs = patienceMs;
    this.#sampler = sampler;
    this.#ring = Array.from({ length }, (_, i) => ({
      buffer: device.createBuffer({
        label: `record ${i}`,
        size: sampler.recordBytes,
        usage: Usage.mapRead | Usage.copyTarget,
      }),
      free: Promise.resolve(),
    }));
  }

  get gpuBytes(): number {
    return bytesOf(this.#ring.map(({ buffer }) => buffer)) + (this.#rows?.size ?? 0);
  }

  get count(): number {
    return this.#count;
  }

  /** Resolves to the number of the record that the next draw writes, when its buffer is free. */
  async next(): Promise<number> {
    const record = this.#at++ % this.#ring.length;
    await this.#ring[record]!.free;
    return record;
  }

  copy(encoder: GPUCommandEncoder, record: number): void {
    const { recordBytes, records } = this.#sampler;
    encoder.copyBufferToBuffer(records, record * recordBytes, this.#ring[record]!.buffer, 0, recordBytes);
  }

  /** Resolves to a record whose copy has been submitted. Nobody need wait for it. */
  read(record: number): Promise<Drawn> {
    const entry = this.#ring[record]!;
    this.#count += 1;
    const drawn = this.#map(entry.buffer, this.#sampler.recordBytes).then((bytes) => readRecord(bytes));
    entry.free = drawn.catch(() => undefined);
    return drawn;
  }

  /** Resolves to rows 0 .. count - 1 of a buffer of `stride` floats a row, `width` floats of each. */
  async rows(from: GPUBuffer, count: number, width: number, stride: number): Promise<Float32Array> {
    const [bytes] = await this.bytes([{ buffer: from, offset: 0, size: count * stride * 4 }]);
    const all = new Float32Array(bytes!.buffer);
    if (stride === width) return all;
    const rows = new Float32Array(count * width);
    for (let i = 0; i < count; i++) rows.set(all.subarray(i * stride, i * stride + width), i * width);
    return rows;
  }

  /** Resolves to parts of buffers; sizes and offsets are multiples of 4. */
  async bytes(parts: readonly Required<GPUBufferBinding>[]): Promise<Uint8Array<ArrayBuffer>[]> {
    const bytes = parts.reduce((sum, { size }) => sum + size, 0);
    if (this.#rows === undefined || this.#rows.size < bytes) {
      this.#rows?.destroy();
      this.#rows = this.#device.createBuffer({
        label: 'output rows',
        size: bytes,
        usage: Usage.mapRead | Usage.copyTarget,
      });
    }
    const encoder = this.#device.createCommandEncoder({ label: 'output rows' });
    let at = 0;
    const begins = parts.map(({ buffer, offset, size }) => {
      encoder.copyBufferToBuffer(buffer, offset, this.#rows!, at, size);
      return (at += size) - size;
    });
    this.#device.queue.submit([encoder.finish()]);
    this.#count += 1;
    const all = await this.#map(this.#rows, bytes);
    return parts.map(({ size }, i) => new Uint8Array(all, begins[i], size));
  }

  destroy(): void {
    for (const { buffer } of this.#ring) buffer.destroy();
    this.#rows?.destroy();
  }

  async #map(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    try {
      await within(this.#patienceMs, this.#device, asked(buffer.mapAsync(MAP_READ, 0, bytes)));
    } catch (error) {
      if (ChordError.isInstance(error)) throw error;
      throw new ChordError('device-lost', `the GPU gives no results: ${(error as Error).message}`, {
        cause: error,
      });
    }
    const copy = buffer.getMappedRange(0, bytes).slice(0);
    buffer.unmap();
    return copy;
  }
}
