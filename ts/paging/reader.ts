// SPDX-License-Identifier: Apache-2.0
// Files of a model that are read at any byte, as often as a paged model needs. A source is plain data, so it
// travels to the thread that reads: in Firefox only one handle of a file in the origin's storage may be open.
// Where the thread has synchronous reads (a descriptor in Node, a sync access handle or FileReaderSync in a
// browser's worker), `read` returns a number, else a promise of one.
import { ChordError, messageOf } from '../errors.js';
import { atMost, importNode } from '../platform.js';

export type RandomSource =
  | { readonly kind: 'path'; readonly path: string; readonly name: string }
  | { readonly kind: 'blob'; readonly blob: Blob; readonly name: string }
  /** A file of `bytes` in the origin's private directory. */
  | {
      readonly kind: 'handle';
      readonly handle: FileSystemFileHandle;
      readonly bytes: number;
      readonly name: string;
    };

export interface RandomReader {
  /** For messages: a path, or a file's name. */
  readonly name: string;
  /** The file's length when it was opened. */
  readonly size: number;
  /**
   * Reads to `target` from byte `at` on, and returns how many bytes there were. Throws what the system says.
   */
  read(at: number, target: Uint8Array): number | Promise<number>;
  /** What has happened to the file since it was opened, for people; undefined: nothing that can be seen. */
  changed(): string | undefined;
  close(): void;
}

interface SyncHandle {
  read(target: Uint8Array, options: { at: number }): number;
  getSize(): number;
  close(): void;
}
type HandleWithMode = FileSystemFileHandle & {
  createSyncAccessHandle?(options: { mode: 'read-only' }): Promise<SyncHandle>;
};
declare const FileReaderSync: (new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer }) | undefined;

const AGAIN = 'load the model again; the file must stay as it is while the model is in use';

/** Opens a source. Throws `io`, which names the file, and `integrity` for one that has changed already. */
export async function openAtRandom(source: RandomSource): Promise<RandomReader> {
  try {
    if (source.kind === 'path') return await openPath(source.path, source.name);
    if (source.kind === 'blob') return openBlob(source.blob, source.name);
    const reader = await openHandle(source.handle, source.name);
    if (reader.size === source.bytes) return reader;
    reader.close();
    throw new ChordError('integrity', `${source.name} has ${reader.size} bytes instead of ${source.bytes}`, {
      hint: AGAIN,
    });
  } catch (error) {
    throw readError(error, source.name);
  }
}

/**
 * Fills `target` from byte `at` of a file. Throws `integrity` for a file that has become shorter, `io` for
 * one that can't be read; both name it.
 */
export function readWhole(reader: RandomReader, at: number, target: Uint8Array): undefined | Promise<void> {
  const next = (done: number): undefined | Promise<void> => {
    while (done < target.byteLength) {
      const read = attempt(reader, () => reader.read(at + done, target.subarray(done)));
      if (read instanceof Promise)
        return read
          .catch((error: unknown) => Promise.reject(readError(error, reader.name, at + done)))
          .then((bytes) => next(added(reader, at + done, done, bytes)));
      done = added(reader, at + done, done, read);
    }
    return undefined;
  };
  return next(0);
}

function attempt<T>({ name }: RandomReader, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw readError(error, name);
  }
}

function added({ name, size }: RandomReader, at: number, done: number, bytes: number): number {
  if (bytes > 0) return done + bytes;
  throw new ChordError('integrity', `${name} ends at byte ${at}; it had ${size} bytes`, { hint: AGAIN });
}

/** Throws `integrity`, which names the file, if a file has changed since it was opened. */
export function checkUnchanged(reader: RandomReader): void {
  const what = attempt(reader, () => reader.changed());
  if (what !== undefined)
    throw new ChordError('integrity', `${reader.name} has changed under the model: ${what}`, { hint: AGAIN });
}

function readError(cause: unknown, name: string, at?: number): ChordError {
  if (ChordError.isInstance(cause)) return cause;
  const where = at === undefined ? '' : ` at byte ${at}`;
  return new ChordError('io', `can't read ${name}${where}: ${messageOf(cause)}`, {
    cause,
    hint: 'the file may have been changed or removed; load the model again',
  });
}

/** The file that is open stays readable when another takes its name. */
async function openPath(path: string, name: string): Promise<RandomReader> {
  const fs = (await importNode('fs')) as typeof import('node:fs');
  const fd = fs.openSync(path, 'r');
  const first = fs.fstatSync(fd);
  return {
    name,
    size: first.size,
    read: (at, target) => fs.readSync(fd, target, 0, target.byteLength, at),
    changed() {
      const now = fs.fstatSync(fd);
      if (now.size !== first.size) return `it has ${now.size} bytes instead of ${first.size}`;
      return now.mtimeMs === first.mtimeMs ? undefined : 'it was written to';
    },
    close: () => fs.closeSync(fd),
  };
}

/** The browser itself refuses a File that has changed. */
function openBlob(blob: Blob, name: string): RandomReader {
  const Sync = typeof FileReaderSync === 'function' ? FileReaderSync : undefined;
  const copy = (bytes: ArrayBuffer, target: Uint8Array): number => {
    target.set(new Uint8Array(bytes));
    return bytes.byteLength;
  };
  return {
    name,
    size: blob.size,
    read(at, target) {
      const slice = blob.slice(at, at + target.byteLength);
      if (Sync !== undefined) return copy(new Sync().readAsArrayBuffer(slice), target);
      return slice.arrayBuffer().then((bytes) => copy(bytes, target));
    },
    changed: () => undefined,
    close() {},
  };
}

/** How long the browser may take to open a handle: Chromium may take for ever while large writes go on. */
const OPEN_MS = 5000;

/**
 * A handle reads 5 to 50 times as fast as a Blob. Where there is none (a page's own thread), where another
 * tab or process has it (Firefox; Chromium without the mode), or where none comes, the file is read as a
 * Blob.
 */
async function openHandle(file: FileSystemFileHandle, name: string): Promise<RandomReader> {
  const opening = (file as HandleWithMode).createSyncAccessHandle?.({ mode: 'read-only' });
  const handle = opening && (await atMost(OPEN_MS, opening, true));
  if (handle === undefined) {
    void opening?.then((late) => late.close()).catch(() => {});
    return openBlob(await file.getFile(), name);
  }
  const size = handle.getSize();
  return {
    name,
    size,
    read: (at, target) => handle.read(target, { at }),
    changed() {
      const now = handle.getSize();
      return now === size ? undefined : `it has ${now} bytes instead of ${size}`;
    },
    close: () => handle.close(),
  };
}
