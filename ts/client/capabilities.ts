// SPDX-License-Identifier: Apache-2.0
import { answered, hardwareThreads } from '../platform.js';
import { chooseVariant, hasMemory64, hasRelaxedSimd, hasSimd, whyNotShared } from '../wasm/detect.js';

export interface Capabilities {
  readonly simd: boolean;
  readonly relaxedSimd: boolean;
  /**
   * Maximum number of threads that a model can have here; 1 where shared memory can't be posted to a worker.
   */
  readonly threads: number;
  readonly memory64: boolean;
  /** The adapter of `navigator.gpu`, or null. In Node a model uses the package `webgpu` instead. */
  readonly webgpu: {
    readonly adapter: string;
    readonly f16: boolean;
    readonly subgroups: boolean;
    readonly limits: Readonly<Record<string, number>>;
  } | null;
  readonly crossOriginIsolated: boolean;
  /** Whether files can be kept in the origin's private file system. */
  readonly opfs: boolean;
  /** The WebAssembly variant that `loadModel` would run, as in `model.info`. */
  readonly variant: string;
}

/**
 * Resolves to the capabilities of this browser or Node and of this machine. Each field is found by
 * trying; what isn't answered in three seconds isn't there. Never rejects.
 */
export async function capabilities(): Promise<Capabilities> {
  return {
    simd: hasSimd(),
    relaxedSimd: hasRelaxedSimd(),
    threads: whyNotShared() === undefined ? await hardwareThreads() : 1,
    memory64: hasMemory64(),
    webgpu: (await answered(findAdapter())) ?? null,
    crossOriginIsolated: globalThis.crossOriginIsolated === true,
    opfs: (await answered(hasOpfs())) === true,
    variant: chooseVariant().label,
  };
}

/** The part of WebGPU's types that is used here. A project's `lib` may lack WebGPU's own types. */
interface Adapter {
  readonly info?: { readonly vendor?: string; readonly architecture?: string; readonly description?: string };
  readonly features: { has(name: string): boolean };
  readonly limits: object;
}

async function findAdapter(): Promise<Capabilities['webgpu']> {
  const gpu = (globalThis.navigator as { gpu?: { requestAdapter(): Promise<Adapter | null> } } | undefined)
    ?.gpu;
  const adapter = await gpu?.requestAdapter();
  if (adapter === undefined || adapter === null) return null;
  const { vendor, architecture, description } = adapter.info ?? {};
  const limits: Record<string, number> = {};
  for (const name of [
    'maxBufferSize',
    'maxStorageBufferBindingSize',
    'maxComputeInvocationsPerWorkgroup',
    'maxComputeWorkgroupStorageSize',
  ]) {
    const limit = (adapter.limits as Record<string, unknown>)[name];
    if (typeof limit === 'number') limits[name] = limit;
  }
  return {
    adapter: [description, vendor, architecture].filter((part) => part).join(' ') || 'unnamed',
    f16: adapter.features.has('shader-f16'),
    subgroups: adapter.features.has('subgroups'),
    limits,
  };
}

const hasOpfs = async (): Promise<boolean> =>
  (await globalThis.navigator.storage.getDirectory()) !== undefined;
