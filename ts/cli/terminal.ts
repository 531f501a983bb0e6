// SPDX-License-Identifier: Apache-2.0
// terminal.ts: how the command line prints: results to stdout, everything else to stderr. A model's file may
// hold any text: its escape sequences never reach a terminal, and its text can't look like a line of ours.
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import type { LoadProgress } from '../index.js';

const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);

/** Draws load progress over one line of stderr. Draws nothing where stderr isn't a terminal. */
export class ProgressBar {
  readonly #isShown: boolean;
  #isDrawn = false;

  constructor(isShown: boolean) {
    this.#isShown = isShown && process.stderr.isTTY === true;
  }

  update({ phase, loaded, total, progress }: LoadProgress): void {
    if (!this.#isShown) return;
    if (phase === 'ready') return this.clear();
    const part = Math.min(1, Math.max(0, progress ?? 0));
    const filled = Math.round(part * 30);
    const bar = '█'.repeat(filled) + '·'.repeat(30 - filled);
    const bytes = total ? `${mebibytes(loaded)} of ${mebibytes(total)} MiB` : `${mebibytes(loaded)} MiB`;
    process.stderr.write(
      `\r\x1b[2K${phase.padEnd(8)} ${bar} ${String(Math.round(part * 100)).padStart(3)} %  ${bytes}`,
    );
    this.#isDrawn = true;
  }

  clear(): void {
    if (this.#isDrawn) process.stderr.write('\r\x1b[2K');
    this.#isDrawn = false;
  }
}

/**
 * Turns Ctrl-C into an abort while `work` runs. The interrupted work ends in order, and then the process dies
 * of the same signal, so that a shell's loop stops too. A second Ctrl-C kills at once.
 */
export async function interruptible(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const onInterrupt = () => controller.abort();
  process.once('SIGINT', onInterrupt);
  try {
    await work(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
  if (controller.signal.aborted) process.kill(process.pid, 'SIGINT');
}

/**
 * The lines of a conversation, typed after a prompt or piped, and its Ctrl-C. Ctrl-C stops the current run. A
 * second Ctrl-C, or one between two runs, ends the lines.
 */
export class Lines {
  readonly isTerminal = process.stdin.isTTY === true;
  /** Whether Ctrl-C ended the lines. */
  isInterrupted = false;
  readonly #reader: Interface;
  readonly #lines: string[] = [];
  readonly #onInterrupt = (): void => this.#interrupt();
  #isClosed = false;
  #wake: () => void = () => {};
  #running: AbortController | undefined;

  constructor(prompt: string) {
    // On a terminal readline reads the keyboard, so Ctrl-C arrives from readline instead of as a signal.
    this.#reader = createInterface({
      input: process.stdin,
      output: this.isTerminal ? process.stderr : undefined,
      prompt,
    });
    this.#reader.on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    this.#reader.on('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
    this.#reader.on('SIGINT', this.#onInterrupt);
    process.on('SIGINT', this.#onInterrupt);
  }

  /** The next line; undefined at the end. */
  async next(): Promise<string | undefined> {
    if (this.isTerminal && this.#lines.length === 0 && !this.#isClosed) this.#reader.prompt();
    while (this.#lines.length === 0 && !this.#isClosed)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.isInterrupted ? undefined : this.#lines.shift();
  }

  /** Runs `work` with a signal that Ctrl-C aborts. */
  async interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#running = new AbortController();
    try {
      return await work(this.#running.signal);
    } finally {
      this.#running = undefined;
    }
  }

  close(): void {
    process.off('SIGINT', this.#onInterrupt);
    this.#reader.close();
  }

  #interrupt(): void {
    if (this.#running !== undefined && !this.#running.signal.aborted) return this.#running.abort();
    this.isInterrupted = true;
    this.close();
    // The run doesn't stop: end the process.
    if (this.#running !== undefined) process.kill(process.pid, 'SIGINT');
  }
}

/** All of stdin as text. */
export async function readStdin(): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString('utf8');
}

/**
 * Control characters except line feed and tab, marks that change the direction of text, line and paragraph
 * separators.
 */
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
// The form that JSON uses.
const escaped = (sign: string): string => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`;

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

/** Writes to stdout and waits while its buffer is full: a slow reader slows the model down. */
export async function print(text: string): Promise<void> {
  if (text !== '' && !process.stdout.write(text))
    await new Promise<void>((resolve) => process.stdout.once('drain', () => resolve()));
}
