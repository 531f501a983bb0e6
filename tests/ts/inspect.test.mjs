// SPDX-License-Identifier: Apache-2.0
// inspect.test.mjs: what inspectModel and `wasm-chord info` say of a header, also of a file that can't run.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspectModel, loadModel } from '../../dist/index.js';
import { FIXTURE, refused } from './level2.mjs';

const MIXED = fileURLToPath(new URL('../golden/mixed.gguf', import.meta.url));
const bin = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** A copy of the fixture in which every `from` is `to`, a text of the same length. */
function renamed(bytes, from, to) {
  const copy = Buffer.from(bytes);
  for (let at = -1; (at = copy.indexOf(from, at + 1)) >= 0;) copy.write(to, at, 'latin1');
  return copy;
}

/** A copy of the fixture in which tensor `name` has the type number `type`. */
function retyped(bytes, name, type) {
  const copy = Buffer.from(bytes);
  const at = copy.indexOf(name) + name.length; // the name, n_dims, 8 bytes for each, then the type
  copy.writeInt32LE(type, at + 4 + 8 * copy.readUInt32LE(at));
  return copy;
}

test('inspectModel says of a sound file what model.info and estimateModel say, and has all tables', async () => {
  const found = await inspectModel(MIXED);
  const model = await loadModel(MIXED);
  try {
    for (const key of ['architecture', 'name', 'parameters', 'quantization', 'tokenizer', 'vocabularySize'])
      assert.deepEqual(found[key], model.info[key], key);
    assert.deepEqual(found.tensorTypes, model.info.tensorTypes);
    assert.deepEqual(found.specialTokens, model.info.specialTokens);
    for (const { id, text } of Object.values(found.specialTokens))
      assert.deepEqual(await model.tokenize(text, { addSpecial: false }), [id]);
  } finally {
    await model.dispose();
  }
  assert.equal(found.problem, undefined);
  assert.equal(found.estimate.fits, true);
  assert.equal(found.trainedContextLength, found.estimate.trainedContextLength);
  assert.ok(found.tensorTypes.length > 2, 'the fixture mixes types');
  const sum = (key) => found.tensorTypes.reduce((total, one) => total + one[key], 0);
  assert.equal(sum('tensors'), found.tensors.length);
  assert.equal(
    sum('bytes'),
    found.tensors.reduce((total, { bytes }) => total + bytes, 0),
  );
  assert.ok(Math.abs(sum('share') - 1) < 1e-9);
  assert.equal(found.metadata['general.architecture'], found.architecture);
  assert.match(found.metadata['tokenizer.ggml.tokens'], /^\[string x \d+\]$/);
  assert.equal(found.tensors.find(({ name }) => name === 'token_embd.weight').shape.length, 2);
});

test('of a file that cannot run inspectModel says what it holds, and why', async () => {
  const bytes = await readFile(FIXTURE);
  const sound = await inspectModel(FIXTURE);
  const strange = await inspectModel(renamed(bytes, 'llama', 'lxama'));
  assert.equal(strange.architecture, 'lxama');
  assert.equal(strange.problem.code, 'unsupported-architecture');
  assert.match(strange.problem.message, /lxama/);
  assert.equal(strange.estimate, undefined);
  for (const key of ['parameters', 'tensors', 'tensorTypes', 'vocabularySize', 'blockCount', 'specialTokens'])
    assert.deepEqual(strange[key], sound[key], key);

  const name = 'blk.0.ffn_up.weight';
  const untyped = await inspectModel(retyped(bytes, name, 99));
  assert.equal(untyped.problem.code, 'unsupported-quantization');
  assert.match(untyped.problem.message, new RegExp(name));
  assert.equal(untyped.parameters, sound.parameters);
  assert.deepEqual(
    untyped.tensors.filter(({ type }) => type === 'type 99'),
    [{ ...sound.tensors.find((one) => one.name === name), type: 'type 99', bytes: 0 }],
  );
  assert.equal(untyped.tensors.length, sound.tensors.length);
});

test('inspectModel throws for a header that is damaged or cut off, and when its signal aborts', async () => {
  const bytes = await readFile(FIXTURE);
  await refused(inspectModel(bytes.subarray(0, 2000)), 'invalid-gguf', 'the file ends at 2000');
  await refused(inspectModel(renamed(bytes, 'GGUF', 'GGUX')), 'invalid-gguf');
  await assert.rejects(inspectModel(bytes, { signal: AbortSignal.abort(new Error('no more')) }), /no more/);
  await refused(inspectModel(bytes, { threadz: 1 }), 'invalid-argument', 'threadz');
});

test('`info` prints the header and then fails for a file that cannot run; --tensors and --metadata add tables', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-info-'));
  try {
    const file = path.join(folder, 'strange.gguf');
    await writeFile(file, renamed(await readFile(FIXTURE), 'llama', 'lxama'));
    const run = (...args) => spawnSync(process.execPath, [bin, 'info', ...args], { encoding: 'utf8' });
    const failed = run(file);
    assert.equal(failed.status, 1);
    assert.match(failed.stdout, /^architecture {2}lxama$/m);
    assert.match(failed.stdout, /^types +Q4_1 \d+ %/m);
    assert.match(failed.stdout, /^special +.*bos \d+ /m);
    assert.match(failed.stdout, /^can't run +unsupported-architecture: .*lxama/m);
    assert.match(failed.stdout, /^context +the model was trained on \d+ tokens$/m);
    assert.match(failed.stderr, /^wasm-chord: unsupported-architecture: /);
    const json = run(file, '--json');
    assert.equal(JSON.parse(json.stdout).problem.code, 'unsupported-architecture');
    assert.equal(json.status, 1);
    const { status, stdout } = run(FIXTURE, '--tensors', '--metadata');
    assert.equal(status, 0);
    assert.match(stdout, /^general\.architecture +llama$/m);
    assert.match(stdout, /^token_embd\.weight +\S+ +\d+ x \d+ +[\d.]+ kB$/m);
  } finally {
    await rm(folder, { recursive: true });
  }
});
