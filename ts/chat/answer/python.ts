// SPDX-License-Identifier: Apache-2.0
// Calls written as in Python, f(a=1, b="x"), and as Gemma writes them, call:f{a:1,b:<escape>x<escape>}.
// Their values become JSON text as they come.
import { cutOff, escaped, isNumber, jsonWord, readCallList, streamArguments } from './json.js';
import type { Reading, Sink } from './tape.js';
import { Tape } from './tape.js';

/** Deeper values are text: each level costs a little for every character. */
const DEPTH = 64;

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', '\n': '' };

/** Reads f(...) and `print(f(...))`. */
export function* readPythonCall(tape: Tape, isInner = false): Reading<boolean> {
  const written = yield* tape.word();
  if ((yield* tape.peek()) !== '(') return false;
  tape.skip();
  if (written === 'print' && !isInner)
    return (yield* readPythonCall(tape, true)) && (yield* tape.next([')'])) !== '';
  const name = [written, written.replace(/^\w+\./, ''), written.replace(/\.call$/, '')].find((n) =>
    tape.tools.has(n),
  );
  return name !== undefined && (yield* readMembers(tape, name, ')', '=', ''));
}

/** Reads [f(...), g(...)], or a list of calls in JSON. `isBare`: as for readCalls. */
export function* readList(tape: Tape, isBare = false): Reading<boolean> {
  if ((yield* tape.next(['['])) === '') return false;
  if ((yield* tape.space()) === '{') return yield* readCallList(tape, isBare);
  for (;;) {
    yield* tape.space();
    if (!(yield* readPythonCall(tape))) return false;
    const next = yield* tape.next([',', ']']);
    if (next !== '') tape.settle();
    if (next !== ',') return next !== '';
  }
}

/** Reads call:f{...}. `quote` stands on both sides of a string. */
export function* readGemmaCall(tape: Tape, quote: string): Reading<boolean> {
  if ((yield* tape.next(['call:'])) === '') return false;
  const name = yield* tape.word();
  if (!tape.tools.has(name) || !(yield* tape.literal('{'))) return false;
  return yield* readMembers(tape, name, '}', ':', quote);
}

/** The JSON text of a list or mapping in Python's form, if `text` is one. */
export function pythonValue(text: string): string | undefined {
  const tape = new Tape(new Map(), () => '', true);
  tape.feed(text, '');
  tape.end();
  let json = '';
  const isRead = /^[[{(]/.test(text) && copyLoose(tape, (piece) => (json += piece), '', 0).next().value;
  return isRead === true && tape.peek().next().value === '' ? json : undefined;
}

function* readMembers(
  tape: Tape,
  name: string,
  close: string,
  separator: string,
  quote: string,
): Reading<boolean> {
  const isRead = yield* streamArguments(tape, name, undefined, function* (sink) {
    sink('{');
    if (!(yield* copyMembers(tape, sink, close, separator, quote, 0))) return false;
    sink('}');
    return true;
  });
  if (isRead) tape.settle();
  return isRead;
}

/** Copies members up to `close`. `separator` stands behind their names; without one they have none. */
function* copyMembers(
  tape: Tape,
  sink: Sink,
  close: string,
  separator: string,
  quote: string,
  depth: number,
): Reading<boolean> {
  for (let n = 0; (yield* tape.space()) !== close; n++) {
    let key = n === 0 ? '' : ',';
    if (separator !== '') {
      const isWord = /[\w-]/.test(yield* tape.peek());
      if (isWord) key += JSON.stringify(yield* tape.word(/[\w-]/));
      else if (!(yield* copyText(tape, (piece) => (key += piece), quote))) return false;
      if ((yield* tape.next([separator])) === '') return false;
      key += ':';
    }
    if (key !== '') sink(key);
    if (depth > DEPTH || !(yield* copyLoose(tape, sink, quote, depth + 1))) return false;
    const next = yield* tape.space();
    if (next === ',') tape.skip();
    else if (next !== close) return false;
  }
  tape.skip();
  return true;
}

function* copyLoose(tape: Tape, sink: Sink, quote: string, depth: number): Reading<boolean> {
  const item = yield* tape.space();
  if (item === '{' || item === '[' || item === '(') {
    tape.skip();
    const close = item === '{' ? '}' : ']';
    sink(item === '{' ? '{' : '[');
    if (!(yield* copyMembers(tape, sink, item === '(' ? ')' : close, item === '{' ? ':' : '', quote, depth)))
      return false;
    sink(close);
    return true;
  }
  if (!/[-+.\w]/.test(item) || item.length !== 1) return yield* copyText(tape, sink, quote);
  const word = yield* tape.word(/[-+.\w]/);
  if ((yield* tape.peek()) === '') return cutOff(sink, word);
  const text = jsonWord(word) ?? (isNumber(word) ? word : pythonNumber(word));
  if (text !== undefined) sink(text);
  return text !== undefined;
}

/** The JSON text of numbers that JSON writes in another way: .5, 1., +1, 1_000. */
function pythonNumber(word: string): string | undefined {
  const number = Number(word.replaceAll('_', ''));
  return /^[-+.\d]/.test(word) && Number.isFinite(number) ? String(number) : undefined;
}

/** Copies a string: between two `quote`, or in Python's quotes. */
function* copyText(tape: Tape, sink: Sink, quote: string): Reading<boolean> {
  const open = yield* tape.oneOf(quote === '' ? ['"', "'"] : [quote]);
  if (open === '') return false;
  sink('"');
  if (quote !== '') {
    if ((yield* tape.until([quote], (text) => text.split('').forEach((unit) => sink(escaped(unit))))) === '')
      return false;
  } else
    for (;;) {
      const item = yield* tape.peek();
      if (item.length !== 1) return false;
      tape.skip();
      if (item === open) break;
      if (item === '\\') {
        const next = yield* tape.peek();
        if (next.length !== 1) return false;
        tape.skip();
        const length = { x: 2, u: 4, U: 8 }[next] ?? 0;
        let digits = '';
        while (digits.length < length) {
          const digit = yield* tape.peek();
          if (digit === '' || !'0123456789abcdefABCDEF'.includes(digit)) return false;
          tape.skip();
          digits += digit;
        }
        const code = parseInt(digits || '0', 16);
        if (code > 0x10ffff) return false;
        const plain = /["'\\]/.test(next) ? next : `\\${next}`;
        const text = length > 0 ? String.fromCodePoint(code) : (ESCAPES[next] ?? plain);
        text.split('').forEach((unit) => sink(escaped(unit)));
      } else sink(escaped(item));
    }
  sink('"');
  return true;
}
