// SPDX-License-Identifier: Apache-2.0

/** One report of `onProgress`. Phases come in this order; `progress` never falls. */
export interface LoadProgress {
  readonly phase: 'compile' | 'download' | 'read' | 'upload' | 'ready';
  /** Name of what is read: URL, path, file name. */
  readonly file: string;
  /** Bytes of the file so far, and in all where that is known. */
  readonly loaded: number;
  readonly total: number | undefined;
  /** Of the whole load, 0 to 1; stays behind while `total` is unknown. */
  readonly progress: number;
}

/** Reports at most about a hundred times a file: each is a message to another thread. */
export class ProgressReporter {
  readonly #report: (progress: LoadProgress) => void;
  readonly #file: string;
  #phase: LoadProgress['phase'] = 'compile';
  #loaded = 0;
  #reported = 0;
  #progress = 0;
  /** Set once known: by the source, or by the tensor table. */
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

  /** `bytes` more have arrived. */
  add(bytes: number): void {
    this.#loaded += bytes;
    if (this.total !== undefined && this.total > 0) this.#progress = Math.max(this.#progress, Math.min(1, this.#loaded / this.total));
    const step = Math.max((this.total ?? 0) / 100, 64 << 10);
    if (this.#loaded - this.#reported >= step || this.#loaded === this.total) this.#send();
  }

  #send(): void {
    this.#reported = this.#loaded;
    this.#report({ phase: this.#phase, file: this.#file, loaded: this.#loaded, total: this.total, progress: this.#progress });
  }
}
