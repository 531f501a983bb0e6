// SPDX-License-Identifier: Apache-2.0
// real.mjs: compares a real model in wasm with llama.cpp. Each prompt of its golden is evaluated with the
// greedy tokens of *exact* appended, once as one prefill and once token by token, and is then continued
// freely. The tolerances are explained in tests/golden/README.md.
import assert from 'node:assert/strict';
import { assertReal } from '../reference/asserts.mjs';
import { readGolden } from '../reference/golden.mjs';
import { judged } from './judged.mjs';

/** Asserts that model `name`, run by `variant` with two threads, prefers tokens as good as llama.cpp's. */
export async function assertAsGoodAsLlamaCpp(t, name, variant) {
  const golden = await readGolden(name);
  const found = await judged(name, variant, { threads: 2 });
  assert.deepEqual([found.variant, found.threads, found.wrongPrompts], [variant, 2, []]);
  assert.equal(found.texts.length, golden.prompts.length);
  assertReal(t, `${name}, ${variant}`, golden, found);
  assert.deepEqual(
    found.ways.prefill,
    found.ways['one-by-one'],
    'token by token and one prefill must give the same logits',
  );
}
