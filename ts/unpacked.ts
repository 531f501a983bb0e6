// SPDX-License-Identifier: Apache-2.0
// The package's wasm modules hold the real ones, compressed (src/host/wasm/unpack.c). This file imports
// nothing.

/** The module that is packed inside `module`, or `module` itself. */
export async function unpacked(module: WebAssembly.Module): Promise<WebAssembly.Module> {
  if (!WebAssembly.Module.exports(module).some(({ name }) => name === 'unpack')) return module;
  const { exports } = await WebAssembly.instantiate(module);
  const { memory, unpack } = exports as unknown as { memory: WebAssembly.Memory; unpack(): number };
  return WebAssembly.compile(new Uint8Array(memory.buffer, 0, unpack()));
}
