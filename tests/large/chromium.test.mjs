// SPDX-License-Identifier: Apache-2.0
// chromium.test.mjs: models of real size in Chromium, picked as a file: with 64-bit addresses where 32 bits
// don't reach, and paged within 1.5 GiB, beside llama.cpp's answers. `make test-large` makes the models.
import assert from 'node:assert/strict';
import test from 'node:test';
import { needs, openPage, withBrowser, withServer } from '../e2e/browser.mjs';
import { NO_MODELS, floats, judge, mb, models } from './judge.mjs';

const MINUTES = 60_000;

/** Runs in the page: a load of the picked file, the prompt's logits as text, the greedy continuation. */
async function answers({ ids, greedy, memoryBudget }) {
  const { loadModel } = await import('/dist/index.js');
  const [file] = document.querySelector('input').files;
  const begin = performance.now();
  const model = await loadModel(file, { backend: 'cpu', threads: 2, memoryBudget, contextLength: 512 });
  const loadMs = performance.now() - begin;
  const logits = await model.logits(ids, { all: true });
  const run = model.generate(ids, { temperature: 0, maxTokens: greedy, ignoreEos: true });
  const tokens = [];
  for await (const { token } of run) tokens.push(token);
  const counters = await model.counters();
  const url = URL.createObjectURL(new Blob([logits]));
  const reader = new FileReader();
  reader.readAsDataURL(await (await fetch(url)).blob());
  await new Promise((resolve) => (reader.onload = resolve));
  const { info } = model;
  await model.dispose();
  return {
    info,
    loadMs,
    tokens,
    counters,
    decodeMs: run.stats.decodeMs,
    logits: reader.result.split(',')[1],
  };
}

/** The logits of each model whole: paged they are the same bits, whatever the width of addresses. */
const whole = new Map();

for (const model of models)
  for (const memoryBudget of [undefined, 1.5 * 2 ** 30]) {
    const how = memoryBudget === undefined ? '' : ' paged within 1.5 GiB';
    test(
      `${model.name} in Chromium${how} has llama.cpp's logits and greedy tokens`,
      { ...needs(), timeout: 30 * MINUTES },
      (t) =>
        withServer({ isolated: true }, (address) =>
          withBrowser(async (browser) => {
            const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
            await page.evaluate(() =>
              document.body.append(Object.assign(document.createElement('input'), { type: 'file' })),
            );
            await page.setInputFiles('input', model.file);
            const { ids, greedy, bytes } = model.golden;
            const given = { ids, greedy: greedy.length, memoryBudget };
            const found = await page.evaluate(answers, given);
            const { info, counters } = found;
            const each = found.decodeMs / 1000 / (greedy.length - 1);
            t.diagnostic(
              `${info.variant}, ${mb(counters.wasmBytes)}, load ${mb((1000 * bytes) / found.loadMs)}/s, ${each.toFixed(2)} s a token`,
            );
            await judge(t, model, floats(Buffer.from(found.logits, 'base64')), found.tokens);
            if (memoryBudget === undefined) whole.set(model.name, found.logits);
            else if (whole.has(model.name))
              assert.ok(found.logits === whole.get(model.name), 'paged: other logits');
            if (memoryBudget === undefined)
              assert.equal(/^wasm64/.test(info.variant), info.memory.total > 2 ** 32);
            else assert.ok(/^wasm32/.test(info.variant) && counters.wasmBytes <= memoryBudget);
            assert.deepEqual(page.faults, []);
          }),
        ),
    );
  }
if (models.length === 0) test('large models in Chromium', { skip: NO_MODELS }, () => {});
