// SPDX-License-Identifier: Apache-2.0
// lines.ts: the lines of a conversation, typed after a prompt or piped, and its Ctrl-C.
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import { Writable } from 'node:stream';
import type { History } from './history.js';

/**
 * Where readline draws. While an answer is written, what is typed isn't drawn into it; readline keeps it, and
 * the next prompt shows it.
 */
class Screen extends Writable {
  isMuted = false;
  readonly #target: NodeJS.WriteStream;

  constructor(target: NodeJS.WriteStream) {
    super();
    this.#target = target;
    target.on('resize', this.#onResize);
  }

  get columns(): number {
    // A terminal may not tell its width.
    return this.#target.columns || 80;
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    if (!this.isMuted) this.#target.write(chunk);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#target.off('resize', this.#onResize);
    done(error);
  }

  readonly #onResize = (): boolean => this.emit('resize');
}

/**
 * Ctrl-C stops the current run; a second one ends the lines. At the prompt it empties the line, and on an
 * empty line it ends the lines.
 */
export class Lines {
  readonly isTerminal = process.stdin.isTTY === true;
  /** Whether Ctrl-C ended the lines. */
  isInterrupted = false;
  readonly #reader: Interface;
  readonly #screen: Screen | undefined;
  readonly #lines: string[] = [];
  readonly #onInterrupt = (): void => this.#interrupt();
  #isClosed = false;
  #wake: () => void = () => {};
  #running: AbortController | undefined;

  /** `completions`: what Tab completes at the begin of a line. */
  constructor(history: History | undefined, completions: readonly string[]) {
    const target = [process.stderr, process.stdout].find(({ isTTY }) => isTTY);
    this.#screen = this.isTerminal && target !== undefined ? new Screen(target) : undefined;
    // On a terminal readline reads the keyboard, so Ctrl-C arrives from readline instead of as a signal.
    this.#reader = createInterface({
      input: process.stdin,
      output: this.#screen,
      terminal: this.#screen !== undefined,
      history: history?.read() ?? [],
      historySize: 1000,
      removeHistoryDuplicates: true,
      completer: (line: string) => [completions.filter((one) => one.startsWith(line)), line],
    });
    this.#reader.on('line', (line) => {
      if (this.isTerminal) history?.add(line);
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
  async next(prompt: string): Promise<string | undefined> {
    const isTyped = this.#lines.length > 0;
    if (this.#screen !== undefined && !this.#isClosed) {
      this.#screen.isMuted = false;
      this.#reader.setPrompt(prompt);
      // A line that was typed during the answer: it wasn't drawn.
      if (isTyped) this.#screen.write(`${prompt}${this.#lines[0]}\n`);
      else {
        // Rows of a line that wasn't drawn; readline would move up over the answer.
        Object.assign(this.#reader, { prevRows: 0 });
        this.#reader.prompt(true);
      }
    }
    while (this.#lines.length === 0 && !this.#isClosed)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.isInterrupted ? undefined : this.#lines.shift();
  }

  /** Runs `work` with a signal that Ctrl-C aborts. */
  async interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#running = new AbortController();
    if (this.#screen !== undefined) this.#screen.isMuted = true;
    try {
      return await work(this.#running.signal);
    } finally {
      this.#running = undefined;
    }
  }

  close(): void {
    process.off('SIGINT', this.#onInterrupt);
    this.#reader.close();
    this.#screen?.destroy();
  }

  #interrupt(): void {
    if (this.#running !== undefined && !this.#running.signal.aborted) return this.#running.abort();
    if (this.#running === undefined && this.#screen !== undefined && this.#reader.line !== '') {
      this.#reader.write(null, { ctrl: true, name: 'e' });
      this.#reader.write(null, { ctrl: true, name: 'u' });
      return;
    }
    this.isInterrupted = true;
    this.#screen?.write('\n');
    this.close();
    // The run doesn't stop: end the process.
    if (this.#running !== undefined) process.kill(process.pid, 'SIGINT');
  }
}
