// SPDX-License-Identifier: Apache-2.0
// Files that the engine worker opens: a URL, a path in Node, a Blob in browsers.
import { ChordError } from '../errors.js';
import { importNode } from '../platform.js';
import type { HttpFile } from './http.js';
import { streamOfFile } from './node-file.js';
import { HttpReader } from './span.js';
import { SLICE, readableStream, reasonOf } from './stream.js';
import type { ByteStream } from './stream.js';

/** A file that is posted to the worker. The client reads `pushed` and posts slices. */
export type RemoteFile =
  | { readonly kind: 'url'; readonly file: HttpFile }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'blob'; readonly blob: Blob; readonly name: string }
  | {
      readonly kind: 'pushed';
      readonly name: string;
      readonly totalBytes: number | undefined;
      readonly phase: 'download' | 'read';
      /** Whether the client can read the file at any byte. */
      readonly isSeekable?: boolean;
    };

export type RemoteSource = RemoteFile | { readonly kind: 'files'; readonly files: readonly RemoteFile[] };

/** The name of a file in messages and progress. */
export function fileName(file: RemoteFile): string {
  return file.kind === 'url' ? file.file.name : file.kind === 'path' ? file.path : file.name;
}

/** Whether the worker can open a file a second time and gets the same bytes. */
export async function opensAgain(file: RemoteFile): Promise<boolean> {
  if (file.kind !== 'path') return file.kind !== 'pushed';
  const fs = (await importNode('fs/promises')) as typeof import('node:fs/promises');
  return fs.stat(file.path).then(
    (stat) => stat.isFile(),
    () => false,
  );
}

/** Hint for a chosen file that can't be read. */
export const CHANGED = 'the file may have been changed or removed after it was chosen';

/**
 * Opens a source that `sortSource` left for the reading thread. `pushed` belongs to the protocol. A Blob is
 * read as a stream: browsers fill the stream ahead from another process, whereas each slice is requested
 * separately (241 MB: 0.2 s, with slices of 1 MB 0.4 s).
 */
export function openRemote(
  source: Exclude<RemoteFile, { kind: 'pushed' }>,
  signal: AbortSignal,
): Promise<ByteStream> {
  switch (source.kind) {
    case 'url':
      return new HttpReader(source.file, signal, false).stream();
    case 'path':
      return openPath(source.path, signal);
    case 'blob':
      return Promise.resolve(openBlob(source.blob, source.name));
  }
}

export function openBlob(blob: Blob, name: string): ByteStream {
  const from = (to: number): ByteStream =>
    readableStream(blob.slice(to).stream(), name, 'read', blob.size, CHANGED);
  let stream = from(0);
  return {
    ...stream,
    read: () => stream.read(),
    skip(to) {
      void stream.close();
      stream = from(to);
    },
    close: () => stream.close(),
  };
}

/**
 * A path in Node. The length is unknown unless it is a regular file. Files in /proc report 0 and hold more.
 */
async function openPath(path: string, signal: AbortSignal): Promise<ByteStream> {
  const fs = (await importNode('fs/promises')) as typeof import('node:fs/promises');
  const fail = (cause: unknown): never => {
    const isFolder = (cause as NodeJS.ErrnoException).code === 'EISDIR';
    const hint = isFolder ? 'it is a folder: pass the path of a .gguf file in it' : undefined;
    throw new ChordError('io', `can't read ${path}: ${reasonOf(cause)}`, { cause, hint });
  };
  const kind = await fs.stat(path).catch(fail);
  if (kind.isFIFO()) return openPipe(path, signal).catch(fail);
  const file = await fs.open(path).catch(fail);
  const stat = await file.stat().catch(async (cause: unknown) => {
    await file.close();
    return fail(cause);
  });
  if (stat.isFile() && stat.size > 0) return streamOfFile(file, path, stat.size, fail);
  // Every read goes into this buffer.
  const buffer = new Uint8Array(SLICE);
  let isClosed = false;
  return {
    name: path,
    phase: 'read',
    totalBytes: undefined,
    async read() {
      const { bytesRead } = await file.read(buffer, 0, SLICE, null).catch(fail);
      return bytesRead > 0 ? buffer.subarray(0, bytesRead) : undefined;
    },
    async close() {
      if (!isClosed) await file.close();
      isClosed = true;
    },
  };
}

/**
 * A pipe in Node. Reads of a file run in libuv's few threads and can't be stopped. A read that waits for a
 * writer would block a thread and keep the process from ending. A socket over the descriptor waits in the
 * event loop.
 */
async function openPipe(path: string, signal: AbortSignal): Promise<ByteStream> {
  const fs = (await importNode('fs')) as typeof import('node:fs');
  const net = (await importNode('net')) as typeof import('node:net');
  // Without O_NONBLOCK, open waits for a writer.
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const socket = new net.Socket({ fd, readable: true, writable: false });
  const stop = (): void => void socket.destroy();
  // The reader gets the error.
  socket.on('error', () => {});
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array, undefined>;
  return {
    name: path,
    phase: 'read',
    totalBytes: undefined,
    async read() {
      try {
        return (await chunks.next()).value;
      } catch (cause) {
        throw new ChordError('io', `can't read ${path}: ${reasonOf(cause)}`, { cause });
      }
    },
    async close() {
      signal.removeEventListener('abort', stop);
      stop();
    },
  };
}
