// SPDX-License-Identifier: Apache-2.0
import { ChordError, messageOf } from '../errors.js';
import type { Folder } from './folder.js';

const FULL = new Set<unknown>(['QuotaExceededError', 'ENOSPC', 'EDQUOT']);

export function isFull(cause: unknown): boolean {
  const { name, code } = (cause ?? {}) as { name?: unknown; code?: unknown };
  return FULL.has(name) || FULL.has(code);
}

/** A failure of the place that holds the files: `quota` if it is full, else `io`. */
export function storeError(cause: unknown, { name }: Folder): ChordError {
  if (ChordError.isInstance(cause)) return cause;
  if (isFull(cause))
    return new ChordError('quota', `${name} is full: ${messageOf(cause)}`, {
      cause,
      hint: "free space with listModels() and deleteModel(), or load with cache: 'none'",
    });
  return new ChordError('io', `the cache in ${name} failed: ${messageOf(cause)}`, { cause });
}
