// SPDX-License-Identifier: Apache-2.0
// proof.mjs: where PROOF names a folder, tests leave in it what they compared with llama.cpp. tools/proof.mjs
// makes docs/PROOF.md of it, and of the texts that tests/model/vocabulary_test.c compared.
import { appendFileSync } from 'node:fs';

/**
 * Records a comparison that passed. `model`: the fixture's name in its suite. `backend`: 'cpu' or 'webgpu'.
 * `nmse`: of the logits. `part`: `nmse` divided by its tolerance. `greedy`: tokens in a row that were
 * llama.cpp's, and how many were compared; undefined where none was.
 */
export function prove(suite, { model, backend, nmse, part, greedy }) {
  if (!process.env.PROOF) return;
  const line = JSON.stringify({ suite, model, backend, nmse, part, greedy });
  appendFileSync(`${process.env.PROOF}/${suite}.jsonl`, `${line}\n`);
}
