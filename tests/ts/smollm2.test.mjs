// SPDX-License-Identifier: Apache-2.0
// smollm2.test.mjs: the default model in wasm against llama.cpp; the larger ones stand in tests/real.
import test from 'node:test';
import { needs } from '../reference/real.mjs';
import { VARIANTS } from './judged.mjs';
import { assertAsGoodAsLlamaCpp } from './real.mjs';

for (const variant of Object.keys(VARIANTS)) {
  test(`SmolLM2 prefers as good tokens as llama.cpp does in ${variant}`, needs('smollm2'), (t) => assertAsGoodAsLlamaCpp(t, 'smollm2', variant));
}
