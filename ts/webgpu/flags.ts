// SPDX-License-Identifier: Apache-2.0
// WebGPU's flag constants: the specification fixes their values, and Node's module `webgpu` doesn't make them
// global.
export const Usage = {
  mapRead: 1,
  copySource: 4,
  copyTarget: 8,
  uniform: 64,
  storage: 128,
  query: 512,
} as const;
export const MAP_READ = 1;
export const COMPUTE = 4;
