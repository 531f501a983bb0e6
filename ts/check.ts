// SPDX-License-Identifier: Apache-2.0
// Checks for values from a caller or a message. A wrong value is an `invalid-argument` error that names it.
// No getter, proxy or false length of a caller's object ends in a TypeError or RangeError. Objects are read
// once: a value can't change between its check and its use.
import { ChordError, messageOf, show } from './errors.js';

export type Fields = { readonly [name: string]: unknown };

export function refuse(message: string, hint?: string): never {
  throw new ChordError('invalid-argument', message, { hint });
}

export function wrong(name: string, value: unknown, wanted: string): never {
  return refuse(`${name} is ${show(value)}, not ${wanted}`);
}

/**
 * Runs `read` over a caller's value. An error of the value's getters and traps becomes an error that names
 * the value.
 */
export function reading<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (ChordError.isInstance(cause)) throw cause;
    throw new ChordError('invalid-argument', `${name} can't be read: ${messageOf(cause)}`, { cause });
  }
}

export const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/**
 * Returns the `known` fields of an options object, inherited fields included. Reads each field once. Refuses
 * other fields unless they are undefined.
 */
export function asOptions(what: string, value: unknown, known: readonly string[]): Fields {
  if (!isObject(value)) refuse(`the options of ${what} are ${show(value)}, not an object`);
  for (const name of reading(what, () => Object.keys(value))) {
    if (known.includes(name) || reading(name, () => value[name]) === undefined) continue;
    refuse(`${what} has no option '${name}'`, `the options are ${known.join(', ')}`);
  }
  return Object.fromEntries(known.map((name) => [name, reading(name, () => value[name])]));
}

export function asNumber(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number' || !(value >= least && value <= most))
    wrong(name, value, `a number from ${least} to ${most}`);
  return value;
}

export function asWhole(name: string, value: unknown, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
    wrong(name, value, `an integer from ${least} to ${most}`);
  }
  return value as number;
}

export function asBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') wrong(name, value, 'true or false');
  return value;
}

export function asString(name: string, value: unknown): string {
  if (typeof value !== 'string') wrong(name, value, 'a string');
  return value;
}

export function asStrings(name: string, value: unknown): readonly string[] {
  if (!Array.isArray(value)) wrong(name, value, 'a list of strings');
  return Array.from(value, (text: unknown) => asString(name, text));
}

export function asOneOf<T extends string>(name: string, value: unknown, known: readonly T[]): T {
  if (!known.includes(value as T)) wrong(name, value, `one of ${known.join(', ')}`);
  return value as T;
}

export const asOptional = <T>(value: unknown, as: (value: unknown) => T): T | undefined =>
  value === undefined ? undefined : as(value);

/** A working signal. An object made from AbortSignal's prototype isn't one. */
export function asSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined;
  try {
    if (
      value instanceof AbortSignal &&
      typeof value.aborted === 'boolean' &&
      typeof value.addEventListener === 'function'
    )
      return value;
  } catch {
    // Only real signals answer this getter.
  }
  return refuse(`${name} is not an AbortSignal`);
}

/**
 * Maximum number of ids in a list. No prompt needs more, so a larger length counts as false. V8 ends the
 * process over an array that is somewhat larger.
 */
const MOST_IDS = 2 ** 26;

/**
 * Returns the ids in a list-like value as plain numbers. The code that uses the ids checks that the model
 * has them.
 */
export function asIdList(name: string, value: unknown): number[] | Int32Array {
  return reading(name, () => {
    if (typeof value === 'string') refuse(`${name} is a string, not a list of token ids`);
    if (!isObject(value)) refuse(`${name} is neither a string nor a list of token ids`);
    if (value instanceof Int32Array) return new Int32Array(value);
    const length = value['length'];
    if (!Number.isSafeInteger(length) || (length as number) < 0)
      refuse(`${name} is neither a string nor a list of token ids`);
    if ((length as number) > MOST_IDS)
      refuse(`${name} has ${String(length)} ids, the maximum is ${MOST_IDS}`);
    // Int32 crosses to the worker faster than an array of any numbers.
    const ids = new Int32Array(length as number);
    let others: number[] | undefined;
    for (let i = 0; i < ids.length; i++) {
      const id = value[i];
      if (typeof id !== 'number') wrong(`${name}[${i}]`, id, 'a token id');
      ids[i] = id;
      if (ids[i] !== id) others ??= Array.from(ids.subarray(0, i));
      others?.push(id);
    }
    return others ?? ids;
  });
}

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
const inner = (name: string | symbol): ((this: unknown) => unknown) =>
  Object.getOwnPropertyDescriptor(typedArray, name)!.get!;
const tagOf = inner(Symbol.toStringTag),
  bufferOf = inner('buffer'),
  offsetOf = inner('byteOffset'),
  lengthOf = inner('byteLength');

/**
 * Returns the bytes of a Uint8Array, as a view of this realm's class. The array may come from another realm
 * (an iframe, a test runner's sandbox). The object's own properties aren't read: they may be false.
 */
export function asBytes(name: string, value: unknown, wanted = 'a Uint8Array'): Uint8Array {
  if (tagOf.call(value) !== 'Uint8Array') wrong(name, value, wanted);
  return reading(
    name,
    () =>
      new Uint8Array(
        bufferOf.call(value) as ArrayBuffer,
        offsetOf.call(value) as number,
        lengthOf.call(value) as number,
      ),
  );
}
