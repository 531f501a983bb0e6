// SPDX-License-Identifier: Apache-2.0

/** One report of `onProgress`. Phases come in this order. `progress` never falls. */
export interface LoadProgress {
  readonly phase: 'compile' | 'download' | 'read' | 'upload' | 'ready';
  /** Name of the source: URL, path or file name. */
  readonly file: string;
  /**
   * Bytes read so far. Bytes behind the last tensor aren't read, so a load may be ready with less than
   * `total`.
   */
  readonly loaded: number;
  /**
   * Bytes in all, never less than `loaded`: the source's length. If the source has no length (no
   * Content-Length, a stream), `total` is undefined until the header is read, and then the end of the last
   * tensor. It grows when more bytes arrive.
   */
  readonly total: number | undefined;
  /** Share of the whole load, 0 to 1; 0 while `total` is unknown. */
  readonly progress: number;
}

/** Reports at most about a hundred times per file: each report is a message to another thread. */
export class ProgressReporter {
  readonly #report: (progress: LoadProgress) => void;
  readonly #file: string;
  #phase: LoadProgress['phase'] = 'compile';
  #loaded = 0;
  #reported = 0;
  #progress = 0;
  /** Set as soon as it is known: from the source, or from the tensor table. */
  total: number | undefined;

  constructor(file: string, report: (progress: LoadProgress) => void) {
    this.#file = file;
    this.#report = report;
    this.#send();
  }

  begin(phase: LoadProgress['phase']): void {
    this.#phase = phase;
    if (phase === 'ready') this.#progress = 1;
    this.#send();
  }

  /** Records that `bytes` more have arrived. */
  add(bytes: number): void {
    this.#loaded += bytes;
    this.#grow();
    if (this.total !== undefined && this.total > 0)
      this.#progress = Math.max(this.#progress, Math.min(1, this.#loaded / this.total));
    const step = Math.max((this.total ?? 0) / 100, 64 << 10);
    if (this.#loaded - this.#reported >= step || this.#loaded === this.total) this.#send();
  }

  #grow(): void {
    if (this.total !== undefined && this.total < this.#loaded) this.total = this.#loaded;
  }

  #send(): void {
    // The total may have become known since the last bytes.
    this.#grow();
    this.#reported = this.#loaded;
    this.#report({
      phase: this.#phase,
      file: this.#file,
      loaded: this.#loaded,
      total: this.total,
      progress: this.#progress,
    });
  }
}
