// SPDX-License-Identifier: Apache-2.0
// memory.test.mjs: memory in Chromium stays within the bound of docs/DESIGN.md, at load and in use, from a
// URL, a picked file and bytes in the page. All numbers are the engine's own counters.
import test from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { MODEL, needs, openPage, root, withBrowser, withServer } from './browser.mjs';
import { memoryBound } from './memory-bound.mjs';

/** Runs in the page: loads a model, reads some 300 tokens, writes 64. Returns the counters after each. */
async function use({ kind, url, isolated }) {
  const { loadModel } = await import('/dist/index.js');
  const source = {
    url: async () => url,
    file: async () => document.querySelector('input').files[0],
    bytes: async () => new Uint8Array(await (await fetch(url)).arrayBuffer()),
  };
  const model = await loadModel(await source[kind](), isolated ? {} : { threads: 1 });
  const loaded = await model.counters();
  const run = model.generate('The keeper of the lighthouse climbed the stairs. '.repeat(30), {
    maxTokens: 64,
    temperature: 0,
    ignoreEos: true,
  });
  const text = await run.text();
  const used = await model.counters();
  const { info } = model;
  await model.dispose();
  return { info: structuredClone(info), loaded, used, stats: run.stats, text };
}

for (const isolated of [true, false]) {
  test(
    `memory stays within its bound at load and in use, ${isolated ? 'isolated' : 'not isolated'}`,
    needs(MODEL),
    (t) =>
      withServer({ isolated }, (address) =>
        withBrowser(async (browser) => {
          const file = path.join(root, MODEL);
          const texts = new Set();
          for (const kind of isolated ? ['url', 'file', 'bytes'] : ['url']) {
            const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
            await page.evaluate(() =>
              document.body.append(Object.assign(document.createElement('input'), { type: 'file' })),
            );
            await page.setInputFiles('input', file);
            const { info, loaded, used, stats, text } = await page.evaluate(use, {
              kind,
              url: `/${MODEL}`,
              isolated,
            });
            texts.add(text);
            assert.ok(stats.promptTokens + stats.cachedTokens > 250 && stats.tokens === 64);
            assert.ok(
              used.kvPages >= Math.floor((stats.promptTokens + 63) / 32),
              `${used.kvPages} KV pages are too few for the tokens`,
            );
            for (const [when, counters] of Object.entries({ loaded, used })) {
              const [bound, terms] = await memoryBound(file, info, counters);
              const held = counters.wasmBytes + counters.bufferBytesPeak;
              t.diagnostic(
                `${kind}, ${when}: ${(held / 1e6).toFixed(1)} MB (buffers ${(counters.bufferBytesPeak / 1e6).toFixed(1)}) of ${terms}`,
              );
              assert.ok(counters.bufferBytesPeak > 0, 'the counters must count buffers');
              assert.ok(held > info.memory.weights, 'the counters must include the weights');
              assert.ok(
                held <= bound,
                `${kind}, ${when}: ${held} bytes are held, at most ${bound} are allowed`,
              );
            }
            await page.close();
          }
          assert.equal(texts.size, 1, 'every source must give the same text');
        }),
      ),
  );
}
