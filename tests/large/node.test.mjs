// SPDX-License-Identifier: Apache-2.0
// node.test.mjs: models of real size and random weights (tools/make_large.py) in a Node that has Memory64,
// beside llama.cpp's answers from the same file (tools/make_large_answers.py). `make test-large` makes both.
// The disk's own rate is measured before a load, from the same file.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { memoryBound } from '../e2e/memory-bound.mjs';
import { inNode, needsNode, node } from '../ts/memory64.mjs';
import { NO_MODELS, diskRate, floats, judge, mb, models } from './judge.mjs';

const MINUTES = 60_000;
/** What a 7B is paged into: 1.5 GiB, as a 32-bit engine has it in a page with other things. */
const memoryBudget = 1.5 * 2 ** 30;

/** Runs in Node: a load, the prompt's logits into a file, the greedy continuation, speeds. */
async function answers({ loadModel, estimateModel }, { file, ids, greedy, logitsFile, memoryBudget }) {
  const { writeFile } = await import('node:fs/promises');
  const now = () => performance.now();
  const options = { backend: 'cpu' }; // the default context: the trained one, at most 4096
  const estimate = await estimateModel(file, { ...options, threads: 2 });
  const speed = {};
  let found, same;
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
    same ??= logits;
    await model.dispose();
  }
  // Paged: the same bits in a third of the memory. A context of 4096 alone takes 2.1 GB.
  const model = await loadModel(file, { ...options, threads: 2, memoryBudget, contextLength: 512 });
  const logits = await model.logits(ids, { all: true });
  if (logits.some((x, i) => x !== same[i])) throw new Error('paged: other logits');
  const before = await model.counters();
  const run = model.generate(ids, { temperature: 0, maxTokens: 4, ignoreEos: true });
  for await (const { token } of run) void token;
  const after = await model.counters();
  const paged = {
    info: model.info,
    wasmBytes: after.wasmBytes,
    bytes: (after.bytesPaged - before.bytesPaged) / 4,
    decode: 3000 / run.stats.decodeMs,
  };
  await model.dispose();
  return { ...found, speed, paged };
}

for (const model of models) {
  const { name, file, golden } = model;
  test(
    `${name} has llama.cpp's logits and greedy tokens, within its memory bound and paged`,
    { skip: needsNode.skip, timeout: 30 * MINUTES },
    async (t) => {
      const own = await mkdtemp(path.join(tmpdir(), 'chord-large-'));
      try {
        const disk = await diskRate(file);
        const logitsFile = path.join(own, 'logits');
        const given = { file, ids: golden.ids, greedy: golden.greedy.length, logitsFile, memoryBudget };
        const found = await inNode(node, given, answers);
        const { info, estimate, counters, speed, paged } = found;
        const ours = floats(await readFile(logitsFile));
        const [bound, terms] = await memoryBound(file, info, counters);
        const held = counters.wasmBytes + counters.bufferBytesPeak;
        const rate = golden.bytes / (found.loadMs / 1000);
        t.diagnostic(`${info.variant}, ${info.parameters} parameters, load ${loadavg()[0].toFixed(1)}`);
        t.diagnostic(`memory: ${mb(held)} of ${terms}; resident at most ${mb(found.maxRSS)}`);
        t.diagnostic(`load: ${mb(rate)}/s, disk ${mb(disk)}/s`);
        for (const n of [1, 2])
          t.diagnostic(
            `${n} thread(s), tokens/s: prompt ${speed[n].prefill.toFixed(2)} (llama.cpp ${golden.speed[n].prefill.toFixed(2)}), ` +
              `continuation ${speed[n].decode.toFixed(2)} (llama.cpp ${golden.speed[n].decode.toFixed(2)})`,
          );
        t.diagnostic(
          `paged into ${mb(memoryBudget)}: ${paged.info.variant}, ${mb(paged.wasmBytes)}, ${mb(paged.bytes)} and ` +
            `${(1 / paged.decode).toFixed(2)} s a token`,
        );
        await judge(t, model, ours, found.tokens);
        assert.ok(held > info.memory.weights && held <= bound, `${held} bytes of ${bound}`);
        assert.deepEqual(estimate.memory, info.memory);
        assert.equal(/^wasm64/.test(info.variant), info.memory.total > 2 ** 32);
        assert.ok(/^wasm32/.test(paged.info.variant) && paged.wasmBytes <= memoryBudget);
      } finally {
        await rm(own, { recursive: true });
      }
    },
  );
}
if (models.length === 0) test('large models in Node', { skip: NO_MODELS }, () => {});
