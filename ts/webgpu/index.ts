// SPDX-License-Identifier: Apache-2.0
// What webgpu.js exports, the WebGPU backend: one file, which imports nothing and is loaded where a model
// goes onto a GPU. entry.ts is its entry, chunk.ts imports it.
export { allAnswered, end } from './asked.js';
export { openDevice } from './device.js';
export type { DeviceOptions, OpenDevice } from './device.js';
export { GpuExecutor } from './executor.js';
export type { ExecutorParts } from './executor.js';
export { gpuMemoryOf } from './needs.js';
export { Pipelines } from './pipelines.js';
export { SelfTest } from './self-test.js';
export { Uploader, weightsOf } from './upload.js';
export { GpuStart, whyCpu } from './start.js';
export { GpuLoad, startAgain } from './load.js';
export { readOps, readProgram } from './program.js';
