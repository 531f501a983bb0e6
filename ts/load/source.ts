// SPDX-License-Identifier: Apache-2.0
// The kinds of model sources, sorted by the thread that reads them. The engine worker reads a URL, a file's
// path, and a Blob in browsers. The caller's thread reads bytes, streams and responses, and posts slices.
import { ChordError } from '../errors.js';
import { importNode, isNode } from '../platform.js';
import { httpFile, responseStream, urlName } from './http.js';
import type { HttpFile } from './http.js';
import { ask, pageFile } from './ask.js';
import type { HttpOptions } from './ask.js';
import { CHANGED, fileName } from './remote.js';
import type { RemoteFile, RemoteSource } from './remote.js';
import { inOrder, oneModel, shardsOf } from './shards.js';
import { SLICE, describe, isDetached, readableStream, reasonOf, toBytes } from './stream.js';
import type { ByteStream } from './stream.js';

/** A model's file. Bytes are read in slices; they are never detached and never cloned whole. */
export type FileSource =
  | string
  | URL
  | Blob
  | FileSystemFileHandle
  | ArrayBufferLike
  | ArrayBufferView
  | Response
  | ReadableStream<Uint8Array>;

/**
 * Every kind of source. The list holds the files of a model that llama-gguf-split has split. Files whose
 * names are shards' names (`NAME-00001-of-00003.gguf`) may come in any order, others come in the order of
 * their key `split.no`. Of a URL or a path, the name of one shard is enough: the others are beside it. A
 * directory that the user picked holds the files of one model.
 *
 * A string may be an address on a hub: `hf:owner/repo/file.gguf`, or `hf:owner/repo:Q4_K_M` for the only
 * model of that quantisation; both may have a revision: `hf:owner/repo@revision/file.gguf`. The address of a
 * page that shows a file (/blob/) stands for the file.
 */
export type ModelSource = FileSource | FileSystemDirectoryHandle | readonly FileSource[];

/** A sorted source: the part for the worker, and for each file that is pushed, the stream to post. */
export interface SortedSource {
  readonly remote: RemoteSource;
  readonly local: readonly (ByteStream | undefined)[];
}

type SortedFile = { readonly remote: RemoteFile } | { readonly local: ByteStream };

const isRemoteAddress = (text: string): boolean => /^(https?|blob|data):/i.test(text);

/**
 * Sorts a source. Opens no URL and no file; a Response or a stream is open already. Throws `invalid-argument`
 * for a value that is no source, `http` and `invalid-gguf` for a Response with another content.
 */
export async function sortSource(source: ModelSource, http: HttpOptions = PLAIN): Promise<SortedSource> {
  try {
    return together(await sortAll(source, http));
  } catch (cause) {
    if (ChordError.isInstance(cause)) throw cause;
    // A getter of the source threw.
    throw new ChordError('invalid-argument', `the model source can't be used: ${reasonOf(cause)}`, { cause });
  }
}

async function sortAll(given: ModelSource, http: HttpOptions): Promise<SortedFile[]> {
  const source = isDirectory(given) ? await modelOf(given) : given;
  if (!Array.isArray(source)) return sort(source as FileSource, http);
  if (source.length === 0) throw new ChordError('invalid-argument', 'the model source is an empty list');
  if (source.length > 256)
    throw new ChordError(
      'invalid-argument',
      `the model source is a list of ${source.length} files, at most 256`,
    );
  const files: SortedFile[] = [];
  try {
    for (const each of source as readonly FileSource[]) files.push(...(await sort(each, http, false)));
  } catch (error) {
    for (const file of files) if ('local' in file) file.local.close().catch(() => {});
    throw error;
  }
  return inOrder(files, nameOf);
}

const nameOf = (file: SortedFile): string => ('local' in file ? file.local.name : fileName(file.remote));

/** The requests of a caller who names no options. */
const PLAIN: HttpOptions = { hub: { endpoint: 'https://huggingface.co', token: undefined } };

/** `files` behind HTTP: the worker requests them, or this thread with the caller's fetch. */
async function overHttp(files: readonly HttpFile[], http: HttpOptions): Promise<SortedFile[]> {
  if (http.fetch === undefined) return files.map((file) => ({ remote: { kind: 'url', file } }));
  const sorted: { local: ByteStream }[] = [];
  try {
    for (const file of files) sorted.push({ local: responseStream(await ask(file, http), file.name) });
  } catch (error) {
    for (const { local } of sorted) local.close().catch(() => {});
    throw error;
  }
  return sorted;
}

function isDirectory(source: unknown): source is FileSystemDirectoryHandle {
  const { kind, values } = (source ?? {}) as { kind?: unknown; values?: unknown };
  return kind === 'directory' && typeof values === 'function';
}

/** The files of the one model in a directory. */
async function modelOf(directory: FileSystemDirectoryHandle): Promise<FileSystemFileHandle[]> {
  const files = new Map<string, FileSystemFileHandle>();
  try {
    const entries = (directory as unknown as { values(): AsyncIterable<FileSystemHandle> }).values();
    for await (const entry of entries)
      if (entry.kind === 'file') files.set(entry.name, entry as FileSystemFileHandle);
  } catch (cause) {
    throw new ChordError('io', `can't read the directory ${directory.name}: ${reasonOf(cause)}`, { cause });
  }
  return oneModel([...files.keys()], `the directory ${directory.name}`).map((name) => files.get(name)!);
}

function together(files: readonly SortedFile[]): SortedSource {
  const local = files.map((file) => ('local' in file ? file.local : undefined));
  const remotes = files.map((file): RemoteFile => {
    if ('remote' in file) return file.remote;
    const { name, totalBytes, phase, at } = file.local;
    return { kind: 'pushed', name, totalBytes, phase, isSeekable: at !== undefined };
  });
  return { remote: remotes.length === 1 ? remotes[0]! : { kind: 'files', files: remotes }, local };
}

/** Sorts a file; with `all`, every shard of the model that a URL or a path names one of. */
async function sort(source: FileSource, http: HttpOptions, all = true): Promise<SortedFile[]> {
  if (typeof source === 'string' || source instanceof URL) {
    const address = String(source);
    return isNode && /^blob:/i.test(address)
      ? [sortBlob(await blobAt(address))]
      : sortAddress(address, http, all ? shardsOf : (name) => [name]);
  }
  return [await sortObject(source)];
}

async function sortObject(source: Exclude<FileSource, string | URL>): Promise<SortedFile> {
  if (typeof Blob === 'function' && source instanceof Blob) return sortBlob(source);
  if (isFileHandle(source)) return sortBlob(await fileOf(source));
  if (typeof Response === 'function' && source instanceof Response)
    return { local: responseStream(source, responseName(source)) };
  if (typeof ReadableStream === 'function' && source instanceof ReadableStream)
    return { local: readableStream(source, 'the stream', 'read', undefined) };
  const bytes = toBytes(source);
  if (bytes !== undefined) return { local: bytesStream(bytes) };
  throw new ChordError('invalid-argument', `the model source is ${describe(source)}`, {
    hint: 'pass a URL, hf:owner/repo/file.gguf, a path, a Blob or File, a handle, bytes, a Response, a ReadableStream, or a list of these',
  });
}

async function sortAddress(
  address: string,
  http: HttpOptions,
  namesOf: (name: string) => string[],
): Promise<SortedFile[]> {
  if (address === '') throw new ChordError('invalid-argument', 'the model source is an empty string');
  if (/^hf:/i.test(address)) return overHttp(await onHub(address, http), http);
  if (isRemoteAddress(address) || !isNode) {
    const url = toUrl(address, isNode ? undefined : globalThis.location?.href);
    const page = pageFile(url, http);
    if (page !== undefined) return overHttp(await onHub(page, http), http);
    const { headers, credentials } = http;
    const urls = /^https?:/i.test(url) ? namesOf(url) : [url];
    return overHttp(
      urls.map((each) => ({ ...httpFile(each), headers, credentials })),
      http,
    );
  }
  const paths = namesOf(await pathOf(address));
  return paths.map((path) => ({ remote: { kind: 'path', path } }));
}

/** Not part of the first load. */
async function onHub(address: string, http: HttpOptions): Promise<HttpFile[]> {
  return (await import('./hub.js')).hubFiles(address, http);
}

async function pathOf(address: string): Promise<string> {
  if (!/^file:/i.test(address)) {
    const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(address)?.[1];
    if (scheme === undefined) return address;
    throw new ChordError(
      'invalid-argument',
      `the model source ${address} has the unknown scheme ${scheme}:`,
      {
        hint: 'known are http:, https:, file:, data:, blob: and hf:',
      },
    );
  }
  const { fileURLToPath } = (await importNode('url')) as typeof import('node:url');
  try {
    return fileURLToPath(address);
  } catch (cause) {
    throw new ChordError('invalid-argument', `${address}: ${(cause as Error).message}`, { cause });
  }
}

/** Node keeps blob URLs per thread, so the engine worker can't fetch one. */
async function blobAt(address: string): Promise<Blob> {
  const { resolveObjectURL } = (await importNode('buffer')) as typeof import('node:buffer');
  const blob = resolveObjectURL(address);
  if (blob !== undefined) return blob as unknown as Blob;
  throw new ChordError('invalid-argument', `${address} is not a blob URL of this thread, or it was revoked`, {
    hint: 'pass the Blob itself',
  });
}

function toUrl(address: string, base?: string): string {
  try {
    return new URL(address, base).href;
  } catch (cause) {
    throw new ChordError('invalid-argument', `the model source ${address} is not a URL`, { cause });
  }
}

function responseName({ url }: { readonly url: unknown }): string {
  return typeof url === 'string' && url !== '' ? urlName(url) : 'the response';
}

/** Node can't post file-backed Blobs. A page can, and then the worker reads the Blob. */
function sortBlob(blob: Blob): SortedFile {
  const name = (blob as { name?: unknown }).name;
  const label = typeof name === 'string' && name !== '' ? name : 'the Blob';
  return isNode ? { local: blobStream(blob, label) } : { remote: { kind: 'blob', blob, name: label } };
}

function isFileHandle(source: unknown): source is FileSystemFileHandle {
  return (
    typeof source === 'object' &&
    source !== null &&
    typeof (source as { getFile?: unknown }).getFile === 'function'
  );
}

async function fileOf(handle: FileSystemFileHandle): Promise<Blob> {
  let file: unknown;
  try {
    file = await handle.getFile();
  } catch (cause) {
    throw new ChordError('io', `can't read the file of the handle: ${reasonOf(cause)}`, {
      cause,
      hint: CHANGED,
    });
  }
  if (typeof Blob === 'function' && file instanceof Blob) return file;
  throw new ChordError(
    'invalid-argument',
    `getFile() of the model source returned ${describe(file)}, not a File`,
  );
}

/**
 * Node's Blobs: the next slice is read while the last slice is used. A stream of such a Blob delivers 64
 * kB per message.
 */
function blobStream(blob: Blob, name: string): ByteStream {
  let at = 0;
  let ahead: Promise<ArrayBuffer> | undefined;
  const ask = (from: number): Promise<ArrayBuffer> | undefined => {
    if (from >= blob.size) return undefined;
    // A subclass's methods may throw, or return what isn't a promise.
    const slice = (async () => blob.slice(from, from + SLICE).arrayBuffer())();
    // The error is reported when the slice is awaited.
    slice.catch(() => {});
    return slice;
  };
  return {
    name,
    phase: 'read',
    totalBytes: blob.size,
    aheadBytes: Math.min(blob.size, SLICE),
    async read() {
      const slice = ahead ?? ask(at);
      if (slice === undefined) return undefined;
      ahead = ask(at + SLICE);
      try {
        const bytes = new Uint8Array(await slice);
        if (bytes.byteLength !== Math.min(SLICE, blob.size - at))
          throw new Error(`only ${bytes.byteLength} bytes were read`);
        at += bytes.byteLength;
        return bytes;
      } catch (cause) {
        throw new ChordError('io', `can't read ${name} at byte ${at}: ${reasonOf(cause)}`, {
          cause,
          hint: CHANGED,
        });
      }
    },
    async at(from, bytes) {
      try {
        const slice = new Uint8Array(await blob.slice(from, from + bytes).arrayBuffer());
        if (slice.byteLength === bytes) return slice;
        throw new Error(`only ${slice.byteLength} bytes were read`);
      } catch (cause) {
        throw new ChordError('io', `can't read ${name} at byte ${from}: ${reasonOf(cause)}`, {
          cause,
          hint: CHANGED,
        });
      }
    },
    async close() {
      ahead = undefined;
      at = blob.size;
    },
  };
}

/** The caller's own bytes, as views without a copy. */
function bytesStream(bytes: Uint8Array): ByteStream {
  let at = 0;
  return {
    name: 'the given bytes',
    phase: 'read',
    totalBytes: bytes.byteLength,
    async read() {
      try {
        const slice = bytes.subarray(at, at + SLICE);
        at += slice.byteLength;
        return slice.byteLength > 0 ? slice : undefined;
      } catch (cause) {
        throw isDetached(cause);
      }
    },
    async at(from, count) {
      try {
        return bytes.subarray(from, from + count);
      } catch (cause) {
        throw isDetached(cause);
      }
    },
    async close() {},
  };
}
