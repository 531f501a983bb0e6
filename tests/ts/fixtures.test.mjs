// SPDX-License-Identifier: Apache-2.0
// fixtures.test.mjs: compares the fixtures of tests/golden with llama.cpp's answers, through the package's
// loadModel in Node, with both variants and with 1 and 2 threads. The thread count changes no logit.
import test from 'node:test';
import assert from 'node:assert/strict';
import { assertFixture } from '../reference/asserts.mjs';
import { readGolden } from '../reference/golden.mjs';
import { prove } from '../reference/proof.mjs';
import { fixtureNames, judged, VARIANTS } from './judged.mjs';

for (const variant of Object.keys(VARIANTS)) {
  test(`every fixture has llama.cpp's tokens, logits and greedy text in ${variant}, with 1 and 2 threads`, async (t) => {
    const names = await fixtureNames();
    assert.ok(names.length >= 20);
    const [one, two, f32] = await Promise.all(
      [1, 2, 2].map((threads, i) =>
        judged('fixtures', variant, { threads, ...(i === 2 && { kvType: 'f32' }) }),
      ),
    );
    let worst = 0;
    for (const name of names) {
      const golden = await readGolden(name);
      assert.deepEqual(
        [one[name].variant, one[name].threads, two[name].variant, two[name].threads],
        [variant, 1, variant, 2],
      );
      assert.equal(
        one[name].hash,
        two[name].hash,
        `${name}: the logits must be bitwise equal with two threads`,
      );
      assert.notEqual(f32[name].hash, two[name].hash, `${name}: an F32 KV cache must change the logits`);
      for (const ours of [two[name], f32[name]]) {
        worst = Math.max(worst, assertFixture(name, golden, ours));
      }
      assert.deepEqual(one[name].greedy, two[name].greedy);
      const { nmse } = two[name];
      prove('fixtures', { model: name, backend: 'cpu', nmse, part: nmse / golden.tolerance.nmse });
    }
    t.diagnostic(`${variant}: ${names.length} fixtures, NMSE at most ${worst.toFixed(2)} of its tolerance`);
  });
}
