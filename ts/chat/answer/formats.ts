// SPDX-License-Identifier: Apache-2.0
// The formats in which models write tool calls.
import { readCalls } from './json.js';
import type { Reading, Tape } from './tape.js';

export interface Format {
  /** Whether a template is for models that write this format. */
  readonly isIn: (template: string) => boolean;
  /** What begins a call. */
  readonly markers: readonly string[];
  /** Reads on behind a marker. False: what it took was text. */
  readonly read: (tape: Tape, marker: string) => Reading<boolean>;
}

/** A marker, JSON, and a marker behind it, which may be missing. */
function json(open: string, close: string): Format {
  return {
    isIn: (template) => template.includes(open),
    markers: [open],
    *read(tape) {
      do {
        if (!(yield* readCalls(tape))) return false;
      } while ((yield* tape.space()) === '{');
      return (yield* tape.peek()) === '' || (yield* tape.literal(close));
    },
  };
}

/** In the order in which they are looked for in a template. */
export const FORMATS = {
  hermes: json('<tool_call>', '</tool_call>'),
} satisfies Record<string, Format>;

export type ToolFormatName = keyof typeof FORMATS;

/** Whether a template writes tools, or any text that comes from them. */
export function usesTools(template: string): boolean {
  return /\{[{%][^{}]*\btools\b/.test(template);
}

/** Templates that know no tools get them as text, in the form of `hermes`. */
export function findFormat(template: string): ToolFormatName {
  const names = Object.keys(FORMATS) as ToolFormatName[];
  return names.find((name) => FORMATS[name].isIn(template)) ?? 'hermes';
}
