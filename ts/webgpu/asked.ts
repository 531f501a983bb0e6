// SPDX-License-Identifier: Apache-2.0
// What the GPU was asked and hasn't answered, and the devices that are open. Dawn, Node's WebGPU, aborts the
// process when its thread ends while it owes an answer. Whoever ends a worker waits for the answers first
// (allAnswered). In the thread of the program, whose end nobody holds up, devices are destroyed: that answers
// everything.
const owed = new Set<Promise<unknown>>();
const devices = new Set<GPUDevice>();
let isEnding = false;
/** A GPU that doesn't answer is waited for no longer. */
const PATIENCE_MS = 10_000;

/** Node's. A browser has none, a page's bundler may have put an empty one there. */
const { process } = globalThis as {
  process?: {
    [name in 'prependOnceListener' | 'removeListener']?: (event: 'exit', listener: () => void) => void;
  } & {
    readonly versions?: { readonly node?: string };
  };
};
/** As platform.ts has it, whose imports of Node's modules would be in webgpu.js. */
export const isNode = typeof process?.versions?.node === 'string';

/** Destroys all devices, and those that open later. */
export function end(): void {
  isEnding = true;
  for (const device of devices) device.destroy();
}

/** Notes a promise that the GPU's answer settles. Every one of them comes here. */
export function asked<T>(promise: Promise<T>): Promise<T> {
  owed.add(promise);
  const answer = (): boolean => owed.delete(promise);
  promise.then(answer, answer);
  return promise;
}

/** Notes a device, until it is destroyed or lost. */
export function opened(device: GPUDevice): void {
  if (devices.size === 0) process?.prependOnceListener?.('exit', end);
  devices.add(device);
  if (isEnding) device.destroy();
  void device.lost.then(() => {
    devices.delete(device);
    if (devices.size === 0) process?.removeListener?.('exit', end);
  });
}

/** Resolves when the GPU owes no answer. What is destroyed asks nothing more, or little. */
export async function allAnswered(): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  const turn = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms));
  do {
    await Promise.race([Promise.allSettled(owed), turn(PATIENCE_MS)]);
    await turn(0); // who waited for an answer may ask again
  } while (owed.size > 0 && performance.now() < end);
}
