// SPDX-License-Identifier: Apache-2.0
// judge.mjs: what the tests of large models share: the models that are here with llama.cpp's answers
// (tools/make_large_answers.py), and the comparison with these answers.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { root } from '../e2e/browser.mjs';

const folder = process.env.LARGE_MODELS ?? `${root}models/large`;

/** What a test says in the place of models, where none is here. */
export const NO_MODELS = `${folder} is empty: run \`make test-large\``;

/** The models: name, file and llama.cpp's answers of each. */
export const models = (existsSync(folder) ? readdirSync(folder) : [])
  .filter((name) => name.endsWith('.gguf') && existsSync(`${folder}/${name.slice(0, -5)}.json`))
  .map((name) => name.slice(0, -5))
  .map((name) => ({
    name,
    file: path.join(folder, `${name}.gguf`),
    golden: JSON.parse(readFileSync(path.join(folder, `${name}.json`), 'utf8')),
  }));

/** Forgets what is cached of `file`, and reads its first GiB: bytes per second of the disk. */
export async function diskRate(file) {
  const program = `
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
n = min(os.fstat(fd).st_size, 1 << 30)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
begin, left = time.perf_counter(), n
while left > 0: left -= len(os.read(fd, min(left, 1 << 22)))
print(n / (time.perf_counter() - begin))
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)`;
  return Number((await promisify(execFile)('python3', ['-c', program, file])).stdout);
}

export const floats = (bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
export const mb = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;

/**
 * The largest NMSE between two sound runtimes. Elsewhere a runtime may be three times as far from exact as
 * llama.cpp is (tests/golden/README.md); here llama.cpp's own answers, off by its own noise in another
 * direction, stand in for exact: 3 + 1.
 */
const boundOf = ({ noise }) => 4 * noise.all;

/**
 * Compares with llama.cpp's answers: `ours`, the logits of every token of the prompt, float32 [tokens,
 * vocabulary], and `tokens`, the greedy continuation up to the first place where the best two are closer than
 * the noise of both logits.
 */
export async function judge(t, { file, golden }, ours, tokens) {
  const theirs = floats(await readFile(`${file.slice(0, -5)}.logits`));
  assert.equal(ours.length, theirs.length);
  let [error, power] = [0, 0];
  for (let i = 0; i < ours.length; i++) {
    error += (ours[i] - theirs[i]) ** 2;
    power += theirs[i] ** 2;
  }
  const nmse = error / power;
  t.diagnostic(
    `logits: NMSE ${nmse.toExponential(1)}, at most ${boundOf(golden).toExponential(1)} (llama.cpp's noise ${golden.noise.all.toExponential(1)})`,
  );
  assert.ok(nmse <= boundOf(golden), `NMSE ${nmse}`);
  const noise = 4 * Math.sqrt(power / theirs.length) * Math.sqrt(2 * nmse);
  // Every token of the prompt: the best token here is as good as llama.cpp's, within the noise.
  const size = golden.vocabulary;
  let differ = 0;
  for (let at = 0; at < ours.length; at += size) {
    const [mine, right] = [ours, theirs].map((all) => all.subarray(at, at + size));
    const [best, other] = [mine, right].map((row) => row.indexOf(row.reduce((a, b) => Math.max(a, b))));
    assert.ok(right[other] - right[best] <= noise, `token ${at / size}: ${best} instead of ${other}`);
    differ += best === other ? 0 : 1;
  }
  const certain = golden.margins.findIndex((margin) => margin < noise);
  const n = certain < 0 ? golden.greedy.length : certain;
  const same = tokens.findIndex((token, i) => token !== golden.greedy[i]);
  t.diagnostic(
    `best tokens of the prompt: ${golden.ids.length - differ} of ${golden.ids.length} are llama.cpp's; greedy: ` +
      `${same < 0 ? 'all' : `the first ${same}`}; leads above ${noise.toFixed(2)} count`,
  );
  assert.deepEqual(tokens.slice(0, n), golden.greedy.slice(0, n));
}
