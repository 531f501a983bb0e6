// SPDX-License-Identifier: Apache-2.0
// Opens a source in the thread that reads it: from the cache, through it, or past it.
import { ChordError } from '../errors.js';
import { verified } from '../load/integrity.js';
import { openRemote } from '../load/remote.js';
import type { RemoteFile } from '../load/remote.js';
import type { ByteStream } from '../load/stream.js';
import { openFolder, openStored } from './cache.js';
import type { CacheChoice } from './cache.js';
import { storeError } from './errors.js';

export interface KeepOptions {
  /** Undefined: 'none'. */
  readonly cache: CacheChoice | undefined;
  /** SHA-256 of the whole file in lower-case hex; undefined: whatever the source knows. */
  readonly sha256: string | undefined;
  /** Ranges that are downloaded at the same time. */
  readonly connections: number | undefined;
}

/** Connections by default. Browsers open at most six to a host of HTTP/1.1. */
export const CONNECTIONS = 4;

/**
 * Opens any source but a pushed one. `onlyHeader`: the reader closes it behind the header, so it isn't kept.
 * Throws `io`, `http`, `integrity`, `quota`, `invalid-gguf`.
 */
export async function openSource(
  source: Exclude<RemoteFile, { kind: 'pushed' }>,
  { cache = 'none', connections = CONNECTIONS, ...keep }: KeepOptions,
  signal: AbortSignal,
  onlyHeader: boolean,
): Promise<ByteStream> {
  if (source.kind !== 'url') return checked(await openRemote(source, signal), keep.sha256);
  const { file } = source;
  const sha256 = keep.sha256 ?? file.sha256;
  const folder = /^https?:/i.test(file.url) ? await openFolder(cache) : undefined;
  if (folder !== undefined) {
    const isRequired = cache !== 'auto';
    try {
      const job = { file, connections, sha256, isRequired, signal };
      const stored = await openStored(job, folder, onlyHeader);
      if (stored !== undefined) return stored;
    } catch (error) {
      signal.throwIfAborted();
      // If the place itself failed, 'auto' goes on without it.
      if (isRequired || ChordError.isInstance(error)) throw storeError(error, folder);
    }
  }
  return checked(await openRemote(source, signal), sha256);
}

/** `stream`, whose hash is compared with `sha256`, or else with what its server says. */
export async function checked(
  stream: ByteStream,
  sha256: string | undefined = stream.sha256,
): Promise<ByteStream> {
  return sha256 === undefined ? stream : verified(stream, sha256);
}
