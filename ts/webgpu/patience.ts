// SPDX-License-Identifier: Apache-2.0
import { ChordError } from '../errors.js';

/**
 * Milliseconds after which a GPU that doesn't answer is given up. The longest honest answer is a slice of a
 * prompt on a software adapter of a busy machine, which takes seconds. Systems reset a GPU that hangs after 2
 * to 10 s, and then the device is lost; some never do.
 */
export const PATIENCE_MS = 120_000;

/**
 * Firefox (153) looks for a GPU's answers at each submit, and else every 100 ms: ten waits a second. Empty
 * submits bring an answer within 1 to 5 ms.
 */
const isFirefox = /Firefox\//.test(
  (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent ?? '',
);

/** Of a driver's message, which may go on with places in its own code. */
export const firstLine = (message: string): string => message.split('\n')[0]!;

/** Resolves as `promise`, which the GPU's answer settles. */
export async function answered<T>(device: GPUDevice, promise: Promise<T>): Promise<T> {
  const nudging = isFirefox ? setInterval(() => device.queue.submit([]), 1) : undefined;
  try {
    return await promise;
  } finally {
    clearInterval(nudging);
  }
}

/** Resolves as `answered` does. Throws `device-lost` when the promise doesn't settle in time. */
export async function within<T>(ms: number, device: GPUDevice, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new ChordError('device-lost', `the GPU has not answered for ${ms / 1000} s`)),
      ms,
    );
  });
  try {
    return await answered(device, Promise.race([promise, late]));
  } finally {
    clearTimeout(timer);
  }
}
