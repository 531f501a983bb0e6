// SPDX-License-Identifier: Apache-2.0
// plan.mjs: what can be measured, by which steps, in which context, and about how long a run takes.
//
// A step is one generation: { name, count, tokens, gap?, abortMs?, load? }: a prompt of `count` tokens and
// `tokens` new tokens. The prefill of 512 tokens and the decoding at depth 512 are one step. A step with
// `load` loads the model itself.

/** Before a measurement other processes may use at most this much of one core. */
export const QUIET = 0.25;
/** During a measurement the machine host may give at most this share of the wanted time to other guests. */
export const STOLEN = 0.1;

export const SHORT = 16; // the prompt of ttft and of decoding at depth 0
const ABORT = { name: 'abort', count: 2000, tokens: 1, abortMs: 300 };
const GAP = { name: 'gap', count: 32, tokens: 16, gap: true };
/** The gaps while a model loads, reads a prompt and writes. The load is warm, as `start`'s is. */
const GAPS = { name: 'gaps', count: 400, tokens: 16, gap: true, load: true };
const START = { name: 'start', count: SHORT, tokens: 1, load: true };
export const WARM_UP = { count: 32, tokens: 8 };

/**
 * Every measure, in the order of the table. In names with a number the number is the prompt's tokens, or the
 * depth.
 */
export const MEASURES = [
  'load',
  'start',
  'ttft',
  'prefill128',
  'prefill512',
  'prefill2048',
  'decode0',
  'decode512',
  'decode2048',
  'memory',
  'abort',
  'gap',
  'gapload',
  'gapprefill',
  'gapdecode',
];
/**
 * The default measures. With SmolLM2 they take twelve minutes, because with one thread wllama reads 15 tokens
 * per second.
 */
export const DEFAULT = [
  'load',
  'start',
  'ttft',
  'prefill512',
  'decode0',
  'decode512',
  'memory',
  'abort',
  'gap',
];

/** `prefill512` -> ['prefill', 512], `load` -> ['load', undefined]. */
export function parts(measure) {
  const [, kind, number] = /^([a-z]+)(\d*)$/.exec(measure);
  return [kind, number === '' ? undefined : Number(number)];
}

/** The step that `measure` is read from; undefined if the load alone gives the figure. */
export function stepOf(measure) {
  const [kind, number] = parts(measure);
  if (kind === 'ttft' || number === 0) return 'd0';
  if (/^gap./.test(kind)) return 'gaps';
  return { prefill: `d${number}`, decode: `d${number}`, abort: 'abort', gap: 'gap', start: 'start' }[kind];
}

/** The steps of `measures`, decoding `decode` tokens each, and the context that holds the longest. */
export function stepsOf(measures, decode) {
  const steps = [];
  for (const depth of [0, 128, 512, 2048]) {
    if (!measures.some((measure) => stepOf(measure) === `d${depth}`)) continue;
    steps.push({
      name: `d${depth}`,
      count: depth || SHORT,
      tokens: measures.includes(`decode${depth}`) ? decode : 1,
    });
  }
  if (measures.includes('gap')) steps.push(GAP);
  // Next to last: a later step would find the cache of an aborted prompt.
  if (measures.includes('abort')) steps.push(ABORT);
  // Last: these steps load the model again and find no cache.
  if (measures.includes('start')) steps.push(START);
  if (measures.some((measure) => stepOf(measure) === 'gaps')) steps.push(GAPS);
  return { steps, contextLength: contextOf(steps) };
}

const contextOf = (steps) =>
  Math.ceil(Math.max(512, ...steps.map(({ count, tokens }) => count + tokens + 64)) / 256) * 256;

/** Splits `measures` into measures that a model with that trained context can run, and the rest. */
export function fitting(measures, decode, trained) {
  const fits = (measure) => stepsOf([measure], decode).contextLength <= trained;
  return { measures: measures.filter(fits), leftOut: measures.filter((measure) => !fits(measure)) };
}

// For the estimate alone. Measured with one thread and a 98 MB file on the EPYC of docs/speed/2026-11-24.md:
// tokens/s of prefill and of decode; seconds of a page or process with its load, about half of them the load.
// Two threads count as 1.8.
const RATES = {
  ours: [340, 120, 2],
  simd: [200, 80, 2],
  node: [340, 120, 1],
  wllama: [15.6, 12, 3],
  native: [190, 75, 1],
};

/**
 * Whether this run aborts a prefill. wllama's abort ends after the whole prompt, two minutes with one thread:
 * it runs once, and only on request.
 */
export const aborts = (engine, repetition, isAsked) => engine !== 'wllama' || (isAsked && repetition === 0);

/** Estimated seconds of a run. */
export function estimate({ engines, threads, repeat, steps, ceilings, isAsked }, fileBytes) {
  const size = Math.max(0.3, fileBytes / 98e6);
  let seconds = 10 + (ceilings ? repeat * threads.length * 3 : 0);
  for (const engine of engines) {
    const [prefill, decode, start] = RATES[engine];
    for (const n of threads) {
      const factor = size / (n === 1 ? 1 : 1.8);
      const of = ({ count, tokens, abortMs, load }) =>
        (load ? start / 2 : 0) +
        (count / prefill + tokens / decode) * factor * (abortMs === undefined ? 1 : 0);
      const once = start + 0.5 + [WARM_UP, ...steps].reduce((sum, step) => sum + of(step), 0);
      seconds += repeat * once;
      for (const { count, abortMs } of steps) {
        if (!abortMs || engine === 'native') continue;
        for (let r = 0; r < repeat; r++)
          if (aborts(engine, r, isAsked)) seconds += engine === 'wllama' ? (count / prefill) * factor : 0.5;
      }
    }
  }
  return seconds;
}
