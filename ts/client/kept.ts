// SPDX-License-Identifier: Apache-2.0
// Files that the cache keeps, found by what a caller names.
import type { HttpFile } from '../load/http.js';
import { shardsOf } from '../load/shards.js';
import { sortSource } from '../load/source.js';
import type { ModelSource } from '../load/source.js';
import type { CacheChoice, CachedModel, Folder } from '../store/cache.js';
import { checkHttp } from './options.js';

/** Not part of the first load: in a page the engine worker reads and writes the cache. */
export const store = (): Promise<typeof import('../store/list.js')> => import('../store/list.js');

/** The URLs of a source. Those of hf: are found by name: no hub is asked, and any endpoint fits. */
export async function urlsOf(source: ModelSource, folder: Folder): Promise<string[]> {
  if (typeof source === 'string' && /^hf:/i.test(source))
    return (await named(source, await (await store()).listEntries(folder))).map((entry) => entry.source);
  const { remote } = await sortSource(source, checkHttp({}));
  const files = remote.kind === 'files' ? remote.files : [remote];
  return files.flatMap((file) => (file.kind === 'url' ? [file.file.url] : []));
}

/** The whole copies of the model that an address hf: means, in order; undefined unless all are there. */
export async function keptFiles(address: string, cache: CacheChoice): Promise<HttpFile[] | undefined> {
  const { listEntries, openFolder } = await store();
  const folder = await openFolder(cache);
  if (folder === undefined) return undefined;
  const whole = (await listEntries(folder)).filter(({ isComplete }) => isComplete);
  const files = (await named(address, whole)).map(({ source: url, name }) => ({ url, name }));
  return files.length > 0 && shardsOf(files[0]!.name).length === files.length ? files : undefined;
}

async function named(address: string, entries: readonly CachedModel[]): Promise<CachedModel[]> {
  const { hubNames } = await import('../load/hub.js');
  const names = hubNames(
    address,
    entries.map(({ name }) => name),
  );
  return names.flatMap((name) => entries.filter((entry) => entry.name === name));
}
