// SPDX-License-Identifier: Apache-2.0
// watched-webgpu.mjs: webgpu.js, whose devices are in the list globalThis.devices.
import { openDevice as open } from '../../dist/webgpu.js';

export * from '../../dist/webgpu.js';

export async function openDevice(...request) {
  const opened = await open(...request);
  (globalThis.devices ??= []).push(opened.device);
  return opened;
}
