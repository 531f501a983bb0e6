// SPDX-License-Identifier: Apache-2.0
// asserts.mjs: asserts that what judge.mjs found is within a golden's tolerance, whatever engine found it.
import assert from 'node:assert/strict';

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

/** Asserts a fixture's tokens, logits and greedy texts. Returns its NMSE as a part of the tolerance. */
export function assertFixture(name, golden, ours) {
  const { tolerance } = golden;
  assert.deepEqual(ours.wrongTexts, [], name);
  assert.ok(
    ours.nmse <= tolerance.nmse && ours.median <= tolerance.median && ours.regret <= tolerance.regret,
    `${name}: NMSE ${ours.nmse}, median ${ours.median}, regret ${ours.regret}; tolerance ${JSON.stringify(tolerance)}`,
  );
  assertGreedy(name, golden, ours.greedy);
  return ours.nmse / tolerance.nmse;
}

/** Asserts that a real model prefers tokens as good as llama.cpp's, in each way in which it was judged. */
export function assertReal(t, label, { prompts, tolerance, noise }, found) {
  assert.deepEqual(found.wrongPrompts, []);
  const steps = prompts[0].greedy.length;
  for (const [way, { differ, regret, parted, nmse, kl }] of Object.entries(found.ways)) {
    const native = noise[`kv16fa-${way}`].differ;
    const equal = parted.filter((step) => step === steps).length;
    t.diagnostic(
      `${label}, ${way}: ${differ} of ${prompts.length * steps} steps differ (llama.cpp natively ${native}), regret at most ` +
        `${regret?.toFixed(3)} (tolerance ${tolerance.regret}), NMSE ${nmse.toExponential(1)} (${tolerance.nmse}), KL ${kl.toExponential(1)}, ${equal} of ${prompts.length} texts equal to the end`,
    );
    assert.ok(
      regret !== null && regret <= tolerance.regret,
      `${way}: regret is ${regret}, at most ${tolerance.regret} is allowed`,
    );
    // Few differing steps are chance. So the limit is at least the worst of llama.cpp's own runs.
    const limit = Math.max(2 * native, ...Object.values(noise).map((run) => run.differ));
    assert.ok(differ <= limit, `${way}: ${differ} steps differ, at most ${limit} are allowed`);
    assert.ok(nmse <= tolerance.nmse, `${way}: NMSE is ${nmse}, at most ${tolerance.nmse} is allowed`);
    for (const [i, step] of parted.entries())
      assert.ok(
        step === steps || prompts[i].margins[step] <= tolerance.regret,
        `${way}, prompt ${i}: the text differs at step ${step}, whose token leads by ${prompts[i].margins[step]}`,
      );
  }
  for (const [i, text] of found.texts.entries()) {
    const parted = prompts[i].greedy.findIndex((token, k) => token !== text[k]);
    assert.equal(
      parted < 0 ? steps : parted,
      found.ways.prefill.parted[i],
      `prompt ${i}: generate and logits must leave the text of exact at the same step`,
    );
  }
}
