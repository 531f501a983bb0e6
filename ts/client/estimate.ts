// SPDX-License-Identifier: Apache-2.0
import { ChordError, quiet } from '../errors.js';
import type { ModelSource } from '../load/source.js';
import type { ModelEstimate } from '../worker/protocol.js';
import { openInWorker } from './load-model.js';
import { checkLoadOptions } from './options.js';
import type { LoadModelOptions } from './options.js';

/**
 * Says from a model's header what `loadModel` would need and choose with the same options: bytes by use,
 * whether it fits on this device and why, the largest context that fits, the variant, threads and backend. No
 * weights are read: a download stops behind the header, which holds the vocabulary and has up to a few MB.
 *
 * A URL, path, Blob or bytes can be loaded afterwards. A Response and a ReadableStream are used up. A whole
 * copy in the cache is read; nothing is written to the cache.
 *
 * @throws {ChordError} The errors of `loadModel` for a source that can't be read, a header that is damaged
 *   and a model that this version doesn't know. A model that doesn't fit isn't an error: see `fits`.
 * @throws The signal's `reason` when it aborts.
 */
export function estimateModel(source: ModelSource, options: LoadModelOptions = {}): Promise<ModelEstimate> {
  return quiet(estimate(source, options));
}

async function estimate(source: ModelSource, options: LoadModelOptions): Promise<ModelEstimate> {
  const checked = checkLoadOptions(options, 'estimateModel');
  const { connection, value } = await openInWorker('estimate', source, checked);
  await connection.giveUp(new ChordError('disposed', 'the estimate has ended'));
  return value;
}
