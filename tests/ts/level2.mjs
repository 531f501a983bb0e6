// SPDX-License-Identifier: Apache-2.0
// level2.mjs: helpers of the tests of level 2.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import assert from 'node:assert/strict';
import { ChordError, loadModel } from '../../dist/index.js';

/** A fixture of random weights: byte-BPE, a vocabulary of a few hundred tokens. */
export const FIXTURE = fileURLToPath(new URL('../golden/q4_1-smollm.gguf', import.meta.url));
export const SMOLLM2 = fileURLToPath(
  new URL('../../models/SmolLM2-135M-Instruct.Q4_1.gguf', import.meta.url),
);

const isMissing = !existsSync(SMOLLM2);
if (isMissing && process.env.CI === 'true') throw new Error(`${SMOLLM2} is missing (make model)`);
/** Options of a test that needs SmolLM2: it is skipped without the model. With CI=true this file throws. */
export const needsModel = {
  skip: isMissing ? 'models/SmolLM2-135M-Instruct.Q4_1.gguf is missing (make model)' : false,
};

/** A complete `Sampling` of the worker's protocol: the most likely token. */
export const GREEDY_SAMPLING = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
};

export const GREEDY = { temperature: 0, maxTokens: 16, ignoreEos: true };

/** Runs `use(model)` and disposes of the model afterwards. */
export async function withModel(source, options, use) {
  const model = await loadModel(source, options);
  try {
    return await use(model);
  } finally {
    await model.dispose();
  }
}

/**
 * Asserts that `promise` rejects with a ChordError of this code whose message contains all `names`. Resolves
 * to the error.
 */
export async function refused(promise, code, ...names) {
  const error = await Promise.resolve(promise).then(
    (value) => assert.fail(`expected ${code}, got ${String(value)}`),
    (reason) => reason,
  );
  assert.ok(
    ChordError.isInstance(error) && error instanceof ChordError,
    `not a ChordError: ${error?.stack ?? error}`,
  );
  assert.equal(error.code, code, error.message);
  for (const name of names)
    assert.ok(error.message.includes(name), `${JSON.stringify(error.message)} doesn't name ${name}`);
  return error;
}
