// SPDX-License-Identifier: Apache-2.0
// Where model files are kept, and the ways to open, list and delete them.
import { ChordError, messageOf } from '../errors.js';
import { openCopy } from './copy.js';
import { changeOf, isSame, versionOf } from '../load/span.js';
import { isGguf, limited, request } from '../load/http.js';
import type { ByteStream } from '../load/stream.js';
import { isNode } from '../platform.js';
import { Download } from './download.js';
import type { StoreJob } from './download.js';
import { Entry, keyOf } from './entry.js';
import type { CachedModel } from './entry.js';
import type { Folder } from './folder.js';
import type { Journal } from './journal.js';
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
 * Opens the place that `choice` names. Resolves to undefined for 'none', and where there is no place if it
 * isn't required: for 'auto'. Throws `io` for a place that can't be used, `invalid-argument` for no path.
 */
export async function openFolder(
  choice: CacheChoice,
  isRequired = choice !== 'auto',
): Promise<Folder | undefined> {
  if (choice === 'none') return undefined;
  let what = "the browser's storage";
  try {
    if (typeof choice !== 'string') return new DirectoryFolder(choice, true);
    if (!isNode) return (await privateDirectory()) ?? new CacheFolder(await caches.open('wasm-chord'));
    what = choice === 'auto' ? await NodeFolder.home() : choice;
    return await NodeFolder.open(what);
  } catch (cause) {
    if (!isRequired) return undefined;
    if (ChordError.isInstance(cause)) throw cause;
    throw new ChordError('io', `can't use the cache folder ${what}: ${messageOf(cause)}`, { cause });
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
  let asked: string | undefined;
  for (const isShared of onlyWhole ? [true] : [true, false]) {
    const lock = await folder.lock(key, { isShared, isPatient: !onlyWhole, signal });
    if (lock === undefined) break;
    try {
      const entry = await Entry.read(folder, key);
      const { whole } = entry;
      let isDamaged = false;
      if (whole !== undefined) {
        const isExpected = sha256 === undefined || (whole.sha256 ?? sha256) === sha256;
        // A hash says more than a server.
        if (sha256 !== undefined && whole.sha256 === sha256) isCurrent = true;
        else if (whole.data !== asked) isCurrent = await isStillCurrent(job, whole);
        asked = whole.data;
        const isWanted = isExpected && isCurrent;
        const stream = isWanted ? await openCopy(job, entry, lock) : undefined;
        if (stream !== undefined) return stream;
        isDamaged = isWanted === true;
        if (isDamaged) entry.journal = undefined; // begun anew
      }
      if (!isShared)
        return await Download.open(job, entry, lock).catch((error: unknown) => {
          if (!isDamaged || !ChordError.isInstance(error)) throw error;
          const message = `${error.message}; its copy in ${folder.name} is damaged`;
          throw new ChordError(error.code, message, { cause: error, hint: error.hint });
        });
    } catch (error) {
      await lock.release();
      throw error;
    }
    await lock.release();
  }
  return undefined;
}

/** Asks the server for the first bytes. Only another version of a model in its answer makes the copy old. */
async function isStillCurrent({ file, signal }: StoreJob, before: Journal): Promise<boolean> {
  const limit = limited(signal, CURRENT_MS);
  try {
    const response = await request(file, limit.signal, [['range', 'bytes=0-3']], { cache: 'no-store' });
    const body = response.body!.getReader();
    const { value } = await body.read().catch(() => ({ value: undefined }));
    void body.cancel().catch(() => {});
    // A gateway that wants a login answers in the server's place.
    if (!response.ok || (value?.[3] && !isGguf(value))) return true;
    const now = versionOf(response);
    return (
      isSame(before, now) ||
      changeOf(before, {
        totalBytes: now.totalBytes,
        etag: now.etag ?? before.etag,
        modified: now.modified ?? before.modified,
      }) === undefined
    );
  } catch {
    return true;
  } finally {
    limit.unlink();
    signal.throwIfAborted();
  }
}

export async function describeEntry(folder: Folder, url: string): Promise<CachedModel> {
  return (await Entry.read(folder, await keyOf(url))).describe();
}
