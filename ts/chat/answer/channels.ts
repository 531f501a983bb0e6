// SPDX-License-Identifier: Apache-2.0
// gpt-oss: an answer is a row of messages, each with a channel. Analysis is reasoning, messages to
// functions.f are calls, all others are text.
import { streamArguments } from './json.js';
import type { Reading, Tape } from './tape.js';

const ENDS = ['<|start|>', '<|channel|>', '<|end|>', '<|return|>', '<|call|>'];
const MARKERS = [...ENDS, '<|message|>', '<|constrain|>'];

/** Reads a whole answer. The prompt ends behind <|start|>assistant, or inside a message. */
export function* readChannels(tape: Tape, promptTail: string, thinks: boolean): Reading<void> {
  const [, begun] = /<\|channel\|>([^<]*)<\|message\|>[^<]*$/.exec(promptTail) ?? [];
  let head = '';
  let channel = begun ?? '';
  let found = '<|message|>';
  if (begun === undefined) {
    found = yield* tape.first(['to=', ...MARKERS]);
    if (found === 'to=') head = found;
    // Text without a channel is content.
    if (found === '') found = '<|message|>';
  }
  while (found !== '') {
    if (found === '<|message|>') {
      yield* readMessage(tape, head, thinks && channel.trimStart().startsWith('analysis'));
      found = yield* tape.until(tape.spelled(ENDS), tape.content, ENDS);
      if (found !== '') tape.turn('content');
    } else {
      // A head: a role, a receiver, a channel, a form, in any order. The last channel counts.
      const isGoingOn = found === '<|channel|>' || found === '<|constrain|>' || found === 'to=';
      if (found === '<|channel|>') channel = '';
      if (!isGoingOn) head = channel = '';
      else if (found !== 'to=') head += ' ';
      found = yield* tape.until(
        tape.spelled(MARKERS),
        (text) => {
          head += text;
          channel += text;
        },
        MARKERS,
      );
    }
  }
  tape.finish();
}

/** Begins a message. A call is read whole. */
function* readMessage(tape: Tape, head: string, isThought: boolean): Reading<void> {
  const name = /to=functions\.([\w.:-]+)/.exec(head)?.[1];
  if (name === undefined || !tape.tools.has(name)) {
    tape.turn(isThought ? 'reasoning' : 'content');
    return;
  }
  tape.try('');
  if ((yield* tape.space()) === '{' && (yield* streamArguments(tape, name))) tape.accept();
  else tape.reject();
}
