// SPDX-License-Identifier: Apache-2.0
// Reads the fields of a chat request.
import { isObject as isAnyObject, reading, refuse } from '../check.js';
import type { Fields } from '../check.js';
import { show } from '../errors.js';

export const isObject = (value: unknown): value is Fields => isAnyObject(value) && !Array.isArray(value);

/** The own fields of a caller's object, read once. */
export function fieldsOf(at: string, value: unknown): Fields {
  const names = reading(at, () => (isObject(value) ? Object.keys(value) : undefined));
  if (names === undefined) return refuse(`${at} is ${show(value)}, not an object`);
  return Object.fromEntries(
    names.map((name) => [name, reading(`${at}.${name}`, () => (value as Fields)[name])]),
  );
}

export const notInThisVersion = (name: string, hint = 'leave it out'): never =>
  refuse(`${name} is not in this version`, hint);

/** The field `name` of an object, checked: only `known` fields. */
export function objectField(fields: Fields, name: string, known: readonly string[]): Fields | undefined {
  if (fields[name] === undefined || fields[name] === null) return undefined;
  const value = fieldsOf(name, fields[name]);
  for (const [field, content] of Object.entries(value)) {
    if (content !== undefined && content !== null && !known.includes(field))
      refuse(`${name} has no field '${field}' in this version`, `the fields are ${known.join(', ')}`);
  }
  return value;
}

export function booleanField(fields: Fields, name: string): boolean | undefined {
  const value = fields[name] ?? undefined;
  return value === undefined || typeof value === 'boolean'
    ? value
    : refuse(`${name} is ${show(value)}, not true or false`);
}

export function stringField(fields: Fields, name: string): string | undefined {
  const value = fields[name] ?? undefined;
  return value === undefined || typeof value === 'string'
    ? value
    : refuse(`${name} is ${show(value)}, not a string`);
}
