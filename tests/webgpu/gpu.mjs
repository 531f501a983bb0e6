// SPDX-License-Identifier: Apache-2.0
// gpu.mjs: a WebGPU of Node's for the tests: Dawn (npm `webgpu`) on a software adapter. ADAPTER chooses it:
//   swiftshader  (default) Chromium's own, beside its program
//   system       whatever the machine's Vulkan, Metal or D3D12 offers: a real GPU
// Dawn refuses Mesa's lavapipe 22.3 (no shaderUniformArrayDynamicIndexing); Firefox takes it.
// The variable VK_ICD_FILENAMES must be set before the first adapter is asked for, so a process has one.
import { existsSync } from 'node:fs';

export const ADAPTER = process.env.ADAPTER ?? 'swiftshader';
const drivers = {
  swiftshader: [
    '/usr/lib/chromium/vk_swiftshader_icd.json',
    '/usr/lib64/chromium-browser/vk_swiftshader_icd.json',
  ],
  system: [],
};

/** Dawn opens this library; SwiftShader is on Linux only. */
const loaders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'].map(
  (folder) => `${folder}/libvulkan.so.1`,
);

/** Why this machine has no such adapter; '' if it has. */
export function missing(adapter = ADAPTER) {
  if (!(adapter in drivers)) return `no adapter is called ${adapter}`;
  if (adapter === 'system') return '';
  if (!drivers[adapter].some(existsSync)) return 'SwiftShader is missing (Debian: chromium)';
  return loaders.some(existsSync) ? '' : 'the Vulkan loader is missing (Debian: libvulkan1)';
}

/**
 * How far logits of a GPU that rounds no inputs may be from llama.cpp's over the weights in F32, whatever the
 * weights' type: the tolerance of files in F32. A file's own tolerance is for inputs of 8 bits.
 */
export const FLOAT_NMSE = 1e-5;

/**
 * SwiftShader compiles the zeros that WebGPU puts into workgroup memory one by one, which takes seconds.
 * Kernels write that memory before they read it, so tests do without the zeros.
 */
const QUICK = ['enable-dawn-features=disable_workgroup_init'];
/** GPUs that are open: Dawn ends, in the middle of its threads' work, when a GPU is collected. */
const kept = [];

/** Makes this process and its workers use ADAPTER's driver. */
export function useDriver() {
  const driver = drivers[ADAPTER].find(existsSync);
  if (driver !== undefined) process.env.VK_ICD_FILENAMES = driver;
}

/** Resolves to a GPU, as navigator.gpu. `flags`: Dawn's, such as 'disable-dawn-features=...'. */
export async function openGpu(flags = []) {
  useDriver();
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  kept.push(create([...QUICK, ...flags]));
  return kept.at(-1);
}
