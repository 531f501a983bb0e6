// SPDX-License-Identifier: Apache-2.0
// What webgpu.js exports, the WebGPU backend: one file, which imports nothing and is loaded where a model
// goes onto a GPU. entry.ts is its entry, chunk.ts imports it.
export { openDevice } from './device.js';
export type { DeviceOptions, OpenDevice } from './device.js';
export { GpuExecutor } from './executor.js';
export type { ExecutorParts } from './executor.js';
export { Pipelines } from './pipelines.js';
export { Samples } from './saves.js';
export { SelfTest } from './self-test.js';
export { Uploader, weightsOf } from './upload.js';
export { GpuStart, matrixBytesOf, whyCpu } from './start.js';
export { LastingExecutor } from './lasting.js';
