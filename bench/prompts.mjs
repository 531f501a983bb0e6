// SPDX-License-Identifier: Apache-2.0
// prompts.mjs: texts of exactly n tokens, a different text for each number, the same on every machine.

const WORDS = `the of and a to in is was for on as with by at from his her they which one had were all there
  when who more out so said what up its about into than them can only other time new some could
  these two may first then any like now such over our man even most made after also many before must
  through years where much way well down water river house light stone letter garden winter morning
  road window paper story people country music hand night door`.split(/\s+/);

/** Integers below n, by a linear congruence. Unlike Math.random it gives the same numbers everywhere. */
function numbers(seed) {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/**
 * { text, count }: words that `tokenize` splits into `count` tokens, special tokens included. Prompts with
 * different numbers (up to 100) start with different words.
 */
export async function makePrompt(tokenize, number, count) {
  const below = numbers(number);
  let text = WORDS[number % WORDS.length];
  let found = (await tokenize(text)).length;
  // Adds a quarter of the missing words at once, and single words near the end: a text of 2,000 tokens isn't
  // tokenised 2,000 times.
  for (let tries = 0; found < count && tries < 20 * count; tries++) {
    const words = Array.from({ length: Math.max(1, (count - found) >> 2) }, () => WORDS[below(WORDS.length)]);
    const longer = `${text} ${words.join(' ')}`;
    const length = (await tokenize(longer)).length;
    if (length <= count) [text, found] = [longer, length];
  }
  if (found !== count) throw new Error(`no text of ${count} tokens was found for this vocabulary`);
  return { text, count };
}
