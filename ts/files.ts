// SPDX-License-Identifier: Apache-2.0
// The package's other files: worker.js, thread.js, webgpu.js, paging.js and the wasm modules. Each is beside
// the package's JavaScript, or at an address that the caller names, or (`wasm-chord/inline`) inside the
// JavaScript itself.
import { reading, wrong } from './check.js';
import { besideThis, isNode, isPrebundled, workingDirectory } from './platform.js';
import type { Variant } from './wasm/detect.js';

export type ScriptName = 'worker.js' | 'thread.js' | 'webgpu.js' | 'paging.js';

/** Whether this build has the WebGPU backend. tools/build.mjs defines it. */
declare const WEBGPU: boolean;
export const hasWebgpu: boolean = WEBGPU;

/** Holds the files inside the JavaScript. */
export interface InlineFiles {
  script(name: ScriptName): Promise<string>;
  module(variant: Variant): Promise<Uint8Array<ArrayBuffer>>;
}

let inline: InlineFiles | undefined;
const addresses = new Map<ScriptName, Promise<string>>();

/** Called once, by inline.ts, before anything is loaded. */
export function useInlineFiles(files: InlineFiles): void {
  inline = files;
}

/** Whether the package holds its files inside. */
export const isInline = (): boolean => inline !== undefined;

/** The module's bytes if the package holds them inside; otherwise undefined. */
export function inlineModule(variant: Variant): Promise<Uint8Array<ArrayBuffer>> | undefined {
  return inline?.module(variant);
}

/**
 * An address of the script if the package holds it inside; otherwise undefined. One address for all loads.
 */
export function inlineScript(name: ScriptName): Promise<string> | undefined {
  const files = inline;
  if (files === undefined) return undefined;
  const address = addresses.get(name) ?? files.script(name).then(addressOf);
  addresses.set(name, address);
  return address;
}

/**
 * Address of the WebGPU backend; undefined in a build without it. Workers import it too, so the address is
 * absolute. The name is a literal: bundlers carry the file along.
 */
export async function gpuScript(): Promise<string | undefined> {
  if (!WEBGPU) return undefined;
  if (isPrebundled) return (await besideThis('webgpu.js')).href;
  return inlineScript('webgpu.js') ?? new URL('./webgpu.js', import.meta.url).href;
}

/** Address of paging.js, as gpuScript(); undefined in a bundle without an address: its worker says why. */
export async function pagingScript(): Promise<string | undefined> {
  if (isPrebundled) return (await besideThis('paging.js')).href;
  const inside = inlineScript('paging.js');
  if (inside !== undefined) return inside;
  try {
    return new URL('./paging.js', import.meta.url).href;
  } catch {
    return undefined;
  }
}

/**
 * Node has no blob: workers, and browsers take no data: module that starts workers of its own. A service
 * worker makes no blob: addresses, and imports nothing: whoever tries there gets its error.
 */
function addressOf(script: string): string {
  if (isNode || typeof URL.createObjectURL !== 'function')
    return `data:text/javascript,${encodeURIComponent(script)}`;
  return URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
}

/**
 * The absolute address that `value` names; undefined for undefined. A relative address starts at the page,
 * and in Node at the working directory. Throws `invalid-argument`, which names `label`.
 */
export function asAddress(label: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' && !(value instanceof URL)) wrong(label, value, 'a string or a URL');
  const base = globalThis.location?.href ?? workingDirectory() ?? import.meta.url;
  return reading(label, () => new URL(value, base).href);
}
