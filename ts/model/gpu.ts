// SPDX-License-Identifier: Apache-2.0
// gpu.ts: finds out whether this machine grants a WebGPU adapter and a device. The presence of navigator.gpu
// proves neither: it exists on machines without an adapter, and an adapter may refuse its device.

import { answered } from '../platform.js';

interface Gpu {
  requestAdapter(): Promise<{ requestDevice(): Promise<{ destroy(): void }> } | null>;
}

let isAvailable = false;

/**
 * Requests an adapter and a device, destroys the device, and stores whether it got one within three seconds.
 * Never rejects.
 */
export async function probeGpu(): Promise<boolean> {
  return (isAvailable = (await answered(obtain())) === true);
}

async function obtain(): Promise<boolean> {
  const gpu = (globalThis.navigator as { gpu?: Gpu } | undefined)?.gpu;
  const adapter = await gpu?.requestAdapter();
  const device = await adapter?.requestDevice();
  device?.destroy();
  return device !== undefined;
}

/** The result of the last probe; false until a probe has ended. */
export function isGpuAvailable(): boolean {
  return isAvailable;
}
