// SPDX-License-Identifier: Apache-2.0

/**
 * One report of `onProgress`. Phases come in this order: 'download' or 'read', and 'upload' where the model
 * goes onto a GPU: behind the last byte, its kernels are compiled and tested. `progress` never falls.
 */
export interface LoadProgress {
  readonly phase: 'compile' | 'download' | 'read' | 'upload' | 'ready';
  /** Name of the source: URL, path or file name. */
  readonly file: string;
  /**
   * Bytes that have arrived so far, those of an earlier download that is continued and of layers that stay in
   * the file included. Bytes behind the last tensor aren't read unless the file is kept in the cache, so a
   * load may be ready with less than `total`.
   */
  readonly loaded: number;
  /**
   * Bytes in all, never less than `loaded`: the source's length. If the source has no length (no
   * Content-Length, a stream), `total` is undefined until the header is read, and then the end of the last
   * tensor. It grows when more bytes arrive.
   */
  readonly total: number | undefined;
  /** Share of the whole load, 0 to 1; 0 while `total` is unknown, and exactly 1 in the last report. */
  readonly progress: number;
  /** Bytes that arrived per second in the last few seconds; undefined in the first half second. */
  readonly bytesPerSecond: number | undefined;
  /** Seconds until the last byte at that rate; undefined while rate or total are unknown. */
  readonly secondsLeft: number | undefined;
}

/** Milliseconds between two reports of a phase. Each report is a message to another thread. */
const REPORT_MS = 200;
/** The rate is measured over so long. */
const RATE_MS = 4000;
const LEAST_RATE_MS = 500;
/** `progress` before the last report: threads start behind the last byte, or a GPU compiles its kernels. */
const MOST_BEFORE = 0.99;

export class ProgressReporter {
  readonly #report: (progress: LoadProgress) => void;
  readonly #file: string;
  #phase: LoadProgress['phase'] = 'compile';
  #loaded = 0;
  #progress = 0;
  #reportedAt = 0;
  /** Times and bytes at the reports of the last RATE_MS. */
  #samples: [number, number][] = [];
  /** Set as soon as it is known: from the source, or from the tensor table. */
  total: number | undefined;

  constructor(file: string, report: (progress: LoadProgress) => void) {
    this.#file = file;
    this.#report = report;
    this.#send();
  }

  /** `loaded`: bytes that are there before the phase begins. They came at no rate. */
  begin(phase: LoadProgress['phase'], loaded = this.#loaded): void {
    if (phase !== this.#phase) this.#samples = [];
    this.#phase = phase;
    this.#loaded = Math.max(loaded, this.#loaded);
    if (phase === 'ready') this.#progress = 1;
    this.#send();
  }

  /** Records that `loaded` bytes have arrived in all. */
  update(loaded: number): void {
    if (loaded <= this.#loaded) return;
    this.#loaded = loaded;
    const isDue = performance.now() - this.#reportedAt >= REPORT_MS;
    if (isDue || this.#loaded === this.total) this.#send();
  }

  #send(): void {
    // The total may have become known since the last bytes.
    if (this.total !== undefined && this.total < this.#loaded) this.total = this.#loaded;
    const share = Math.min(MOST_BEFORE, this.#loaded / (this.total || Infinity));
    this.#progress = Math.max(this.#progress, share);
    const now = (this.#reportedAt = performance.now());
    while (this.#samples.length > 1 && now - this.#samples[0]![0] > RATE_MS) this.#samples.shift();
    const [since, before] = this.#samples[0] ?? [now, 0];
    this.#samples.push([now, this.#loaded]);
    const bytesPerSecond =
      now - since >= LEAST_RATE_MS ? ((this.#loaded - before) * 1000) / (now - since) : undefined;
    this.#report({
      phase: this.#phase,
      file: this.#file,
      loaded: this.#loaded,
      total: this.total,
      progress: this.#progress,
      bytesPerSecond,
      secondsLeft:
        bytesPerSecond && this.total !== undefined ? (this.total - this.#loaded) / bytesPerSecond : undefined,
    });
  }
}
