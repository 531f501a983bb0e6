// SPDX-License-Identifier: Apache-2.0
// Reads what a model answers: reasoning, text, and calls of tools, in the format of the model's template.
import { readChannels } from './channels.js';
import type { Format, ToolFormatName } from './formats.js';
import { usesTools } from './describe.js';
import { FORMATS, findFormat } from './formats.js';
import type { AnswerPart, Tool } from './shapes.js';
import { begunIn, findTags, findThinking, readReasoning } from './thinking.js';
import type { Thinking } from './thinking.js';
import type { Reading } from './tape.js';
import { SPECIAL, Tape } from './tape.js';

export type { AnswerPart, Tool, ToolFormatName };

export interface AnswerReader {
  /** Adds text, and the control token behind it. Returns the parts that are certain now. */
  push(text: string, control?: string): AnswerPart[];
  /** Ends the answer. Returns the parts that were held back. */
  end(): AnswerPart[];
}

export interface AnswerReaderOptions {
  readonly template: string;
  /** The last characters of the prompt: it may have begun the reasoning, or ended it. */
  readonly promptTail: string;
  readonly tools: readonly Tool[];
  /** Whether the vocabulary lacks the format's control token (controlOf): ordinary tokens spell it. */
  readonly isSpelled?: boolean | undefined;
  /**
   * Default 'auto': the format that the template shows. With a name, the format's control tokens may also be
   * spelled out by other tokens.
   */
  readonly toolFormat?: ToolFormatName | 'auto' | 'none' | undefined;
  /** Default 'auto': reasoning is split off where the template has marks for it. */
  readonly reasoningFormat?: 'auto' | 'none' | undefined;
}

const formatOf = (
  template: string,
  toolFormat: AnswerReaderOptions['toolFormat'],
): ToolFormatName | undefined =>
  toolFormat === undefined || toolFormat === 'auto' || toolFormat === 'none'
    ? findFormat(template)
    : toolFormat;

/** A marker of the answers' format that is a control token in most vocabularies; undefined: none is. */
export function controlOf({
  template,
  toolFormat,
}: Pick<AnswerReaderOptions, 'template' | 'toolFormat'>): string | undefined {
  const found = formatOf(template, toolFormat);
  if (found === 'gpt_oss') return '<|channel|>';
  return found && FORMATS[found].markers.find((marker) => SPECIAL.test(marker));
}

export function createAnswerReader(options: AnswerReaderOptions): AnswerReader {
  const {
    template,
    promptTail,
    tools,
    toolFormat = 'auto',
    reasoningFormat = 'auto',
    isSpelled = false,
  } = options;
  const functions = (toolFormat === 'none' ? [] : tools).flatMap(({ function: described }) =>
    described === undefined ? [] : [[described.name, described.parameters] as const],
  );
  const found = formatOf(template, toolFormat);
  const formats: Format[] = [];
  if (found !== undefined) formats.push(FORMATS[found]);
  // Templates that know no tools get them as text, in the form of hermes.
  if (found === undefined || (found !== toolFormat && found !== 'hermes' && !usesTools(template)))
    formats.push(FORMATS.hermes);
  const isShort = /length\s*!=\s*9\b/.test(template);
  const newId = isShort ? () => random(9) : () => `call_${random(24)}`;
  const tape = new Tape(new Map(functions), newId, isSpelled || toolFormat === found);
  const reading =
    found === 'gpt_oss'
      ? readChannels(tape, promptTail, reasoningFormat !== 'none')
      : readAnswer(
          tape,
          functions.length > 0 ? formats : [],
          reasoningFormat === 'none' ? [] : findThinking(template),
          findTags(template),
          promptTail,
        );

  const take = (): AnswerPart[] => {
    reading.next();
    return tape.parts.splice(0);
  };
  return {
    push(text, control = '') {
      tape.feed(text, control);
      return take();
    },
    end() {
      tape.end();
      return take();
    },
  };
}

/** Letters and digits. Some templates refuse ids of another length than 9. */
function random(length: number): string {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  return Array.from({ length }, () => digits[Math.floor(Math.random() * digits.length)]).join('');
}

function* readAnswer(
  tape: Tape,
  formats: readonly Format[],
  thinking: readonly Thinking[],
  tags: readonly string[],
  promptTail: string,
): Reading<void> {
  const calls = formats.flatMap(({ markers }) => markers);
  const thinkingOf = (mark: string): Thinking | undefined =>
    thinking.find(({ opens }) => opens.includes(mark));

  let marks = thinking.find((some) => begunIn(some, promptTail) !== undefined);
  const begun = marks && begunIn(marks, promptTail);
  // Marks of reasoning count at the start, and anywhere as control tokens.
  const opens = thinking.flatMap((some) => some.opens);
  if (marks === undefined) {
    const first = yield* tape.first([...opens, ...thinking.map(({ close }) => close)]);
    if (first !== '') tape.turn('content');
    marks = thinkingOf(first);
  }
  let marker = marks === undefined ? '' : yield* readReasoning(tape, marks, begun, calls);

  const spelled = tape.spelled([...calls, ...tags]);
  const controls = [...calls, ...tags, ...opens];
  tape.waits = formats.length > 0 || tags.length > 0;
  const bare = formats.find((some) => some.bare !== undefined);
  if (marker === '' && bare !== undefined) {
    tape.try('');
    const isBare = bare.bare!.includes((yield* tape.space()) || ' ');
    if (isBare && (yield* bare.read(tape, ''))) tape.accept();
    else tape.reject();
  }
  for (;;) {
    if (marker === '') marker = yield* tape.until(spelled, tape.content, controls);
    if (marker === '') break;
    const again = thinkingOf(marker);
    if (again !== undefined) {
      marker = yield* readReasoning(tape, again, undefined, calls);
      continue;
    }
    const format = formats.find(({ markers }) => markers.includes(marker));
    if (format === undefined) tape.turn('content');
    else {
      tape.try(marker);
      if (yield* format.read(tape, marker)) tape.accept();
      else tape.reject();
    }
    marker = '';
  }
  tape.finish();
}
