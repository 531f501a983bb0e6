// SPDX-License-Identifier: Apache-2.0
// fixtures.test.mjs: compares the fixtures of tests/golden with llama.cpp's answers, through the package's
// loadModel in Node, with both variants and with 1 and 2 threads. The thread count changes no logit.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readGolden } from '../reference/golden.mjs';
import { fixtureNames, judged, VARIANTS } from './judged.mjs';

/**
 * Asserts that free-running greedy tokens are the golden's, up to the first whose lead is within the noise.
 */
function assertGreedy(name, golden, greedy) {
  for (const [i, prompt] of golden.prompts.entries()) {
    const at = prompt.greedy.findIndex((token, k) => token !== greedy[i][k]);
    assert.equal(greedy[i].length, prompt.greedy.length);
    assert.ok(
      at < 0 || prompt.margins[at] <= golden.tolerance.regret,
      `${name}, prompt of ${prompt.ids.length}: token ${at} is ${greedy[i][at]}, not ${prompt.greedy[at]}, which leads by ${prompt.margins[at]}`,
    );
  }
}

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
      const { tolerance } = golden;
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
        assert.deepEqual(ours.wrongTexts, [], name);
        assert.ok(
          ours.nmse <= tolerance.nmse && ours.median <= tolerance.median && ours.regret <= tolerance.regret,
          `${name}: NMSE ${ours.nmse}, median ${ours.median}, regret ${ours.regret}; tolerance ${JSON.stringify(tolerance)}`,
        );
        assertGreedy(name, golden, ours.greedy);
        worst = Math.max(worst, ours.nmse / tolerance.nmse);
      }
      assert.deepEqual(one[name].greedy, two[name].greedy);
    }
    t.diagnostic(`${variant}: ${names.length} fixtures, NMSE at most ${worst.toFixed(2)} of its tolerance`);
  });
}
