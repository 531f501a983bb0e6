// SPDX-License-Identifier: Apache-2.0
// A whole file in the cache, read in order.
import { ChordError } from '../errors.js';
import { verified } from '../load/integrity.js';
import type { ByteStream } from '../load/stream.js';
import type { StoreJob } from './download.js';
import { Entry } from './entry.js';
import { storeError } from './errors.js';
import type { Folder, Lock } from './folder.js';
import type { Journal } from './journal.js';

/**
 * Opens a whole copy; it releases the lock in the end. Undefined if its data is gone. A copy whose hash was
 * never checked is checked where the caller knows one. If it has another, that is noted: the next load that
 * expects the same downloads the file, and the copy stays until then.
 */
export async function openCopy(job: StoreJob, entry: Entry, lock: Lock): Promise<ByteStream | undefined> {
  const { folder } = entry;
  const journal = entry.whole!;
  const { data, parts, totalBytes, sha256, pieceBytes } = journal;
  const names = new Set(await folder.names());
  const inData = parts.length * pieceBytes < totalBytes!;
  if (parts.some((part) => !names.has(`${data}.${part}`)) || (inData && !names.has(`${data}.gguf`)))
    return undefined;
  const stream = inData ? await folder.stream(`${data}.gguf`).catch(() => undefined) : undefined;
  if (inData && stream === undefined) return undefined;
  if (parts.length === 0 && (stream!.totalBytes ?? totalBytes) !== totalBytes) {
    await stream!.close();
    return undefined;
  }
  await entry.touch();
  const bytes = parts.length > 0 ? joined(folder, journal, stream) : undefined;
  let isDropped = false;
  let otherHash: string | undefined;
  let isClosed = false;
  const copy: ByteStream = {
    name: job.file.name,
    phase: 'read',
    totalBytes,
    async read() {
      try {
        return bytes === undefined ? await stream!.read() : ((await bytes.next()).value ?? undefined);
      } catch (cause) {
        isDropped = true; // the next load downloads it
        throw storeError(cause, folder);
      }
    },
    ...(bytes === undefined && stream!.skip && { skip: (to: number) => stream!.skip!(to) }),
    drop(code, hash) {
      otherHash = hash;
      isDropped ||= code === 'invalid-gguf';
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      await bytes?.return();
      await stream?.close();
      if (isDropped) await entry.drop().catch(() => {});
      await lock.release();
      if (otherHash !== undefined) await noteHash(entry, data, otherHash).catch(() => {});
    },
  };
  return job.sha256 !== undefined && sha256 === undefined ? verified(copy, job.sha256) : copy;
}

async function noteHash({ folder, key }: Entry, data: string, sha256: string): Promise<void> {
  const lock = await folder.lock(key, { isPatient: false });
  if (lock === undefined) return;
  const entry = await Entry.read(folder, key);
  const { journal } = entry;
  if (journal?.isComplete && journal.data === data) await entry.commit({ ...journal, sha256 });
  await lock.release();
}

/** The pieces that are files of their own, and between them the data's bytes. */
async function* joined(
  folder: Folder,
  { data: name, parts, totalBytes, pieceBytes }: Journal,
  data: ByteStream | undefined,
): AsyncGenerator<Uint8Array, void> {
  const apart = new Set(parts);
  const inData = data && reader(data);
  let dataAt = 0;
  for (let from = 0, piece = 0; from < totalBytes!; from += pieceBytes, piece++) {
    if (apart.has(piece)) {
      yield* wholePart(folder, `${name}.${piece}`, Math.min(pieceBytes, totalBytes! - from));
      continue;
    }
    for (; dataAt < from;) dataAt += (await inData!(from - dataAt)).byteLength;
    for (const end = Math.min(from + pieceBytes, totalBytes!); dataAt < end;) {
      const bytes = await inData!(end - dataAt);
      dataAt += bytes.byteLength;
      yield bytes;
    }
  }
}

/** A piece that is a file of its own. Throws `io` for one that is too short. */
export async function* wholePart(
  folder: Folder,
  name: string,
  bytes: number,
): AsyncGenerator<Uint8Array, void> {
  const part = await folder.stream(name);
  let left = bytes;
  try {
    for (let chunk = await part.read(); chunk !== undefined; chunk = await part.read()) {
      left -= chunk.byteLength;
      yield chunk;
    }
  } finally {
    await part.close();
  }
  if (left !== 0) throw new ChordError('io', `${name} in ${folder.name} is damaged`);
}

/** Reads at most `most` bytes, and at least one. */
function reader(stream: ByteStream): (most: number) => Promise<Uint8Array> {
  let chunk: Uint8Array = new Uint8Array();
  return async (most) => {
    while (chunk.byteLength === 0) {
      const next = await stream.read();
      if (next === undefined) throw new Error(`${stream.name} is cut off`);
      chunk = next;
    }
    const bytes = chunk.subarray(0, most);
    chunk = chunk.subarray(bytes.byteLength);
    return bytes;
  };
}
