// SPDX-License-Identifier: Apache-2.0
// models.test.mjs: compares the real models in wasm with llama.cpp: tokens of texts, logits, greedy text.
import test from 'node:test';
import assert from 'node:assert/strict';
import { loadModel } from '../../dist/index.js';
import { readGolden } from '../reference/golden.mjs';
import { REAL, fileOf, needs } from '../reference/real.mjs';
import { VARIANTS } from '../ts/judged.mjs';
import { assertAsGoodAsLlamaCpp } from '../ts/real.mjs';

for (const [name, { title, tokens }] of Object.entries(REAL)) {
  test(`${title} tokenizes every golden text as llama.cpp does`, needs(name), async (t) => {
    const { texts } = await readGolden(tokens);
    const model = await loadModel(fileOf(name), { threads: 1, contextLength: 32 });
    const wrong = [];
    try {
      for (const { text, flags, ids } of texts) {
        const ours = await model.tokenize(text, {
          addSpecial: (flags & 1) !== 0,
          parseSpecial: (flags & 2) !== 0,
        });
        if (ours.join() !== ids.join()) wrong.push({ text, flags, ours, ids });
      }
      assert.deepEqual(wrong, []);
    } finally {
      await model.dispose();
    }
    t.diagnostic(`${name}: ${texts.length} texts`);
  });
  // The largest model runs in one variant only: it takes minutes, and its kernels are the 0.5B model's.
  for (const variant of Object.keys(VARIANTS).slice(name === 'qwen2.5-coder-1.5b' ? 1 : 0)) {
    test(`${title} prefers tokens as good as llama.cpp's in ${variant}`, needs(name), (t) =>
      assertAsGoodAsLlamaCpp(t, name, variant),
    );
  }
}
