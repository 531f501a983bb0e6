// SPDX-License-Identifier: Apache-2.0
// Llama 3 and 4: JSON or Python calls, bare or behind <|python_tag|>, and code behind <|python_tag|>.
import { escaped, readCalls, streamArguments } from './json.js';
import { readList, readPythonCall } from './python.js';
import type { Reading, Tape } from './tape.js';

/** Tools that take code, in their argument `code`. */
const INTERPRETERS = ['python', 'ipython', 'code_interpreter'];

export function* readLlama(tape: Tape, marker: string): Reading<boolean> {
  // Llama 4 writes <|python_start|> and <|python_end|> around a call, or both in front of it.
  if (marker === '<|python_start|>' && (yield* tape.next(['<|python_end|>'])) !== '')
    return yield* readLlama(tape, '<|python_end|>');
  const first = yield* tape.space();
  if (first === '{') {
    do if (!(yield* readCalls(tape, marker === ''))) return false;
    while ((yield* tape.next([';', ','])) !== '' || (yield* tape.peek()) === '{');
  } else if (first === '[') {
    if (!(yield* readList(tape, marker === ''))) return false;
  } else if (!(yield* readPythonCall(tape)))
    return marker === '<|python_tag|>' && (yield* readCode(tape, marker));
  return marker !== '<|python_start|>' || (yield* tape.next(['<|python_end|>'])) !== '';
}

/** Makes the text, up to its end, the code of an interpreter's call. */
function* readCode(tape: Tape, marker: string): Reading<boolean> {
  const name = INTERPRETERS.find((tool) => tape.tools.has(tool));
  if (name === undefined) return false;
  const begun = tape.tried.slice(marker.length).trimStart();
  return yield* streamArguments(tape, name, undefined, function* (sink) {
    sink('{');
    sink('"code":"');
    const code = (text: string): void => text.split('').forEach((unit) => sink(escaped(unit)));
    code(begun);
    yield* tape.until([], code);
    sink('"}');
    return true;
  });
}
