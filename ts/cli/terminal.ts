// SPDX-License-Identifier: Apache-2.0
// terminal.ts: what the command line shows besides its results; all of it goes to stderr.
import type { LoadProgress } from '../index.js';

const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);

/** Draws load progress over one line of stderr; nothing at all where stderr isn't a terminal. */
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
    process.stderr.write(`\r\x1b[2K${phase.padEnd(8)} ${bar} ${String(Math.round(part * 100)).padStart(3)} %  ${bytes}`);
    this.#isDrawn = true;
  }

  clear(): void {
    if (this.#isDrawn) process.stderr.write('\r\x1b[2K');
    this.#isDrawn = false;
  }
}

/**
 * Turns Ctrl-C into an abort while `work` runs. What was interrupted ends in order, then the process dies
 * of the same signal, so that a shell's loop stops too; a second Ctrl-C kills at once.
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

/** All of stdin as text. */
export async function readStdin(): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString('utf8');
}

/** Writes to stdout and waits while its buffer is full, so that a slow reader slows the model down. */
export async function print(text: string): Promise<void> {
  if (text !== '' && !process.stdout.write(text)) await new Promise<void>((resolve) => process.stdout.once('drain', () => resolve()));
}
