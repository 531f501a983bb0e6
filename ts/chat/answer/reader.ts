// SPDX-License-Identifier: Apache-2.0
// Reads what a model answers: reasoning, text, and calls of tools, in the format of the model's template.
import type { Format, ToolFormatName } from './formats.js';
import { FORMATS, findFormat } from './formats.js';
import type { AnswerPart, Tool } from './shapes.js';
import { findThinking, hasOpened } from './thinking.js';
import type { Thinking } from './thinking.js';
import type { Reading } from './tape.js';
import { Tape } from './tape.js';

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
  /**
   * Default 'auto': the format that the template shows. With a name, the format's control tokens may also be
   * spelled out by other tokens.
   */
  readonly toolFormat?: ToolFormatName | 'auto' | 'none' | undefined;
  /** Default 'auto': reasoning is split off where the template has marks for it. */
  readonly reasoningFormat?: 'auto' | 'none' | undefined;
}

export function createAnswerReader(options: AnswerReaderOptions): AnswerReader {
  const { template, promptTail, tools, toolFormat = 'auto', reasoningFormat = 'auto' } = options;
  const names = new Set(tools.flatMap((tool) => (tool.function === undefined ? [] : [tool.function.name])));
  const isRead = names.size > 0 && toolFormat !== 'none';
  const format = isRead ? FORMATS[toolFormat === 'auto' ? findFormat(template) : toolFormat] : undefined;
  const thinking = reasoningFormat === 'none' ? [] : findThinking(template);
  const isShort = /length\s*!=\s*9\b/.test(template);
  const tape = new Tape(names, isShort ? () => random(9) : () => `call_${random(24)}`, toolFormat !== 'auto');
  const opened = thinking.find((marks) => hasOpened(marks, promptTail));
  const reading = read(tape, format, thinking, opened);

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

function* read(
  tape: Tape,
  format: Format | undefined,
  thinking: readonly Thinking[],
  opened: Thinking | undefined,
): Reading<void> {
  const markers = format?.markers ?? [];
  let marker = yield* readThinking(tape, thinking, opened, markers);
  tape.waits = format !== undefined;
  for (;;) {
    if (marker === '') marker = yield* tape.until(markers, tape.content);
    if (marker === '' || format === undefined) break;
    tape.try(marker);
    if (yield* format.read(tape, marker)) tape.accept();
    else tape.reject();
    marker = '';
  }
  tape.finish();
}

/** Reads the reasoning at the start of an answer. Returns the marker of a call that ended it, or ''. */
function* readThinking(
  tape: Tape,
  thinking: readonly Thinking[],
  opened: Thinking | undefined,
  markers: readonly string[],
): Reading<string> {
  let marks = opened;
  if (marks === undefined) {
    const open = yield* tape.first(thinking.flatMap(({ opens }) => opens));
    marks = thinking.find(({ opens }) => opens.includes(open));
  }
  if (marks === undefined) return '';
  tape.turn('reasoning');
  const end = yield* tape.until([marks.close], tape.content, markers);
  if (end !== '') tape.turn('content');
  return end === marks.close ? '' : end;
}
