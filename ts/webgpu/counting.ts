// SPDX-License-Identifier: Apache-2.0
// Bytes of buffers.

/** A device whose buffers have a size and nothing else. */
export const counting = {
  createBuffer: ({ size }: GPUBufferDescriptor) => ({ size, destroy() {} }),
} as unknown as GPUDevice;

export const bytesOf = (buffers: Iterable<GPUBuffer>): number =>
  [...buffers].reduce((sum, { size }) => sum + size, 0);
