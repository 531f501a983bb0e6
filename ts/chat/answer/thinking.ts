// SPDX-License-Identifier: Apache-2.0
// The marks between which models reason.

export interface Thinking {
  readonly opens: readonly string[];
  readonly close: string;
}

const THINKING: readonly Thinking[] = [
  { opens: ['<think>'], close: '</think>' },
  { opens: ['[THINK]'], close: '[/THINK]' },
  { opens: ['<|START_THINKING|>'], close: '<|END_THINKING|>' },
];

/** Returns the marks that a template knows. */
export function findThinking(template: string): readonly Thinking[] {
  return THINKING.filter(({ opens, close }) => [...opens, close].some((mark) => template.includes(mark)));
}

/** Whether the prompt ends inside the reasoning. */
export function hasOpened({ opens }: Thinking, promptTail: string): boolean {
  const tail = promptTail.trimEnd();
  return opens.some((open) => tail.endsWith(open));
}
