// SPDX-License-Identifier: Apache-2.0
// The browser's places. A directory (the origin's private one, or one that the user picked) holds a file
// written in place where there are sync access handles: in a worker, in the origin's private directory.
// Elsewhere every piece is a file of its own, which exists when it is whole. The Cache API holds pieces too.
import { openBlob } from '../load/remote.js';
import { SLICE, readableStream } from '../load/stream.js';
import type { ByteStream } from '../load/stream.js';
import type { RandomSource } from '../paging/reader.js';
import type { Folder, FolderSpace, Lock, LockKind, Piece, Place } from './folder.js';
import type { Journal } from './journal.js';

interface SyncHandle {
  read(buffer: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(bytes: number): unknown;
  flush(): unknown;
  close(): unknown;
  getSize(): number;
  /** Absent where a file has only one handle. */
  readonly mode?: string;
}
type FileHandle = FileSystemFileHandle & {
  createSyncAccessHandle?(options?: { mode: string }): Promise<SyncHandle>;
};
type DirectoryHandle = FileSystemDirectoryHandle & { keys(): AsyncIterable<string> };

abstract class WebFolder {
  abstract readonly name: string;

  /** Web Locks end with their tab. Without them (old engines) two tabs may download twice. */
  async lock(name: string, { isShared, isPatient = true, signal }: LockKind): Promise<Lock | undefined> {
    if (navigator.locks === undefined) return { release: async () => {} };
    const mode = isShared ? ('shared' as const) : ('exclusive' as const);
    return new Promise((resolve, reject) => {
      navigator.locks
        .request(
          `wasm-chord ${this.name} ${name}`,
          isPatient ? { mode, ...(signal && { signal }) } : { mode, ifAvailable: true },
          (lock) =>
            new Promise<void>((release) => {
              if (lock === null) release();
              resolve(lock === null ? undefined : { release: async () => release() });
            }),
        )
        .catch(reject);
    });
  }

  async space(): Promise<FolderSpace> {
    const { quota, usage = 0 } = (await navigator.storage?.estimate?.()) ?? {};
    return {
      quota,
      free: quota === undefined ? undefined : Math.max(quota - usage, 0),
      persisted: (await navigator.storage?.persisted?.()) ?? false,
    };
  }
}

/** How long the browser may take to open a file. */
const OPEN_MS = 5000;

export class DirectoryFolder extends WebFolder implements Folder {
  readonly name: string;
  readonly #directory: DirectoryHandle;
  readonly place?: (name: string) => Promise<Place>;
  readonly #isPicked: boolean;
  readonly #kept = new Map<string, SyncHandle>();

  constructor(directory: FileSystemDirectoryHandle, isPicked: boolean) {
    super();
    this.#directory = directory as DirectoryHandle;
    this.#isPicked = isPicked;
    this.name = isPicked ? `the directory ${directory.name}` : "the browser's storage";
    // The method is there in workers only, and not for directories that a user picked.
    const inPlace = 'createSyncAccessHandle' in (globalThis.FileSystemFileHandle?.prototype ?? {});
    if (!isPicked && inPlace) this.place = (name) => this.#place(name);
  }

  async names(): Promise<string[]> {
    const names = [];
    for await (const name of this.#directory.keys()) names.push(name);
    return names;
  }

  async #file(name: string): Promise<File | undefined> {
    try {
      return await (await this.#directory.getFileHandle(name)).getFile();
    } catch (error) {
      if ((error as DOMException).name === 'NotFoundError') return undefined;
      throw error;
    }
  }

  async load(name: string): Promise<Uint8Array | undefined> {
    const file = await this.#file(name);
    return file && new Uint8Array(await file.arrayBuffer());
  }

  async save(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.place === undefined) {
      const piece = await this.piece(name);
      await piece.write(bytes);
      return piece.close();
    }
    const kept = this.#kept.get(name);
    const handle = kept ?? (await this.#handle(name));
    try {
      await handle.truncate(0);
      writeAll(handle, 0, bytes);
      await handle.flush();
    } finally {
      if (kept === undefined) await handle.close();
    }
  }

  /**
   * Chromium 156 sometimes never opens a handle while large writes go on. So a download opens its journals
   * before its first write. On a busy machine 6 of 60 loads hung without this, and 0 of 60 with it.
   */
  async keep(names: readonly string[]): Promise<() => Promise<void>> {
    const letGo = async (): Promise<void> => {
      for (const name of names) {
        await this.#kept.get(name)?.close();
        this.#kept.delete(name);
      }
    };
    if (this.place === undefined) return letGo;
    try {
      for (const name of names) this.#kept.set(name, await this.#handle(name));
    } catch (error) {
      await letGo();
      throw error;
    }
    return letGo;
  }

  async remove(name: string): Promise<void> {
    await this.#directory.removeEntry(name).catch((error: DOMException) => {
      if (error.name !== 'NotFoundError') throw error;
    });
  }

  /**
   * By a handle where several may read (Chromium): a Blob's bytes come from another process. Qwen2.5-Coder
   * 1.5B loads at 1,440 instead of 835 MB/s.
   */
  async stream(name: string): Promise<ByteStream> {
    const handle: FileHandle = await this.#directory.getFileHandle(name);
    const opening = this.place && handle.createSyncAccessHandle!({ mode: 'read-only' });
    const sync = opening && (await opened(opening, name).catch(() => undefined));
    if (sync?.mode !== 'read-only') {
      await sync?.close();
      return openBlob(await handle.getFile(), name);
    }
    const buffer = new Uint8Array(4 * SLICE);
    let at = 0;
    return {
      name,
      phase: 'read',
      totalBytes: sync.getSize(),
      aheadBytes: buffer.byteLength,
      async read() {
        const bytes = sync.read(buffer, { at });
        at += bytes;
        return bytes > 0 ? buffer.subarray(0, bytes) : undefined;
      },
      skip: (to) => void (at = to),
      close: async () => void sync.close(),
    };
  }

  /** Files of pieces are read as one Blob, which copies none of them. */
  async file({ data, parts, totalBytes, pieceBytes }: Journal): Promise<RandomSource> {
    const whole = this.#directory.getFileHandle(`${data}.gguf`);
    if (parts.length === 0 && !this.#isPicked)
      return { kind: 'handle', handle: await whole, bytes: totalBytes!, name: data };
    const inData = await whole.then((handle) => handle.getFile()).catch(() => new Blob());
    const blobs: Blob[] = [];
    for (let at = 0, piece = 0; at < totalBytes!; at += pieceBytes, piece++) {
      const end = Math.min(at + pieceBytes, totalBytes!);
      const own = parts.includes(piece) ? await this.#file(`${data}.${piece}`) : undefined;
      blobs.push(own ?? inData.slice(at, end));
      if (blobs.at(-1)!.size !== end - at) throw new Error(`piece ${piece} of ${data} is damaged`);
    }
    return { kind: 'blob', blob: new Blob(blobs), name: data };
  }

  async #handle(name: string): Promise<SyncHandle> {
    const file: FileHandle = await this.#directory.getFileHandle(name, { create: true });
    return opened(file.createSyncAccessHandle!(), name);
  }

  async #place(name: string): Promise<Place> {
    const handle = await this.#handle(name);
    return {
      write: async (at, bytes) => writeAll(handle, at, bytes),
      read: async (at, buffer) => handle.read(buffer, { at }),
      flush: async () => void (await handle.flush()),
      close: async () => void (await handle.close()),
    };
  }

  async piece(name: string): Promise<Piece> {
    const handle = await this.#directory.getFileHandle(name, { create: true });
    const writer = await handle.createWritable();
    let written = 0;
    return {
      async write(bytes) {
        await writer.write(bytes as Uint8Array<ArrayBuffer>);
        written += bytes.byteLength;
      },
      async close() {
        await writer.close();
        // On a full disk an empty file was seen after a close without an error.
        if ((await handle.getFile()).size !== written) throw full();
      },
      abort: () => writer.abort().catch(() => {}),
    };
  }

  /** A directory that the user picked is on a disk of which the browser says nothing. */
  override async space(): Promise<FolderSpace> {
    return this.#isPicked ? { quota: undefined, free: undefined, persisted: true } : super.space();
  }
}

/** Throws if the browser doesn't open the file in time. A handle that comes later is closed. */
async function opened(opening: Promise<SyncHandle>, name: string): Promise<SyncHandle> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`the browser opens no file: ${name} is waited for since ${OPEN_MS / 1000} s`));
      opening.then((handle) => handle.close()).catch(() => {});
    }, OPEN_MS);
  });
  try {
    return await Promise.race([opening, late]);
  } finally {
    clearTimeout(timer);
  }
}

function writeAll(handle: SyncHandle, at: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.byteLength;) {
    const left = bytes.subarray(done);
    const written = handle.write(left, { at: at + done });
    // On a full disk Chromium 156 returns the error's number, -8, as an unsigned one.
    if (!(written > 0 && written <= left.byteLength)) throw full();
    done += written;
  }
}

const full = (): DOMException => new DOMException('no byte could be written', 'QuotaExceededError');

/** An address per file, of a host that can't exist. */
const CACHE_URL = 'https://wasm-chord.invalid/';

export class CacheFolder extends WebFolder implements Folder {
  readonly name = "the browser's Cache API";
  readonly #cache: Cache;

  constructor(cache: Cache) {
    super();
    this.#cache = cache;
  }

  async names(): Promise<string[]> {
    return (await this.#cache.keys()).map(({ url }) => url.slice(CACHE_URL.length));
  }

  async load(name: string): Promise<Uint8Array | undefined> {
    const response = await this.#cache.match(CACHE_URL + name);
    return response && new Uint8Array(await response.arrayBuffer());
  }

  async save(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#cache.put(CACHE_URL + name, new Response(bytes));
  }

  async remove(name: string): Promise<void> {
    await this.#cache.delete(CACHE_URL + name);
  }

  async stream(name: string): Promise<ByteStream> {
    const response = await this.#cache.match(CACHE_URL + name);
    if (!response?.body) throw new Error(`${name} is not in the cache`);
    return readableStream(response.body, name, 'read', undefined);
  }

  async piece(name: string): Promise<Piece> {
    const { readable, writable } = new TransformStream<Uint8Array<ArrayBuffer>>();
    const writer = writable.getWriter();
    const stored = this.#cache.put(CACHE_URL + name, new Response(readable));
    const isStored = stored.catch((error: unknown) => {
      void writer.abort(error).catch(() => {});
      throw error;
    });
    isStored.catch(() => {});
    return {
      // A failed put never reads on, so a write alone would wait for ever.
      write: (bytes) => Promise.race([writer.write(bytes as Uint8Array<ArrayBuffer>), isStored]),
      async close() {
        await writer.close();
        await isStored;
      },
      abort: async () => {
        await writer.abort().catch(() => {});
        await isStored.catch(() => {});
      },
    };
  }
}
