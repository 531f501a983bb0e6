// SPDX-License-Identifier: Apache-2.0
// Calls written as JSON: an object with a name and arguments, or a list of such objects.
import type { Reading, Sink, Tape } from './tape.js';
import { isBlank } from './tape.js';

const NAME = ['name', 'tool_name', 'function'];
const ARGUMENTS = ['arguments', 'parameters'];

/**
 * Copies a JSON value to `sink` as it comes. False: it isn't JSON. Then what was taken but not given is no
 * more than a part of a word or of an escape.
 */
export function* copyValue(tape: Tape, sink: Sink): Reading<boolean> {
  const open: string[] = [];
  for (;;) {
    const item = yield* tape.space(sink);
    if (item === '{' || item === '[') {
      const close = item === '{' ? '}' : ']';
      tape.skip();
      sink(item);
      if ((yield* tape.space(sink)) !== close) {
        open.push(close);
        if (item === '{' && !(yield* copyKey(tape, sink))) return false;
        continue;
      }
      tape.skip();
      sink(close);
    } else if (!(yield* item === '"' ? copyString(tape, sink) : copyWord(tape, sink))) return false;

    // A value has ended, and with it what ends with it.
    for (;;) {
      const close = open.at(-1);
      if (close === undefined) return true;
      const next = yield* tape.space(sink);
      if (next !== ',' && next !== close) return false;
      tape.skip();
      sink(next);
      if (next === ',') {
        if (close === '}' && !(yield* copyKey(tape, sink))) return false;
        break;
      }
      open.pop();
    }
  }
}

export const isNumber = (word: string): boolean => /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/.test(word);

/** Python's words for JSON's. JSON has no number for the last ones. */
const WORDS = {
  True: 'true',
  False: 'false',
  None: 'null',
  true: 'true',
  false: 'false',
  null: 'null',
  NaN: 'null',
  Infinity: 'null',
  '-Infinity': 'null',
};
export const jsonWord = (word: string): string | undefined =>
  Object.hasOwn(WORDS, word) ? WORDS[word as keyof typeof WORDS] : undefined;

/** A character as it is inside a JSON string. */
export const escaped = (unit: string): string =>
  unit < ' ' || unit === '"' || unit === '\\' ? JSON.stringify(unit).slice(1, -1) : unit;

function* copyKey(tape: Tape, sink: Sink): Reading<boolean> {
  if ((yield* tape.space(sink)) !== '"' || !(yield* copyString(tape, sink))) return false;
  if ((yield* tape.space(sink)) !== ':') return false;
  tape.skip();
  sink(':');
  return true;
}

/** Copies a string. Line ends and tabs inside, which models write and JSON forbids, are escaped. */
export function* copyString(tape: Tape, sink: Sink): Reading<boolean> {
  tape.skip();
  sink('"');
  for (;;) {
    const item = yield* tape.peek();
    if (item.length !== 1) return false;
    tape.skip();
    if (item === '\\') {
      let escape = item;
      const length = (yield* tape.peek()) === 'u' ? 6 : 2;
      while (escape.length < length) {
        const next = yield* tape.peek();
        if (next === '') return cutOff(sink, escape);
        if (!(escape.length === 1 ? '"\\/bfnrtu' : '0123456789abcdefABCDEF').includes(next)) return false;
        tape.skip();
        escape += next;
      }
      sink(escape);
    } else sink(item === '"' ? item : escaped(item));
    if (item === '"') return true;
  }
}

/** Gives the part of a word or an escape with which a whole answer ends. */
export function cutOff(sink: Sink, part: string): false {
  if (part !== '') sink(part);
  return false;
}

function* copyWord(tape: Tape, sink: Sink): Reading<boolean> {
  const word = yield* tape.word(/[-+.\w]/);
  if ((yield* tape.peek()) === '') return cutOff(sink, word);
  const written = isNumber(word) ? word : jsonWord(word);
  if (written !== undefined) sink(written);
  return written !== undefined;
}

/** Reads a value. Returns a string's text, null for other values, undefined if it isn't JSON. */
function* readValue(tape: Tape): Reading<string | null | undefined> {
  let text = '';
  const isValue = yield* copyValue(tape, (piece) => (text += piece));
  return !isValue ? undefined : text.startsWith('"') ? (JSON.parse(text) as string) : null;
}

/** Reads one call or a list of calls. `isBare`: no marker was in front, so other objects may come. */
export function* readCalls(tape: Tape, isBare = false): Reading<boolean> {
  if ((yield* tape.space()) !== '[') return yield* readCall(tape, isBare);
  tape.skip();
  return yield* readCallList(tape, isBare);
}

/** Reads calls up to `]`. */
export function* readCallList(tape: Tape, isBare = false): Reading<boolean> {
  for (;;) {
    if (!(yield* readCall(tape, isBare))) return false;
    const next = yield* tape.next([',', ']']);
    if (next !== '') tape.settle();
    if (next !== ',') return next !== '';
  }
}

/**
 * Reads one call. It is given when its arguments begin, or at its end: until then it may turn out to be text.
 */
function* readCall(tape: Tape, isBare: boolean, outerId?: string, isInner = false): Reading<boolean> {
  if ((yield* tape.space()) !== '{') return false;
  let name: string | undefined;
  let id = outerId;
  let early = '';
  let isGiven = false;
  do {
    tape.skip();
    if ((yield* tape.space()) !== '"') return false;
    const key = yield* readValue(tape);
    if (typeof key !== 'string' || (yield* tape.space()) !== ':') return false;
    tape.skip();
    const isObject = (yield* tape.space()) === '{';
    const isName = NAME.includes(key) && !isObject;
    const isArguments = ARGUMENTS.includes(key);
    if (key === 'function' && isObject && name === undefined && !isInner) {
      // {"function": {"name": ..., "arguments": ...}}, as OpenAI's API writes calls
      if (!(yield* readCall(tape, isBare, id, true))) return false;
      name = key;
      isGiven = true;
      continue;
    }
    if (
      isObject &&
      !isGiven &&
      early === '' &&
      (isArguments || (name === undefined && tape.tools.has(key)))
    ) {
      if (!isArguments) name = key; // {"name": {arguments}}
      if (name === undefined) {
        if (!(yield* copyValue(tape, (piece) => (early += piece)))) return false;
      } else {
        isGiven = true;
        if (!(yield* streamArguments(tape, name, id))) return false;
      }
      continue;
    }
    if (isBare && !isName && !isArguments && key !== 'id' && key !== 'type') return false;
    const value = yield* readValue(tape);
    if (value === undefined) return false;
    if (name === undefined && isName) {
      if (value === null || !tape.tools.has(value)) return false;
      name = value;
    } else if (key === 'id') id = value ?? undefined;
    else if (isArguments) {
      if (isGiven || value === null) return false;
      early = value;
    }
  } while ((yield* tape.space()) === ',');
  if (name === undefined || (isBare && early === '' && !isGiven)) return false;
  if (!isObjectText((early ||= '{}')) || !(yield* tape.literal('}'))) return false;
  if (!isGiven) {
    tape.call(name, id);
    tape.arguments(early);
  }
  tape.settle();
  return true;
}

function isObjectText(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/**
 * Gives a call and its arguments as `copy` gives them. Begins when their first key does, or at their end.
 */
export function* streamArguments(
  tape: Tape,
  name: string,
  id?: string,
  copy: (sink: Sink) => Reading<boolean> = (sink) => copyValue(tape, sink),
): Reading<boolean> {
  let lead: string | undefined = '';
  return yield* copy((piece) => {
    if (lead === '' || (lead !== undefined && isBlank(piece))) {
      lead += piece;
      return;
    }
    if (lead !== undefined) {
      tape.call(name, id);
      tape.arguments(lead);
      lead = undefined;
    }
    tape.arguments(piece);
  });
}
