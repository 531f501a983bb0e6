// SPDX-License-Identifier: Apache-2.0
// Calls in tags: each argument is a text, and the JSON schema of the function says what it stands for.
import { isObject } from '../../check.js';
import { cutOff, escaped, jsonWord, streamArguments } from './json.js';
import { pythonValue } from './python.js';
import type { Reading, Sink, Tape } from './tape.js';

export interface Tags {
  /** Around the calls. What is behind it may be missing. */
  readonly open: string;
  readonly close: string;
  /** In front of a function's name. */
  readonly call: string;
  readonly nameEnd: string;
  /** Around an argument's name. */
  readonly key: string;
  readonly keyEnd: string;
  /** In front of a value, if not `keyEnd`. */
  readonly value?: string;
  readonly valueEnd: string;
  readonly end: string;
}

/** Reads on behind `open`, or behind `call` where the model left `open` out. */
export function* readTagged(tape: Tape, tags: Tags, marker: string): Reading<boolean> {
  for (let found = marker; found !== tags.close;) {
    if (found !== tags.call && (yield* tape.next([tags.call])) === '') return false;
    const name = unquoted(yield* tape.word(/[\w.:"'-]/));
    if (!tape.tools.has(name)) return false;
    if (tags.nameEnd !== '' && !(yield* tape.literal(tags.nameEnd))) return false;
    const schema = tape.tools.get(name);
    const isJson = (yield* tape.space()) === '{';
    const isRead = isJson
      ? (yield* streamArguments(tape, name)) && (yield* tape.next([tags.end])) !== ''
      : yield* streamArguments(tape, name, undefined, (sink) => copyArguments(tape, tags, schema, sink));
    if (!isRead) return false;
    tape.settle();
    found = yield* tape.next([...new Set([tags.call, tags.close, tags.open])].filter((tag) => tag !== ''));
    if (found === '') return false;
  }
  return true;
}

function* copyArguments(tape: Tape, tags: Tags, schema: unknown, sink: Sink): Reading<boolean> {
  sink('{');
  for (let n = 0; ; n++) {
    const found = yield* tape.next([tags.key, tags.end]);
    if (found === tags.end) break;
    let head = '';
    if (found === '' || (yield* tape.until([tags.keyEnd], (text) => (head += text))) === '') return false;
    if (tags.value !== undefined && (yield* tape.next([tags.value])) === '') return false;
    const [name = '', type] = head.split(/"? string="(?=true|false)/);
    const key = unquoted(name);
    sink(`${n === 0 ? '' : ','}${JSON.stringify(key)}:`);
    const types = type === undefined ? typesOf(schema, key) : type.startsWith('true') ? ['string'] : [];
    if (!(yield* copyArgument(tape, tags.valueEnd, types, sink))) return false;
  }
  sink('}');
  return true;
}

const unquoted = (text: string): string => text.trim().replace(/^["']|["']$/g, '');

/** Copies a value up to `end`. A line end on both sides belongs to the tags. */
function* copyArgument(tape: Tape, end: string, types: readonly string[], sink: Sink): Reading<boolean> {
  const isText = types.length === 1 && types[0] === 'string';
  const isInLines = (yield* tape.peek()) === '\n';
  if (isInLines) tape.skip();
  let text = '';
  let line = '';
  const give = isText ? (unit: string) => sink(escaped(unit)) : (unit: string) => (text += unit);
  if (isText) sink('"');
  const found = yield* tape.until([end], (piece) => {
    for (const unit of piece.split('')) {
      if (line !== '') give(line);
      line = isInLines && unit === '\n' ? unit : '';
      if (line === '') give(unit);
    }
  });
  if (found === '') return cutOff(sink, text);
  sink(isText ? '"' : typed(text, types));
  return true;
}

/** The JSON text of a value that is written as text. `types` are those of the schema; none: any. */
function typed(text: string, types: readonly string[]): string {
  const trimmed = text.trim();
  for (const json of [jsonWord(trimmed) ?? trimmed, pythonValue(trimmed)])
    try {
      const value: unknown = JSON.parse(json ?? '');
      const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
      const isWanted = (types.includes('integer') && type === 'number') || types.includes(type);
      if (isWanted || !types.includes('string')) return json!;
    } catch {
      // Neither JSON nor Python's form of it: a string.
    }
  return JSON.stringify(text);
}

/** The types that a schema allows for one of its properties. */
function typesOf(schema: unknown, key: string): readonly string[] {
  const properties = isObject(schema) ? schema['properties'] : undefined;
  return isObject(properties) && Object.hasOwn(properties, key) ? typesIn(properties[key], 0) : [];
}

function typesIn(schema: unknown, depth: number): readonly string[] {
  if (!isObject(schema) || depth > 8) return [];
  const { type, anyOf, oneOf, enum: values } = schema;
  if (typeof type === 'string') return [type];
  if (Array.isArray(type)) return type as string[];
  const choices: unknown = anyOf ?? oneOf;
  if (Array.isArray(choices)) return choices.flatMap((choice) => typesIn(choice, depth + 1));
  if (!Array.isArray(values)) return [];
  return [...new Set(values.map((value) => (value === null ? 'null' : typeof value)))];
}
