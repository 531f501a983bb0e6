// SPDX-License-Identifier: Apache-2.0
// examples.test.mjs: the scripts of examples/node as a user runs them. tests/e2e tests the pages.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const MODEL = 'models/SmolLM2-135M-Instruct.Q4_1.gguf';
const isMissing = !existsSync(new URL(`../../${MODEL}`, import.meta.url));
if (isMissing && process.env.CI === 'true') throw new Error(`${MODEL} is missing (make model)`);
const needsModel = { skip: isMissing ? `${MODEL} is missing (make model)` : false, timeout: 120_000 };

/** Makes a child believe that its stderr is a terminal. */
const terminal = ['--import', 'data:text/javascript,process.stderr.isTTY = true'];
const run = (...parameters) => promisify(execFile)(process.execPath, parameters, { cwd: root });

test('the demo prints an answer, the variant with its reason, and the speed', needsModel, async (t) => {
  const { stdout, stderr } = await run('examples/node/demo.mjs', MODEL, 'What is the capital of France?');
  const [first, , question, answer, , figures] = stdout.split('\n');
  assert.match(first, /^.+ in wasm32-(simd|relaxed) with \d+ threads? \(.*wasm32-(simd|relaxed): .+\)$/);
  assert.equal(question, '> What is the capital of France?');
  assert.match(answer, /Paris/);
  assert.match(figures, /^\d+ tokens at [\d.]+ tokens\/s, after \d+ prompt tokens in \d+ ms$/);
  assert.equal(stderr, '');
  t.diagnostic(figures);
});

for (const [name, parameters] of [
  ['the demo', ['examples/node/demo.mjs', MODEL]],
  ['the command line', ['dist/cli.js', 'tokenize', MODEL, 'x']],
]) {
  test(`${name} draws a progress bar on a terminal and clears it at the end`, needsModel, async () => {
    const { stderr } = await run(...terminal, ...parameters);
    assert.match(stderr, /[·░]{30}/);
    assert.match(stderr, /█{30}/);
    assert.match(stderr, /\r\x1b\[2K$/);
  });
}
