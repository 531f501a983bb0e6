// SPDX-License-Identifier: Apache-2.0
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { readGolden } from '../reference/golden.mjs';
import { fixtureNames } from '../ts/judged.mjs';
import { openModel } from './engine.mjs';
import { missing, openGpu } from './gpu.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const bytesOf = async (name) =>
  new Uint8Array(await readFile(new URL(`../golden/${name}.gguf`, import.meta.url)));

/** Mean squared difference of rows as a part of the mean square. */
function nmse(got, want) {
  let [error, power] = [0, 0];
  want.forEach((row, i) =>
    row.forEach((x, k) => {
      error += (got[i][k] - x) ** 2;
      power += x * x;
    }),
  );
  return error / power;
}

const names = (await fixtureNames()).filter((name) => name.match(process.env.FIXTURE ?? ''));
for (const name of names)
  test(`${name}: the GPU's logits are llama.cpp's`, { skip }, async (t) => {
    const golden = await readGolden(name);
    const model = await openModel(gpu, await bytesOf(name));
    try {
      let worst = 0;
      for (const { sequence, rows, logits } of golden.prompts) {
        const got = await model.logits(sequence);
        worst = Math.max(
          worst,
          nmse(
            rows.map((row) => got[row]),
            logits,
          ),
        );
      }
      t.diagnostic(`NMSE ${worst.toExponential(1)}, tolerance ${golden.tolerance.nmse}`);
      assert.ok(worst <= golden.tolerance.nmse, `NMSE ${worst}, tolerance ${golden.tolerance.nmse}`);
    } finally {
      model.free();
    }
  });
