// SPDX-License-Identifier: Apache-2.0

/** Bytes of buffers that loader and protocol hold at one time: `counters().bufferBytesPeak`. */
export class BufferMeter {
  #held = 0;
  #peak = 0;

  hold(bytes: number): void {
    this.#held += bytes;
    if (this.#held > this.#peak) this.#peak = this.#held;
  }

  release(bytes: number): void {
    this.#held -= bytes;
  }

  get held(): number {
    return this.#held;
  }

  /** The high-water mark. */
  get peak(): number {
    return this.#peak;
  }
}
