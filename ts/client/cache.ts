// SPDX-License-Identifier: Apache-2.0
// The cache of model files, for callers: download, list, delete, sizes.
import { refuse } from '../check.js';
import { ChordError, quiet } from '../errors.js';
import type { ModelSource } from '../load/source.js';
import { isNode } from '../platform.js';
import type { CachedModel, Folder } from '../store/cache.js';
import { store, urlsOf } from './kept.js';
import { openInWorker } from './load-model.js';
import { checkCacheOptions, checkLoadOptions } from './options.js';
import type { CacheOptions, DownloadModelOptions } from './options.js';

/** How much is kept, and how much may be. */
export interface CacheUsage {
  /** Bytes of model files in the cache. */
  readonly bytes: number;
  /** Bytes that may be kept in all; undefined where nothing says so. */
  readonly quota: number | undefined;
  /** Whether the files stay when the disk runs full. A browser may delete them otherwise. */
  readonly persisted: boolean;
}

/**
 * Downloads a model into the cache without loading it. Continues an earlier download; resolves at once for a
 * file that is there and current. The answer of an aborted call comes when everything that came is kept.
 *
 * @param source An http(s) URL.
 * @throws {ChordError} as `loadModel`; `quota` when there is no room.
 * @throws The signal's `reason` when it aborts.
 */
export function downloadModel(source: ModelSource, options: DownloadModelOptions = {}): Promise<CachedModel> {
  return quiet(download(source, options));
}

async function download(source: ModelSource, options: DownloadModelOptions): Promise<CachedModel> {
  const checked = checkLoadOptions(options, 'downloadModel');
  const { connection, value } = await openInWorker('download', source, checked);
  await connection.giveUp(new ChordError('disposed', 'the download has ended'));
  return value;
}

/** The models in the cache, whole or in part, the one used last first. */
export async function listModels(options: CacheOptions = {}): Promise<CachedModel[]> {
  const folder = await openPlace(options, 'listModels');
  return folder === undefined ? [] : (await store()).listEntries(folder);
}

/**
 * Deletes a model from the cache. Resolves to whether anything of it was there.
 *
 * @param source What was loaded, or `source` of an entry of `listModels`.
 * @throws {ChordError} `busy`: while it is downloaded or loaded, or, in a browser, paged.
 */
export async function deleteModel(source: ModelSource, options: CacheOptions = {}): Promise<boolean> {
  const folder = await openPlace(options, 'deleteModel');
  if (folder === undefined) return false;
  const { deleteEntry } = await store();
  let isDeleted = false;
  for (const url of await urlsOf(source, folder)) isDeleted = (await deleteEntry(folder, url)) || isDeleted;
  return isDeleted;
}

/** The size of the cache. The figures of a browser are estimates, and `quota` is for the whole origin. */
export async function cacheUsage(options: CacheOptions = {}): Promise<CacheUsage> {
  const folder = await openPlace(options, 'cacheUsage');
  if (folder === undefined) return { bytes: 0, quota: 0, persisted: false };
  const models = await (await store()).listEntries(folder);
  const { quota, persisted } = await folder.space();
  return { bytes: models.reduce((sum, { bytes }) => sum + bytes, 0), quota, persisted };
}

/**
 * Asks the browser not to delete this origin's files when the disk runs full. Resolves to whether it won't.
 * Browsers may ask the user. In Node nothing deletes them.
 */
export async function persistCache(): Promise<boolean> {
  return isNode || ((await navigator.storage?.persist?.()) ?? false);
}

async function openPlace(options: CacheOptions, what: string): Promise<Folder | undefined> {
  const { cache } = checkCacheOptions(options, what);
  if (cache === 'none') refuse(`${what} has no cache to look at with cache: 'none'`);
  return (await store()).openFolder(cache);
}
