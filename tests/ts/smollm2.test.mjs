// SPDX-License-Identifier: Apache-2.0
// smollm2.test.mjs: SmolLM2 in wasm against llama.cpp: ten prompts, each with exact's own 64 greedy tokens fed
// in, once as one prefill and once token by token, and continued freely.
import test from 'node:test';
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readGolden } from '../reference/golden.mjs';
import { judged, VARIANTS } from './judged.mjs';

const MODEL = new URL('../../models/SmolLM2-135M-Instruct.Q4_1.gguf', import.meta.url);
const skip = existsSync(MODEL) || process.env.CI === 'true' ? false : 'no default model here: run `make model`';

for (const variant of Object.keys(VARIANTS)) {
  test(`SmolLM2 prefers as good tokens as llama.cpp does in ${variant}`, { skip }, async (t) => {
    const { prompts, tolerance, noise } = await readGolden('smollm2');
    const found = await judged('smollm2', variant, { threads: 2, prompts: prompts.length });
    assert.deepEqual([found.variant, found.threads, found.wrongPrompts], [variant, 2, []]);

    for (const [way, { differ, regret, parted, nmse }] of Object.entries(found.ways)) {
      const native = noise[`kv16fa-${way}`].differ;
      const equal = parted.filter((step) => step === 64).length;
      t.diagnostic(`${variant}, ${way}: ${differ} of 640 steps differ (llama.cpp natively ${native}), regret at most ${regret?.toFixed(3)} ` +
        `(tolerance ${tolerance.regret}), NMSE ${nmse.toExponential(1)} (${tolerance.nmse}), ${equal} of ${prompts.length} texts equal to the end`);
      assert.ok(regret !== null && regret <= tolerance.regret, `${way}: regret ${regret} over ${tolerance.regret}`);
      assert.ok(differ <= 2 * native, `${way}: ${differ} steps differ, twice llama.cpp's are ${2 * native}`);
      assert.ok(nmse <= tolerance.nmse, `${way}: NMSE ${nmse} over ${tolerance.nmse}`);
      for (const [i, step] of parted.entries())
        assert.ok(step === 64 || prompts[i].margins[step] <= tolerance.regret, `${way}, prompt ${i}: parts at step ${step}, whose token leads by ${prompts[i].margins[step]}`);
    }
    assert.deepEqual(found.ways.prefill, found.ways['one-by-one'], 'token by token gives other logits than one prefill');
    for (const [i, { greedy }] of prompts.entries()) {
      const parted = greedy.findIndex((token, k) => token !== found.texts[i][k]);
      assert.equal(parted < 0 ? 64 : parted, found.ways.prefill.parted[i], `prompt ${i}: generate leaves exact's text at another step than its logits do`);
    }
  });
}
