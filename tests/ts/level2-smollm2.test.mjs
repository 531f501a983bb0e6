// SPDX-License-Identifier: Apache-2.0
// level2-smollm2.test.mjs: level 2 with SmolLM2, whose steps take real time: an answer, aborts inside a long
// prefill, timers during a generation. Counters are asserted; milliseconds are only printed.
import test from 'node:test';
import assert from 'node:assert/strict';
import { GREEDY, SMOLLM2, needsModel, withModel } from './level2.mjs';

const modes = [
  ['a worker, 2 threads', { threads: 2 }],
  ['a worker, 1 thread', { threads: 1 }],
  ['no worker', { worker: false }],
];

test('the model answers through its own chat template', needsModel, (t) =>
  withModel(SMOLLM2, {}, async (model) => {
    assert.equal(model.info.name.length > 0 && model.info.architecture, 'llama');
    assert.equal(model.info.quantization, 'Q4_1');
    assert.equal(model.info.parameters, 134515008);
    const prompt = await model.applyChatTemplate([
      { role: 'system', content: 'Answer in one sentence.' },
      { role: 'user', content: 'What is the capital of France?' },
    ]);
    assert.ok(
      prompt.startsWith('<|im_start|>system\nAnswer in one sentence.<|im_end|>\n<|im_start|>user\n') &&
        prompt.endsWith('<|im_start|>assistant\n'),
      prompt,
    );
    const bare = await model.applyChatTemplate([{ role: 'user', content: 'Hi' }], {
      addGenerationPrompt: false,
    });
    assert.ok(!bare.endsWith('assistant\n'));
    const run = model.generate(prompt, { temperature: 0, maxTokens: 32 });
    const text = await run.text();
    t.diagnostic(
      `${JSON.stringify(text)} at ${run.stats.tokensPerSecond.toFixed(1)} tokens/s, ${model.info.backendReason}`,
    );
    assert.match(text, /Paris|France/);
  }),
);

for (const [name, options] of modes) {
  test(`an abort inside a prefill of 2,000 tokens takes effect within one step: ${name}`, needsModel, (t) =>
    withModel(SMOLLM2, options, async (model) => {
      const ids = (
        await model.tokenize('The keeper of the lighthouse climbed the stairs every morning. '.repeat(200))
      ).slice(0, 2000);
      assert.equal(ids.length, 2000);
      const expected = await model.generate('The capital of France is', { ...GREEDY, maxTokens: 4 }).text();
      const before = await model.counters();

      const ways = {
        abort(controller, pending) {
          controller.abort(new Error('enough'));
          return assert.rejects(pending, /enough/);
        },
        return: (_, pending, run) => Promise.all([run.return(), pending]),
      };
      for (const [how, stop] of Object.entries(ways)) {
        const controller = new AbortController();
        const run = model.generate(ids, { ...GREEDY, signal: controller.signal });
        const pending = run.next();
        pending.catch(() => {});
        let atWork = await model.counters();
        for (const start = atWork.stepsRun; atWork.stepsRun < start + 3;) atWork = await model.counters();
        const begin = performance.now();
        const stopped = stop(controller, pending, run);
        // This call is posted after the cancel, so it is answered after the cancel is received.
        const received = model.counters();
        await stopped;
        const ms = performance.now() - begin;
        const after = await model.counters();
        assert.ok(
          after.stepsRun - (await received).stepsRun <= 1,
          `${after.stepsRun - (await received).stepsRun} steps ran after the ${how} was received, at most 1 is allowed`,
        );
        assert.ok(
          after.tokensPrefilled < before.tokensPrefilled + 2 * 2000,
          'the prompt must not be evaluated to its end',
        );
        t.diagnostic(
          `${how}: stopped in ${ms.toFixed(0)} ms after ${after.stepsRun - before.stepsRun} steps, ${after.tokensPrefilled - before.tokensPrefilled} tokens evaluated`,
        );
        assert.equal(
          await model.generate('The capital of France is', { ...GREEDY, maxTokens: 4 }).text(),
          expected,
        );
      }
      assert.equal((await model.counters()).stepsOverBudget, 0, 'no step may exceed its budget');
    }),
  );
}

test("the caller's timers fire during a generation without a worker", needsModel, (t) =>
  withModel(SMOLLM2, { worker: false }, async (model) => {
    const before = (await model.counters()).stepsRun;
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await model
      .generate('The keeper of the lighthouse climbed the stairs every morning. '.repeat(8), {
        ...GREEDY,
        maxTokens: 12,
      })
      .text();
    clearInterval(timer);
    const steps = (await model.counters()).stepsRun - before;
    t.diagnostic(`${ticks} ticks in ${steps} steps`);
    assert.ok(
      ticks * 4 >= steps,
      `${ticks} ticks in ${steps} steps, at least one per four steps was expected`,
    );
  }),
);
