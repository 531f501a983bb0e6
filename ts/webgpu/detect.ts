// SPDX-License-Identifier: Apache-2.0
// Finds the machine's WebGPU: navigator.gpu in browsers, also in their workers; in Node the optional package
// `webgpu`, which is Dawn. An object GPU proves no adapter: device.ts asks for one.
import { ChordError, messageOf } from '../errors.js';
import { importAt, importNode, isNode, workingDirectory } from '../platform.js';

/** The package `webgpu`. */
interface Dawn {
  create(flags: string[]): GPU;
}

/** Dawn ends with its object, so this keeps one for each list of flags. Its threads hold no process. */
const made = new Map<string, Promise<GPU>>();

/** The browser's own, or Node's once it has one. */
const ownGpu = (): GPU | undefined => (globalThis.navigator as { gpu?: GPU } | undefined)?.gpu;

/** Whether this is a browser with WebGPU: a GPU is used there without being asked for. */
export const hasOwnGpu = (): boolean => !isNode && ownGpu() !== undefined;

/**
 * Resolves to the machine's WebGPU. `flags` are for Dawn, such as 'backend=vulkan'; a browser needs none.
 * Throws `no-webgpu`, which says what to install, and where the browser hides WebGPU.
 */
export async function findGpu(flags: readonly string[] = []): Promise<GPU> {
  const own = ownGpu();
  if (own !== undefined) return own;
  if (!isNode)
    throw new ChordError('no-webgpu', 'this browser has no WebGPU here', {
      hint:
        globalThis.isSecureContext === false
          ? 'a page has WebGPU only at https: or on localhost'
          : 'a newer browser may have it, or it is off in the settings',
    });
  const key = JSON.stringify(flags);
  const gpu = made.get(key) ?? createGpu(flags);
  made.set(key, gpu);
  gpu.catch(() => made.delete(key)); // the package may be installed later
  return gpu;
}

async function createGpu(flags: readonly string[]): Promise<GPU> {
  let dawn: Dawn;
  try {
    dawn = await importDawn();
  } catch (cause) {
    const isMissing = /MODULE_NOT_FOUND|UNSUPPORTED_RESOLVE/.test(String((cause as { code?: unknown }).code));
    throw new ChordError(
      'no-webgpu',
      isMissing ? 'Node has no WebGPU of its own' : `the package webgpu doesn't load: ${messageOf(cause)}`,
      { cause, hint: isMissing ? 'npm install webgpu, which is Dawn for Node' : undefined },
    );
  }
  try {
    return dawn.create([...flags]);
  } catch (cause) {
    throw new ChordError('no-webgpu', `Dawn can't start: ${messageOf(cause)}`, {
      cause,
      hint: flags.length > 0 ? `its flags are ${flags.join(' ')}` : undefined,
    });
  }
}

/** From the package's own place, or from the program's, where the package is inside another file. */
async function importDawn(): Promise<Dawn> {
  try {
    return (await importAt('webgpu')) as Dawn;
  } catch (cause) {
    const { createRequire } = (await importNode('module')) as typeof import('node:module');
    const { pathToFileURL } = (await importNode('url')) as typeof import('node:url');
    let file: string;
    try {
      file = createRequire(`${workingDirectory()}main.js`).resolve('webgpu');
    } catch {
      throw cause;
    }
    return (await importAt(pathToFileURL(file).href)) as Dawn;
  }
}
