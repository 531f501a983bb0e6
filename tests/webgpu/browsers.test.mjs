// SPDX-License-Identifier: Apache-2.0
// browsers.test.mjs: the kernels in Chromium over SwiftShader and in Firefox over lavapipe: the tests of this
// folder, bundled for browsers. Every text of ts/webgpu/kernels that the adapter can run has a case.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { readTexts } from '../../tools/wgsl.mjs';
import { KERNEL_TESTS, missingEngine, openEngine } from './kernels.mjs';
import { withoutCase } from './ledger.mjs';

for (const name of ['chromium', 'firefox'])
  describe(`kernels in ${name}`, { skip: missingEngine(name) || false }, () => {
    const ledgers = [];
    let engine;
    before(async () => (engine = await openEngine(name)));
    after(() => engine?.close());

    for (const [file, { least }] of Object.entries(KERNEL_TESTS))
      it(`the tests of ${file} pass`, async (t) => {
        const { tests, ...ledger } = await engine.run(file);
        ledgers.push(ledger);
        for (const { name: test, ms } of tests) t.diagnostic(`${test}: ${ms.toFixed(0)} ms`);
        const failed = tests.filter(({ error }) => error !== undefined);
        assert.deepEqual(
          failed.map(({ name: test, error }) => `${test}: ${error}`),
          [],
        );
        // Fewer would mean that a test has another name now.
        assert.ok(tests.length >= least, `${tests.length} tests`);
      });

    it(
      'every kernel text that the adapter can run has a case',
      { skip: process.env.KERNELS !== undefined },
      async () => {
        const offered = Object.assign({}, ...ledgers.map((ledger) => ledger.offered));
        const rows = ledgers.flatMap((ledger) => ledger.rows);
        assert.deepEqual(withoutCase(rows, await readTexts(), offered), []);
      },
    );
  });
