// SPDX-License-Identifier: Apache-2.0
// measure.mjs: one measurement of one engine, by one clock and one definition for all of them; runs in the page
// and in the native engine's process.
//
// An engine is { load(source, { threads, contextLength }), forget?(prompt), generate(prompt, maxTokens), close(),
// version, threads }. generate() yields how many tokens there are so far, once at each arrival, and returns
// { promptTokens, cachedTokens, promptMs, text }, promptMs by the engine's own clock. forget() makes it drop what it
// keeps between calls and isn't timed.
//
// A prompt is { text, count }: the engine tokenises it, BOS included where the file wants one, and must find `count`
// tokens, take none of them from a cache, and give exactly maxTokens: anything else is an error and no figure.

async function run(engine, prompt, maxTokens) {
  await engine.forget?.(prompt.text);
  const begin = performance.now();
  let first, firstCount = 0, last, tokens = 0;
  const events = engine.generate(prompt.text, maxTokens);
  let event = await events.next();
  for (; !event.done; event = await events.next()) {
    last = performance.now();
    tokens = event.value;
    if (first === undefined && tokens > 0) [first, firstCount] = [last, tokens];
  }
  const { promptTokens, cachedTokens, promptMs, text } = event.value;
  const expect = (what, found, wanted) => { if (found !== wanted) throw new Error(`${what}: ${found}, not ${wanted}`); };
  expect('tokens of the prompt', promptTokens, prompt.count);
  expect('tokens out of a cache', cachedTokens, 0);
  expect('tokens generated', tokens, maxTokens);
  return { firstMs: first - begin, promptMs, tokens: tokens - firstCount, decodeMs: last - first, text };
}

/**
 * Loads, runs `warmUp` untimed (compilers of a browser tier up, memory is touched), then times the prefill of one
 * prompt and the decoding after another one.
 *
 * Gives milliseconds of the load, tokens/s from the call to the first token (`prefill`; `prefillOwn` by the engine's
 * own clock) and tokens/s from the first token to the last (`decode`).
 */
export async function measure(engine, source, { threads, contextLength, warmUp, prefill, decode }) {
  const begin = performance.now();
  await engine.load(source, { threads, contextLength });
  const loadMs = performance.now() - begin;
  try {
    await run(engine, warmUp.prompt, warmUp.tokens);
    const read = await run(engine, prefill.prompt, 1);
    const written = await run(engine, decode.prompt, decode.tokens);
    return {
      loadMs,
      prefill: (prefill.prompt.count / read.firstMs) * 1000,
      prefillOwn: (prefill.prompt.count / read.promptMs) * 1000,
      decode: (written.tokens / written.decodeMs) * 1000,
      text: written.text,
      threads: engine.threads,
      version: engine.version,
    };
  } finally {
    await engine.close();
  }
}
