// SPDX-License-Identifier: Apache-2.0
// level2.mjs: the same checks through level 2: loadModel, with the engine in a worker of its own.
import { capabilities } from '../../dist/index.js';
import { PROMPT, expect, expectEqual, expectTicks, longPrompt, pause, startTicking } from './checks.mjs';

const greedy = { temperature: 0 };

export const checks = [
  {
    id: 'init_gpu_async',
    title: 'Backend',
    button: 'Test the backend',
    what: 'model.info says what runs and why; capabilities() says what this browser offers.',
    async run(model) {
      const { webgpu } = await capabilities();
      const { backend, backendReason, variant, threads } = model.info;
      expect(backend === 'cpu' || (backend === 'webgpu' && webgpu), `backend ${backend} without a device`);
      expect(backendReason, 'backendReason is empty');
      return `${backend}, ${variant}, threads: ${threads} (${backendReason}). WebGPU adapter: ${webgpu ? 'yes' : 'no'}.`;
    },
  },
  {
    id: 'generate_async',
    title: 'Stream',
    button: 'Test generate',
    what: 'The events of a run, put together, are the text that text() returns.',
    async run(model, show) {
      const run = model.generate(PROMPT, { ...greedy, maxTokens: 32 });
      let text = '';
      for await (const event of run) show(PROMPT + (text += event.text));
      expectEqual(text, await model.generate(PROMPT, { ...greedy, maxTokens: 32 }).text(), 'the events');
      const { tokens, tokensPerSecond, ttftMs, finishReason } = run.stats;
      return `${tokens} tokens at ${tokensPerSecond.toFixed(1)} tokens/s, the first after ${ttftMs.toFixed(0)} ms (${finishReason}).`;
    },
  },
  {
    id: 'iterator',
    title: 'Iterator',
    button: 'Test next() step by step',
    what: 'Nothing is computed before the first next(); each next() is one token; return() ends it.',
    async run(model, show) {
      const before = (await model.counters()).stepsRun;
      const iterator = model.generate(PROMPT, { ...greedy, maxTokens: 32 })[Symbol.asyncIterator]();
      await pause(20);
      expectEqual((await model.counters()).stepsRun, before, 'steps before the first next()');
      let text = '';
      for (let count = 1; count <= 5; count++) {
        const { value, done } = await iterator.next();
        expect(!done, `done at token ${count}`);
        expectEqual(typeof value.token, 'number', 'token');
        show(PROMPT + (text += value.text));
      }
      await iterator.return();
      expectEqual((await iterator.next()).done, true, 'done after return()');
      return '5 times next(), then return().';
    },
  },
  {
    id: 'for-await',
    title: 'Loop',
    button: 'Test for await',
    what: 'Runs to maxTokens and says how it ended.',
    async run(model, show) {
      const run = model.generate(PROMPT, { ...greedy, maxTokens: 24, ignoreEos: true });
      let text = '',
        count = 0;
      for await (const event of run) {
        show(PROMPT + (text += event.text));
        count++;
      }
      expectEqual(run.stats.tokens, 24, 'tokens');
      expectEqual(run.stats.finishReason, 'length', 'finishReason');
      return `${count} events, ${run.stats.decodeMs.toFixed(0)} ms for ${run.stats.tokens} tokens.`;
    },
  },
  {
    id: 'abort',
    title: 'Abort',
    button: 'Test abort',
    what: 'break, and a signal while a long prompt is being read, stop the work; the next call works at once.',
    async run(model, show) {
      const answer = () => model.generate(PROMPT, { ...greedy, maxTokens: 16 }).text();
      const expected = await answer();

      let count = 0;
      for await (const event of model.generate(PROMPT, greedy)) {
        show(PROMPT + event.text);
        if (++count === 3) break;
      }
      expectEqual(await answer(), expected, 'the text after break');

      const controller = new AbortController();
      const prompt = longPrompt(model.info.contextLength);
      const pending = model
        .generate(prompt, { ...greedy, signal: controller.signal })
        .text()
        .then(
          () => 'done',
          (error) => error,
        );
      await pause(30);
      const begin = performance.now();
      controller.abort();
      const outcome = await pending;
      const milliseconds = performance.now() - begin;
      expect(outcome === 'done' || outcome === controller.signal.reason, `rejected with ${outcome}`);
      const before = (await model.counters()).stepsRun;
      await pause(50);
      expectEqual((await model.counters()).stepsRun, before, 'steps 50 ms after the abort');
      expectEqual(await answer(), expected, 'the text after the abort');
      show(PROMPT + expected);
      return outcome === 'done'
        ? 'The prompt was read before the abort came.'
        : `The abort took ${milliseconds.toFixed(1)} ms; nothing ran after it.`;
    },
  },
  {
    id: 'timers',
    title: 'Timers',
    button: 'Test timers during generation',
    what: 'The engine is in a worker: a setInterval of 10 ms ticks in this page as if nothing ran.',
    async run(model, show) {
      const before = (await model.counters()).stepsRun;
      const ticking = startTicking();
      let text = '';
      for await (const event of model.generate(longPrompt(512) + PROMPT, { ...greedy, maxTokens: 48 }))
        show(PROMPT + (text += event.text));
      const result = ticking.stop();
      const steps = (await model.counters()).stepsRun - before;
      expectTicks(result, steps);
      return `${result.ticks} ticks in ${steps} steps and ${result.elapsed.toFixed(0)} ms; longest wait ${result.longest.toFixed(0)} ms.`;
    },
  },
];
