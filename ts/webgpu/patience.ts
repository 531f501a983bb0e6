// SPDX-License-Identifier: Apache-2.0
import { ChordError } from '../errors.js';

/**
 * Milliseconds after which a GPU that doesn't answer is given up. The longest honest answer is a slice of a
 * prompt on a software adapter of a busy machine, which takes seconds. Systems reset a GPU that hangs after 2
 * to 10 s, and then the device is lost; some never do.
 */
export const PATIENCE_MS = 120_000;

/** Resolves as `promise`. Throws `device-lost` when it doesn't settle in time. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new ChordError('device-lost', `the GPU has not answered for ${ms / 1000} s`)),
      ms,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
