// SPDX-License-Identifier: Apache-2.0
// smollm2.test.mjs: compares the default model in wasm with llama.cpp. tests/real does so for larger models.
import test from 'node:test';
import { needs } from '../reference/real.mjs';
import { VARIANTS } from './judged.mjs';
import { assertAsGoodAsLlamaCpp } from './real.mjs';

for (const variant of Object.keys(VARIANTS)) {
  test(`SmolLM2 prefers tokens as good as llama.cpp's in ${variant}`, needs('smollm2'), (t) =>
    assertAsGoodAsLlamaCpp(t, 'smollm2', variant),
  );
}
