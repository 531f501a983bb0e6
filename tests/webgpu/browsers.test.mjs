// SPDX-License-Identifier: Apache-2.0
// browsers.test.mjs: kernels of every kind in Chromium over SwiftShader and in Firefox over lavapipe: the
// tests of this folder, bundled for browsers. The other tests run in Node alone.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, missingWebgpu } from '../../tools/browsers.mjs';
import { startServer } from '../../tools/serve.mjs';
import { bundleTests } from './in-browser.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The tests of each file, by their names: in Chromium all that use the GPU. Firefox answers a readback only
 * every 100 ms, so it runs one of each kind; KERNELS=. runs all.
 */
const CHOSEN = {
  chromium: { matmul: '', half: 'q4_k|q8_0|outliers', formats: '^EMBED', rows: '', attend: '', sample: '' },
  firefox: {
    matmul: '(f16|q8_0|q4_k) by 1|q6_k by q8|fuses (a norm|gate)',
    half: '(f16|q4_0|q4_k|q6_k) by f16|outliers|short rows|largest|two matrices|type f16',
    formats: '^EMBED.* (f16|q4_0|q3_k|q4_k|iq4_xs|q2_0),',
    rows: '',
    attend: 'attend of (many|few)',
    sample: 'the best are|penalties that|not finite|topP',
  },
};
/** Fewer tests than these would mean that a test has another name now. */
const LEAST = {
  chromium: { matmul: 40, half: 3, formats: 15, rows: 8, attend: 5, sample: 15 },
  firefox: { matmul: 6, half: 9, formats: 6, rows: 8, attend: 2, sample: 4 },
};

for (const engine of ['chromium', 'firefox'])
  describe(`kernels in ${engine}`, { skip: missingWebgpu(engine) || false }, () => {
    let browser, server;
    before(async () => {
      browser = await launch(engine, { webgpu: true });
      server = await startServer({ root, isolated: true });
    });
    after(async () => {
      await browser?.close();
      await server?.close();
    });

    for (const [name, pattern] of Object.entries(CHOSEN[engine]))
      it(`the tests of ${name} pass`, async (t) => {
        const file = `${name}.test.mjs`;
        const bundle = `build/test/webgpu/browser-${process.pid}-${file}`;
        await mkdir(path.dirname(path.join(root, bundle)), { recursive: true });
        await writeFile(path.join(root, bundle), await bundleTests(file));
        const page = await browser.open(`${server.address}/tests/e2e/blank.html`);
        const results = await page.evaluate(
          async ([address, chosen]) => {
            const { runTests } = await import(address);
            return runTests(chosen);
          },
          [`/${bundle}`, process.env.KERNELS ?? pattern],
        );
        for (const { name, ms } of results) t.diagnostic(`${name}: ${ms.toFixed(0)} ms`);
        const failed = results.filter(({ error }) => error !== undefined);
        assert.deepEqual(
          failed.map(({ name, error }) => `${name}: ${error}`),
          [],
        );
        assert.ok(results.length >= LEAST[engine][name], `${results.length} tests`);
        await page.close();
      });
  });
