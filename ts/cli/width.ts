// SPDX-License-Identifier: Apache-2.0
// width.ts: how many columns of a terminal a character takes.

// East Asian Wide and Fullwidth (Unicode's EastAsianWidth.txt), without the emoji.
// prettier-ignore
const WIDE = [
  [0x1100, 0x115f], [0x2329, 0x232a], [0x2e80, 0x303e], [0x3041, 0x3247], [0x3250, 0xa4cf], [0xa960, 0xa97f],
  [0xac00, 0xd7a3], [0xf900, 0xfaff], [0xfe10, 0xfe19], [0xfe30, 0xfe6f], [0xff01, 0xff60], [0xffe0, 0xffe6],
  [0x16fe0, 0x18dff], [0x1aff0, 0x1b2ff], [0x1f200, 0x1f2ff], [0x20000, 0x3fffd],
] as const;
/** Marks on the character before, joiners, vowels and finals of decomposed Hangul. */
const NONE = /^[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff]$/u;
/** Emoji in colour; a letter of a flag's pair takes one column. */
const EMOJI = /^(?![\u{1f1e6}-\u{1f1ff}])\p{Emoji_Presentation}$/u;

/** Columns of one character (a code point): 0, 1 or 2. */
export function columnsOf(character: string): 0 | 1 | 2 {
  const code = character.codePointAt(0)!;
  if (code < 0x300) return code === 0xad ? 0 : 1;
  if (NONE.test(character)) return 0;
  return WIDE.some(([first, last]) => code >= first && code <= last) || EMOJI.test(character) ? 2 : 1;
}

export function columnsOfText(text: string): number {
  let n = 0;
  for (const character of text) n += columnsOf(character);
  return n;
}
