// SPDX-License-Identifier: Apache-2.0
// real.mjs: a real model in wasm against llama.cpp: its golden's prompts, each with exact's own greedy tokens fed
// in, once as one prefill and once token by token, and continued freely. What is allowed: tests/golden/README.md.
import assert from 'node:assert/strict';
import { readGolden } from '../reference/golden.mjs';
import { judged } from './judged.mjs';

/** Asserts that model `name` prefers as good tokens as llama.cpp does, run by `variant` with two threads. */
export async function assertAsGoodAsLlamaCpp(t, name, variant) {
  const { prompts, tolerance, noise } = await readGolden(name);
  const found = await judged(name, variant, { threads: 2 });
  assert.deepEqual([found.variant, found.threads, found.wrongPrompts], [variant, 2, []]);

  const steps = prompts[0].greedy.length;
  for (const [way, { differ, regret, parted, nmse }] of Object.entries(found.ways)) {
    const native = noise[`kv16fa-${way}`].differ;
    const equal = parted.filter((step) => step === steps).length;
    t.diagnostic(`${name}, ${variant}, ${way}: ${differ} of ${prompts.length * steps} steps differ (llama.cpp natively ${native}), regret at most ` +
      `${regret?.toFixed(3)} (tolerance ${tolerance.regret}), NMSE ${nmse.toExponential(1)} (${tolerance.nmse}), ${equal} of ${prompts.length} texts equal to the end`);
    assert.ok(regret !== null && regret <= tolerance.regret, `${way}: regret ${regret} over ${tolerance.regret}`);
    // Where few steps differ, chance decides which: never fewer than the worst of llama.cpp's own six runs.
    const limit = Math.max(2 * native, ...Object.values(noise).map((run) => run.differ));
    assert.ok(differ <= limit, `${way}: ${differ} steps differ, more than ${limit}`);
    assert.ok(nmse <= tolerance.nmse, `${way}: NMSE ${nmse} over ${tolerance.nmse}`);
    for (const [i, step] of parted.entries())
      assert.ok(step === steps || prompts[i].margins[step] <= tolerance.regret, `${way}, prompt ${i}: parts at step ${step}, whose token leads by ${prompts[i].margins[step]}`);
  }
  assert.deepEqual(found.ways.prefill, found.ways['one-by-one'], 'token by token gives other logits than one prefill');
  for (const [i, { greedy }] of prompts.entries()) {
    const parted = greedy.findIndex((token, k) => token !== found.texts[i][k]);
    assert.equal(parted < 0 ? steps : parted, found.ways.prefill.parted[i], `prompt ${i}: generate leaves exact's text at another step than its logits do`);
  }
}
