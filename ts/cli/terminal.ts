// SPDX-License-Identifier: Apache-2.0
// terminal.ts: how the command line prints: results to stdout, everything else to stderr. A model's file may
// hold any text: its escape sequences never reach a terminal, and its text can't look like a line of ours.
import type { Command } from './arguments.js';
import { WordWrap } from './wrap.js';

/**
 * Control characters except line feed and tab, marks that change the direction of text, line and paragraph
 * separators.
 */
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
// The form that JSON uses.
const escaped = (sign: string): string => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** A rate with a decimal, a slow one with two digits. */
export const perSecond = (tokens: number): string =>
  `${tokens >= 1 || tokens === 0 ? tokens.toFixed(1) : tokens.toPrecision(2)} tokens/s`;

/** A name or message on one line, with its controls shown. */
export function onOneLine(text: string): string {
  return text.replace(CONTROLS, escaped).replace(/[\t\n]/g, escaped);
}

/**
 * Writes text of a file or a model to stdout. On a terminal controls are shown; otherwise the text is
 * unchanged.
 */
export function printText(text: string): Promise<void> {
  return print(process.stdout.isTTY === true ? text.replace(CONTROLS, escaped) : text);
}

export const printJson = (value: unknown): Promise<void> => printText(`${JSON.stringify(value)}\n`);

/** Writes to stdout and waits while its buffer is full: a slow reader slows the model down. */
export async function print(text: string): Promise<void> {
  if (text !== '' && !process.stdout.write(text))
    await new Promise<void>((resolve) => process.stdout.once('drain', () => resolve()));
}

/** Whether the cursor of this terminal can be moved and its lines erased. */
export const isScreen = (stream: NodeJS.WriteStream): boolean =>
  stream.isTTY === true && process.env['TERM'] !== 'dumb';

/**
 * Writes a text piece by piece. On a terminal it breaks lines at words, and what was thought before the text
 * is faint. Elsewhere only the text is written.
 */
export class TextPrinter {
  readonly #wrap = isScreen(process.stdout) ? new WordWrap() : undefined;
  #isThinking = false;

  async write(piece: string, thought = ''): Promise<void> {
    const wrap = this.#wrap;
    if (wrap === undefined) return printText(piece);
    const shown = (text: string): string =>
      wrap.write(text.replace(CONTROLS, escaped), process.stdout.columns);
    if (thought !== '') {
      this.#isThinking = true;
      const text = shown(thought);
      await print(process.stdout.hasColors?.() ? `\x1b[2m${text}\x1b[22m` : text);
    }
    if (piece === '') return;
    const between = this.#isThinking ? shown('\n\n') : '';
    this.#isThinking = false;
    await print(between + shown(piece));
  }
}

/** Faint text on stderr, where stderr is a terminal with colours (NO_COLOR and TERM=dumb are honoured). */
export const faint = (text: string): string =>
  process.stderr.isTTY === true && process.stderr.hasColors?.() ? `\x1b[2m${text}\x1b[22m` : text;

/** A text of ours for stderr: on a terminal its lines break at words. */
export const wrapped = (text: string): string =>
  isScreen(process.stderr) ? new WordWrap().write(text, process.stderr.columns) : text;

/** A note for people on stderr. --quiet leaves it out. */
export function note(command: Command, text: string): void {
  if (!command.quiet) process.stderr.write(text);
}

/** All of stdin as text, without the line end that ends it unless it is wanted exactly. */
export async function readStdin(isExact: boolean): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  const text = Buffer.concat(chunks).toString('utf8');
  return isExact ? text : text.replace(/\r?\n$/, '');
}

/** Parameters of a model as people write them: 135M, 1.5B. */
export const count = (n: number): string =>
  n < 1e9 ? `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)}M` : `${(n / 1e9).toFixed(1)}B`;

/** What isn't in memory, as words behind a comma; nothing if all of it is. */
export const pagedText = ({
  pagedLayers,
  pagedBytes,
}: {
  pagedLayers: number;
  pagedBytes: number;
}): string => (pagedBytes === 0 ? '' : `, ${pagedLayers} layers paged: ${size(pagedBytes)} read a token`);

/** Bytes in the unit that fits: 98.4 MB. */
export function size(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let n = bytes;
  let i = 0;
  // 999.95 would be printed as 1000.0.
  while (n >= 999.95 && i < units.length - 1) [n, i] = [n / 1000, i + 1];
  return `${i === 0 ? n : n.toFixed(1)} ${units[i]}`;
}
