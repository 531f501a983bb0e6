// SPDX-License-Identifier: Apache-2.0
// interpreter.test.mjs: the package that this suite builds computes with the interpreter. On F32 fixtures
// its logits differ from llama.cpp's only by the rounding of a float. The CPU executor's logits differ more,
// because its cache is F16.
import test from 'node:test';
import assert from 'node:assert/strict';
import * as cpu from '../../dist/index.js';
import * as interpreter from '../../build/dist-interpreter/index.js';
import { nmse, readGolden } from '../reference/golden.mjs';

for (const name of ['f32-mha', 'f32-odd-tied', 'qwen3-f32']) {
  test(`the suite's package computes ${name} with the interpreter and not with the CPU executor`, async () => {
    const golden = await readGolden(name);
    const error = {};
    for (const [which, { loadModel }] of Object.entries({ cpu, interpreter })) {
      const model = await loadModel(new URL(`../golden/${name}.gguf`, import.meta.url), { threads: 1 });
      const pairs = [];
      for (const { sequence, rows, logits } of golden.prompts.slice(0, 2)) {
        const all = await model.logits(sequence, { all: true });
        rows.forEach((row, k) =>
          pairs.push([all.subarray(row * golden.vocabulary, (row + 1) * golden.vocabulary), logits[k]]),
        );
      }
      error[which] = nmse(pairs);
      await model.dispose();
    }
    assert.ok(error.interpreter < 1e-9 && error.cpu > 10 * error.interpreter, JSON.stringify(error));
  });
}
