// SPDX-License-Identifier: Apache-2.0
// abort.test.mjs: aborts inside a long prefill in Chromium, with shared memory and without. Counters are
// asserted, as in tests/ts/level2-smollm2.test.mjs. Milliseconds are only printed.
import test from 'node:test';
import assert from 'node:assert/strict';
import { MODEL, needs, openPage, withBrowser, withServer } from './browser.mjs';

/**
 * Runs in the page: aborts a generation during its prefill of 2,000 tokens. Returns the counters before and
 * after the abort.
 */
async function abort({ url, options }) {
  const { loadModel } = await import('/dist/index.js');
  const model = await loadModel(url, options);
  const greedy = { temperature: 0, maxTokens: 4, ignoreEos: true };
  const answer = () => model.generate('The capital of France is', greedy).text();
  const ids = (
    await model.tokenize('The keeper of the lighthouse climbed the stairs every morning. '.repeat(200))
  ).slice(0, 2000);
  const expected = await answer();
  const before = await model.counters();

  const controller = new AbortController();
  const { signal } = controller;
  const run = model
    .generate(ids, { ...greedy, signal })
    .text()
    .then(
      () => 'the generation ended by itself',
      (error) => (error === signal.reason ? 'aborted' : String(error)),
    );
  while ((await model.counters()).stepsRun < before.stepsRun + 3) continue;
  const begin = performance.now();
  controller.abort();
  // This call is posted after the cancel, so it is answered after the cancel is received.
  const received = model.counters();
  const outcome = await run;
  const ms = performance.now() - begin;
  const after = await model.counters();
  const found = {
    outcome,
    expected,
    again: await answer(),
    ms,
    before,
    received: await received,
    after,
    end: await model.counters(),
    ids: ids.length,
    threads: model.info.threads,
  };
  await model.dispose();
  return found;
}

for (const [how, isolated, options] of [
  ['isolated, 2 threads', true, { threads: 2 }],
  ['not isolated', false, {}],
  ['not isolated, no worker', false, { worker: false }],
]) {
  test(`an abort inside a prefill of 2,000 tokens takes effect within one step: ${how}`, needs(MODEL), (t) =>
    withServer({ isolated }, (address) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
        const { outcome, expected, again, ms, before, received, after, end, ids, threads } =
          await page.evaluate(abort, { url: `/${MODEL}`, options });
        assert.deepEqual([outcome, ids, threads], ['aborted', 2000, options.threads ?? 1]);
        assert.ok(
          after.stepsRun - received.stepsRun <= 1,
          `${after.stepsRun - received.stepsRun} steps ran after the abort was received, at most 1 is allowed`,
        );
        const [steps, tokens] = [
          after.stepsRun - before.stepsRun,
          after.tokensPrefilled - before.tokensPrefilled,
        ];
        assert.ok(
          tokens <= 1000,
          `${tokens} tokens of the prompt were evaluated before the abort took effect, at most 1000 are allowed`,
        );
        assert.equal(again, expected);
        assert.equal(end.stepsOverBudget, 0, 'no step may exceed its budget');
        t.diagnostic(
          `${how}: stopped in ${ms.toFixed(0)} ms after ${steps} steps, ${tokens} tokens evaluated`,
        );
        assert.deepEqual(page.faults, []);
      }),
    ),
  );
}
