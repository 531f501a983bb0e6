// SPDX-License-Identifier: Apache-2.0
// Where model files are kept, and the ways to open, list and delete them.
import { ChordError, messageOf } from '../errors.js';
import { openCopy } from './copy.js';
import { changeOf, isSame, versionOf } from '../load/span.js';
import { request } from '../load/http.js';
import type { ByteStream } from '../load/stream.js';
import { isNode } from '../platform.js';
import { Download } from './download.js';
import type { StoreJob } from './download.js';
import { Entry, keyOf } from './entry.js';
import type { CachedModel } from './entry.js';
import type { Folder } from './folder.js';
import { NodeFolder } from './node-folder.js';
import { CacheFolder, DirectoryFolder } from './web-folder.js';

export type { CachedModel, Folder };

/**
 * Where downloads are kept. 'auto': in a browser the origin's private storage, in Node the user's cache
 * folder. 'none': nowhere. A string: a folder (Node). A handle: a directory that the user picked.
 */
export type CacheChoice = 'auto' | 'none' | (string & {}) | FileSystemDirectoryHandle;

/** How long a whole copy waits for the server's answer whether it is current. */
const CURRENT_MS = 2000;

/**
 * Opens the place that `choice` names. Resolves to undefined for 'none', and for 'auto' where there is no
 * place. Throws `io` for a named place that can't be used.
 */
export async function openFolder(choice: CacheChoice): Promise<Folder | undefined> {
  if (choice === 'none') return undefined;
  try {
    if (typeof choice !== 'string') return new DirectoryFolder(choice, true);
    if (isNode) return await NodeFolder.open(choice === 'auto' ? await NodeFolder.home() : choice);
    return (await privateDirectory()) ?? new CacheFolder(await caches.open('wasm-chord'));
  } catch (cause) {
    if (choice === 'auto') return undefined;
    throw new ChordError('io', `can't use the cache folder ${choice}: ${messageOf(cause)}`, { cause });
  }
}

/** Undefined where there is none: WebKitGTK, private windows of some browsers. */
async function privateDirectory(): Promise<Folder | undefined> {
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle('wasm-chord', { create: true });
    return new DirectoryFolder(folder, false);
  } catch {
    return undefined;
  }
}

/**
 * Opens a file of HTTP that is kept in `folder`. A whole copy is read as it is if the server says that it is
 * current, or says nothing within two seconds, or can't be reached. Else the file is downloaded, from the
 * bytes on that are there. Of several tabs or processes, one downloads and the others wait for it.
 *
 * With `onlyWhole` nothing is downloaded and no other is waited for: undefined unless there is a whole copy.
 */
export async function openStored(job: StoreJob, folder: Folder): Promise<ByteStream>;
export async function openStored(
  job: StoreJob,
  folder: Folder,
  onlyWhole: boolean,
): Promise<ByteStream | undefined>;
export async function openStored(
  job: StoreJob,
  folder: Folder,
  onlyWhole = false,
): Promise<ByteStream | undefined> {
  const { file, sha256, signal } = job;
  const key = await keyOf(file.url);
  let isCurrent: boolean | undefined;
  for (const isShared of onlyWhole ? [true] : [true, false]) {
    const lock = await folder.lock(key, { isShared, isPatient: !onlyWhole, signal });
    if (lock === undefined) break;
    try {
      const entry = await Entry.read(folder, key);
      if (entry.journal?.isComplete) {
        const isExpected = sha256 === undefined || (entry.journal.sha256 ?? sha256) === sha256;
        // A hash says more than a server.
        if (sha256 !== undefined && entry.journal.sha256 === sha256) isCurrent = true;
        isCurrent ??= await isStillCurrent(job, entry);
        const stream = isExpected && isCurrent ? await openCopy(job, entry, lock) : undefined;
        if (stream !== undefined) return stream;
        entry.journal = undefined; // begun anew
      }
      if (!isShared) return await Download.open(job, entry, lock);
    } catch (error) {
      await lock.release();
      throw error;
    }
    await lock.release();
  }
  return undefined;
}

/** Asks the server for one byte. Only another version in its answer makes the copy old. */
async function isStillCurrent({ file, signal }: StoreJob, { journal }: Entry): Promise<boolean> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort();
  const timer = setTimeout(onAbort, CURRENT_MS);
  signal.addEventListener('abort', onAbort);
  try {
    const response = await request(file, stop.signal, [['range', 'bytes=0-0']], { cache: 'no-store' });
    void response.body?.cancel().catch(() => {});
    if (!response.ok || /^text\/html\b/i.test(response.headers.get('content-type') ?? '')) return true;
    const now = versionOf(response);
    return (
      isSame(journal!, now) ||
      changeOf(journal!, {
        totalBytes: now.totalBytes,
        etag: now.etag ?? journal!.etag,
        modified: now.modified ?? journal!.modified,
      }) === undefined
    );
  } catch {
    return true;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    signal.throwIfAborted();
  }
}

export async function describeEntry(folder: Folder, url: string): Promise<CachedModel> {
  return (await Entry.read(folder, await keyOf(url))).describe();
}

export async function listEntries(folder: Folder): Promise<CachedModel[]> {
  const models = await Promise.all((await Entry.all(folder)).map((entry) => entry.describe()));
  return models.sort((one, other) => other.usedAt.getTime() - one.usedAt.getTime());
}

/** Removes what is stored of a URL. Resolves to whether there was anything. Throws `busy` for one in use. */
export async function deleteEntry(folder: Folder, url: string): Promise<boolean> {
  const key = await keyOf(url);
  const lock = await folder.lock(key, { isPatient: false });
  if (lock === undefined) {
    throw new ChordError('busy', `${url} is being downloaded or loaded`, {
      hint: 'wait for the load to end, or abort it',
    });
  }
  try {
    const entry = await Entry.read(folder, key);
    const isThere = entry.journal !== undefined;
    await entry.drop();
    return isThere;
  } finally {
    await lock.release();
  }
}
