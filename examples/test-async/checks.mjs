// SPDX-License-Identifier: Apache-2.0
// checks.mjs: common parts of both lists of checks. A check gets the loaded model and `show(text)`, which
// puts the text so far on the page. It returns its figures as a line, or throws an error that says what is
// wrong.

export const PROMPT = 'The capital of France is';

export function expect(fact, otherwise) {
  if (!fact) throw new Error(otherwise);
}

export function expectEqual(actual, expected, what) {
  expect(actual === expected, `${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A prompt that takes a while to read: words for about a quarter of the context, at most 300 words. */
export const longPrompt = (contextLength) =>
  'word by word '.repeat(Math.min(100, Math.floor(contextLength / 16)));

/** Until stop(), counts the ticks of a 10 ms interval, and the longest wait between two ticks. */
export function startTicking() {
  const begin = performance.now();
  let last = begin,
    ticks = 0,
    longest = 0;
  const note = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(() => {
    ticks++;
    note();
  }, 10);
  return {
    stop() {
      clearInterval(timer);
      note();
      return { ticks, longest, elapsed: performance.now() - begin };
    },
  };
}

/**
 * A page is responsive when its timers run. Expects one tick for every four steps. Where steps are much
 * shorter than the timer's 10 ms, expects one tick for every 40 ms.
 */
export function expectTicks({ ticks, elapsed }, steps) {
  const due = Math.min(steps, elapsed / 10);
  expect(ticks >= Math.floor(due / 4), `${ticks} ticks in ${steps} steps and ${elapsed.toFixed(0)} ms`);
}
