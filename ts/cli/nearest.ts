// SPDX-License-Identifier: Apache-2.0

/**
 * The name that a misspelt word most likely means: the nearest by edits (insert, delete, replace, swap two
 * neighbours). Undefined when no name is within a third of the word's length.
 */
export function nearest(word: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const name of names) {
    const n = word.length > 1 && name.startsWith(word) ? 1 : edits(word, name);
    if (n < least) [best, least] = [name, n];
  }
  return best;
}

/** Edits from `a` to `b`. Row i of the table holds the edits from a[0, i) to each b[0, j). */
function edits(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let n = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        n = Math.min(n, rows[i - 2]![j - 2]! + 1);
      row.push(n);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
