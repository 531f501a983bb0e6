// SPDX-License-Identifier: Apache-2.0
// real.mjs: compares a real model in wasm with llama.cpp. Each prompt of its golden is evaluated with the
// greedy tokens of *exact* appended, once as one prefill and once token by token, and is then continued
// freely. The tolerances are explained in tests/golden/README.md.
import assert from 'node:assert/strict';
import { readGolden } from '../reference/golden.mjs';
import { judged } from './judged.mjs';

/** Asserts that model `name`, run by `variant` with two threads, prefers tokens as good as llama.cpp's. */
export async function assertAsGoodAsLlamaCpp(t, name, variant) {
  const { prompts, tolerance, noise } = await readGolden(name);
  const found = await judged(name, variant, { threads: 2 });
  assert.deepEqual([found.variant, found.threads, found.wrongPrompts], [variant, 2, []]);

  const steps = prompts[0].greedy.length;
  for (const [way, { differ, regret, parted, nmse }] of Object.entries(found.ways)) {
    const native = noise[`kv16fa-${way}`].differ;
    const equal = parted.filter((step) => step === steps).length;
    t.diagnostic(
      `${name}, ${variant}, ${way}: ${differ} of ${prompts.length * steps} steps differ (llama.cpp natively ${native}), regret at most ` +
        `${regret?.toFixed(3)} (tolerance ${tolerance.regret}), NMSE ${nmse.toExponential(1)} (${tolerance.nmse}), ${equal} of ${prompts.length} texts equal to the end`,
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
  assert.deepEqual(
    found.ways.prefill,
    found.ways['one-by-one'],
    'token by token and one prefill must give the same logits',
  );
  for (const [i, { greedy }] of prompts.entries()) {
    const parted = greedy.findIndex((token, k) => token !== found.texts[i][k]);
    assert.equal(
      parted < 0 ? steps : parted,
      found.ways.prefill.parted[i],
      `prompt ${i}: generate and logits must leave the text of exact at the same step`,
    );
  }
}
