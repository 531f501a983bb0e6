// SPDX-License-Identifier: Apache-2.0
// What is in a cache: listed, and deleted. Not part of the first load.
import { ChordError } from '../errors.js';
import { Entry, keyOf } from './entry.js';
import type { CachedModel } from './entry.js';
import { storeError } from './errors.js';
import type { Folder } from './folder.js';

export { openFolder } from './cache.js';

/** Runs `use`. Throws `io` and `quota` for what the place says. */
async function typed<T>(folder: Folder, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    throw storeError(error, folder);
  }
}

/** Removes what processes left behind when they were killed, too. */
export function listEntries(folder: Folder): Promise<CachedModel[]> {
  return typed(folder, async () => {
    const models: CachedModel[] = [];
    for (const entry of await Entry.all(folder)) {
      if ((await entry.strays()).length > 0) await sweep(entry).catch(() => {});
      if (entry.journal !== undefined) models.push(await entry.describe());
    }
    return models.sort((one, other) => other.usedAt.getTime() - one.usedAt.getTime());
  });
}

/** Removes files that no journal names, unless they are in use. */
async function sweep({ folder, key }: Entry): Promise<void> {
  const lock = await folder.lock(key, { isPatient: false });
  try {
    if (lock !== undefined) await (await Entry.read(folder, key)).tidy();
  } finally {
    await lock?.release();
  }
}

/** Removes what is stored of a URL. Resolves to whether there was anything. Throws `busy` for one in use. */
export function deleteEntry(folder: Folder, url: string): Promise<boolean> {
  return typed(folder, () => remove(folder, url));
}

async function remove(folder: Folder, url: string): Promise<boolean> {
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
  } catch (error) {
    if ((error as Error).name !== 'NoModificationAllowedError') throw error;
    throw new ChordError('busy', `${url} is read by a paged model`, {
      cause: error,
      hint: 'dispose of the model, here or in another tab',
    });
  } finally {
    await lock.release();
  }
}
