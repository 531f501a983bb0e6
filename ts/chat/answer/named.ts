// SPDX-License-Identifier: Apache-2.0
// Calls whose name stands between markers, with JSON arguments behind it.
import { readCalls, streamArguments } from './json.js';
import type { Reading, Tape } from './tape.js';

export interface Names {
  /** Around all calls. */
  readonly open: string;
  readonly close: string;
  /** Around each call. */
  readonly begin: string;
  readonly end: string;
  /** Between the name and the arguments. */
  readonly separator: string;
}

/** Kimi K2: functions.f:0 is the id. DeepSeek: f, or `function`, then f and the arguments in a code block. */
export function* readNamed(tape: Tape, names: Names, marker: string): Reading<boolean> {
  for (let found = marker; found !== names.close;) {
    if (found !== names.begin && (yield* tape.next([names.begin])) === '') return false;
    let head = '';
    if ((yield* tape.until([names.separator], (text) => (head += text))) === '') return false;
    head = head.trim();
    const isBlock = head === 'function';
    const [, name = '', number] = /^(?:functions\.)?(.*?)(:\d+)?$/s.exec(
      isBlock ? yield* tape.word() : head,
    )!;
    if (!tape.tools.has(name)) return false;
    if (isBlock && (yield* tape.next(['```json'])) === '') return false;
    if (!(yield* readArguments(tape, name, number === undefined ? undefined : head))) return false;
    if (isBlock) yield* tape.next(['```']);
    found = yield* tape.next([names.end]);
    if (found !== '') {
      tape.settle();
      found = yield* tape.next([names.begin, names.close]);
    }
    if (found === '') return false;
  }
  return true;
}

/** Mistral: a list of calls (old tokenizers), or f, [CALL_ID] and an id, [ARGS] and the arguments. */
export function* readMistral(tape: Tape): Reading<boolean> {
  const first = yield* tape.space();
  if (first === '[' || first === '{') return yield* readCalls(tape);
  const name = yield* tape.word();
  if (!tape.tools.has(name)) return false;
  let id: string | undefined;
  let marker = (yield* tape.peek()) === '{' ? '' : yield* tape.next(['[ARGS]', '[CALL_ID]']);
  if (marker === '[CALL_ID]') {
    id = yield* tape.word();
    marker = yield* tape.next(['[ARGS]']);
  }
  return yield* readArguments(tape, name, id);
}

function* readArguments(tape: Tape, name: string, id?: string): Reading<boolean> {
  if ((yield* tape.space()) !== '{' || !(yield* streamArguments(tape, name, id))) return false;
  tape.settle();
  return true;
}
