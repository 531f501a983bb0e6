// SPDX-License-Identifier: Apache-2.0
// What the parts of a load share: the job, and the source whose headers have been read.
import type { BufferMeter } from '../load/meter.js';
import type { ProgressReporter } from '../load/progress.js';
import type { LoadProgress } from '../load/progress.js';
import type { ByteStream } from '../load/stream.js';
import type { PagedFile, Paging } from '../paging/start.js';
import type { WasmEngine } from '../wasm/engine.js';
import type { CompiledModule } from '../wasm/instantiate.js';
import type { ThreadPool } from '../wasm/threads.js';
import type { GpuLoad } from '../webgpu/load.js';
import type { Chunks } from './chunks.js';
import type { LoadOptions } from './protocol.js';

export interface LoadJob {
  readonly options: LoadOptions;
  readonly signal: AbortSignal;
  readonly meter: BufferMeter;
  /** Whether a pool is possible: true in the engine worker, false in the caller's thread. */
  readonly mayThread: boolean;
  /** The model's files in the order of the key split.no. */
  readonly files: readonly JobFile[];
  onBytes(bytes: number): void;
  onProgress(progress: LoadProgress): void;
}

export interface JobFile {
  /** For messages and progress. */
  readonly name: string;
  /** The client reads the file and counts its bytes as held. */
  readonly isPushed: boolean;
  open(signal: AbortSignal): Promise<ByteStream>;
  /** Whether `open` gives the same bytes a second time. */
  opensAgain(): Promise<boolean>;
  /** Why the file can't be read at any byte when it was loaded; undefined: it can. */
  whyNotAtRandom(): Promise<string | undefined>;
  /** The file when it was loaded. Throws `io`, `integrity`. */
  atRandom(): Promise<PagedFile>;
}

/** A source whose headers have been read. */
export interface Opened {
  /** May be replaced while the model is planned: see widen(). */
  engine: WasmEngine;
  compiled: CompiledModule;
  /** Whether the headers are kept, so that widen() is possible. */
  readonly mayWiden: boolean;
  readonly files: readonly Chunks[];
  readonly progress: ProgressReporter;
  /** The file that is read: an error names it. */
  at: Chunks;
  pool?: ThreadPool | undefined;
  gpu?: GpuLoad | undefined;
  paging?: Paging | undefined;
}
