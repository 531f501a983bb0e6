// SPDX-License-Identifier: Apache-2.0
// measure.mjs: one measurement of one engine, by one clock and one definition for all of them; runs in the page
// and in the processes of native llama.cpp and of Node.
//
// An engine is { load(source, { threads, contextLength }), forget?(prompt), generate(prompt, maxTokens, signal?),
// memory?(), close(), version, threads, canAbort }. generate() yields how many tokens there are so far, once at each
// arrival, and returns { promptTokens, cachedTokens, promptMs, text }, promptMs by the engine's own clock. forget()
// makes it drop what it keeps between calls and isn't timed. memory() gives bytes at their highest. load() may come again
// after close().
//
// A prompt is { text, count }: the engine tokenises it, BOS included where the file wants one, and must find `count`
// tokens, take none of them from a cache, and give exactly maxTokens: anything else is an error and no figure.

/** The longest time between two turns of this thread's event loop, from now until the returned function is called. */
export function watchGaps() {
  let last = performance.now(), longest = 0, timer;
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    timer = setTimeout(tick, 0); // browsers make 4 ms of it: no gap is told that is shorter
  };
  timer = setTimeout(tick, 0);
  return () => {
    clearTimeout(timer);
    return Math.max(longest, performance.now() - last);
  };
}

/** One generation, timed from here, or from `since` of a model that has just been loaded and has nothing to forget. */
async function generation(engine, { prompt, tokens: maxTokens, gap }, since) {
  if (since === undefined) await engine.forget?.(prompt.text);
  const stop = gap ? watchGaps() : undefined;
  const begin = since ?? performance.now();
  let first, firstCount = 0, last, tokens = 0;
  const events = engine.generate(prompt.text, maxTokens);
  let event = await events.next();
  for (; !event.done; event = await events.next()) {
    last = performance.now();
    tokens = event.value;
    if (first === undefined && tokens > 0) [first, firstCount] = [last, tokens];
  }
  const gapMs = stop?.();
  const { promptTokens, cachedTokens, promptMs, text } = event.value;
  const expect = (what, found, wanted) => { if (found !== wanted) throw new Error(`${what}: ${found}, not ${wanted}`); };
  expect('tokens of the prompt', promptTokens, prompt.count);
  expect('tokens out of a cache', cachedTokens, 0);
  expect('tokens generated', tokens, maxTokens);
  return { count: promptTokens, firstMs: first - begin, promptMs, tokens: tokens - firstCount, decodeMs: last - first, ...(gap ? { gapMs } : {}), text };
}

/** Aborts `abortMs` after the call: { abortMs } from abort() to the rejection, { late: true } when the prefill was over before. */
async function abortion(engine, { prompt, tokens, abortMs }) {
  await engine.forget?.(prompt.text);
  const controller = new AbortController();
  let aborted;
  const timer = setTimeout(() => {
    aborted = performance.now();
    controller.abort();
  }, abortMs);
  try {
    const events = engine.generate(prompt.text, tokens, controller.signal);
    while (!(await events.next()).done);
  } catch (error) {
    if (aborted === undefined) throw error;
    return { abortMs: performance.now() - aborted };
  } finally {
    clearTimeout(timer);
  }
  // It ended with its token: before the abort, or deaf to it.
  return aborted === undefined ? { late: true } : { abortMs: performance.now() - aborted, deaf: true };
}

/** Loads the model that was closed before, then generates: { startMs, text }, from the call of load() to the first token. */
async function start(engine, source, options, step) {
  const begin = performance.now();
  await engine.load(source, options);
  try {
    const { firstMs, text } = await generation(engine, step, begin);
    return { startMs: firstMs, text };
  } finally {
    await engine.close();
  }
}

/**
 * Loads, runs `warmUp` untimed (compilers of a browser tier up, memory is touched), then each of `steps`.
 *
 * Gives { loadMs, steps: { name: { count, firstMs, promptMs, tokens, decodeMs, gapMs?, text } | { abortMs } | { startMs, text } },
 * memoryBytes, threads, version }: firstMs from the call to the first token, decodeMs from the first to the last,
 * `tokens` those after the first; memoryBytes before a step that aborts. A step that loads comes after all others, warm:
 * this page or process has loaded the file before, and let it go.
 */
export async function measure(engine, source, { threads, contextLength, warmUp, steps }) {
  const options = { threads, contextLength };
  const begin = performance.now();
  await engine.load(source, options);
  const loadMs = performance.now() - begin;
  const found = {};
  let memoryBytes;
  try {
    await generation(engine, warmUp);
    for (const step of steps) if (!step.abortMs && !step.load) found[step.name] = await generation(engine, step);
    memoryBytes = await engine.memory?.();
    for (const step of steps) if (step.abortMs && engine.canAbort) found[step.name] = await abortion(engine, step);
  } finally {
    await engine.close();
  }
  for (const step of steps) if (step.load) found[step.name] = await start(engine, source, options, step);
  return { loadMs, steps: found, memoryBytes, threads: engine.threads, version: engine.version };
}
