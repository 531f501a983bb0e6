// SPDX-License-Identifier: Apache-2.0
// A place for model files: what the bodies (a directory of the browser's, the Cache API, a folder in Node)
// have in common. Names are short and plain.
import type { ByteStream } from '../load/stream.js';
import type { RandomSource } from '../paging/reader.js';
import type { Journal } from './journal.js';

/** A file that is written in place, at any byte. */
export interface Place {
  write(at: number, bytes: Uint8Array): Promise<void>;
  /** Fills `buffer` from byte `at` on. Returns how many bytes there were. */
  read(at: number, buffer: Uint8Array): Promise<number>;
  /** Resolves when everything that was written would survive a crash. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** A new file that is written in order. It exists when `close` has resolved, whole. */
export interface Piece {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}

export interface Lock {
  release(): Promise<void>;
}

export interface FolderSpace {
  /** Bytes that the place may hold in all, ours included; undefined if nothing says so. */
  readonly quota: number | undefined;
  /** Bytes that may still be added. */
  readonly free: number | undefined;
  /** Whether the browser keeps the files when the disk runs full. */
  readonly persisted: boolean;
}

export interface Folder {
  /** For messages. */
  readonly name: string;
  names(): Promise<string[]>;
  /** A small file; undefined if there is none. */
  load(name: string): Promise<Uint8Array | undefined>;
  /** Writes a small file and flushes it. */
  save(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /**
   * Opens small files for the saves to come, and resolves to what lets them go. Nobody else can write or
   * remove them meanwhile. Absent where each save opens its file.
   */
  keep?(names: readonly string[]): Promise<() => Promise<void>>;
  /** Does nothing if there is no such file. */
  remove(name: string): Promise<void>;
  /** A whole file in order. Throws if there is none. */
  stream(name: string): Promise<ByteStream>;
  /** Opens or makes a file. Absent where files can't be written in place: `piece` is used there. */
  place?(name: string): Promise<Place>;
  piece?(name: string): Promise<Piece>;
  /** A whole copy as a source that is read at any byte. Absent where files can only be read in order. */
  file?(copy: Journal): Promise<RandomSource>;
  /**
   * Waits for the lock `name`. Shared holders exclude only the others. `undefined` at once with `isPatient`
   * false and a holder.
   */
  lock(name: string, kind: LockKind): Promise<Lock | undefined>;
  space(): Promise<FolderSpace>;
}

export interface LockKind {
  readonly isShared?: boolean;
  readonly isPatient?: boolean;
  readonly signal?: AbortSignal | undefined;
}
