// SPDX-License-Identifier: Apache-2.0
// large.test.mjs: models of real size and random weights (tools/make_large.py) in a Node that has Memory64,
// beside llama.cpp's answers from the same file (tools/make_large_answers.py). `make test-large` makes both.
// The disk's own rate is measured before a load, from the same file.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { memoryBound } from '../e2e/memory-bound.mjs';
import { root } from '../e2e/browser.mjs';
import { inNode, needsNode, node } from '../ts/memory64.mjs';

const folder = process.env.LARGE_MODELS ?? `${root}models/large`;
const names = existsSync(folder)
  ? readdirSync(folder)
      .filter((name) => name.endsWith('.gguf') && existsSync(`${folder}/${name.slice(0, -5)}.json`))
      .map((name) => name.slice(0, -5))
  : [];
const MINUTES = 60_000;

/** Forgets what is cached of `file`, and reads its first GiB: bytes per second of the disk. */
async function diskRate(file) {
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

/** Runs in Node: a load, the prompt's logits into a file, the greedy continuation, speeds. */
async function answers({ loadModel, estimateModel }, { file, ids, greedy, logitsFile }) {
  const { writeFile } = await import('node:fs/promises');
  const now = () => performance.now();
  const options = { backend: 'cpu' }; // the default context: the trained one, at most 4096
  const estimate = await estimateModel(file, { ...options, threads: 2 });
  const speed = {};
  let found;
  for (const threads of [2, 1]) {
    let begin = now();
    const model = await loadModel(file, { ...options, threads });
    const loadMs = now() - begin;
    begin = now();
    const logits = await model.logits(ids, { all: true });
    const prefill = (1000 * ids.length) / (now() - begin);
    const run = model.generate(ids, { temperature: 0, maxTokens: greedy, ignoreEos: true });
    const tokens = [];
    for await (const { token } of run) tokens.push(token);
    speed[threads] = { prefill, decode: (1000 * (greedy - 1)) / run.stats.decodeMs };
    if (threads === 2) {
      await writeFile(logitsFile, new Uint8Array(logits.buffer));
      const counters = await model.counters();
      const { maxRSS } = process.resourceUsage();
      found = { info: model.info, estimate, counters, loadMs, tokens, maxRSS: maxRSS * 1024 };
    }
    await model.dispose();
  }
  return { ...found, speed };
}

const floats = (bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);

/**
 * The largest NMSE between two sound runtimes. Elsewhere a runtime may be three times as far from exact as
 * llama.cpp is (tests/golden/README.md); here llama.cpp's own answers, off by its own noise in another
 * direction, stand in for exact: 3 + 1.
 */
const boundOf = ({ noise }) => 4 * noise.all;

for (const name of names) {
  const file = path.join(folder, `${name}.gguf`);
  const golden = JSON.parse(readFileSync(path.join(folder, `${name}.json`), 'utf8'));
  test(
    `${name} has llama.cpp's logits and greedy tokens, within its memory bound`,
    { skip: needsNode.skip, timeout: 30 * MINUTES },
    async (t) => {
      const own = await mkdtemp(path.join(tmpdir(), 'chord-large-'));
      try {
        const disk = await diskRate(file);
        const logitsFile = path.join(own, 'logits');
        const given = { file, ids: golden.ids, greedy: golden.greedy.length, logitsFile };
        const found = await inNode(node, given, answers);
        const { info, estimate, counters, speed } = found;
        const ours = floats(await readFile(logitsFile));
        const theirs = floats(await readFile(path.join(folder, `${name}.logits`)));
        assert.equal(ours.length, theirs.length);
        let [error, power] = [0, 0];
        for (let i = 0; i < ours.length; i++) {
          error += (ours[i] - theirs[i]) ** 2;
          power += theirs[i] ** 2;
        }
        const nmse = error / power;
        const [bound, terms] = await memoryBound(file, info, counters);
        const held = counters.wasmBytes + counters.bufferBytesPeak;
        const rate = golden.bytes / (found.loadMs / 1000);
        const mb = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
        t.diagnostic(`${info.variant}, ${info.parameters} parameters, load ${loadavg()[0].toFixed(1)}`);
        t.diagnostic(
          `logits: NMSE ${nmse.toExponential(1)}, at most ${boundOf(golden).toExponential(1)} (llama.cpp's noise ${golden.noise.all.toExponential(1)})`,
        );
        t.diagnostic(`memory: ${mb(held)} of ${terms}; resident at most ${mb(found.maxRSS)}`);
        t.diagnostic(`load: ${mb(rate)}/s, disk ${mb(disk)}/s`);
        for (const n of [1, 2])
          t.diagnostic(
            `${n} thread(s), tokens/s: prompt ${speed[n].prefill.toFixed(2)} (llama.cpp ${golden.speed[n].prefill.toFixed(2)}), ` +
              `continuation ${speed[n].decode.toFixed(2)} (llama.cpp ${golden.speed[n].decode.toFixed(2)})`,
          );
        assert.ok(nmse <= boundOf(golden), `NMSE ${nmse}`);
        // Up to the first place where the best two are closer than the noise of both logits.
        const rms = Math.sqrt(theirs.reduce((sum, x) => sum + x * x, 0) / theirs.length);
        const noise = 4 * rms * Math.sqrt(2 * nmse);
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
        const same = found.tokens.findIndex((token, i) => token !== golden.greedy[i]);
        t.diagnostic(
          `best tokens of the prompt: ${golden.ids.length - differ} of ${golden.ids.length} are llama.cpp's; greedy: ` +
            `${same < 0 ? 'all' : `the first ${same}`}; leads above ${noise.toFixed(2)} count`,
        );
        assert.deepEqual(found.tokens.slice(0, n), golden.greedy.slice(0, n));
        assert.ok(held > info.memory.weights && held <= bound, `${held} bytes of ${bound}`);
        assert.deepEqual(estimate.memory, info.memory);
        assert.equal(/^wasm64/.test(info.variant), info.memory.total > 2 ** 32);
      } finally {
        await rm(own, { recursive: true });
      }
    },
  );
}
if (names.length === 0)
  test('large models', { skip: `${folder} is empty: run \`make test-large\`` }, () => {});
