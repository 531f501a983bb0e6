// SPDX-License-Identifier: Apache-2.0
// capped-worker.mjs: the package's engine worker in an engine that grants less memory. globalThis.limits says
// how much: no memory can be made with more than `maximum` bytes, none grows beyond `granted` bytes.
const limit = (name) => globalThis.limits[name] ?? Infinity;
const { Memory } = WebAssembly;
WebAssembly.Memory = function (descriptor) {
  if (Number(descriptor.maximum) * 65536 > limit('maximum'))
    throw new RangeError('WebAssembly.Memory(): could not allocate memory');
  const memory = new Memory(descriptor);
  const grow = memory.grow.bind(memory);
  memory.grow = (pages) => {
    if (memory.buffer.byteLength + Number(pages) * 65536 > limit('granted'))
      throw new RangeError('WebAssembly.Memory.grow(): Unable to grow instance memory');
    return grow(pages);
  };
  return memory;
};
await import('../../dist/worker.js');
