// SPDX-License-Identifier: Apache-2.0
// The marks between which models reason.
import type { Reading, Tape } from './tape.js';

export interface Thinking {
  readonly opens: readonly string[];
  readonly close: string;
  /** A word that may stand behind `opens`. */
  readonly word?: string;
}

const THINKING: readonly Thinking[] = [
  { opens: ['<think>'], close: '</think>' },
  { opens: ['[THINK]'], close: '[/THINK]' },
  { opens: ['<|START_THINKING|>'], close: '<|END_THINKING|>' },
  { opens: ['<|channel>'], close: '<channel|>', word: 'thought' },
  { opens: ['<thought>'], close: '</thought>' },
  { opens: ['<seed:think>'], close: '</seed:think>' },
  {
    opens: ['Here is my thought process:', "Here's my thought process:"],
    close: 'Here is my response:',
  },
  { opens: ['Here are my reasoning steps:'], close: '[BEGIN FINAL RESPONSE]' },
];

/** Returns the marks that a template knows. */
export function findThinking(template: string): readonly Thinking[] {
  return THINKING.filter(({ opens, close }) => [...opens, close].some((mark) => template.includes(mark)));
}

/** Granite's tags around what isn't reasoning. They belong to no text. */
export function findTags(template: string): readonly string[] {
  return template.includes('<response></response>') ? ['<response>', '</response>'] : [];
}

/** Marks of a turn, in all families: behind them the text is another message. */
const TURN = /<[|｜]|[|｜][>\]]|_of_turn>|\[\/|\[e~\[|<\/?s>/;

/** The reasoning in which the prompt ends; '' at its beginning. Undefined: the prompt ends elsewhere. */
export function begunIn({ opens, close }: Thinking, promptTail: string): string | undefined {
  return opens
    .filter((open) => promptTail.includes(open))
    .map((open) => promptTail.slice(promptTail.lastIndexOf(open) + open.length))
    .find((rest) => !rest.includes(close) && !TURN.test(rest));
}

/** Reads reasoning up to its close. Returns the marker of a call that ended it, or ''. */
export function* readReasoning(
  tape: Tape,
  { close, word }: Thinking,
  begun: string | undefined,
  markers: readonly string[],
): Reading<string> {
  tape.turn('reasoning', begun === undefined || begun.trim() === '');
  if (word !== undefined && begun === undefined) {
    tape.try('');
    if ((yield* tape.next([word])) === '') tape.reject();
    else tape.accept('reasoning');
  }
  const end = yield* tape.until(tape.spelled([close]), tape.content, [close, ...markers]);
  if (end !== '') tape.turn('content');
  return end === close ? '' : end;
}
