// SPDX-License-Identifier: Apache-2.0
// interpreter.test.mjs: the package of this suite really computes by the interpreter, at both levels: on F32 fixtures its
// logits are llama.cpp's to the last bits of a float, which the CPU's executor with its f16 cache is not.
import test from 'node:test';
import assert from 'node:assert/strict';
import * as cpu from '../../dist/index.js';
import * as interpreter from '../../build/dist-interpreter/index.js';
import { nmse, readGolden } from '../reference/golden.mjs';

for (const name of ['f32-mha', 'f32-odd-tied', 'qwen3-f32']) {
  test(`${name}: the logits are the interpreter's, and not the CPU executor's`, async () => {
    const golden = await readGolden(name);
    const error = {};
    for (const [which, { loadModel }] of Object.entries({ cpu, interpreter })) {
      const model = await loadModel(new URL(`../golden/${name}.gguf`, import.meta.url), { threads: 1 });
      const pairs = [];
      for (const { sequence, rows, logits } of golden.prompts.slice(0, 2)) {
        const all = await model.logits(sequence, { all: true });
        rows.forEach((row, k) => pairs.push([all.subarray(row * golden.vocabulary, (row + 1) * golden.vocabulary), logits[k]]));
      }
      error[which] = nmse(pairs);
      await model.dispose();
    }
    assert.ok(error.interpreter < 1e-9 && error.cpu > 10 * error.interpreter, JSON.stringify(error));
  });
}
