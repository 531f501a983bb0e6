// SPDX-License-Identifier: Apache-2.0
// Files that a paged model reads at any byte after it was loaded. Of a URL that is the whole copy in the
// cache. A server isn't asked for ranges instead: each token would download the paged layers again.
import { ChordError } from '../errors.js';
import { fileName, opensAgain } from '../load/remote.js';
import type { RemoteFile } from '../load/remote.js';
import type { RandomSource } from '../paging/reader.js';
import { openFolder } from './cache.js';
import type { CacheChoice } from './cache.js';
import { Entry, keyOf } from './entry.js';
import { storeError } from './errors.js';

const isHttp = (url: string): boolean => /^https?:/i.test(url);

/** Why a file can't be read at any byte when it was loaded; undefined: it can. */
export async function whyNotAtRandom(
  file: RemoteFile,
  cache: CacheChoice = 'none',
): Promise<string | undefined> {
  const name = fileName(file);
  if (file.kind === 'blob') return undefined;
  if (file.kind === 'path') return (await opensAgain(file)) ? undefined : `${name} is no regular file`;
  if (file.kind === 'pushed' && file.isSeekable && file.totalBytes !== undefined) return undefined;
  if (file.kind === 'pushed' || !isHttp(file.file.url)) return `${name} can be read only once, in order`;
  if (cache === 'none') return `${name} isn't kept with cache: 'none'; turn the cache on`;
  const folder = await openFolder(cache, false).catch(() => undefined);
  if (folder === undefined) return 'there is no place for a cache here';
  return folder.file === undefined ? `${folder.name} can only be read in order` : undefined;
}

/**
 * A file that has been loaded. Throws `io` for a copy that isn't whole, for example because it was deleted.
 */
export async function atRandom(file: RemoteFile, cache: CacheChoice = 'none'): Promise<RandomSource> {
  const name = fileName(file);
  if (file.kind === 'path') return { ...file, name };
  if (file.kind === 'blob') return file;
  const folder = file.kind === 'url' && isHttp(file.file.url) ? await openFolder(cache) : undefined;
  if (file.kind !== 'url' || folder?.file === undefined)
    throw new ChordError('internal', `${name} can't be read at any byte`);
  try {
    const { whole } = await Entry.read(folder, await keyOf(file.file.url));
    if (whole !== undefined) return { ...(await folder.file(whole)), name };
  } catch (error) {
    throw storeError(error, folder);
  }
  throw new ChordError('io', `${name} isn't kept in ${folder.name}, so a paged model can't read it again`, {
    hint: 'the storage may be full, or the copy deleted; free space and load the model again',
  });
}
