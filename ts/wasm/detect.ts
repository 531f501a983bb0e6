// SPDX-License-Identifier: Apache-2.0
// Detects features of the JavaScript engine by trying them, never by the engine's name. This file imports
// nothing, and every room may use it.

/**
 * Whether WebAssembly validates a module whose one function () -> () has the body `code`. `before`: sections
 * to put before the code section.
 */
function validates(code: readonly number[], before: readonly number[] = []): boolean {
  const body = [0, ...code, 0x0b];
  // prettier-ignore
  const module = [
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // magic, version
    1, 4, 1, 0x60, 0, 0, // type () -> ()
    3, 2, 1, 0, // one function
    ...before,
    10, body.length + 2, 1, body.length, ...body,
  ];
  return typeof WebAssembly === 'object' && WebAssembly.validate(new Uint8Array(module));
}

const splat = [0x41, 0, 0xfd, 0x0f]; // i32.const 0; i8x16.splat
export const hasSimd = (): boolean => validates([...splat, 0x1a]);
/** Tries i32x4.relaxed_dot_i8x16_i7x16_add_s over three splats. */
export const hasRelaxedSimd = (): boolean =>
  validates([...splat, ...splat, ...splat, 0xfd, 0x93, 2, 0x1a]) && addsRelaxedDots();

/**
 * Whether the relaxed dot product adds its third operand. Validation can't tell: the baseline compiler of
 * Node 20's V8 (--experimental-wasm-relaxed-simd) adds the dot product to itself instead. The correct result
 * is 4 x 3 x 5 + 7 = 67. That compiler returns 120.
 */
function addsRelaxedDots(): boolean {
  // Splats of the three arguments: i8x16, i8x16, i32x4.
  const splats = [0, 1, 2].flatMap((local) => [0x20, local, 0xfd, local < 2 ? 0x0f : 0x11]);
  const body = [0, ...splats, 0xfd, 0x93, 2, 0xfd, 0x1b, 0, 0x0b]; // the dot; i32x4.extract_lane 0
  // prettier-ignore
  const bytes = [
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    1, 8, 1, 0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f, // type (i32, i32, i32) -> i32
    3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 0, // one function, exported as f
    10, body.length + 2, 1, body.length, ...body,
  ];
  try {
    const { f } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports;
    return (f as (a: number, b: number, sum: number) => number)(3, 5, 7) === 67;
  } catch {
    return false;
  }
}

/** Tries a memory with 64-bit addresses (flag 4) and a minimum of one wasm page. */
export const hasMemory64 = (): boolean => validates([], [5, 3, 1, 4, 1]);

/** The variants that the package contains. */
export type Variant = 'wasm32-simd' | 'wasm32-relaxed';

/** Returns the fastest variant that this JavaScript engine can run, and the reason for the choice. */
export function chooseVariant(): { variant: Variant; reason: string } {
  if (hasRelaxedSimd())
    return { variant: 'wasm32-relaxed', reason: 'this JavaScript engine has relaxed SIMD' };
  return {
    variant: 'wasm32-simd',
    reason: 'this JavaScript engine has no relaxed SIMD, or computes it wrongly',
  };
}

/**
 * Whether a shared memory can be posted to a worker. Pages without COOP/COEP refuse it. WebKitGTK refuses it
 * too, although its `crossOriginIsolated` is true.
 */
export function canPostSharedMemory(): boolean {
  let ports: MessageChannel | undefined;
  try {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    ports = new MessageChannel();
    ports.port1.postMessage(memory);
    return true;
  } catch {
    return false;
  } finally {
    ports?.port1.close();
    ports?.port2.close();
  }
}
