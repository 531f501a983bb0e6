// SPDX-License-Identifier: Apache-2.0
// gpu.ts: finds out whether this machine grants a WebGPU adapter and a device. The presence of navigator.gpu
// proves neither: it exists on machines without an adapter, and an adapter may refuse its device.

import { answered } from '../platform.js';
import { findGpu } from '../webgpu/detect.js';

let isAvailable = false;

/** A model got a device. */
export function foundGpu(): void {
  isAvailable = true;
}

/**
 * Requests an adapter and a device, destroys the device, and stores whether it got one within three seconds.
 * Never rejects.
 */
export async function probeGpu(): Promise<boolean> {
  return (isAvailable = (await answered(obtain())) === true);
}

async function obtain(): Promise<boolean> {
  const adapter = await (await findGpu()).requestAdapter();
  const device = await adapter?.requestDevice();
  device?.destroy();
  return device !== undefined;
}

/** The result of the last probe; false until a probe has ended. */
export function isGpuAvailable(): boolean {
  return isAvailable;
}
