// SPDX-License-Identifier: Apache-2.0
// A download into the cache without a load.
import { ChordError } from '../errors.js';
import { isGguf } from '../load/http.js';
import { ProgressReporter } from '../load/progress.js';
import type { LoadProgress } from '../load/progress.js';
import { fileName } from '../load/remote.js';
import type { RemoteFile, RemoteSource } from '../load/remote.js';
import { nextTurn } from '../platform.js';
import { describeEntry, openFolder, openStored } from '../store/cache.js';
import type { CachedModel } from '../store/cache.js';
import { storeError } from '../store/errors.js';
import { CONNECTIONS } from '../store/open.js';
import type { KeepOptions } from '../store/open.js';

/** The event loop turns at least once per TURN_BYTES, so that a cancel arrives. */
const TURN_BYTES = 1 << 20;

/**
 * Downloads a model's files to their end, one after the other. Resolves to the first, with the bytes of all.
 * Throws the errors of the source and of the cache, and `invalid-gguf`.
 */
export async function downloadFiles(
  source: RemoteSource,
  options: KeepOptions,
  signal: AbortSignal,
  onProgress: (progress: LoadProgress) => void,
): Promise<CachedModel> {
  if (source.kind !== 'files') return downloadFile(source, options, signal, onProgress);
  const models: CachedModel[] = [];
  let bytes = 0;
  for (const [i, file] of source.files.entries()) {
    const model = await downloadFile(file, options, signal, (report) => {
      const isLast = i === source.files.length - 1;
      if (report.phase === 'compile' ? i === 0 : report.phase !== 'ready' || isLast)
        onProgress({
          ...report,
          file: fileName(source.files[0]!),
          loaded: bytes + report.loaded,
          total: isLast && report.total !== undefined ? bytes + report.total : undefined,
          progress: (i + report.progress) / source.files.length,
          secondsLeft: undefined,
        });
    });
    models.push(model);
    bytes += model.bytes;
  }
  return { ...models[0]!, bytes, totalBytes: bytes };
}

async function downloadFile(
  source: RemoteFile,
  { cache = 'auto', connections = CONNECTIONS, sha256 }: KeepOptions,
  signal: AbortSignal,
  onProgress: (progress: LoadProgress) => void,
): Promise<CachedModel> {
  if (source.kind !== 'url' || !/^https?:/i.test(source.file.url)) {
    throw new ChordError('invalid-argument', 'only a file behind an http(s) URL can be downloaded', {
      hint: 'loadModel takes every kind of source',
    });
  }
  const { file } = source;
  const progress = new ProgressReporter(file.name, onProgress);
  const folder = await openFolder(cache, true);
  if (folder === undefined)
    throw new ChordError('invalid-argument', `downloadModel has no place to keep a file with cache: 'none'`);
  const job = { file, connections, sha256: sha256 ?? file.sha256, isRequired: true, signal };
  const stream = await openStored(job, folder).catch((error: unknown) => {
    signal.throwIfAborted();
    throw storeError(error, folder);
  });
  try {
    progress.total = stream.totalBytes;
    stream.watch?.((loaded) => progress.update(loaded));
    progress.begin(stream.phase);
    let loaded = 0;
    let sinceTurn = 0;
    for (let chunk = await stream.read(); chunk !== undefined; chunk = await stream.read()) {
      if (loaded === 0 && !isGguf(chunk)) {
        stream.drop?.('invalid-gguf');
        throw new ChordError('invalid-gguf', `${file.name} is not a GGUF file`);
      }
      loaded += chunk.byteLength;
      if (stream.watch === undefined) progress.update(loaded);
      if ((sinceTurn += chunk.byteLength) < TURN_BYTES) continue;
      sinceTurn = 0;
      await nextTurn();
      signal.throwIfAborted();
    }
  } finally {
    await stream.close();
  }
  progress.begin('ready');
  return describeEntry(folder, file.url);
}
