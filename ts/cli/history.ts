// SPDX-License-Identifier: Apache-2.0
// history.ts: the questions of earlier conversations, one a line, in a file that only the user can read.
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

const KEPT = 1000;
/** Whether a line of a conversation is a command. */
export const isCommand = (line: string): boolean => /^\/(?:[a-z]+|\?)(?=\s|$)/.test(line);

/** $WASM_CHORD_HISTORY; the user's state folder without it; undefined where it is empty. */
export function historyFile(): string | undefined {
  const { WASM_CHORD_HISTORY: named, XDG_STATE_HOME: state, LOCALAPPDATA: local } = process.env;
  if (named !== undefined) return named === '' ? undefined : named;
  const folder =
    process.platform === 'win32' && local ? local : state || path.join(homedir(), '.local/state');
  return path.join(folder, 'wasm-chord', 'history');
}

/** A history that can't be read or written is no error: the conversation goes on without it. */
export class History {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** The last lines, the latest first, as readline takes them. */
  read(): string[] {
    const lines = attempt(() => readFileSync(this.#file, 'utf8').split('\n')) ?? [];
    const kept = lines.filter((line) => line !== '').slice(-KEPT);
    if (lines.length > 2 * KEPT)
      attempt(() => writeFileSync(this.#file, kept.map((line) => `${line}\n`).join(''), { mode: 0o600 }));
    // A control in a file of another program must not reach the terminal.
    return kept.map((line) => line.replace(/\p{Cc}/gu, '')).reverse();
  }

  add(line: string): void {
    if (line.trim() === '' || isCommand(line)) return;
    attempt(() => {
      mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o700 });
      appendFileSync(this.#file, `${line}\n`, { mode: 0o600 });
    });
  }
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
