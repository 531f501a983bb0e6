// SPDX-License-Identifier: Apache-2.0
// gpu.ts: whether an adapter and a device can really be got here. navigator.gpu alone says nothing: it is
// there on machines without any adapter, and an adapter may refuse its device.

interface Gpu {
  requestAdapter(): Promise<{ requestDevice(): Promise<{ destroy(): void }> } | null>;
}

let isAvailable = false;

/** Asks for an adapter and a device, lets the device go, and remembers the answer. Never rejects. */
export async function probeGpu(): Promise<boolean> {
  try {
    const gpu = (globalThis.navigator as { gpu?: Gpu } | undefined)?.gpu;
    const adapter = await gpu?.requestAdapter();
    const device = await adapter?.requestDevice();
    device?.destroy();
    isAvailable = device !== undefined;
  } catch {
    isAvailable = false;
  }
  return isAvailable;
}

/** The last probe's answer; false until one has ended. */
export function isGpuAvailable(): boolean {
  return isAvailable;
}
