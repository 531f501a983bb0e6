// SPDX-License-Identifier: Apache-2.0
// level1.mjs: the checks of level 1: WasmModel and AsyncTokenStream, one thread, in this page.
import { ChordError, WasmModel } from '../../dist/index.js';
import { PROMPT, expect, expectEqual, expectTicks, longPrompt, pause, startTicking } from './checks.mjs';

/**
 * Greedy, so that two runs of a prompt give the same text: max_tokens, temperature, top_p, top_k,
 * repetition_penalty.
 */
const greedy = (model, maxTokens) => model.set_config(maxTokens, 0, 1, 0, 1);

/** The whole continuation. generate() blocks, and so it can't wait for a GPU. */
async function whole(model) {
  if (model.get_model_info().backend === 'cpu') return model.generate(PROMPT);
  let text = '';
  for await (const piece of model.generate_async(PROMPT)) text += piece;
  return text;
}

export const checks = [
  {
    id: 'init_gpu_async',
    title: 'GPU',
    button: 'Test init_gpu_async',
    what: 'Puts the model onto the GPU and writes a text there, or shows the reason why not; the CPU still works then.',
    async run(model, show) {
      greedy(model, 8);
      const before = await whole(model);
      const available = await WasmModel.probe_gpu();
      expectEqual(WasmModel.is_gpu_available(), available, 'is_gpu_available() after probe_gpu()');
      const begin = performance.now();
      try {
        await model.init_gpu_async();
        model.init_gpu();
      } catch (error) {
        expect(
          ChordError.isInstance(error) && error.code === 'no-webgpu' && error.message !== '',
          `rejected with ${error}`,
        );
        expectEqual(await whole(model), before, 'the text after init_gpu_async() failed');
        return `no-webgpu: ${error.message}. Adapter and device: ${available ? 'yes' : 'no'}.`;
      }
      const milliseconds = performance.now() - begin;
      const { gpuDispatches } = model.counters();
      const text = await whole(model);
      show(PROMPT + text);
      const { gpuDispatches: after, gpuBytes } = model.counters();
      // Where two tokens are almost equally likely, the GPU's rounding may choose the other one.
      const isSame = text === before;
      expect(text !== '' && after > gpuDispatches, `the GPU wrote ${JSON.stringify(text)}`);
      expectEqual(model.get_model_info().backend, 'webgpu', 'the backend');
      return (
        `The model went onto the GPU in ${(milliseconds / 1000).toFixed(1)} s: ${(gpuBytes / 1e6).toFixed(0)} MB. ` +
        `It wrote ${isSame ? 'the same text as the CPU' : 'another text than the CPU'}, with ${after - gpuDispatches} dispatches.`
      );
    },
  },
  {
    id: 'generate_async',
    title: 'Stream',
    button: 'Test generate_async',
    what: 'The pieces of the stream, put together, are the whole text.',
    async run(model, show) {
      greedy(model, 32);
      const begin = performance.now();
      const stream = model.generate_async(PROMPT);
      let text = '';
      for await (const piece of stream) show(PROMPT + (text += piece));
      const seconds = (performance.now() - begin) / 1000;
      expectEqual(text, await whole(model), 'the pieces');
      return `${stream.token_count()} tokens, ${(stream.token_count() / seconds).toFixed(1)} tokens/s, prompt included.`;
    },
  },
  {
    id: 'iterator',
    title: 'Iterator',
    button: 'Test next() step by step',
    what: 'Nothing is computed before the first next(); each next() is one token; return() ends it.',
    async run(model, show) {
      greedy(model, 32);
      const before = model.counters().stepsRun;
      const stream = model.generate_async(PROMPT);
      expectEqual(model.counters().stepsRun, before, 'steps before the first next()');
      let text = '';
      for (let count = 1; count <= 5; count++) {
        const { value, done } = await stream.next();
        expectEqual(done, false, `done at token ${count}`);
        expectEqual(stream.token_count(), count, 'token_count()');
        expectEqual(stream.is_complete(), false, 'is_complete()');
        show(PROMPT + (text += value));
      }
      await stream.return();
      expectEqual(stream.is_complete(), true, 'is_complete() after return()');
      expectEqual((await stream.next()).done, true, 'done after return()');
      stream.free();
      return '5 times next(), then return().';
    },
  },
  {
    id: 'for-await',
    title: 'Loop',
    button: 'Test for await',
    what: 'Runs to max_tokens, and the stream releases the model at its end.',
    async run(model, show) {
      greedy(model, 24);
      const stream = model.generate_async(PROMPT);
      const times = [];
      let text = '',
        last = performance.now();
      for await (const piece of stream) {
        show(PROMPT + (text += piece));
        const now = performance.now();
        times.push(now - last);
        last = now;
      }
      expect(stream.is_complete(), 'is_complete() is false after the loop');
      expect(stream.token_count() <= 24, `${stream.token_count()} tokens`);
      for await (const piece of model.generate_async(PROMPT)) {
        text = piece;
        break;
      }
      const [first, ...rest] = times;
      const sorted = rest.sort((a, b) => a - b);
      return `First token after ${first.toFixed(0)} ms, then one in ${(sorted[sorted.length >> 1] ?? 0).toFixed(1)} ms (median).`;
    },
  },
  {
    id: 'abort',
    title: 'Abort',
    button: 'Test abort',
    what: 'break, and return() while a long prompt is being read, stop the work; the next call works at once.',
    async run(model, show) {
      greedy(model, 16);
      const expected = await whole(model);

      let count = 0;
      for await (const piece of model.generate_async(PROMPT)) {
        show(PROMPT + piece);
        if (++count === 3) break;
      }
      expectEqual(await whole(model), expected, 'the text after break');

      const stream = model.generate_async(longPrompt(model.get_model_info().contextLength));
      const pending = stream.next();
      await pause(30);
      const wasReading = stream.token_count() === 0;
      const before = model.counters().stepsRun;
      const begin = performance.now();
      await stream.return();
      const milliseconds = performance.now() - begin;
      await pending;
      await pause(30);
      const steps = model.counters().stepsRun - before;
      expect(steps <= 1, `${steps} steps ran after return()`);
      expectEqual(await whole(model), expected, 'the text after return()');
      show(PROMPT + expected);
      return `return() inside ${wasReading ? 'the prompt' : 'the answer'} took ${milliseconds.toFixed(1)} ms, ${steps} steps after it.`;
    },
  },
  {
    id: 'timers',
    title: 'Timers',
    button: 'Test timers during generation',
    what: 'The event loop turns between steps, so a setInterval of 10 ms keeps ticking in this page.',
    async run(model, show) {
      greedy(model, 48);
      const before = model.counters().stepsRun;
      const ticking = startTicking();
      let text = '';
      const prompt = longPrompt(Math.min(512, model.get_model_info().contextLength)) + PROMPT;
      for await (const piece of model.generate_async(prompt)) show(PROMPT + (text += piece));
      const result = ticking.stop();
      const steps = model.counters().stepsRun - before;
      expectTicks(result, steps);
      return (
        `${result.ticks} ticks in ${steps} steps and ${result.elapsed.toFixed(0)} ms: ` +
        `${(result.elapsed / steps).toFixed(1)} ms per step, longest wait ${result.longest.toFixed(0)} ms.`
      );
    },
  },
];
