// SPDX-License-Identifier: Apache-2.0
// Imports webgpu.js, in a worker or in the caller's thread, and chooses the backend. Only types of this room
// are here: its code would otherwise be in every page.
import { ChordError, messageOf } from '../errors.js';
import { answered, importAt, isNode } from '../platform.js';
import { findGpu, hasOwnGpu } from './detect.js';
import type { OpenDevice } from './device.js';
import { place } from './place.js';

export type GpuModule = typeof import('./index.js');

export interface GpuRequest {
  readonly backend: 'auto' | 'cpu' | 'webgpu';
  /** Flags for Dawn. */
  readonly gpu: readonly string[] | undefined;
  /** Address of webgpu.js: the caller's, or gpuScript() of files.ts. Undefined in a build without it. */
  readonly webgpuUrl: string | undefined;
}

export interface OpenGpu {
  readonly module: GpuModule;
  readonly opened: OpenDevice;
}

/** `reason` says why, for people: it begins with the backend. */
export interface ChosenBackend {
  readonly gpu: OpenGpu | undefined;
  readonly reason: string;
}

/** The build without webgpu.js. */
const without = (): ChordError =>
  new ChordError('no-webgpu', 'this build of the package has no WebGPU backend', {
    hint: "backend: 'auto' or 'cpu' uses the CPU",
  });

let imported: GpuModule | undefined;

/** Destroys the devices of this thread, also later ones: what is under way on them fails at once. */
export const endGpu = (): void => imported?.end();

/** Resolves when a GPU of this thread owes no answer: before that, Node's GPU bears no end of its thread. */
export const gpuIsQuiet = async (): Promise<void> => {
  if (isNode) await imported?.allAnswered();
};

/** Imports the WebGPU backend. Throws `no-webgpu` without an address, and `io`, which names the address. */
export async function importGpu(url: string | undefined): Promise<GpuModule> {
  if (url === undefined) throw without();
  try {
    const module = (await importAt(url)) as GpuModule;
    return (imported =
      'openDevice' in module ? module : (globalThis as unknown as { [place]: GpuModule })[place]);
  } catch (cause) {
    const from = /^(data|blob):/.test(url) ? '' : ` from ${url}`;
    throw new ChordError('io', `the WebGPU backend can't be loaded${from}: ${messageOf(cause)}`, {
      cause,
      hint: "webgpu.js must be beside the package's JavaScript, or name webgpuUrl, or import from wasm-chord/inline",
    });
  }
}

/** Throws `no-webgpu` and `io`. The caller destroys the device. */
export async function openGpu({ gpu, webgpuUrl }: Omit<GpuRequest, 'backend'>): Promise<OpenGpu> {
  if (webgpuUrl === undefined) throw without();
  const found = await findGpu(gpu);
  const module = await importGpu(webgpuUrl);
  try {
    return { module, opened: await module.openDevice(found) };
  } catch (cause) {
    if (ChordError.isInstance(cause)) throw cause;
    // Dawn throws where a flag names no adapter.
    const why = messageOf(cause).replace(/\s*\n\s*/g, '; ');
    const hint = gpu && `the flags are ${gpu.join(' ')}`;
    throw new ChordError('no-webgpu', `WebGPU has no adapter: ${why}`, { cause, hint });
  }
}

/**
 * Opens a GPU if `backend` says so. 'auto' takes a browser's, unless a program plays the adapter: the CPU is
 * faster then. Throws only for 'webgpu', as openGpu().
 */
export async function chooseBackend(request: GpuRequest): Promise<ChosenBackend> {
  if (request.backend === 'cpu') return { gpu: undefined, reason: 'the CPU, as asked' };
  const isAsked = request.backend === 'webgpu';
  try {
    const obstacle = isAsked ? undefined : await whyNotAuto(request);
    if (obstacle !== undefined) return { gpu: undefined, reason: `the CPU: ${obstacle}` };
    const gpu = await openGpu(request);
    return { gpu, reason: `WebGPU${isAsked ? ', as asked' : ''}: ${gpu.opened.adapter}` };
  } catch (error) {
    if (isAsked) throw error;
    return { gpu: undefined, reason: `the CPU: ${messageOf(error)}` };
  }
}

/** Why 'auto' is the CPU here; undefined: a GPU may be used. */
async function whyNotAuto({ gpu, webgpuUrl }: GpuRequest): Promise<string | undefined> {
  if (!hasOwnGpu())
    return isNode ? "outside a browser only backend: 'webgpu' uses a GPU" : 'this browser has no WebGPU here';
  if (webgpuUrl === undefined) return without().message;
  const found = await findGpu(gpu);
  const adapter = await answered(found.requestAdapter());
  if (!adapter) return adapter === null ? 'WebGPU has no adapter on this machine' : "WebGPU doesn't answer";
  const { info } = adapter as { info: GPUAdapterInfo & { isFallbackAdapter?: boolean } };
  const isProgram =
    (info.isFallbackAdapter ?? (adapter as { isFallbackAdapter?: boolean }).isFallbackAdapter) === true ||
    /swiftshader|llvmpipe|basic render/i.test(`${info.architecture} ${info.description}`);
  return isProgram ? 'the WebGPU adapter is no GPU, but a program' : undefined;
}
