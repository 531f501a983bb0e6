// SPDX-License-Identifier: Apache-2.0
// measure.mjs: measures one engine, with one clock and one definition for all engines. It runs in the page
// and in the processes of native llama.cpp and of Node.
//
// An engine is { load(source, { threads, contextLength }), forget?(prompt), generate(prompt, maxTokens,
// signal?), memory?(), close(), version, threads, canAbort }. generate() yields the number of tokens so far,
// once per arrival, and returns { promptTokens, cachedTokens, promptMs, text }, with promptMs by the engine's
// own clock. forget() makes the engine drop what it keeps between calls, and isn't timed. memory() returns
// the maximum of bytes. load() may be called again after close().
//
// A prompt is { text, count }. The engine tokenises it, with BOS where the file asks for one. It must find
// `count` tokens, take none of them from a cache, and return exactly maxTokens. Anything else is an error and
// gives no figure.

/**
 * Watches this thread's event loop. `lap()` returns the longest time between two turns since the last lap,
 * and `stop()` does so for the last time. `turns()`: how many turns there were.
 */
export function watchGaps() {
  let last = performance.now(),
    longest = 0,
    turns = 0,
    timer;
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    turns++;
    // Browsers wait at least 4 ms, so no shorter gap is reported.
    timer = setTimeout(tick, 0);
  };
  timer = setTimeout(tick, 0);
  // A gap that a lap cuts counts in both laps.
  const lap = () => {
    const found = Math.max(longest, performance.now() - last);
    longest = 0;
    return found;
  };
  const stop = () => {
    clearTimeout(timer);
    return lap();
  };
  return { lap, stop, turns: () => turns };
}

/**
 * Times one generation from now, or from `since` for a model that has just been loaded and has nothing to
 * forget. The gaps of a step with `gap` are those before the first token, and those from it on.
 */
async function generation(engine, { prompt, tokens: maxTokens, gap }, since) {
  if (since === undefined) await engine.forget?.(prompt.text);
  const watch = gap ? watchGaps() : undefined;
  const begin = since ?? performance.now();
  let first,
    firstCount = 0,
    prefillGapMs,
    last,
    tokens = 0;
  const events = engine.generate(prompt.text, maxTokens);
  let event = await events.next();
  for (; !event.done; event = await events.next()) {
    last = performance.now();
    tokens = event.value;
    if (first !== undefined || tokens === 0) continue;
    [first, firstCount, prefillGapMs] = [last, tokens, watch?.lap()];
  }
  const decodeGapMs = watch?.stop();
  const { promptTokens, cachedTokens, promptMs, text } = event.value;
  const expect = (what, found, wanted) => {
    if (found !== wanted) throw new Error(`${what}: ${found}, not ${wanted}`);
  };
  expect('tokens of the prompt', promptTokens, prompt.count);
  expect('tokens out of a cache', cachedTokens, 0);
  expect('tokens generated', tokens, maxTokens);
  return {
    count: promptTokens,
    firstMs: first - begin,
    promptMs,
    tokens: tokens - firstCount,
    decodeMs: last - first,
    ...(gap ? { prefillGapMs, decodeGapMs, gapMs: Math.max(prefillGapMs, decodeGapMs) } : {}),
    text,
  };
}

/**
 * Aborts `abortMs` after the call: { abortMs } from abort() to the rejection, { late: true } when the prefill
 * ended before.
 */
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
  // The generation ended with its token: before the abort, or in spite of it.
  return aborted === undefined ? { late: true } : { abortMs: performance.now() - aborted, deaf: true };
}

/**
 * Loads the model that was closed before, then generates: { startMs, text }, from the call of load() to the
 * first token; with `gap` also the gaps while it loads, reads and writes.
 */
async function start(engine, source, options, step) {
  const watch = step.gap ? watchGaps() : undefined;
  const begin = performance.now();
  await engine.load(source, options);
  const loadGapMs = watch?.stop();
  try {
    const { firstMs, prefillGapMs, decodeGapMs, text } = await generation(engine, step, begin);
    return { startMs: firstMs, ...(step.gap ? { loadGapMs, prefillGapMs, decodeGapMs } : {}), text };
  } finally {
    await engine.close();
  }
}

/**
 * Loads, runs `warmUp` untimed (a browser's compilers optimise, memory is touched), then runs each of
 * `steps`.
 *
 * Returns { loadMs, steps: { name: { count, firstMs, promptMs, tokens, decodeMs, gapMs?, text } | { abortMs }
 * | { startMs, text, loadGapMs? ... } }, memoryBytes, threads, version }. firstMs: from the call to the first
 * token. decodeMs: from the first to the last token. `tokens`: tokens after the first. memoryBytes: read
 * before a step that aborts. A step that loads comes last and is warm: this page or process has loaded the
 * file before and closed it.
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
    for (const step of steps)
      if (!step.abortMs && !step.load) found[step.name] = await generation(engine, step);
    memoryBytes = await engine.memory?.();
    for (const step of steps)
      if (step.abortMs && engine.canAbort) found[step.name] = await abortion(engine, step);
  } finally {
    await engine.close();
  }
  for (const step of steps) if (step.load) found[step.name] = await start(engine, source, options, step);
  return { loadMs, steps: found, memoryBytes, threads: engine.threads, version: engine.version };
}
