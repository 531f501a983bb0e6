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
  validates([...splat, ...splat, ...splat, 0xfd, 0x93, 2, 0x1a]) && addsRelaxedDots() && dotsPairs();

/**
 * The result of a function (t, t, t) -> t, whose body is `splats` of its arguments and then `code`; undefined
 * if it can't be run. `type`: the number type t.
 */
function run(
  type: number,
  splats: readonly number[],
  code: readonly number[],
  values: readonly [number, number, number],
): number | undefined {
  const body = [0, ...splats.flatMap((splat, local) => [0x20, local, 0xfd, splat]), ...code, 0x0b];
  // prettier-ignore
  const bytes = [
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    1, 8, 1, 0x60, 3, type, type, type, 1, type, // type (t, t, t) -> t
    3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 0, // one function, exported as f
    10, body.length + 2, 1, body.length, ...body,
  ];
  try {
    const { f } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports;
    return (f as (...values: number[]) => number)(...values);
  } catch {
    return undefined;
  }
}

/**
 * Whether the relaxed dot product adds its third operand. Validation can't tell: the baseline compiler of
 * Node 20's V8 (--experimental-wasm-relaxed-simd) adds the dot product to itself instead. The correct result
 * is 4 x 3 x 5 + 7 = 67. That compiler returns 120.
 */
function addsRelaxedDots(): boolean {
  // The dot over splats i8x16, i8x16, i32x4; i32x4.extract_lane 0.
  return run(0x7f, [0x0f, 0x0f, 0x11], [0xfd, 0x93, 2, 0xfd, 0x1b, 0], [3, 5, 7]) === 67;
}

/**
 * Whether i16x8.relaxed_dot_i8x16_i7x16_s is right. On x86 without AVX the baseline compiler of V8 13
 * overwrites an operand before it reads it. The correct result is 7 + 2 x 3 x 5 = 37.
 */
function dotsPairs(): boolean {
  // Splats i16x8, i8x16, i8x16; the dot; i16x8.add; i16x8.extract_lane_s 0.
  return run(0x7f, [0x10, 0x0f, 0x0f], [0xfd, 0x92, 2, 0xfd, 0x8e, 1, 0xfd, 0x18, 0], [7, 3, 5]) === 37;
}

/**
 * Whether f32x4.relaxed_madd rounds once (a fused multiply-add) instead of twice. With x = 1 + 2^-12 the
 * product x * x is 1 + 2^-11 + 2^-24, whose last term is lost where the product is rounded.
 */
function fusesMadd(): boolean {
  const x = 1 + 2 ** -12;
  return run(0x7d, [0x13, 0x13, 0x13], [0xfd, 0x85, 2, 0xfd, 0x1f, 0], [x, x, -1 - 2 ** -11]) === 2 ** -24;
}

/**
 * Tries a shared memory of one wasm page with 64-bit addresses (flags 4, 2 and 1), in a module and from
 * JavaScript: Node 22 validates the module, but its JavaScript makes no such memory.
 */
export function hasMemory64(): boolean {
  if (!validates([], [5, 4, 1, 7, 1, 1])) return false;
  try {
    return typeof (newMemory(true, 1, 1).grow as (pages: unknown) => unknown)(0n) === 'bigint';
  } catch {
    return false;
  }
}

/** A shared memory. `isWide`: with 64-bit addresses, whose sizes are BigInts. */
export function newMemory(isWide: boolean, initial: number, maximum: number): WebAssembly.Memory {
  return new WebAssembly.Memory(
    isWide
      ? ({
          address: 'i64',
          initial: BigInt(initial),
          maximum: BigInt(maximum),
          shared: true,
        } as unknown as WebAssembly.MemoryDescriptor) // TypeScript 5 doesn't know `address`
      : { initial, maximum, shared: true },
  );
}

/** The variants that the package contains. */
export type Variant = 'wasm32-simd' | 'wasm32-relaxed' | 'wasm64-relaxed';

/**
 * Returns the fastest variant that this JavaScript engine can run, and the reason for the choice. `label`:
 * the variant, and how its relaxed operations round here. The kernels use relaxed operations only where one
 * result is allowed, except for the multiply-add, which may be fused. `isWide`: the one with 64-bit
 * addresses, where nothing speaks against it (`whyNotWide` in instantiate.ts).
 */
export function chooseVariant(isWide = false): { variant: Variant; label: string; reason: string } {
  if (isWide || hasRelaxedSimd()) {
    const variant = isWide ? 'wasm64-relaxed' : 'wasm32-relaxed';
    const isFused = fusesMadd();
    const needs = isWide ? 'the model needs more than 4 GiB; ' : '';
    return {
      variant,
      label: isFused ? `${variant}+fma` : variant,
      reason: `${needs}this JavaScript engine has relaxed SIMD${isFused ? ' and fuses its multiply-adds' : ''}`,
    };
  }
  return {
    variant: 'wasm32-simd',
    label: 'wasm32-simd',
    reason: 'this JavaScript engine has no relaxed SIMD, or computes it wrongly',
  };
}

/**
 * Why a shared memory can't be posted to a worker here; undefined where it can. A page without COOP/COEP may
 * not. WebKitGTK can't, although its `crossOriginIsolated` is true.
 */
export function whyNotShared(): string | undefined {
  let ports: MessageChannel | undefined;
  try {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    ports = new MessageChannel();
    ports.port1.postMessage(memory);
    return undefined;
  } catch {
    return globalThis.crossOriginIsolated === false
      ? "the page isn't cross-origin isolated"
      : "this JavaScript engine can't post a shared memory to a worker";
  } finally {
    ports?.port1.close();
    ports?.port2.close();
  }
}
