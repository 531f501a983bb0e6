// SPDX-License-Identifier: Apache-2.0
import { ChordError, quiet } from '../errors.js';
import type { ModelSource } from '../load/source.js';
import type { ModelEstimate, ModelInspection, Results } from '../worker/protocol.js';
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
  return quiet(header('estimate', source, options, 'estimateModel'));
}

/**
 * Reads a model's header: its metadata, tensor types and shapes, special tokens and template. Says with
 * `estimate` what `loadModel` would need and choose with the same options, or with `problem` why it would
 * refuse the file. No weights are read, as in `estimateModel`.
 *
 * @throws {ChordError} The errors of `loadModel` for a source that can't be read and a damaged header.
 * @throws The signal's `reason` when it aborts.
 */
export function inspectModel(source: ModelSource, options: LoadModelOptions = {}): Promise<ModelInspection> {
  return quiet(header('inspect', source, options, 'inspectModel'));
}

/** Runs `op`, which needs the header alone. The worker is gone afterwards. */
async function header<Op extends 'estimate' | 'inspect'>(
  op: Op,
  source: ModelSource,
  options: LoadModelOptions,
  name: NonNullable<Parameters<typeof checkLoadOptions>[1]>,
): Promise<Results[Op]> {
  const { connection, value } = await openInWorker(op, source, checkLoadOptions(options, name));
  await connection.giveUp(new ChordError('disposed', 'the header has been read'));
  return value;
}
