// SPDX-License-Identifier: Apache-2.0
// terminal.mjs: the npm bin in a pseudo-terminal, its keys, and what its user sees. Needs python3.
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const bin = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const helper = fileURLToPath(new URL('terminal.py', import.meta.url));

export const needsTerminal = {
  skip: spawnSync('python3', ['-c', 'import pty']).status === 0 ? false : 'no python3 with a pseudo-terminal',
};
// Where CI is set, Node takes a terminal for one without colours.
const { CI: _, ...shown } = process.env;

export const UP = '\x1b[A';
export const CTRL_C = '\x03';
export const CTRL_D = '\x04';

/**
 * Runs the bin, or another command, in a terminal of so many columns. `use(terminal)` types and waits; the
 * terminal ends with the program. Resolves to { status, raw, screen }: the status as a shell sees it, all
 * that was written, and the lines on screen.
 */
export async function inTerminal(
  parameters,
  use,
  { columns = 80, env = {}, command = [process.execPath, bin] } = {},
) {
  const child = spawn('python3', [helper, String(columns), ...command, ...parameters], {
    stdio: 'pipe',
    env: { ...shown, TERM: 'xterm-256color', WASM_CHORD_HISTORY: '', ...env },
    timeout: 120_000,
  });
  let raw = '';
  let seen = 0;
  let wake = () => {};
  let isClosed = false;
  child.stdout.setEncoding('utf8').on('data', (data) => {
    raw += data;
    wake();
  });
  child.stderr.pipe(process.stderr);
  child.stdin.on('error', () => {});
  const closed = new Promise((resolve) => child.on('close', resolve));
  void closed.then(() => {
    isClosed = true;
    wake();
  });
  const terminal = {
    type: (keys) => child.stdin.write(keys),
    /** Waits until the output after the last match matches. Resolves to the match. */
    async see(pattern) {
      for (;;) {
        const match = new RegExp(pattern.source ?? pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).exec(
          raw.slice(seen),
        );
        if (match) {
          seen += match.index + match[0].length;
          return match;
        }
        if (isClosed) throw new Error(`the program ended without ${pattern}: ${JSON.stringify(raw)}`);
        await new Promise((resolve) => (wake = resolve));
      }
    },
  };
  try {
    await use(terminal);
    child.stdin.end();
  } catch (error) {
    child.kill();
    throw error;
  }
  const status = await closed;
  return { status, raw, screen: screenOf(raw, columns) };
}

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff01-\uff60\u{1f300}-\u{1faff}]/u;

/** The lines that a terminal shows for these bytes. A sequence that isn't known here is an error. */
export function screenOf(raw, columns) {
  const rows = [[]];
  let [row, column] = [0, 0];
  const line = () => (rows[row] ??= []);
  const erase = (from, to) => {
    for (let i = from; i < to; i++) line()[i] = undefined;
  };
  // eslint-disable-next-line no-control-regex
  for (const [text, parameters, final] of raw.matchAll(/\x1b\[([\d;?]*)([A-Za-z])|[^]/gu)) {
    const n = Number(parameters || 1);
    if (final !== undefined) {
      if (final === 'D') column = Math.max(0, column - n);
      else if (final === 'C') column += n;
      else if (final === 'A') row = Math.max(0, row - n);
      else if (final === 'G') column = n - 1;
      else if (final === 'K') erase(parameters === '2' ? 0 : column, columns);
      else if (final === 'J') {
        erase(column, columns);
        rows.length = row + 1;
      } else if (final !== 'm') throw new Error(`unknown sequence ${JSON.stringify(text)}`);
    } else if (text === '\r') column = 0;
    else if (text === '\n') row++;
    else if (text === '\t') column += 8 - (column % 8);
    else {
      const width = WIDE.test(text) ? 2 : 1;
      if (column + width > columns) [row, column] = [row + 1, 0];
      line()[column] = text;
      if (width === 2) line()[column + 1] = '';
      column += width;
    }
  }
  return Array.from(rows, (cells = []) =>
    Array.from(cells, (cell) => cell ?? ' ')
      .join('')
      .trimEnd(),
  );
}
