// SPDX-License-Identifier: Apache-2.0
// Calls written as JSON: an object with a name and arguments, or a list of such objects.
import type { Reading, Sink, Tape } from './tape.js';
import { isBlank } from './tape.js';

const NAME = ['name', 'tool_name', 'function'];
const ARGUMENTS = ['arguments', 'parameters'];
const ID = ['id', 'tool_call_id'];

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
        if (!(escape.length === 1 ? '"\\/bfnrtu' : '0123456789abcdefABCDEF').includes(next) || next === '')
          return false;
        tape.skip();
        escape += next;
      }
      sink(escape);
    } else sink(item < ' ' ? JSON.stringify(item).slice(1, -1) : item);
    if (item === '"') return true;
  }
}

function* copyWord(tape: Tape, sink: Sink): Reading<boolean> {
  let word = '';
  for (;;) {
    const item = yield* tape.peek();
    if (item.length !== 1 || !/[-+.\w]/.test(item)) break;
    tape.skip();
    word += item;
  }
  if (!/^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?)$/.test(word)) return false;
  sink(word);
  return true;
}

function* readValue(tape: Tape): Reading<unknown> {
  let text = '';
  const isValue = yield* copyValue(tape, (piece) => (text += piece));
  return isValue ? (JSON.parse(text) as unknown) : undefined;
}

/** Reads one call or a list of calls. */
export function* readCalls(tape: Tape): Reading<boolean> {
  if ((yield* tape.space()) !== '[') return yield* readCall(tape);
  do {
    tape.skip();
    if (!(yield* readCall(tape))) return false;
  } while ((yield* tape.space()) === ',');
  return yield* tape.literal(']');
}

/**
 * Reads one call. It is given when its arguments begin, or at its end: until then it may turn out to be text.
 */
export function* readCall(tape: Tape): Reading<boolean> {
  if ((yield* tape.space()) !== '{') return false;
  let name: string | undefined;
  let id: string | undefined;
  let early = '';
  let isGiven = false;
  do {
    tape.skip();
    if ((yield* tape.space()) !== '"') return false;
    const key = (yield* readValue(tape)) as string | undefined;
    if (key === undefined || (yield* tape.space()) !== ':') return false;
    tape.skip();
    const first = yield* tape.space();
    if (ARGUMENTS.includes(key) && !isGiven && early === '' && first === '{') {
      if (name === undefined) {
        if (!(yield* copyValue(tape, (piece) => (early += piece)))) return false;
      } else {
        isGiven = true;
        if (!(yield* streamArguments(tape, name, id))) return false;
      }
      continue;
    }
    const value = yield* readValue(tape);
    if (value === undefined) return false;
    if (name === undefined && NAME.includes(key)) {
      if (typeof value !== 'string' || !tape.knows(value)) return false;
      name = value;
    } else if (ID.includes(key) && (typeof value === 'string' || typeof value === 'number'))
      id = String(value);
    else if (ARGUMENTS.includes(key)) {
      if (isGiven || typeof value !== 'string') return false;
      early = value;
    }
  } while ((yield* tape.space()) === ',');
  if (name === undefined || !isObjectText((early ||= '{}')) || !(yield* tape.literal('}'))) return false;
  if (!isGiven) {
    tape.call(name, id);
    tape.arguments(early);
  }
  tape.try('');
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

/** Gives a call and its arguments as they come. Begins when their first key does, or at their end. */
export function* streamArguments(tape: Tape, name: string, id?: string): Reading<boolean> {
  let lead: string | undefined = '';
  return yield* copyValue(tape, (piece) => {
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
