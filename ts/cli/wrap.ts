// SPDX-License-Identifier: Apache-2.0
import { columnsOf } from './width.js';

/** Signs that stay on the line of the wide character before them, or belong to it. */
const CLOSING = /^[\p{Pe}\p{Pf}\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1a\uff1b,.!?:;]$/u;

/**
 * Breaks a streamed text at words for a terminal. Every piece is shown at once: a word that reaches the edge
 * is erased and written anew on the next line. A word longer than a line is cut. Between wide characters
 * (Chinese, Japanese, Korean) a line may break anywhere. The last column stays free: terminals differ in
 * where the cursor is after a sign in the last column.
 */
export class WordWrap {
  /** Columns used of the current line. */
  #column = 0;
  /** What of the current word stands on the current line, and its columns. */
  #word = '';
  #wordColumns = 0;
  /** The line was broken at a word, and blanks at its begin are dropped. */
  #isBroken = false;

  /** What to write for `piece` where the terminal has so many columns; 0 or undefined: unknown, no breaks. */
  write(piece: string, columns: number | undefined): string {
    const limit = columns ? Math.max(1, columns - 1) : Infinity;
    let out = '';
    for (const sign of piece) out += this.#put(sign, limit);
    return out;
  }

  #put(sign: string, limit: number): string {
    if (sign === '\n') return this.#startLine(sign);
    if (sign === ' ' || sign === '\t') return this.#putBlank(sign, limit);
    const columns = columnsOf(sign);
    this.#isBroken = false;
    if (columns === 2 && !CLOSING.test(sign)) this.#endWord();
    let out = '';
    if (this.#column + columns > limit) {
      const word = this.#word;
      const wordColumns = this.#wordColumns;
      const isMoved = wordColumns > 0 && wordColumns < this.#column && wordColumns + columns <= limit;
      out = `${isMoved ? `\x1b[${wordColumns}D\x1b[K` : ''}${this.#startLine('\n')}${isMoved ? word : ''}`;
      if (isMoved) [this.#column, this.#word, this.#wordColumns] = [wordColumns, word, wordColumns];
    }
    this.#column += columns;
    this.#word += sign;
    this.#wordColumns += columns;
    return out + sign;
  }

  #putBlank(sign: string, limit: number): string {
    this.#endWord();
    if (this.#isBroken) return '';
    const columns = sign === '\t' ? 8 - (this.#column % 8) : 1;
    if (this.#column + columns > limit) {
      this.#startLine('\n');
      this.#isBroken = true;
      return '\n';
    }
    this.#column += columns;
    return sign;
  }

  #startLine(sign: string): string {
    this.#column = 0;
    this.#isBroken = false;
    this.#endWord();
    return sign;
  }

  #endWord(): void {
    this.#word = '';
    this.#wordColumns = 0;
  }
}
